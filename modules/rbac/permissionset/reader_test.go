package rbac

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"omnirapeutic/platform/identity"
)

func TestRolesCombineTheirPermissions(t *testing.T) {
	t.Parallel()
	var g grants
	rapid.Check(t, func(t *rapid.T) {
		held := rapid.SliceOfN(rapid.SampledFrom(roles), 0, 4).Draw(t, "roles")
		may := g.of(combine(names(held)))
		for _, p := range Permissions() {
			var any identity.Scope
			for _, r := range held {
				any |= r.Scope(p)
			}
			require.Equal(t, any, may[p], "%s", p)
		}
	})
}
