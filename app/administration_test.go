package app_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/identity"
)

// administrationCalls are all calls by which an organization is administered, with
// the roles that may make them in their own.
var administrationCalls = []struct {
	method, path string // :id is a technician
	body         body
	allowed      []rbac.Role
}{
	{http.MethodGet, "/users", nil, []rbac.Role{"ADMIN", "AUDITOR"}},
	{http.MethodGet, "/users/:id", nil, []rbac.Role{"ADMIN", "AUDITOR"}},
	{http.MethodPatch, "/users/:id", body{"disabled": true}, []rbac.Role{"ADMIN"}},
	{http.MethodPut, "/users/:id/roles", body{"roles": []string{"BILLER", "SCHEDULER"}}, []rbac.Role{"ADMIN"}},
}

func TestAdministrationEveryRouteIsCalled(t *testing.T) {
	t.Parallel()
	routes, called := map[string]bool{}, map[string]bool{}
	for _, r := range open(t).app.Routes() {
		if strings.HasPrefix(r.Path, "/users") {
			routes[r.Method+" "+r.Path] = true
		}
	}
	for _, call := range administrationCalls {
		called[call.method+" "+call.path] = true
	}
	require.Equal(t, routes, called, "administrationCalls has an entry for every route")
}

// hire makes a user of an organization and returns the path.
func (c *clinic) hire(t testing.TB, p practice, email string, roles ...rbac.Role) string {
	t.Helper()
	u, err := c.app.Access.CreateUser(identity.With(t.Context(), identity.System(p.id)), p.id, rbac.NewUser{
		Email: email, Name: "Somebody", Password: password, Roles: roles,
	})
	require.NoError(t, err)
	return "/users/" + u.ID.String()
}

// enter signs somebody in by their address.
func (c *clinic) enter(t testing.TB, email string) caller {
	t.Helper()
	return c.as(c.as("").post(t, "/auth/login", body{"email": email, "password": password}).ok(t).text("accessToken"))
}

func TestAdministrationEveryRoleOnEveryCall(t *testing.T) {
	t.Parallel()
	c := open(t)
	for _, role := range rbac.Roles() {
		for i, call := range administrationCalls {
			t.Run(fmt.Sprintf("%s, %s %s", role, call.method, call.path), func(t *testing.T) {
				user := c.hire(t, c.own, fmt.Sprintf("%s-%d@own.test", strings.ToLower(string(role)), i), rbac.Technician)
				path := strings.Replace(call.path, "/users/:id", user, 1)
				before := string(c.admin().get(t, user).ok(t).raw)
				foreign := c.as(c.other.tokens[role]).send(t, call.method, path, call.body)
				require.Equal(t, before, string(c.admin().get(t, user).raw), "another practice's call changes nothing")
				if !slices.Contains(call.allowed, role) {
					foreign.refused(t, http.StatusForbidden, "forbidden")
					c.as(c.own.tokens[role]).send(t, call.method, path, call.body).refused(t, http.StatusForbidden, "forbidden")
					require.Equal(t, before, string(c.admin().get(t, user).raw), "a refusal changes nothing")
					return
				}
				if strings.Contains(call.path, ":id") {
					nowhere := c.as(c.other.tokens[role]).send(t, call.method, strings.Replace(call.path, ":id", uuid.NewString(), 1), call.body)
					foreign.refused(t, http.StatusNotFound, nowhere.text("code"))
					require.Equal(t, foreign.text("detail"), nowhere.text("detail"), "whether it exists elsewhere does not show")
				} else {
					require.NotContains(t, string(foreign.ok(t).raw), idOf(user))
				}
				own := c.as(c.own.tokens[role]).send(t, call.method, path, call.body)
				require.Less(t, own.status, 300, "%s", own.raw)
				c.as("").send(t, call.method, path, call.body).refused(t, http.StatusUnauthorized, "unauthenticated")
			})
		}
	}
	c.requireClean(t)
}
