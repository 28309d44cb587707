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
)

// unitCalls are the calls on one authorization, with the roles that may make
// them in their own organization.
var unitCalls = []struct {
	method, path string
	body         body
	allowed      []rbac.Role
}{
	{http.MethodGet, "", nil, []rbac.Role{"ADMIN", "SCHEDULER", "PRACTITIONER", "TECHNICIAN", "BILLER", "AUDITOR"}},
	{http.MethodGet, "/available-units", nil, []rbac.Role{"ADMIN", "SCHEDULER", "PRACTITIONER", "TECHNICIAN", "BILLER", "AUDITOR"}},
	{http.MethodGet, "/entries", nil, []rbac.Role{"ADMIN", "SCHEDULER", "PRACTITIONER", "TECHNICIAN", "BILLER", "AUDITOR"}},
	{http.MethodGet, "/reservations", nil, []rbac.Role{"ADMIN", "SCHEDULER", "PRACTITIONER", "TECHNICIAN", "BILLER", "AUDITOR"}},
	{http.MethodPost, "/preview", body{"units": 1}, []rbac.Role{"ADMIN", "SCHEDULER", "PRACTITIONER"}},
	{http.MethodPost, "/reserve", body{"units": 1}, []rbac.Role{"ADMIN", "SCHEDULER", "PRACTITIONER"}},
	{http.MethodPost, "/release", body{"units": 1}, []rbac.Role{"ADMIN", "SCHEDULER", "PRACTITIONER"}},
	{http.MethodPost, "/consume", body{"units": 1}, []rbac.Role{"ADMIN", "PRACTITIONER"}},
	{http.MethodPatch, "", body{"notes": "seen"}, []rbac.Role{"ADMIN", "BILLER"}},
	{http.MethodPatch, "", body{"totalUnits": 1000}, []rbac.Role{"ADMIN"}},
}

func TestEveryRoleOnEveryUnitCall(t *testing.T) {
	t.Parallel()
	c := open(t)
	path := c.authorize(t, 1000)
	c.admin().post(t, path+"/reserve", body{"units": 100})
	absent := "/authorizations/" + uuid.NewString()

	for _, role := range rbac.Roles() {
		for _, call := range unitCalls {
			own, other := c.as(c.own.tokens[role]), c.as(c.other.tokens[role])
			may := slices.Contains(call.allowed, role)
			name := fmt.Sprintf("%s %s%s", call.method, "authorization", call.path)
			if call.body["totalUnits"] != nil {
				name += " of the total"
			}
			t.Run(fmt.Sprintf("%s, %s", role, name), func(t *testing.T) {
				before := c.admin().get(t, path)

				answer := own.send(t, call.method, path+call.path, call.body)
				foreign := other.send(t, call.method, path+call.path, call.body)
				nowhere := other.send(t, call.method, absent+call.path, call.body)
				if !may {
					answer.refused(t, http.StatusForbidden, "forbidden")
					foreign.refused(t, http.StatusForbidden, "forbidden")
					require.Equal(t, before.raw, c.admin().get(t, path).raw, "a refusal changes nothing")
					return
				}
				require.Less(t, answer.status, 300, "%s", answer.raw)
				foreign.refused(t, http.StatusNotFound, "authorization-not-found")
				nowhere.refused(t, http.StatusNotFound, "authorization-not-found")
				require.Equal(t, foreign.text("detail"), nowhere.text("detail"), "whether it exists elsewhere does not show")
			})
		}
	}
	t.Run("nobody who is not signed in", func(t *testing.T) {
		for _, call := range unitCalls {
			for _, token := range []string{"", "nonsense"} {
				answer := c.as(token).send(t, call.method, path+call.path, call.body)
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
	mine := body{
		"patientId": c.own.patient, "serviceCodeId": c.own.serviceCode, "totalUnits": 1, "startDate": "2026-01-01", "endDate": "2026-12-31",
	}
	for field, foreign := range map[string]uuid.UUID{
		"patientId": c.other.patient, "serviceCodeId": c.other.serviceCode, "insuranceId": uuid.New(),
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

func TestPermissionsOfRoutesAreThoseOfRoles(t *testing.T) {
	t.Parallel()
	c := open(t)
	known := rbac.Permissions()
	declared := map[string]bool{ // asked for by services: what the body of a change holds, whose organizations are listed
		"authorization:adjust": true, "organization:read-all": true,
	}
	for _, route := range c.app.Routes() {
		if !strings.HasPrefix(string(route.Permission), "*") { // public, or signed in
			declared[string(route.Permission)] = true
			require.Contains(t, known, route.Permission, "%s %s", route.Method, route.Path)
		}
	}
	for _, p := range known {
		require.True(t, declared[string(p)], "%s is granted to roles and asked for by no route", p)
	}
}
