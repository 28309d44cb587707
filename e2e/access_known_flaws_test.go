package e2e

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/httpx"
)

// Defects of the reference system, one test each. None of them exists here.

// TestReferenceRegisteringOneselfAsAdmin tries every way to an unassigned role.
func TestReferenceRegisteringOneselfAsAdmin(t *testing.T) {
	t.Parallel()
	c := open(t)
	t.Run("registration is impossible", func(t *testing.T) {
		t.Parallel()
		wanted := body{
			"email": "eve@own.test", "password": password, "name": "Eve", "role": "ADMIN", "roles": []string{"ADMIN"},
			"organizationId": c.own.id,
		}
		for _, path := range []string{"/auth/register", "/auth/signup", "/register", "/users"} {
			a := c.as("").post(t, path, wanted)
			require.Contains(t, []int{http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusUnauthorized}, a.status,
				"%s: %s", path, a.raw)
		}
		c.as("").post(t, "/auth/login", body{"email": "eve@own.test", "password": password}).refused(t,
			http.StatusUnauthorized,
			"wrong-credentials")
	})
	t.Run("no public operation accepts a role", func(t *testing.T) {
		t.Parallel()
		for _, r := range c.app.Routes() {
			if r.Permission == httpx.Public {
				for _, member := range membersOf(r.Endpoint.In) {
					name, _, _ := strings.Cut(member.Tag.Get("json"), ",")
					if r.Path == "/auth/login" && name == "organizationId" {
						continue // chooses among accounts whose password was given
					}
					require.NotContains(t, []string{"role", "roles", "permissions", "organizationId", "scope"}, name, "%s %s",
						r.Method, r.Path)
				}
			}
		}
	})
	t.Run("a sign-in accepts no role", func(t *testing.T) {
		t.Parallel()
		a := c.as("").post(t, "/auth/login",
			body{"email": "TECHNICIAN@own.test", "password": password, "roles": []string{"ADMIN"}})
		require.Contains(t, []int{http.StatusBadRequest, http.StatusUnprocessableEntity}, a.status, "%s", a.raw)
	})
	t.Run("users cannot give themselves a role", func(t *testing.T) {
		t.Parallel()
		for _, role := range rbac.Roles() {
			self := c.as(c.own.tokens[role])
			before := self.get(t, "/auth/me").ok(t)
			self.send(t, http.MethodPut, "/users/"+before.text("id")+"/roles", body{"roles": []string{"ADMIN", "SUPER_ADMIN"}})
			require.JSONEq(t, string(before.raw), string(c.as(c.signIn(t, "own", role)).get(t, "/auth/me").ok(t).raw), role)
		}
	})
}

// TestReferenceReadingAnothersAppointmentsByPatientID requests appointments of another
// patient.
func TestReferenceReadingAnothersAppointmentsByPatientID(t *testing.T) {
	t.Parallel()
	c := open(t)
	_, booked := c.bookedTomorrow(t)
	require.Contains(t, string(c.admin().get(t, "/appointments?patientId="+c.own.patient.String()).ok(t).raw), booked,
		"there are records to see")
	patient := c.as(c.own.tokens[rbac.Patient])
	for _, path := range []string{
		"/appointments?patientId=" + c.own.patient.String(), "/appointments", "/appointments/" + booked,
		"/sessions?patientId=" + c.own.patient.String(),
		"/authorizations?patientId=" + c.own.patient.String(), "/patients/" + c.own.patient.String(),
		"/insurances?patientId=" + c.own.patient.String(),
	} {
		requireNothingOf(t, patient.get(t, path), booked, c.own.patient.String())
	}
}

// bookedTomorrow books the clinic's patient, and returns the path of the authorization
// and the appointment's id.
func (c *clinic) bookedTomorrow(t *testing.T) (authorization, appointment string) {
	t.Helper()
	authorization = c.authorize(t, 20)
	return authorization, strings.TrimPrefix(c.book(t, c.booking(authorization, c.employ(t), c.hour(t, 1, "10:00"), hour)),
		"/appointments/")
}

// requireNothingOf checks that an answer contains nothing of the records.
func requireNothingOf(t *testing.T, a answer, ids ...string) {
	t.Helper()
	switch a.status {
	case http.StatusForbidden, http.StatusNotFound, http.StatusUnprocessableEntity:
	default:
		require.Empty(t, a.ok(t).body["data"], "%s", a.raw)
	}
	for _, id := range ids {
		if data := string(a.raw); !strings.Contains(a.text("instance"), id) { // a problem document repeats the URL
			require.NotContains(t, data, id)
		}
	}
}

// TestReferencePatientUserWithoutARecordSeesEveryone requests every list as a patient
// user who is linked to no patient.
func TestReferencePatientUserWithoutARecordSeesEveryone(t *testing.T) {
	t.Parallel()
	c := open(t)
	authorization, booked := c.bookedTomorrow(t)
	patient := c.as(c.own.tokens[rbac.Patient])
	requested := 0
	for _, r := range c.app.Routes() {
		if r.Method == http.MethodGet && !strings.Contains(r.Path,
			":") && !r.Endpoint.Streams && r.Path != "/auth/me" && r.Permission != httpx.Public {
			requested++
			a := patient.get(t, r.Path)
			for _, id := range []string{c.own.patient.String(), booked, idOf(authorization)} {
				require.NotContains(t, string(a.raw), id, r.Path)
			}
			require.NotContains(t, string(a.raw), "Example", "%s: no names", r.Path)
		}
	}
	require.Greater(t, requested, 10)
}

// TestReferencePutTakesAnyColumn sends columns that a change may not set.
func TestReferencePutTakesAnyColumn(t *testing.T) {
	t.Parallel()
	c := open(t)
	t.Run("no change accepts an organization", func(t *testing.T) {
		t.Parallel()
		changes := 0
		for _, r := range c.app.Routes() {
			if r.Method != http.MethodPut && r.Method != http.MethodPatch {
				continue
			}
			changes++
			path := regexp.MustCompile(`:\w+`).ReplaceAllString(r.Path, uuid.NewString())
			understood := false
			for _, role := range rbac.Roles() {
				a := c.as(c.own.tokens[role]).send(t, r.Method, path,
					body{"organizationId": c.other.id, "organization_id": c.other.id})
				require.Contains(t, []int{http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusForbidden}, a.status,
					"%s %s: %s", r.Method, r.Path, a.raw)
				understood = understood || a.status != http.StatusForbidden
			}
			require.True(t, understood, "%s %s", r.Method, r.Path)
		}
		require.Greater(t, changes, 5)
	})
	t.Run("computed values cannot be written", func(t *testing.T) {
		t.Parallel()
		authorization := c.authorize(t, 10)
		for path, columns := range map[string][]string{
			authorization: {
				"id", "usedUnits", "scheduledUnits", "availableUnits", "patientId", "revision", "createdAt", "chainHash",
			},
			"/patients/" + c.own.patient.String():          {"id", "organizationId", "status", "createdAt", "deletedAt"},
			"/service-codes/" + c.own.serviceCode.String(): {"id", "organizationId", "createdAt"},
		} {
			before := c.admin().get(t, path).ok(t)
			for _, column := range columns {
				a := c.admin().patch(t, path, body{column: "COMPLETED"})
				require.Contains(t, []int{http.StatusBadRequest, http.StatusUnprocessableEntity}, a.status, "%s %s: %s", path,
					column, a.raw)
			}
			require.JSONEq(t, string(before.raw), string(c.admin().get(t, path).ok(t).raw))
		}
	})
}

// TestReferenceTokenKeepsARoleThatWasTakenAway uses an earlier token; see
// TestRemovedRoleEndsOnEveryInstance for other instances.
func TestReferenceTokenKeepsARoleThatWasTakenAway(t *testing.T) {
	t.Parallel()
	c := open(t)
	const email = "once.admin@own.test"
	who := c.hire(t, c.own, email, rbac.Admin)
	before := c.enter(t, email)
	before.get(t, "/users").ok(t)
	c.admin().send(t, http.MethodPut, who+"/roles", body{"roles": []string{"TECHNICIAN"}}).ok(t)
	for _, path := range []string{"/users", "/auth/me", "/patients"} {
		before.get(t, path).refused(t, http.StatusUnauthorized, "unauthenticated")
	}
	after := c.enter(t, email)
	after.get(t, "/users").refused(t, http.StatusForbidden, "forbidden")
	c.admin().patch(t, who, body{"disabled": true}).ok(t)
	after.get(t, "/auth/me").refused(t, http.StatusUnauthorized, "unauthenticated")
	c.as("").post(t, "/auth/login", body{"email": email, "password": password}).
		refused(t, http.StatusUnauthorized, "wrong-credentials")
}

// TestReferenceStackOrQueryTextInAnAnswer breaks the database during a request, and
// sends input designed to break a statement.
func TestReferenceStackOrQueryTextInAnAnswer(t *testing.T) {
	t.Parallel()
	c := open(t)
	for _, path := range []string{
		"/patients/'%20OR%201=1%20--", "/patients?status='%3B%20DROP%20TABLE%20patients%3B--", "/patients?cursor=AAAA",
		"/patients?limit=x", "/patients?sort=last_name;--",
		"/appointments?from=%00", "/authorizations/" + uuid.NewString() + "'", "/authorizations?status=%27",
	} {
		a := c.admin().get(t, path)
		// Every answer is checked for internals.
		require.Less(t, a.status, http.StatusInternalServerError, "%s: %s", path, a.raw)
	}
	c.asOwner(t, "ALTER TABLE patients RENAME TO gone")
	broken := c.admin().get(t, "/patients")
	broken.refused(t, http.StatusServiceUnavailable, "schema-mismatch")
	members := map[string]bool{}
	for name := range broken.body {
		members[name] = true
	}
	require.Equal(t,
		map[string]bool{
			"type":      true,
			"title":     true,
			"status":    true,
			"detail":    true,
			"instance":  true,
			"code":      true,
			"requestId": true,
		}, members)
}

// TestReferenceSpoofedAddressIsBelieved sends forged addresses and reads the trail; see
// TestForwardedAddressesAreTrustedFromTrustedProxiesOnly for rates and proxies.
func TestReferenceSpoofedAddressIsBelieved(t *testing.T) {
	t.Parallel()
	c := open(t)
	asking := c.as(c.own.tokens[rbac.Biller])
	for _, header := range []string{
		"X-Forwarded-For", "X-Real-Ip", "Forwarded", "True-Client-Ip", "Cf-Connecting-Ip", "X-Client-Ip",
		"X-Cluster-Client-Ip",
	} {
		asking = asking.with(header, "203.0.113.66")
	}
	asking.get(t, "/patients/"+c.own.patient.String()).ok(t)
	asking.get(t, "/admin/audit-events").refused(t, http.StatusForbidden, "forbidden")
	events := string(c.admin().get(t, "/admin/audit-events?limit=100").ok(t).raw)
	require.Contains(t, events, `"address":"127.0.0.1"`)
	require.NotContains(t, events, "203.0.113.66")
}

// TestReferenceBreakTheGlassForOneselfAndAcrossOrganizations: in the reference system,
// administrators granted themselves access to any organization, without review.
func TestReferenceBreakTheGlassForOneselfAndAcrossOrganizations(t *testing.T) {
	t.Parallel()
	c := open(t)
	foreign := body{"patientId": c.other.patient, "reason": emergencyReason}
	c.admin().post(t, "/emergency-grants", foreign).refused(t, http.StatusUnprocessableEntity, "validation-failed")

	id := c.admin().post(t, "/emergency-grants", body{"patientId": c.own.patient, "reason": emergencyReason}).
		created(t).String()
	under := c.admin().with("Break-Glass", id)
	under.get(t, "/patients/"+c.other.patient.String()).refused(t, http.StatusNotFound, "patient-not-found")
	c.as(c.other.tokens[rbac.Admin]).with("Break-Glass", id).get(t, "/patients/"+c.own.patient.String()).
		refused(t, http.StatusForbidden, "emergency-grant-not-open")
	c.admin().post(t, "/emergency-grants/"+id+"/revoke", body{}).ok(t)
	c.admin().post(t, "/emergency-grants/"+id+"/review", body{"justified": true}).
		refused(t, http.StatusForbidden, "emergency-own-review")
}
