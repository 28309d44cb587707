package permissionset

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/identity"
)

func TestRolesCombineTheirPermissions(t *testing.T) {
	t.Parallel()
	var g grants
	rapid.Check(t, func(t *rapid.T) {
		roles := rapid.SliceOfN(rapid.SampledFrom(rbac.Roles()), 0, 4).Draw(t, "roles")
		held := g.of(combine(rbac.RoleNames(roles)))
		for _, p := range rbac.Permissions() {
			var any identity.Scope
			for _, r := range roles {
				any |= r.Scope(p)
			}
			require.Equal(t, any, held[p], "%s", p)
		}
	})
}

func TestUnknownRolesGrantNothing(t *testing.T) {
	t.Parallel()
	require.Empty(t, unchanged.of(combine([]string{"OWNER", "admin", ""})))
}
