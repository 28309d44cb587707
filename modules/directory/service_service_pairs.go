package directory

import (
	"context"
	"slices"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
)

// ServicePairs returns the pairs of the caller's organization, sorted by codes.
func (s *Service) ServicePairs(ctx context.Context) (ServicePairs, error) {
	return db.Snapshot(ctx, s.database, "service-pairs.get", func(ctx context.Context) (ServicePairs, error) {
		return s.store.findPairs(ctx)
	})
}

// PairsForConflicts returns the pairs of the caller's organization, sorted by codes, in the transaction of the
// context.
func (s *Service) PairsForConflicts(ctx context.Context) (db.Reading[[]ServicePair], error) {
	var found []ServicePair
	q, err := s.store.pairs(ctx, &found)
	return db.Reading[[]ServicePair]{
		Queries: []db.Query{q},
		Value:   func(context.Context) ([]ServicePair, error) { return found, nil },
	}, err
}

// ReplaceServicePairs replaces all pairs; without any, no services may overlap. The codes need
// not exist yet. Errors: [patch.ErrStale], and [fault.ErrInvalid], which names invalid codes,
// pairs of a code with itself, and duplicate pairs.
func (s *Service) ReplaceServicePairs(ctx context.Context, c ServicePairsChange) (ServicePairs, error) {
	sorted, fieldErrors := checkPairs(servicePairsOf(c.Pairs))
	if len(fieldErrors) > 0 {
		return ServicePairs{}, fault.InvalidFields(fieldErrors...)
	}
	// Without [db.ProvenBy]: the caller can repeat it after an unknown outcome.
	return db.Serializable(ctx, s.database, "service-pairs.replace", func(ctx context.Context) (ServicePairs, error) {
		before, err := s.store.findPairs(ctx)
		if err != nil {
			return ServicePairs{}, err
		}
		if err := c.Match.Check(before.Version); err != nil {
			return ServicePairs{}, err
		}
		if slices.Equal(before.Pairs, sorted) {
			return before, nil
		}
		after := ServicePairs{sorted, before.Version + 1}
		if err := s.store.replacePairs(ctx, after); err != nil {
			return ServicePairs{}, err
		}
		return after, s.recordPairs(ctx, before, after)
	})
}
