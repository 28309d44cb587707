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

var (
	staffRoles = []rbac.Role{"ADMIN", "SCHEDULER", "PRACTITIONER", "TECHNICIAN", "BILLER", "AUDITOR"}
	family     = append(slices.Clone(staffRoles), "PATIENT")
	verifiers  = []rbac.Role{"ADMIN", "AUDITOR"}
	bookers    = []rbac.Role{"ADMIN", "SCHEDULER", "PRACTITIONER"}
)

// unitCall is a call on authorizations and their units.
type unitCall struct {
	method, path string       // in the route's form
	body         harness.Body // references to the clinic's own practice are filled in
	allowed      []rbac.Role
	foreign      func(t *testing.T, a harness.Answer) // the answer to another practice; nil: not found
}

// unitCalls are all calls, with the roles that may make them in their own organization.
var unitCalls = []unitCall{
	{
		http.MethodGet,
		"/authorizations",
		nil,
		family,
		func(t *testing.T, a harness.Answer) { require.Empty(t, a.Body["data"]) },
	},
	{
		http.MethodPost, "/authorizations",
		harness.Body{"totalUnits": 1, "startDate": "2026-01-01", "endDate": "2026-12-31"},
		[]rbac.Role{"ADMIN", "BILLER"},
		func(t *testing.T, a harness.Answer) {
			a.Refused(t, http.StatusUnprocessableEntity, "validation-failed")
		},
	},
	{http.MethodGet, "/authorizations/:id", nil, family, nil},
	{http.MethodPatch, "/authorizations/:id", harness.Body{"notes": "seen"}, []rbac.Role{"ADMIN", "BILLER"}, nil},
	{http.MethodPatch, "/authorizations/:id", harness.Body{"totalUnits": 1000}, []rbac.Role{"ADMIN"}, nil},
	{http.MethodDelete, "/authorizations/:id", nil, []rbac.Role{"ADMIN", "BILLER"}, nil},
	{http.MethodGet, "/authorizations/:id/available-units", nil, family, nil},
	{http.MethodGet, "/authorizations/:id/entries", nil, family, nil},
	{http.MethodGet, "/authorizations/:id/reservations", nil, family, nil},
	{http.MethodPost, "/authorizations/:id/preview", harness.Body{"units": 1}, bookers, nil},
	{http.MethodPost, "/authorizations/:id/reserve", harness.Body{"units": 1}, bookers, nil},
	{http.MethodPost, "/authorizations/:id/release", harness.Body{"units": 1}, bookers, nil},
	{http.MethodPost, "/authorizations/:id/consume", harness.Body{"units": 1}, []rbac.Role{"ADMIN", "PRACTITIONER"}, nil},
	{http.MethodPost, "/authorizations/:id/impact", harness.Body{"status": "CANCELLED"}, family, nil},
	{http.MethodPost, "/authorizations/:id/move-bookings", harness.Body{}, bookers, nil},
	{http.MethodPost, "/authorizations/:id/move-bookings/preview", harness.Body{}, bookers, nil},
	{
		http.MethodPost, "/admin/verify",
		harness.Body{},
		verifiers,
		func(t *testing.T, a harness.Answer) { require.Zero(t, a.Number(t, "result", "authorizations")) },
	},
	{http.MethodGet, "/admin/verifications", nil, verifiers, func(t *testing.T, a harness.Answer) {
		for _, item := range a.Body["data"].([]any) {
			require.Zero(t, item.(map[string]any)["result"].(map[string]any)["authorizations"])
		}
	}},
	{http.MethodGet, "/admin/verifications/:id", nil, verifiers, func(t *testing.T, a harness.Answer) {
		a.Refused(t, http.StatusNotFound, "verification-not-found")
	}},
}

func (call unitCall) String() string {
	if call.body["totalUnits"] != nil {
		return call.method + " " + call.path + " with a total"
	}
	return call.method + " " + call.path
}

func TestEveryUnitRouteIsCalled(t *testing.T) {
	t.Parallel()
	routes, called := map[string]bool{}, map[string]bool{}
	for _, r := range harness.Open(t).App.Routes() {
		if strings.HasPrefix(r.Path, "/authorizations") || strings.HasPrefix(r.Path, "/admin/verif") {
			routes[r.Method+" "+r.Path] = true
		}
	}
	for _, call := range unitCalls {
		called[call.method+" "+call.path] = true
	}
	require.Equal(t, routes, called, "unitCalls has an entry for every route on units")
}

func TestEveryRoleOnEveryUnitCall(t *testing.T) {
	t.Parallel()
	harness.SkipUnlessLong(t)
	c := harness.Open(t)
	used, renewal := c.Authorize(t, 1000), c.Authorize(t, 1000)
	c.LinkUsers(t, c.Own, c.AddPractitioner(t), c.Own.Patient)
	c.Admin().Post(t, used+"/reserve", harness.Body{"units": 100})
	verified := c.Admin().Post(t, "/admin/verify", harness.Body{}).OK(t).Text("id")
	send := func(t *testing.T, from harness.Caller, call unitCall, path string) harness.Answer {
		b := call.body
		if call.path == "/authorizations" && b != nil {
			b = maps.Clone(b)
			b["patientId"], b["serviceCodeId"] = c.Own.Patient, c.Own.ServiceCode
		}
		if strings.Contains(call.path, "/move-bookings") {
			b = harness.Body{"toAuthorizationId": strings.TrimPrefix(renewal, "/authorizations/")}
		}
		called := strings.NewReplacer("/authorizations/:id", path, "/verifications/:id", "/verifications/"+verified).
			Replace(call.path)
		return from.Send(t, call.method, called, b)
	}
	stored := func(t *testing.T, path string) string { // everything that a call could change
		return string(c.Admin().Get(t, path).Raw) + string(c.Admin().Get(t, path+"/entries").Raw) + string(c.Admin().
			Get(t, "/authorizations?limit=200").Raw)
	}

	for _, role := range rbac.Roles() {
		for _, call := range unitCalls {
			own, other := c.As(c.Own.Tokens[role]), c.As(c.Other.Tokens[role])
			t.Run(fmt.Sprintf("%s, %s", role, call), func(t *testing.T) {
				path := used
				if call.method == http.MethodDelete {
					path = c.Authorize(t, 10) // an unused one
				}
				before := stored(t, path)
				foreign := send(t, other, call, path)
				nowhere := send(t, other, call, "/authorizations/"+uuid.NewString())
				require.Equal(t, before, stored(t, path), "another practice's call changes nothing")

				if !slices.Contains(call.allowed, role) {
					foreign.Refused(t, http.StatusForbidden, "forbidden")
					send(t, own, call, path).Refused(t, http.StatusForbidden, "forbidden")
					require.Equal(t, before, stored(t, path), "a refusal changes nothing")
					return
				}
				answer := send(t, own, call, path)
				require.Less(t, answer.Status, 300, "%s", answer.Raw)
				if call.foreign != nil {
					call.foreign(t, foreign)
					return
				}
				foreign.Refused(t, http.StatusNotFound, "authorization-not-found")
				nowhere.Refused(t, http.StatusNotFound, "authorization-not-found")
				require.Equal(t, foreign.Text("detail"), nowhere.Text("detail"),
					"the answer does not reveal whether it exists elsewhere")
			})
		}
	}
	t.Run("no caller who is not signed in", func(t *testing.T) {
		for _, call := range unitCalls {
			for _, token := range []string{"", "nonsense"} {
				answer := send(t, c.As(token), call, used)
				answer.Refused(t, http.StatusUnauthorized, "unauthenticated")
				require.Equal(t, "Bearer", answer.Header.Get("WWW-Authenticate"))
			}
		}
	})
	c.RequireClean(t)
}

func TestOneOrganizationDoesNotReferToAnothersRecords(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	other := c.As(c.Other.Tokens[rbac.Admin])
	payer := other.Post(t, "/payers", harness.Body{"name": "Another Plan"}).Created(t)
	insurance := other.Post(t, "/insurances", harness.Body{
		"patientId": c.Other.Patient, "payerId": payer, "memberNumber": "M-1", "startsOn": "2026-01-01",
	}).Created(t)
	mine := harness.Body{
		"patientId":     c.Own.Patient,
		"serviceCodeId": c.Own.ServiceCode,
		"totalUnits":    1,
		"startDate":     "2026-01-01",
		"endDate":       "2026-12-31",
	}
	for field, foreign := range map[string]uuid.UUID{
		"patientId": c.Other.Patient, "serviceCodeId": c.Other.ServiceCode, "insuranceId": insurance,
	} {
		t.Run("it refuses a foreign "+field, func(t *testing.T) {
			b := harness.Body{}
			for k, v := range mine {
				b[k] = v
			}
			b[field] = foreign
			answer := c.Admin().Post(t, "/authorizations", b).Refused(t, http.StatusUnprocessableEntity, "validation-failed")
			errors := answer.Body["errors"].([]any)
			require.Equal(t, field, errors[0].(map[string]any)["field"])
		})
	}
	require.Empty(t, c.Admin().Get(t, "/authorizations").Body["data"])
}

func TestListsShowOnlyTheOwnOrganization(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	c.Authorize(t, 10)
	other := c.As(c.Other.Tokens[rbac.Admin])
	require.Len(t, c.Admin().Get(t, "/authorizations").Body["data"], 1)
	require.Empty(t, other.Get(t, "/authorizations").Body["data"])
	require.Empty(t, other.Get(t, "/authorizations?patientId="+c.Own.Patient.String()).Body["data"])
}

func TestRoutesRequirePermissionsOfRoles(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	known := rbac.Permissions()
	declared := map[string]bool{ // checked by services: the content of a change's body, and lists across organizations
		"authorization:adjust": true, "organization:read-all": true, "session:accept-overlap": true,
	}
	for _, route := range c.App.Routes() {
		if !strings.HasPrefix(string(route.Permission), "*") { // public, or signed in
			declared[string(route.Permission)] = true
			for _, p := range route.Endpoint.Needs { // required by fields
				declared[string(p)] = true
				require.Contains(t, known, p, "%s %s", route.Method, route.Path)
			}
			require.Contains(t, known, route.Permission, "%s %s", route.Method, route.Path)
		}
	}
	for _, p := range known {
		require.True(t, declared[string(p)], "%s is granted to roles and required by no route", p)
	}
}
