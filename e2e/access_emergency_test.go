package e2e

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/events"
	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/identity"
)

const emergencyReason = "The child is being taken to hospital, and the staff ask for the plan."

// emergencyPractice is a practice with a patient outside the technician's caseload.
type emergencyPractice struct {
	*harness.Clinic
	technician    harness.Caller
	patient       uuid.UUID
	authorization string
}

func openEmergency(t *testing.T) emergencyPractice {
	t.Helper()
	c := openWithTuning(t, events.Tuning{Heartbeat: 30 * time.Millisecond}).StartEvents(t)
	c.LinkUsers(t, c.Own, c.AddPractitioner(t))
	return emergencyPractice{c, c.As(c.Own.Tokens[rbac.Technician]), c.Own.Patient, c.Authorize(t, 100)}
}

// take takes an emergency access grant and returns its path, and a caller under it.
func (e emergencyPractice) take(t *testing.T, minutes int) (path string, under harness.Caller) {
	t.Helper()
	id := e.technician.Post(t, "/emergency-grants", harness.Body{
		"patientId": e.patient, "reason": emergencyReason, "durationMinutes": minutes,
	}).Created(t).String()
	return "/emergency-grants/" + id, e.technician.WithHeader("Break-Glass", id)
}

func TestEmergencyAccess(t *testing.T) {
	t.Parallel()
	e := openEmergency(t)
	patient := "/patients/" + e.patient.String()
	appointment := e.Book(t, e.Booking(e.authorization, e.AddPractitioner(t), e.At(t, -3, "09:00"), time.Hour))
	e.technician.Get(t, patient).Refused(t, http.StatusNotFound, "patient-not-found")
	listening := e.Admin().Stream(t, "?types=emergency.taken")
	require.Equal(t, "ready", listening.Next(t).Name)

	path, under := e.take(t, 60)
	id := harness.IDOf(path)

	t.Run("it is taken by one user at once, and administrators are notified at once", func(t *testing.T) {
		reported := listening.Next(t).Payload(t)
		require.Equal(t, id, reported["grantId"])
		require.NotContains(t, reported, "patientId", "published events do not name the patient")
		worklist := e.Admin().Get(t, "/emergency-grants?reviewed=false&open=true").OK(t).Body["data"].([]any)
		require.Len(t, worklist, 1)
		require.Equal(t, emergencyReason, worklist[0].(map[string]any)["reason"])
	})
	t.Run("it opens the patient's records to requests that name it", func(t *testing.T) {
		require.Equal(t, "Ada", under.Get(t, patient).OK(t).Text("firstName"))
		for _, list := range []string{"/patients", "/authorizations", "/appointments"} {
			require.Len(t, under.Get(t, list).OK(t).Body["data"], 1, list)
			require.Empty(t, e.technician.Get(t, list).OK(t).Body["data"], list)
		}
		under.Get(t, appointment).OK(t)
		require.Nil(t, under.Get(t, e.authorization).OK(t).Body["notes"], "and no other records")
		e.technician.Get(t, patient).Refused(t, http.StatusNotFound, "patient-not-found")
		another := e.Admin().Post(t, "/patients", harness.Body{
			"firstName": "B", "lastName": "C", "dateOfBirth": "2019-01-01",
		}).
			Created(t)
		under.Get(t, "/patients/"+another.String()).Refused(t, http.StatusNotFound, "patient-not-found")
		under.Get(t, "/insurances").Refused(t, http.StatusForbidden, "forbidden")
	})
	t.Run("every read under it carries its id", func(t *testing.T) {
		found := e.Admin().Get(t, "/admin/audit-events?limit=200").OK(t).Body["data"].([]any)
		reads := 0
		for _, item := range found {
			event := item.(map[string]any)
			if event["grantId"] == id && strings.HasSuffix(event["action"].(string), ".read") && event["patientId"] != nil {
				require.Equal(t, e.patient.String(), event["patientId"])
				reads++
			}
		}
		require.Equal(t, 6, reads, "one per record and answer")
	})
	t.Run("it is read-only", func(t *testing.T) {
		for _, write := range []string{
			appointment + "/start", appointment + "/complete", appointment + "/no-show",
			"/emergency-grants",
		} {
			under.Post(t, write, harness.Body{}).Refused(t, http.StatusForbidden, "emergency-read-only")
		}
		e.technician.Post(t, appointment+"/start", harness.Body{}).Refused(t, http.StatusNotFound, "appointment-not-found")
	})
	t.Run("other users cannot read under it", func(t *testing.T) {
		for _, from := range []harness.Caller{
			e.As(e.Own.Tokens[rbac.Practitioner]), e.As(e.Own.Tokens[rbac.Patient]), e.As(e.Other.Tokens[rbac.Technician]),
		} {
			from.WithHeader("Break-Glass", id).Get(t, "/patients").Refused(t, http.StatusForbidden, "emergency-grant-not-open")
		}
		for _, invented := range []string{uuid.NewString(), "none"} {
			e.technician.WithHeader("Break-Glass", invented).Get(t, "/patients").
				Refused(t, http.StatusForbidden, "emergency-grant-not-open")
		}
	})
}

func TestPermissionsForEmergencyAccess(t *testing.T) {
	t.Parallel()
	e := openEmergency(t)
	whole := harness.Body{"patientId": e.patient, "reason": emergencyReason}
	taken := e.technician.Post(t, "/emergency-grants", whole)
	granted, err := time.Parse(time.RFC3339Nano, taken.Text("grantedAt"))
	require.NoError(t, err)
	expires, err := time.Parse(time.RFC3339Nano, taken.Text("expiresAt"))
	require.NoError(t, err)
	require.Equal(t, time.Hour, expires.Sub(granted))

	for it, changes := range map[string]harness.Body{
		"patientId of another organization": {"patientId": e.Other.Patient},
		"patientId that is unknown":         {"patientId": uuid.New()},
		"reason of 24 characters":           {"reason": strings.Repeat("a", 24)},
		"reason of spaces":                  {"reason": "short" + strings.Repeat(" ", 40)},
		"reason of 501 characters":          {"reason": strings.Repeat("a", 501)},
		"durationMinutes below":             {"durationMinutes": 29},
		"durationMinutes above":             {"durationMinutes": 481},
	} {
		b := harness.Body{"patientId": e.patient, "reason": emergencyReason}
		for k, v := range changes {
			b[k] = v
		}
		a := e.technician.Post(t, "/emergency-grants", b).Refused(t, http.StatusUnprocessableEntity, "validation-failed")
		require.Equal(t, strings.Fields(it)[0], a.Body["errors"].([]any)[0].(map[string]any)["field"], it)
	}
	for _, limit := range []harness.Body{{"durationMinutes": 30, "reason": strings.Repeat("a",
		25)}, {"durationMinutes": 480, "reason": strings.Repeat("a", 500)}} {
		limit["patientId"] = e.patient
		e.technician.Post(t, "/emergency-grants", limit).Created(t)
	}
	for _, role := range []rbac.Role{rbac.Scheduler, rbac.Biller, rbac.Auditor, rbac.Patient, rbac.SuperAdmin} {
		e.As(e.Own.Tokens[role]).Post(t, "/emergency-grants", whole).Refused(t, http.StatusForbidden, "forbidden")
	}
	foreign := "/emergency-grants/" + taken.Text("id")
	// Users see their own grants.
	for _, from := range []harness.Caller{e.As(e.Other.Tokens[rbac.Admin]), e.As(e.Own.Tokens[rbac.Practitioner])} {
		from.Get(t, foreign).Refused(t, http.StatusNotFound, "emergency-grant-not-found")
		from.Post(t, foreign+"/revoke", harness.Body{}).Refused(t, http.StatusNotFound, "emergency-grant-not-found")
		require.Empty(t, from.Get(t, "/emergency-grants").OK(t).Body["data"])
	}
	require.Len(t, e.technician.Get(t, "/emergency-grants").OK(t).Body["data"], 3)
	require.Len(t, e.Admin().Get(t, "/emergency-grants?limit=2").OK(t).Body["data"], 2)
	require.Len(t, e.Admin().All(t, "/emergency-grants?limit=2", nil), 3)
}

func TestEmergencyGrantsExpire(t *testing.T) {
	t.Parallel()
	e := openEmergency(t)
	t.Run("when it expires", func(t *testing.T) {
		path, _ := e.take(t, 30)
		later := func(by time.Duration) harness.Caller { // access tokens expire before
			e.Clock.SetAhead(by)
			return e.As(e.SignIn(t, "own", rbac.Technician)).WithHeader("Break-Glass", harness.IDOf(path))
		}
		later(30*time.Minute-10*time.Second).Get(t, "/patients").OK(t)
		later(30*time.Minute).Get(t, "/patients").Refused(t, http.StatusForbidden, "emergency-grant-not-open")
	})
	e.technician = e.As(e.SignIn(t, "own", rbac.Technician))
	e.Own.Tokens[rbac.Admin] = e.SignIn(t, "own", rbac.Admin)
	t.Run("when an administrator revokes it, from the next request on", func(t *testing.T) {
		path, under := e.take(t, 480)
		under.Get(t, "/patients").OK(t)
		require.Equal(t, false, e.Admin().Post(t, path+"/revoke", harness.Body{}).OK(t).Body["open"])
		under.Get(t, "/patients").Refused(t, http.StatusForbidden, "emergency-grant-not-open")
		e.Admin().Post(t, path+"/revoke", harness.Body{}).Refused(t, http.StatusConflict, "emergency-grant-over")
	})
	t.Run("when its holder returns it", func(t *testing.T) {
		path, under := e.take(t, 60)
		e.technician.Post(t, path+"/revoke", harness.Body{}).OK(t)
		under.Get(t, "/patients").Refused(t, http.StatusForbidden, "emergency-grant-not-open")
	})
}

func TestEmergencyGrantIsReviewedByAnotherUser(t *testing.T) {
	t.Parallel()
	e := openEmergency(t)
	path, _ := e.take(t, 60)
	verdict := harness.Body{"justified": false, "note": "The practice was open: a colleague could have been asked."}
	e.technician.Post(t, path+"/review", verdict).Refused(t, http.StatusForbidden, "forbidden")
	e.Admin().Post(t, path+"/review", verdict).Refused(t, http.StatusConflict, "emergency-grant-open")
	e.Admin().Post(t, path+"/revoke", harness.Body{}).OK(t)
	require.Equal(t, false, e.Admin().Post(t, path+"/review", verdict).OK(t).Body["justified"])
	e.Admin().Post(t, path+"/review", harness.Body{"justified": true}).
		Refused(t, http.StatusConflict, "emergency-grant-reviewed")
	e.Admin().Post(t, "/emergency-grants/"+uuid.NewString()+"/review", verdict).
		Refused(t, http.StatusNotFound, "emergency-grant-not-found")

	e.Admin().Post(t, "/api-keys", harness.Body{
		"name": "Machine", "permissions": []string{"emergency:take", "emergency:review"},
	}).
		Refused(t, http.StatusUnprocessableEntity, "validation-failed") // emergency access is for users only

	own := "/emergency-grants/" + e.Admin().Post(t, "/emergency-grants",
		harness.Body{"patientId": e.patient, "reason": emergencyReason}).Created(t).String()
	e.Admin().Post(t, own+"/revoke", harness.Body{}).OK(t)
	e.Admin().Post(t, own+"/review", verdict).Refused(t, http.StatusForbidden, "emergency-own-review")
	unreviewed := e.Admin().Get(t, "/emergency-grants?reviewed=false").OK(t).Body["data"].([]any)
	require.Len(t, unreviewed, 1, "it stays on the list until another user reviews it")
	require.Equal(t, harness.IDOf(own), unreviewed[0].(map[string]any)["id"])

	for _, change := range []string{
		"DELETE FROM emergency_grants", "TRUNCATE emergency_grants",
		"UPDATE emergency_grants SET reason = 'something else, as long as it has to be'",
		"UPDATE emergency_grants SET expires_at = expires_at + interval '1 minute'",
		"UPDATE emergency_grants SET justified = true WHERE reviewed_at IS NOT NULL",
		"UPDATE emergency_grants SET revoked_at = NULL, revoked_by = NULL",
		"UPDATE emergency_grants SET reviewed_at = now(), reviewed_by = user_id, justified = true WHERE reviewed_at IS NULL",
	} {
		e.RequireGuarded(t, change)
	}
	require.ErrorContains(t, e.TryAsProgram(t, "DELETE FROM emergency_grants"), "permission denied")
}

// TestDenialRecordsTheRequestedGrant names grants that are not valid.
func TestDenialRecordsTheRequestedGrant(t *testing.T) {
	t.Parallel()
	e := openEmergency(t)
	path, under := e.take(t, 60)
	owner := e.Owner(t)
	tried := func(as harness.Caller) []string {
		t.Helper()
		a := as.Get(t, "/patients").Refused(t, http.StatusForbidden, "emergency-grant-not-open")
		return harness.QueryTexts(t, owner,
			`SELECT concat_ws(' ', outcome, subject_type, subject_id, grant_id) FROM audit_events WHERE action = 'request.deny'
				AND request_id = $1`, a.RequestID())
	}
	unknownGrant := uuid.NewString()
	require.Equal(t, []string{"denied emergency-grant " + harness.IDOf(path)},
		tried(e.As(e.Own.Tokens[rbac.Practitioner]).WithHeader("Break-Glass", harness.IDOf(path))), "of another user")
	require.Equal(t, []string{"denied emergency-grant " + unknownGrant}, tried(e.technician.WithHeader("Break-Glass", unknownGrant)))
	none := tried(e.technician.WithHeader("Break-Glass", "none"))
	require.Len(t, none, 1)
	require.NotContains(t, none[0], "emergency-grant")
	e.Admin().Post(t, path+"/revoke", harness.Body{}).OK(t)
	require.Equal(t, []string{"denied emergency-grant " + harness.IDOf(path)}, tried(under))
}

// TestNothingIsChangedUnderAGrant tries every operation with an effect, as an
// administrator with nearly all permissions.
func TestNothingIsChangedUnderAGrant(t *testing.T) {
	t.Parallel()
	e := openEmergency(t)
	id := e.Admin().Post(t, "/emergency-grants", harness.Body{"patientId": e.patient, "reason": emergencyReason}).
		Created(t).String()
	under, unknownGrant := e.Admin().WithHeader("Break-Glass", id), uuid.NewString()
	tried := 0
	for _, r := range e.App.Routes() {
		if r.Method == http.MethodGet || r.ReadOnly || r.Permission == httpx.Public ||
			slices.Contains(beyondOrganizations, r.Permission) {
			continue
		}
		path := anyParameter.ReplaceAllString(r.Path, unknownGrant)
		under.Send(t, r.Method, path, harness.Body{}).Refused(t, http.StatusForbidden, "emergency-read-only")
		tried++
	}
	require.Greater(t, tried, 60)
	require.Equal(t, tried, e.Count(t, "SELECT count(*) FROM audit_events WHERE outcome = 'denied' AND subject_type = "+
		"'emergency-grant' AND subject_id::text = $1", id))
}

// beyondOrganizations are permissions that an organization's administrators do not
// hold.
var beyondOrganizations = []identity.Permission{"organization:create", "organization:disable"}
