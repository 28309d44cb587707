package e2e

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/httpx"
)

// Defects of the reference system, one test each. None of them exists here.

// TestUsersCannotMakeThemselvesAdministrators tries every way to an unassigned role.
func TestUsersCannotMakeThemselvesAdministrators(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	t.Run("registration is impossible", func(t *testing.T) {
		t.Parallel()
		wanted := harness.Body{
			"email": "eve@own.test", "password": harness.Password, "name": "Eve", "role": "ADMIN", "roles": []string{"ADMIN"},
			"organizationId": c.Own.ID,
		}
		for _, path := range []string{"/auth/register", "/auth/signup", "/register", "/users"} {
			a := c.As("").Post(t, path, wanted)
			require.Contains(t, []int{http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusUnauthorized}, a.Status,
				"%s: %s", path, a.Raw)
		}
		c.As("").Post(t, "/auth/login", harness.Body{"email": "eve@own.test", "password": harness.Password}).Refused(t,
			http.StatusUnauthorized,
			"wrong-credentials")
	})
	t.Run("no public operation accepts a role", func(t *testing.T) {
		t.Parallel()
		for _, r := range c.App.Routes() {
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
		a := c.As("").Post(t, "/auth/login",
			harness.Body{"email": "TECHNICIAN@own.test", "password": harness.Password, "roles": []string{"ADMIN"}})
		require.Contains(t, []int{http.StatusBadRequest, http.StatusUnprocessableEntity}, a.Status, "%s", a.Raw)
	})
	t.Run("users cannot give themselves a role", func(t *testing.T) {
		t.Parallel()
		for _, role := range rbac.Roles() {
			self := c.As(c.Own.Tokens[role])
			before := self.Get(t, "/auth/me").OK(t)
			self.Send(t, http.MethodPut, "/users/"+before.Text("id")+"/roles", harness.Body{
				"roles": []string{"ADMIN", "SUPER_ADMIN"},
			})
			require.JSONEq(t, string(before.Raw), string(c.As(c.SignIn(t, "own", role)).Get(t, "/auth/me").OK(t).Raw), role)
		}
	})
}

// TestAppointmentsOfOtherPatientsAreHidden requests appointments of another
// patient.
func TestAppointmentsOfOtherPatientsAreHidden(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	_, booked := bookedTomorrow(t, c)
	require.Contains(t, string(c.Admin().Get(t, "/appointments?patientId="+c.Own.Patient.String()).OK(t).Raw), booked,
		"there are records to see")
	patient := c.As(c.Own.Tokens[rbac.Patient])
	for _, path := range []string{
		"/appointments?patientId=" + c.Own.Patient.String(), "/appointments", "/appointments/" + booked,
		"/sessions?patientId=" + c.Own.Patient.String(),
		"/authorizations?patientId=" + c.Own.Patient.String(), "/patients/" + c.Own.Patient.String(),
		"/insurances?patientId=" + c.Own.Patient.String(),
	} {
		requireNothingOf(t, patient.Get(t, path), booked, c.Own.Patient.String())
	}
}

// bookedTomorrow books the clinic's patient, and returns the path of the authorization
// and the appointment's id.
func bookedTomorrow(t *testing.T, c *harness.Clinic) (authorization, appointment string) {
	t.Helper()
	authorization = c.Authorize(t, 20)
	return authorization, strings.TrimPrefix(c.Book(t,
		c.Booking(authorization, c.AddPractitioner(t), c.At(t, 1, "10:00"), time.Hour)),
		"/appointments/")
}

// requireNothingOf checks that an answer contains nothing of the records.
func requireNothingOf(t *testing.T, a harness.Answer, ids ...string) {
	t.Helper()
	switch a.Status {
	case http.StatusForbidden, http.StatusNotFound, http.StatusUnprocessableEntity:
	default:
		require.Empty(t, a.OK(t).Body["data"], "%s", a.Raw)
	}
	for _, id := range ids {
		if data := string(a.Raw); !strings.Contains(a.Text("instance"), id) { // a problem document repeats the URL
			require.NotContains(t, data, id)
		}
	}
}

// TestAPatientUserWithoutARecordSeesNoRecords requests every list as a patient
// user who is linked to no patient.
func TestAPatientUserWithoutARecordSeesNoRecords(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	authorization, booked := bookedTomorrow(t, c)
	patient := c.As(c.Own.Tokens[rbac.Patient])
	requested := 0
	for _, r := range c.App.Routes() {
		if r.Method == http.MethodGet && !strings.Contains(r.Path,
			":") && !r.Endpoint.Streams && r.Path != "/auth/me" && r.Permission != httpx.Public {
			requested++
			a := patient.Get(t, r.Path)
			for _, id := range []string{c.Own.Patient.String(), booked, harness.IDOf(authorization)} {
				require.NotContains(t, string(a.Raw), id, r.Path)
			}
			require.NotContains(t, string(a.Raw), "Example", "%s: no names", r.Path)
		}
	}
	require.Greater(t, requested, 10)
}

// TestChangesSetAllowedColumnsOnly sends columns that a change may not set.
func TestChangesSetAllowedColumnsOnly(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	t.Run("no change accepts an organization", func(t *testing.T) {
		t.Parallel()
		changes := 0
		for _, r := range c.App.Routes() {
			if r.Method != http.MethodPut && r.Method != http.MethodPatch {
				continue
			}
			changes++
			path := regexp.MustCompile(`:\w+`).ReplaceAllString(r.Path, uuid.NewString())
			understood := false
			for _, role := range rbac.Roles() {
				a := c.As(c.Own.Tokens[role]).Send(t, r.Method, path,
					harness.Body{"organizationId": c.Other.ID, "organization_id": c.Other.ID})
				require.Contains(t, []int{http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusForbidden}, a.Status,
					"%s %s: %s", r.Method, r.Path, a.Raw)
				understood = understood || a.Status != http.StatusForbidden
			}
			require.True(t, understood, "%s %s", r.Method, r.Path)
		}
		require.Greater(t, changes, 5)
	})
	t.Run("computed values cannot be written", func(t *testing.T) {
		t.Parallel()
		authorization := c.Authorize(t, 10)
		for path, columns := range map[string][]string{
			authorization: {
				"id", "usedUnits", "scheduledUnits", "availableUnits", "patientId", "revision", "createdAt", "chainHash",
			},
			"/patients/" + c.Own.Patient.String():          {"id", "organizationId", "status", "createdAt", "deletedAt"},
			"/service-codes/" + c.Own.ServiceCode.String(): {"id", "organizationId", "createdAt"},
		} {
			before := c.Admin().Get(t, path).OK(t)
			for _, column := range columns {
				a := c.Admin().Patch(t, path, harness.Body{column: "COMPLETED"})
				require.Contains(t, []int{http.StatusBadRequest, http.StatusUnprocessableEntity}, a.Status, "%s %s: %s", path,
					column, a.Raw)
			}
			require.JSONEq(t, string(before.Raw), string(c.Admin().Get(t, path).OK(t).Raw))
		}
	})
}

// TestATokenLosesARemovedRole uses an earlier token; see
// TestRemovedRoleEndsOnEveryInstance for other instances.
func TestATokenLosesARemovedRole(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	const email = "once.admin@own.test"
	who := c.AddUser(t, c.Own, email, rbac.Admin)
	before := c.SignInByEmail(t, email)
	before.Get(t, "/users").OK(t)
	c.Admin().Send(t, http.MethodPut, who+"/roles", harness.Body{"roles": []string{"TECHNICIAN"}}).OK(t)
	for _, path := range []string{"/users", "/auth/me", "/patients"} {
		before.Get(t, path).Refused(t, http.StatusUnauthorized, "unauthenticated")
	}
	after := c.SignInByEmail(t, email)
	after.Get(t, "/users").Refused(t, http.StatusForbidden, "forbidden")
	c.Admin().Patch(t, who, harness.Body{"disabled": true}).OK(t)
	after.Get(t, "/auth/me").Refused(t, http.StatusUnauthorized, "unauthenticated")
	c.As("").Post(t, "/auth/login", harness.Body{"email": email, "password": harness.Password}).
		Refused(t, http.StatusUnauthorized, "wrong-credentials")
}

// TestAnswersRevealNoInternals breaks the database during a request, and
// sends input designed to break a statement.
func TestAnswersRevealNoInternals(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	for _, path := range []string{
		"/patients/'%20OR%201=1%20--", "/patients?status='%3B%20DROP%20TABLE%20patients%3B--", "/patients?cursor=AAAA",
		"/patients?limit=x", "/patients?sort=last_name;--",
		"/appointments?from=%00", "/authorizations/" + uuid.NewString() + "'", "/authorizations?status=%27",
	} {
		a := c.Admin().Get(t, path)
		// Every answer is checked for internals.
		require.Less(t, a.Status, http.StatusInternalServerError, "%s: %s", path, a.Raw)
	}
	c.ExecAsOwner(t, "ALTER TABLE patients RENAME TO gone")
	broken := c.Admin().Get(t, "/patients")
	broken.Refused(t, http.StatusServiceUnavailable, "schema-mismatch")
	members := map[string]bool{}
	for name := range broken.Body {
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

// TestASpoofedAddressIsNotRecorded sends forged addresses and reads the trail; see
// TestForwardedAddressesAreTrustedFromTrustedProxiesOnly for rates and proxies.
func TestASpoofedAddressIsNotRecorded(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	asking := c.As(c.Own.Tokens[rbac.Biller])
	for _, header := range []string{
		"X-Forwarded-For", "X-Real-Ip", "Forwarded", "True-Client-Ip", "Cf-Connecting-Ip", "X-Client-Ip",
		"X-Cluster-Client-Ip",
	} {
		asking = asking.WithHeader(header, "203.0.113.66")
	}
	asking.Get(t, "/patients/"+c.Own.Patient.String()).OK(t)
	asking.Get(t, "/admin/audit-events").Refused(t, http.StatusForbidden, "forbidden")
	events := string(c.Admin().Get(t, "/admin/audit-events?limit=100").OK(t).Raw)
	require.Contains(t, events, `"address":"127.0.0.1"`)
	require.NotContains(t, events, "203.0.113.66")
}

// TestEmergencyAccessStaysWithinTheOrganization: in the reference system,
// administrators granted themselves access to any organization, without review.
func TestEmergencyAccessStaysWithinTheOrganization(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	foreign := harness.Body{"patientId": c.Other.Patient, "reason": emergencyReason}
	c.Admin().Post(t, "/emergency-grants", foreign).Refused(t, http.StatusUnprocessableEntity, "validation-failed")

	id := c.Admin().Post(t, "/emergency-grants", harness.Body{"patientId": c.Own.Patient, "reason": emergencyReason}).
		Created(t).String()
	under := c.Admin().WithHeader("Break-Glass", id)
	under.Get(t, "/patients/"+c.Other.Patient.String()).Refused(t, http.StatusNotFound, "patient-not-found")
	c.As(c.Other.Tokens[rbac.Admin]).WithHeader("Break-Glass", id).Get(t, "/patients/"+c.Own.Patient.String()).
		Refused(t, http.StatusForbidden, "emergency-grant-not-open")
	c.Admin().Post(t, "/emergency-grants/"+id+"/revoke", harness.Body{}).OK(t)
	c.Admin().Post(t, "/emergency-grants/"+id+"/review", harness.Body{"justified": true}).
		Refused(t, http.StatusForbidden, "emergency-own-review")
}
