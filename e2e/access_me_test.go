package e2e

import (
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/rbac"
)

// TestMeListsRecordScopes checks for every role, by default and after a change,
// that /me returns the permissions that the role holds.
func TestMeListsRecordScopes(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	for _, role := range rbac.Roles() {
		me := c.As(c.Own.Tokens[role]).Get(t, "/auth/me").OK(t).Body
		want := map[string]any{}
		var listed []any
		for _, p := range role.Permissions() {
			scopes := []any{}
			for _, name := range role.Scope(p).Names() {
				scopes = append(scopes, name)
			}
			want[string(p)] = scopes
			listed = append(listed, string(p))
		}
		require.Equal(t, listed, me["permissions"], role)
		require.Equal(t, want, me["scopes"], role)
	}
	c.Admin().Put(t, "/permission-sets/TECHNICIAN", harness.Body{"permissions": []any{
		harness.Body{"permission": "patient:read", "scopes": []string{"CHILD", "CASELOAD"}},
	}}).OK(t)
	want := map[string]any{"patient:read": []any{"CASELOAD", "CHILD"}}
	require.Equal(t, want, c.As(c.Own.Tokens[rbac.Technician]).Get(t, "/auth/me").OK(t).Body["scopes"],
		"from the next request on")
	signed := c.As("").Post(t, "/auth/login", harness.Body{"email": "technician@own.test", "password": harness.Password}).
		OK(t)
	require.Equal(t, want, signed.Body["user"].(map[string]any)["scopes"], "a sign-in has the same")
	both := c.AddUser(t, c.Own, "both@own.test", rbac.Scheduler, rbac.Technician)
	require.NotEmpty(t, both)
	require.Equal(t, []any{"ORGANIZATION", "CASELOAD", "CHILD"}, c.SignInByEmail(t, "both@own.test").
		Get(t, "/auth/me").OK(t).Body["scopes"].(map[string]any)["patient:read"], "scopes of several roles add up")
}
