package directory

import (
	"cmp"
	"fmt"
	"slices"

	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/scheduling"
)

// defaultPairs are the pairs of a new organization: a technician treats while an analyst modifies
// the protocol.
var defaultPairs = []ServicePair{{Code: "97153", OtherCode: "97155"}}

// checkPairs returns the pairs in their order, and an error for each invalid one.
func checkPairs(pairs []ServicePair) ([]ServicePair, []fault.Field) {
	var fieldErrors []fault.Field
	refuse := func(i int, field, code, message string) {
		fieldErrors = append(fieldErrors, fault.Field{
			Field: fmt.Sprintf("pairs[%d]", i) + field, Code: code,
			Message: message,
		})
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
