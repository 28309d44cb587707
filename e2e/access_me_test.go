package e2e

import (
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/rbac"
)

// TestMeListsRecordScopes checks for every role, by default and after a change,
// that /me returns the permissions that the role holds.
func TestMeListsRecordScopes(t *testing.T) {
	t.Parallel()
	c := open(t)
	for _, role := range rbac.Roles() {
		me := c.as(c.own.tokens[role]).get(t, "/auth/me").ok(t).body
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
	c.admin().put(t, "/permission-sets/TECHNICIAN", body{"permissions": []any{
		body{"permission": "patient:read", "scopes": []string{"CHILD", "CASELOAD"}},
	}}).ok(t)
	want := map[string]any{"patient:read": []any{"CASELOAD", "CHILD"}}
	require.Equal(t, want, c.as(c.own.tokens[rbac.Technician]).get(t, "/auth/me").ok(t).body["scopes"],
		"from the next request on")
	signed := c.as("").post(t, "/auth/login", body{"email": "technician@own.test", "password": password}).ok(t)
	require.Equal(t, want, signed.body["user"].(map[string]any)["scopes"], "a sign-in has the same")
	both := c.hire(t, c.own, "both@own.test", rbac.Scheduler, rbac.Technician)
	require.NotEmpty(t, both)
	require.Equal(t, []any{"ORGANIZATION", "CASELOAD", "CHILD"}, c.enter(t, "both@own.test").
		get(t, "/auth/me").ok(t).body["scopes"].(map[string]any)["patient:read"], "scopes of several roles add up")
}
