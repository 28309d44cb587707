package e2e

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/user"
	"omnirapeutic/platform/identity"
)

// administrationCalls are all administrative calls, with the roles that may make them
// in their own organization.
var administrationCalls = []struct {
	// /users/:id is a technician and guardian, :role BILLER; each other :id or :patientId is a record of its kind
	method, path string
	body         body // without patientId, and without the e-mail address
	allowed      []rbac.Role
}{
	{http.MethodGet, "/users", nil, []rbac.Role{"ADMIN", "AUDITOR"}},
	{http.MethodGet, "/users/:id", nil, []rbac.Role{"ADMIN", "AUDITOR"}},
	{http.MethodPatch, "/users/:id", body{"disabled": true}, []rbac.Role{"ADMIN"}},
	{http.MethodPut, "/users/:id/roles", body{"roles": []string{"BILLER", "SCHEDULER"}}, []rbac.Role{"ADMIN"}},
	{http.MethodDelete, "/users/:id/second-factor", nil, []rbac.Role{"ADMIN"}},
	{http.MethodPost, "/users/:id/unlock", nil, []rbac.Role{"ADMIN"}},
	{http.MethodDelete, "/users/:id/provider-link", nil, []rbac.Role{"ADMIN"}},
	{http.MethodPost, "/users/:id/password-reset", body{}, []rbac.Role{"ADMIN"}},
	{http.MethodGet, "/users/:id/sessions", nil, []rbac.Role{"ADMIN"}},
	{http.MethodDelete, "/users/:id/sessions/:sessionId", nil, []rbac.Role{"ADMIN"}},
	{http.MethodGet, "/users/invitations", nil, []rbac.Role{"ADMIN", "AUDITOR"}},
	{
		http.MethodPost, "/users/invitations", body{"name": "Sam Example", "roles": []string{"BILLER"}}, []rbac.Role{"ADMIN"},
	},
	{http.MethodDelete, "/users/invitations/:id", nil, []rbac.Role{"ADMIN"}},
	{http.MethodGet, "/permission-sets", nil, []rbac.Role{"ADMIN", "AUDITOR"}},
	{http.MethodPut, "/permission-sets/:role", body{"permissions": []any{}}, []rbac.Role{"ADMIN"}},
	{http.MethodDelete, "/permission-sets/:role", nil, []rbac.Role{"ADMIN"}},
	{http.MethodGet, "/users/:id/patients", nil, []rbac.Role{"ADMIN", "AUDITOR"}},
	{http.MethodPost, "/users/:id/patients", body{"relation": "GUARDIAN"}, []rbac.Role{"ADMIN"}},
	{http.MethodDelete, "/users/:id/patients/:patientId", nil, []rbac.Role{"ADMIN"}},
	{http.MethodGet, "/practitioners/:id/caseload", nil, []rbac.Role{"ADMIN", "SCHEDULER", "PRACTITIONER", "AUDITOR"}},
	{http.MethodPost, "/practitioners/:id/caseload", body{}, []rbac.Role{"ADMIN"}},
	{http.MethodDelete, "/practitioners/:id/caseload/:patientId", nil, []rbac.Role{"ADMIN"}},
}

func TestAdministrationEveryRouteIsCalled(t *testing.T) {
	t.Parallel()
	routes, called := map[string]bool{}, map[string]bool{}
	for _, r := range open(t).app.Routes() {
		if strings.HasPrefix(r.Path, "/users") || strings.HasPrefix(r.Path, "/permission-sets") ||
			strings.Contains(r.Path, "/caseload") {
			routes[r.Method+" "+r.Path] = true
		}
	}
	for _, call := range administrationCalls {
		called[call.method+" "+call.path] = true
	}
	require.Equal(t, routes, called, "administrationCalls has an entry for every route")
}

// hire creates a user of an organization and returns its path.
func (c *clinic) hire(t testing.TB, p practice, email string, roles ...rbac.Role) string {
	t.Helper()
	u, err := c.app.Access.Users.Create(identity.With(t.Context(), identity.System(p.id)), p.id, user.NewUser{
		Email: email, Name: "Sam Example", Password: password, Roles: roles,
	})
	require.NoError(t, err)
	return "/users/" + u.ID.String()
}

// enter signs a user in by email address.
func (c *clinic) enter(t testing.TB, email string) caller {
	t.Helper()
	return c.as(c.as("").post(t, "/auth/login", body{"email": email, "password": password}).ok(t).text("accessToken"))
}

func TestAdministrationEveryRoleOnEveryCall(t *testing.T) {
	t.Parallel()
	skipUnlessLong(t)
	c := open(t)
	owner := c.owner(t)
	who, patient := "/practitioners/"+c.employ(t).String(), c.own.patient.String()
	for _, role := range rbac.Roles() {
		for i, call := range administrationCalls {
			t.Run(fmt.Sprintf("%s, %s %s", role, call.method, call.path), func(t *testing.T) {
				user := c.hire(t, c.own, fmt.Sprintf("%s-%d@own.test", strings.ToLower(string(role)), i), rbac.Technician,
					rbac.Patient)
				c.admin().post(t, user+"/patients", body{"patientId": patient, "relation": "SELF"}).ok(t)
				c.admin().post(t, who+"/caseload", body{"patientId": patient}).ok(t)
				c.loginTo(t, fmt.Sprintf("%s-%d@own.test", strings.ToLower(string(role)), i), password, uuid.Nil).ok(t)
				session := c.sessionOf(t, user)
				_, err := owner.ExecContext(t.Context(), "INSERT INTO second_factors VALUES ($1, $2, 'sealed', now(), now())",
					c.own.id, idOf(user))
				require.NoError(t, err)
				_, err = owner.ExecContext(t.Context(),
					"INSERT INTO provider_subjects VALUES ($1, 'https://login.example.test', $2::text, $2::text::uuid, now())", c.own.id, idOf(user))
				require.NoError(t, err)
				email := fmt.Sprintf("invited-%s-%d@example.test", strings.ToLower(string(role)), i)
				invitation := "/users/invitations/" + c.admin().post(t, "/users/invitations",
					body{"email": "x" + email, "name": "Sam Example", "roles": []string{"BILLER"}}).created(t).String()
				stored := func() string {
					return string(c.admin().get(t, user).ok(t).raw) +
						string(c.admin().get(t, user+"/patients").ok(t).raw) + string(c.admin().get(t, who+"/caseload").ok(t).raw) +
						string(c.admin().get(t, "/users/invitations?limit=200").ok(t).raw) +
						string(c.admin().get(t, "/permission-sets").ok(t).raw)
				}
				path := strings.NewReplacer("/users/:id", user, "/users/invitations/:id", invitation, ":role", "BILLER",
					"/practitioners/:id", who, ":patientId", patient).Replace(call.path)
				b := call.body
				switch {
				case call.path == "/users/invitations" && b != nil:
					b = maps.Clone(b)
					b["email"] = email
				case call.method == http.MethodPost && b != nil && call.path != "/users/:id/password-reset":
					b = maps.Clone(b)
					b["patientId"] = patient
				}
				path = strings.Replace(path, ":sessionId", session, 1)
				before := stored()
				defer c.admin().delete(t, "/permission-sets/BILLER")
				foreign := c.as(c.other.tokens[role]).send(t, call.method, path, b)
				require.Equal(t, before, stored(), "another practice's call changes nothing")
				if !slices.Contains(call.allowed, role) {
					foreign.refused(t, http.StatusForbidden, "forbidden")
					c.as(c.own.tokens[role]).send(t, call.method, path, b).refused(t, http.StatusForbidden, "forbidden")
					require.Equal(t, before, stored(), "a refusal changes nothing")
					return
				}
				nowhere := c.as(c.other.tokens[role]).send(t, call.method,
					strings.NewReplacer(":id", uuid.NewString(), ":sessionId", uuid.NewString(), ":patientId", patient, ":role",
						"BILLER").
						Replace(call.path), b)
				require.Equal(t, nowhere.status, foreign.status, "%s", foreign.raw)
				require.Equal(t, nowhere.text("detail"), foreign.text("detail"),
					"the answer does not reveal whether it exists elsewhere")
				if foreign.status != http.StatusNotFound && call.method == http.MethodGet {
					require.NotContains(t, string(foreign.ok(t).raw), idOf(user))
					require.NotContains(t, string(foreign.ok(t).raw), patient)
				}
				own := c.as(c.own.tokens[role]).send(t, call.method, path, b)
				require.Less(t, own.status, 300, "%s", own.raw)
				c.as("").send(t, call.method, path, b).refused(t, http.StatusUnauthorized, "unauthenticated")
			})
		}
	}
	c.requireClean(t)
}
