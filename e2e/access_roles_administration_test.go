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

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/rbac"
)

// administrationCalls are all administrative calls, with the roles that may make them
// in their own organization.
var administrationCalls = []struct {
	// /users/:id is a technician and guardian, :role BILLER; each other :id or :patientId is a record of its kind
	method, path string
	body         harness.Body // without patientId, and without the e-mail address
	allowed      []rbac.Role
}{
	{http.MethodGet, "/users", nil, []rbac.Role{"ADMIN", "AUDITOR"}},
	{http.MethodGet, "/users/:id", nil, []rbac.Role{"ADMIN", "AUDITOR"}},
	{http.MethodPatch, "/users/:id", harness.Body{"disabled": true}, []rbac.Role{"ADMIN"}},
	{http.MethodPut, "/users/:id/roles", harness.Body{"roles": []string{"BILLER", "SCHEDULER"}}, []rbac.Role{"ADMIN"}},
	{http.MethodDelete, "/users/:id/second-factor", nil, []rbac.Role{"ADMIN"}},
	{http.MethodPost, "/users/:id/unlock", nil, []rbac.Role{"ADMIN"}},
	{http.MethodDelete, "/users/:id/provider-link", nil, []rbac.Role{"ADMIN"}},
	{http.MethodPost, "/users/:id/password-reset", harness.Body{}, []rbac.Role{"ADMIN"}},
	{http.MethodGet, "/users/:id/sessions", nil, []rbac.Role{"ADMIN"}},
	{http.MethodDelete, "/users/:id/sessions/:sessionId", nil, []rbac.Role{"ADMIN"}},
	{http.MethodGet, "/users/invitations", nil, []rbac.Role{"ADMIN", "AUDITOR"}},
	{
		http.MethodPost, "/users/invitations", harness.Body{
			"name": "Sam Example", "roles": []string{"BILLER"},
		}, []rbac.Role{"ADMIN"},
	},
	{http.MethodDelete, "/users/invitations/:id", nil, []rbac.Role{"ADMIN"}},
	{http.MethodGet, "/permission-sets", nil, []rbac.Role{"ADMIN", "AUDITOR"}},
	{http.MethodPut, "/permission-sets/:role", harness.Body{"permissions": []any{}}, []rbac.Role{"ADMIN"}},
	{http.MethodDelete, "/permission-sets/:role", nil, []rbac.Role{"ADMIN"}},
	{http.MethodGet, "/users/:id/patients", nil, []rbac.Role{"ADMIN", "AUDITOR"}},
	{http.MethodPost, "/users/:id/patients", harness.Body{"relation": "GUARDIAN"}, []rbac.Role{"ADMIN"}},
	{http.MethodDelete, "/users/:id/patients/:patientId", nil, []rbac.Role{"ADMIN"}},
	{http.MethodGet, "/practitioners/:id/caseload", nil, []rbac.Role{"ADMIN", "SCHEDULER", "PRACTITIONER", "AUDITOR"}},
	{http.MethodPost, "/practitioners/:id/caseload", harness.Body{}, []rbac.Role{"ADMIN"}},
	{http.MethodDelete, "/practitioners/:id/caseload/:patientId", nil, []rbac.Role{"ADMIN"}},
}

func TestAdministrationEveryRouteIsCalled(t *testing.T) {
	t.Parallel()
	routes, called := map[string]bool{}, map[string]bool{}
	for _, r := range harness.Open(t).App.Routes() {
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

func TestAdministrationEveryRoleOnEveryCall(t *testing.T) {
	t.Parallel()
	harness.SkipUnlessLong(t)
	c := harness.Open(t)
	owner := c.Owner(t)
	who, patient := "/practitioners/"+c.AddPractitioner(t).String(), c.Own.Patient.String()
	for _, role := range rbac.Roles() {
		for i, call := range administrationCalls {
			t.Run(fmt.Sprintf("%s, %s %s", role, call.method, call.path), func(t *testing.T) {
				user := c.AddUser(t, c.Own, fmt.Sprintf("%s-%d@own.test", strings.ToLower(string(role)), i), rbac.Technician,
					rbac.Patient)
				c.Admin().Post(t, user+"/patients", harness.Body{"patientId": patient, "relation": "SELF"}).OK(t)
				c.Admin().Post(t, who+"/caseload", harness.Body{"patientId": patient}).OK(t)
				c.Login(t, fmt.Sprintf("%s-%d@own.test", strings.ToLower(string(role)), i), harness.Password, uuid.Nil).OK(t)
				session := sessionOf(t, c, user)
				_, err := owner.ExecContext(t.Context(), "INSERT INTO second_factors VALUES ($1, $2, 'sealed', now(), now())",
					c.Own.ID, harness.IDOf(user))
				require.NoError(t, err)
				_, err = owner.ExecContext(t.Context(),
					"INSERT INTO provider_subjects VALUES ($1, 'https://login.example.test', $2::text, $2::text::uuid, now())",
					c.Own.ID, harness.IDOf(user))
				require.NoError(t, err)
				email := fmt.Sprintf("invited-%s-%d@example.test", strings.ToLower(string(role)), i)
				invitation := "/users/invitations/" + c.Admin().Post(t, "/users/invitations",
					harness.Body{"email": "x" + email, "name": "Sam Example", "roles": []string{"BILLER"}}).Created(t).String()
				stored := func() string {
					return string(c.Admin().Get(t, user).OK(t).Raw) +
						string(c.Admin().Get(t, user+"/patients").OK(t).Raw) + string(c.Admin().Get(t, who+"/caseload").OK(t).Raw) +
						string(c.Admin().Get(t, "/users/invitations?limit=200").OK(t).Raw) +
						string(c.Admin().Get(t, "/permission-sets").OK(t).Raw)
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
				defer c.Admin().Delete(t, "/permission-sets/BILLER")
				foreign := c.As(c.Other.Tokens[role]).Send(t, call.method, path, b)
				require.Equal(t, before, stored(), "another practice's call changes nothing")
				if !slices.Contains(call.allowed, role) {
					foreign.Refused(t, http.StatusForbidden, "forbidden")
					c.As(c.Own.Tokens[role]).Send(t, call.method, path, b).Refused(t, http.StatusForbidden, "forbidden")
					require.Equal(t, before, stored(), "a refusal changes nothing")
					return
				}
				nowhere := c.As(c.Other.Tokens[role]).Send(t, call.method,
					strings.NewReplacer(":id", uuid.NewString(), ":sessionId", uuid.NewString(), ":patientId", patient, ":role",
						"BILLER").
						Replace(call.path), b)
				require.Equal(t, nowhere.Status, foreign.Status, "%s", foreign.Raw)
				require.Equal(t, nowhere.Text("detail"), foreign.Text("detail"),
					"the answer does not reveal whether it exists elsewhere")
				if foreign.Status != http.StatusNotFound && call.method == http.MethodGet {
					require.NotContains(t, string(foreign.OK(t).Raw), harness.IDOf(user))
					require.NotContains(t, string(foreign.OK(t).Raw), patient)
				}
				own := c.As(c.Own.Tokens[role]).Send(t, call.method, path, b)
				require.Less(t, own.Status, 300, "%s", own.Raw)
				c.As("").Send(t, call.method, path, b).Refused(t, http.StatusUnauthorized, "unauthenticated")
			})
		}
	}
	c.RequireClean(t)
}
