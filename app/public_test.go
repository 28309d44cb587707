package app_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/httpx"
)

// TestNoPublicRouteMakesUsersOrRoles walks all routes that need no sign-in, with what
// would make somebody an administrator: each refuses it by name, and nobody is made.
// Only whoever accepts an invitation becomes a user, with exactly the roles that it says.
func TestNoPublicRouteMakesUsersOrRoles(t *testing.T) {
	t.Parallel()
	c := open(t)
	_, token := c.admin().invite(t, "rosa@example.test", "TECHNICIAN", "BILLER")
	people := func() []int {
		return []int{
			c.count(t, "SELECT count(*) FROM users"), c.count(t, "SELECT count(*) FROM user_roles"), c.count(t, "SELECT count(*) FROM organizations"),
			c.count(t, "SELECT count(*) FROM invitations WHERE accepted_at IS NULL"), c.count(t, "SELECT count(*) FROM permission_sets"),
		}
	}
	wanted := body{
		"role": "ADMIN", "roles": []string{"ADMIN", "SUPER_ADMIN"}, "organizationId": c.own.id, "status": "ACTIVE", "disabled": false,
		"permissions": []string{"user:grant"}, "scopes": []string{"ORGANIZATION"}, "practitionerId": uuid.New(), "name": "Eve", "userId": uuid.New(),
	}
	// What each route takes, right as far as anybody can know it, so that nothing but the
	// member in question is in the way.
	right := map[string]body{
		"/auth/login":              {"email": "biller@own.test", "password": password},
		"/auth/refresh":            {"refreshToken": c.enters(t, "biller@own.test").refresh},
		"/auth/invitations/accept": {"token": token, "password": password},
		"/auth/password-reset":     {"token": strings.Repeat("x", 60), "password": password},
		"/auth/oidc/token":         {"code": strings.Repeat("x", 60), "verifier": verifier},
	}
	before, walked := people(), 0
	for _, r := range c.app.Routes() {
		if r.Permission != httpx.Public {
			continue
		}
		walked++
		path := strings.NewReplacer(":organizationId", c.own.id.String(), ":file", "x.ics").Replace(r.Path)
		require.NotContains(t, path, ":", "%s has a parameter that this test does not know", r.Path)
		if r.Method == http.MethodGet {
			require.GreaterOrEqual(t, c.as("").get(t, path+"?roles=ADMIN").status, http.StatusBadRequest, path)
			continue
		}
		require.Contains(t, right, r.Path, "say what %s %s takes", r.Method, r.Path)
		for member, value := range wanted {
			b := body{member: value}
			for k, v := range right[r.Path] {
				b[k] = v
			}
			if r.Path == "/auth/login" && member == "organizationId" {
				continue // chooses among one's own accounts
			}
			a := c.as("").send(t, r.Method, path, b).refused(t, http.StatusUnprocessableEntity, "validation-failed")
			require.Contains(t, string(a.raw), `"field":"`+member+`"`, "%s %s", r.Method, r.Path)
		}
	}
	require.Greater(t, walked, len(right))
	require.Equal(t, before, people(), "nobody was made, and nobody has another role")

	require.Equal(t, http.StatusCreated, c.accept(t, token).status)
	after := people()
	require.Equal(t, []int{before[0] + 1, before[1] + 2, before[2], before[3] - 1, before[4]}, after)
	require.Equal(t, []any{"TECHNICIAN", "BILLER"}, c.enter(t, "rosa@example.test").get(t, "/auth/me").ok(t).body["roles"])
	c.accept(t, token).refused(t, http.StatusNotFound, "invitation-not-found")
	require.Equal(t, after, people(), "once")
}
