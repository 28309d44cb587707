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
)

var (
	everybody = []rbac.Role{"ADMIN", "SCHEDULER", "PRACTITIONER", "TECHNICIAN", "BILLER", "AUDITOR"}
	family    = append(slices.Clone(everybody), "PATIENT")
	verifiers = []rbac.Role{"ADMIN", "AUDITOR"}
	bookers   = []rbac.Role{"ADMIN", "SCHEDULER", "PRACTITIONER"}
)

// unitCall is a call on authorizations and their units.
type unitCall struct {
	method, path string // in the route's form
	body         body   // references to the own practice are filled in
	allowed      []rbac.Role
	foreign      func(t *testing.T, a answer) // the answer to another practice; nil: not found
}

// unitCalls are all calls, with the roles that may make them in their own organization.
var unitCalls = []unitCall{
	{http.MethodGet, "/authorizations", nil, family, func(t *testing.T, a answer) { require.Empty(t, a.body["data"]) }},
	{
		http.MethodPost, "/authorizations",
		body{"totalUnits": 1, "startDate": "2026-01-01", "endDate": "2026-12-31"},
		[]rbac.Role{"ADMIN", "BILLER"},
		func(t *testing.T, a answer) {
			a.refused(t, http.StatusUnprocessableEntity, "validation-failed")
		},
	},
	{http.MethodGet, "/authorizations/:id", nil, family, nil},
	{http.MethodPatch, "/authorizations/:id", body{"notes": "seen"}, []rbac.Role{"ADMIN", "BILLER"}, nil},
	{http.MethodPatch, "/authorizations/:id", body{"totalUnits": 1000}, []rbac.Role{"ADMIN"}, nil},
	{http.MethodDelete, "/authorizations/:id", nil, []rbac.Role{"ADMIN", "BILLER"}, nil},
	{http.MethodGet, "/authorizations/:id/available-units", nil, family, nil},
	{http.MethodGet, "/authorizations/:id/entries", nil, family, nil},
	{http.MethodGet, "/authorizations/:id/reservations", nil, family, nil},
	{http.MethodPost, "/authorizations/:id/preview", body{"units": 1}, bookers, nil},
	{http.MethodPost, "/authorizations/:id/reserve", body{"units": 1}, bookers, nil},
	{http.MethodPost, "/authorizations/:id/release", body{"units": 1}, bookers, nil},
	{http.MethodPost, "/authorizations/:id/consume", body{"units": 1}, []rbac.Role{"ADMIN", "PRACTITIONER"}, nil},
	{http.MethodPost, "/authorizations/:id/impact", body{"status": "CANCELLED"}, family, nil},
	{http.MethodPost, "/authorizations/:id/move-bookings", body{}, bookers, nil},
	{http.MethodPost, "/authorizations/:id/move-bookings/preview", body{}, bookers, nil},
	{
		http.MethodPost, "/admin/verify",
		body{},
		verifiers,
		func(t *testing.T, a answer) { require.Zero(t, a.number(t, "result", "authorizations")) },
	},
	{http.MethodGet, "/admin/verifications", nil, verifiers, func(t *testing.T, a answer) {
		for _, each := range a.body["data"].([]any) {
			require.Zero(t, each.(map[string]any)["result"].(map[string]any)["authorizations"])
		}
	}},
	{http.MethodGet, "/admin/verifications/:id", nil, verifiers, func(t *testing.T, a answer) {
		a.refused(t, http.StatusNotFound, "verification-not-found")
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
	for _, r := range open(t).app.Routes() {
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
	skipUnlessLong(t)
	c := open(t)
	used, renewal := c.authorize(t, 1000), c.authorize(t, 1000)
	c.link(t, c.own, c.employ(t), c.own.patient)
	c.admin().post(t, used+"/reserve", body{"units": 100})
	verified := c.admin().post(t, "/admin/verify", body{}).ok(t).text("id")
	send := func(t *testing.T, from caller, call unitCall, path string) answer {
		b := call.body
		if call.path == "/authorizations" && b != nil {
			b = maps.Clone(b)
			b["patientId"], b["serviceCodeId"] = c.own.patient, c.own.serviceCode
		}
		if strings.Contains(call.path, "/move-bookings") {
			b = body{"toAuthorizationId": strings.TrimPrefix(renewal, "/authorizations/")}
		}
		called := strings.NewReplacer("/authorizations/:id", path, "/verifications/:id", "/verifications/"+verified).
			Replace(call.path)
		return from.send(t, call.method, called, b)
	}
	stored := func(t *testing.T, path string) string { // everything that a call could change
		return string(c.admin().get(t, path).raw) + string(c.admin().get(t, path+"/entries").raw) + string(c.admin().
			get(t, "/authorizations?limit=200").raw)
	}

	for _, role := range rbac.Roles() {
		for _, call := range unitCalls {
			own, other := c.as(c.own.tokens[role]), c.as(c.other.tokens[role])
			t.Run(fmt.Sprintf("%s, %s", role, call), func(t *testing.T) {
				path := used
				if call.method == http.MethodDelete {
					path = c.authorize(t, 10) // an unused one
				}
				before := stored(t, path)
				foreign := send(t, other, call, path)
				nowhere := send(t, other, call, "/authorizations/"+uuid.NewString())
				require.Equal(t, before, stored(t, path), "another practice's call changes nothing")

				if !slices.Contains(call.allowed, role) {
					foreign.refused(t, http.StatusForbidden, "forbidden")
					send(t, own, call, path).refused(t, http.StatusForbidden, "forbidden")
					require.Equal(t, before, stored(t, path), "a refusal changes nothing")
					return
				}
				answer := send(t, own, call, path)
				require.Less(t, answer.status, 300, "%s", answer.raw)
				if call.foreign != nil {
					call.foreign(t, foreign)
					return
				}
				foreign.refused(t, http.StatusNotFound, "authorization-not-found")
				nowhere.refused(t, http.StatusNotFound, "authorization-not-found")
				require.Equal(t, foreign.text("detail"), nowhere.text("detail"),
					"the answer does not reveal whether it exists elsewhere")
			})
		}
	}
	t.Run("no caller who is not signed in", func(t *testing.T) {
		for _, call := range unitCalls {
			for _, token := range []string{"", "nonsense"} {
				answer := send(t, c.as(token), call, used)
				answer.refused(t, http.StatusUnauthorized, "unauthenticated")
				require.Equal(t, "Bearer", answer.header.Get("WWW-Authenticate"))
			}
		}
	})
	c.requireClean(t)
}

func TestOneOrganizationDoesNotReferToAnothersRecords(t *testing.T) {
	t.Parallel()
	c := open(t)
	other := c.as(c.other.tokens[rbac.Admin])
	payer := other.post(t, "/payers", body{"name": "Another Plan"}).created(t)
	insurance := other.post(t, "/insurances", body{
		"patientId": c.other.patient, "payerId": payer, "memberNumber": "M-1", "startsOn": "2026-01-01",
	}).created(t)
	mine := body{
		"patientId":     c.own.patient,
		"serviceCodeId": c.own.serviceCode,
		"totalUnits":    1,
		"startDate":     "2026-01-01",
		"endDate":       "2026-12-31",
	}
	for field, foreign := range map[string]uuid.UUID{
		"patientId": c.other.patient, "serviceCodeId": c.other.serviceCode, "insuranceId": insurance,
	} {
		t.Run("it refuses a foreign "+field, func(t *testing.T) {
			b := body{}
			for k, v := range mine {
				b[k] = v
			}
			b[field] = foreign
			answer := c.admin().post(t, "/authorizations", b).refused(t, http.StatusUnprocessableEntity, "validation-failed")
			errors := answer.body["errors"].([]any)
			require.Equal(t, field, errors[0].(map[string]any)["field"])
		})
	}
	require.Empty(t, c.admin().get(t, "/authorizations").body["data"])
}

func TestListsShowOnlyTheOwnOrganization(t *testing.T) {
	t.Parallel()
	c := open(t)
	c.authorize(t, 10)
	other := c.as(c.other.tokens[rbac.Admin])
	require.Len(t, c.admin().get(t, "/authorizations").body["data"], 1)
	require.Empty(t, other.get(t, "/authorizations").body["data"])
	require.Empty(t, other.get(t, "/authorizations?patientId="+c.own.patient.String()).body["data"])
}

func TestRoutesRequirePermissionsOfRoles(t *testing.T) {
	t.Parallel()
	c := open(t)
	known := rbac.Permissions()
	declared := map[string]bool{ // checked by services: the content of a change's body, and lists across organizations
		"authorization:adjust": true, "organization:read-all": true,
	}
	for _, route := range c.app.Routes() {
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
