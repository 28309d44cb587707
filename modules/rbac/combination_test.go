package rbac

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestACombinationOfRolesMayDoWhatAnyOfThemMay(t *testing.T) {
	t.Parallel()
	var g grants
	rapid.Check(t, func(t *rapid.T) {
		held := rapid.SliceOfN(rapid.SampledFrom(roles), 0, 4).Draw(t, "roles")
		may := g.of(combine(names(held)))
		for _, p := range Permissions() {
			some := slices.ContainsFunc(held, func(r Role) bool { return slices.Contains(r.Permissions(), p) })
			require.Equal(t, some, may[p], "%s", p)
		}
	})
}
