package directory

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/patch"
	"omnirapeutic/platform/scheduling"
)

// ServicePair is a pair of services of different lanes that may overlap for one patient. The
// order of the codes makes no difference.
type ServicePair struct {
	Code      string `json:"code" validate:"required"`      // The code of one service.
	OtherCode string `json:"otherCode" validate:"required"` // The code of the other service.
}

// ServicePairs are all the pairs of an organization.
type ServicePairs struct {
	Pairs   []ServicePair `json:"pairs"` // All pairs, sorted by their codes.
	Version int           `json:"version"`
}

// Revision returns the version, which the API returns as ETag.
func (p ServicePairs) Revision() int { return p.Version }

// ServicePairsChange replaces all pairs of an organization.
type ServicePairsChange struct {
	Match patch.Match `header:"If-Match"`
	// All pairs of the organization. Others are removed.
	Pairs []ServicePair `json:"pairs" validate:"required,max=200,dive"`
}

// defaultPairs are the pairs of a new organization: a technician treats while an analyst modifies
// the protocol.
var defaultPairs = []ServicePair{{Code: "97153", OtherCode: "97155"}}

// ServicePairs returns the pairs of the caller's organization, sorted by codes.
func (s *Service) ServicePairs(ctx context.Context) (ServicePairs, error) {
	return db.Snapshot(ctx, s.database, "service-pairs.get", func(ctx context.Context) (ServicePairs, error) {
		return findPairs(ctx)
	})
}

// ReplaceServicePairs replaces all pairs; without any, no services may overlap. The codes need
// not exist yet. Errors: [patch.ErrStale], and [fault.ErrInvalid], which names invalid codes,
// pairs of a code with itself, and duplicate pairs.
func (s *Service) ReplaceServicePairs(ctx context.Context, c ServicePairsChange) (ServicePairs, error) {
	settled, fieldErrors := settlePairs(c.Pairs)
	if len(fieldErrors) > 0 {
		return ServicePairs{}, fault.InvalidFields(fieldErrors...)
	}
	// Without [db.ProvenBy]: the caller can repeat it after an unknown outcome.
	return db.Serializable(ctx, s.database, "service-pairs.replace", func(ctx context.Context) (ServicePairs, error) {
		before, err := findPairs(ctx)
		if err != nil {
			return ServicePairs{}, err
		}
		if err := c.Match.Check(before.Version); err != nil {
			return ServicePairs{}, err
		}
		if slices.Equal(before.Pairs, settled) {
			return before, nil
		}
		after := ServicePairs{settled, before.Version + 1}
		if err := replacePairs(ctx, after); err != nil {
			return ServicePairs{}, err
		}
		return after, s.recordPairs(ctx, before, after)
	})
}

// settlePairs returns the pairs in their order, and an error for each invalid one.
func settlePairs(pairs []ServicePair) ([]ServicePair, []fault.Field) {
	var fieldErrors []fault.Field
	refuse := func(i int, field, code, message string) {
		fieldErrors = append(fieldErrors,
			fault.Field{Field: fmt.Sprintf("pairs[%d]", i) + field, Code: code, Message: message})
	}
	settled := []ServicePair{}
	seen := map[scheduling.Pair]bool{}
	for i, p := range pairs {
		pair := scheduling.PairOf(p.Code, p.OtherCode)
		first, second := codeForm.MatchString(p.Code), codeForm.MatchString(p.OtherCode)
		if !first {
			refuse(i, ".code", "code", codeFormMessage)
		}
		if !second {
			refuse(i, ".otherCode", "code", codeFormMessage)
		}
		switch {
		case !first || !second:
		case p.Code == p.OtherCode:
			refuse(i, ".otherCode", "nefield", "must be another code")
		case seen[pair]:
			refuse(i, "", "unique", "must not be repeated, in either order")
		}
		seen[pair] = true
		settled = append(settled, ServicePair(pair))
	}
	slices.SortFunc(settled, func(a, b ServicePair) int {
		return cmp.Or(cmp.Compare(a.Code, b.Code), cmp.Compare(a.OtherCode, b.OtherCode))
	})
	return settled, fieldErrors
}
