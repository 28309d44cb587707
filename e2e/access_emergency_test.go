package e2e

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/events"
	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/identity"
)

const emergencyReason = "The child is being taken to hospital, and the staff ask for the plan."

// broken is a practice with a patient outside the technician's caseload.
type broken struct {
	*clinic
	technician    caller
	patient       uuid.UUID
	authorization string
}

func openEmergency(t *testing.T) broken {
	t.Helper()
	c := openLive(t, events.Tuning{Heartbeat: 30 * time.Millisecond}).live(t)
	c.link(t, c.own, c.employ(t))
	return broken{c, c.as(c.own.tokens[rbac.Technician]), c.own.patient, c.authorize(t, 100)}
}

// take takes an emergency access grant and returns its path, and a caller under it.
func (e broken) take(t *testing.T, minutes int) (path string, under caller) {
	t.Helper()
	id := e.technician.post(t, "/emergency-grants", body{
		"patientId": e.patient, "reason": emergencyReason, "durationMinutes": minutes,
	}).created(t).String()
	return "/emergency-grants/" + id, e.technician.with("Break-Glass", id)
}

func TestEmergencyAccess(t *testing.T) {
	t.Parallel()
	e := openEmergency(t)
	patient := "/patients/" + e.patient.String()
	appointment := e.book(t, e.booking(e.authorization, e.employ(t), e.hour(t, -3, "09:00"), time.Hour))
	e.technician.get(t, patient).refused(t, http.StatusNotFound, "patient-not-found")
	listening := e.admin().stream(t, "?types=emergency.taken")
	require.Equal(t, "ready", listening.next(t).name)

	path, under := e.take(t, 60)
	id := idOf(path)

	t.Run("it is taken by one user at once, and administrators are notified at once", func(t *testing.T) {
		reported := listening.next(t).payload(t)
		require.Equal(t, id, reported["grantId"])
		require.NotContains(t, reported, "patientId", "published events do not name the patient")
		worklist := e.admin().get(t, "/emergency-grants?reviewed=false&open=true").ok(t).body["data"].([]any)
		require.Len(t, worklist, 1)
		require.Equal(t, emergencyReason, worklist[0].(map[string]any)["reason"])
	})
	t.Run("it opens the patient's records to requests that name it", func(t *testing.T) {
		require.Equal(t, "Ada", under.get(t, patient).ok(t).text("firstName"))
		for _, list := range []string{"/patients", "/authorizations", "/appointments"} {
			require.Len(t, under.get(t, list).ok(t).body["data"], 1, list)
			require.Empty(t, e.technician.get(t, list).ok(t).body["data"], list)
		}
		under.get(t, appointment).ok(t)
		require.Nil(t, under.get(t, e.authorization).ok(t).body["notes"], "and no other records")
		e.technician.get(t, patient).refused(t, http.StatusNotFound, "patient-not-found")
		another := e.admin().post(t, "/patients", body{"firstName": "B", "lastName": "C", "dateOfBirth": "2019-01-01"}).
			created(t)
		under.get(t, "/patients/"+another.String()).refused(t, http.StatusNotFound, "patient-not-found")
		under.get(t, "/insurances").refused(t, http.StatusForbidden, "forbidden")
	})
	t.Run("every read under it carries its id", func(t *testing.T) {
		found := e.admin().get(t, "/admin/audit-events?limit=200").ok(t).body["data"].([]any)
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
			under.post(t, write, body{}).refused(t, http.StatusForbidden, "emergency-read-only")
		}
		e.technician.post(t, appointment+"/start", body{}).refused(t, http.StatusNotFound, "appointment-not-found")
	})
	t.Run("other users cannot read under it", func(t *testing.T) {
		for _, from := range []caller{
			e.as(e.own.tokens[rbac.Practitioner]), e.as(e.own.tokens[rbac.Patient]), e.as(e.other.tokens[rbac.Technician]),
		} {
			from.with("Break-Glass", id).get(t, "/patients").refused(t, http.StatusForbidden, "emergency-grant-not-open")
		}
		for _, invented := range []string{uuid.NewString(), "none"} {
			e.technician.with("Break-Glass", invented).get(t, "/patients").
				refused(t, http.StatusForbidden, "emergency-grant-not-open")
		}
	})
}

func TestPermissionsForEmergencyAccess(t *testing.T) {
	t.Parallel()
	e := openEmergency(t)
	whole := body{"patientId": e.patient, "reason": emergencyReason}
	taken := e.technician.post(t, "/emergency-grants", whole)
	granted, err := time.Parse(time.RFC3339Nano, taken.text("grantedAt"))
	require.NoError(t, err)
	expires, err := time.Parse(time.RFC3339Nano, taken.text("expiresAt"))
	require.NoError(t, err)
	require.Equal(t, time.Hour, expires.Sub(granted))

	for it, changes := range map[string]body{
		"patientId of another organization": {"patientId": e.other.patient},
		"patientId that is unknown":         {"patientId": uuid.New()},
		"reason of 24 characters":           {"reason": strings.Repeat("a", 24)},
		"reason of spaces":                  {"reason": "short" + strings.Repeat(" ", 40)},
		"reason of 501 characters":          {"reason": strings.Repeat("a", 501)},
		"durationMinutes below":             {"durationMinutes": 29},
		"durationMinutes above":             {"durationMinutes": 481},
	} {
		b := body{"patientId": e.patient, "reason": emergencyReason}
		for k, v := range changes {
			b[k] = v
		}
		a := e.technician.post(t, "/emergency-grants", b).refused(t, http.StatusUnprocessableEntity, "validation-failed")
		require.Equal(t, strings.Fields(it)[0], a.body["errors"].([]any)[0].(map[string]any)["field"], it)
	}
	for _, limit := range []body{{"durationMinutes": 30, "reason": strings.Repeat("a",
		25)}, {"durationMinutes": 480, "reason": strings.Repeat("a", 500)}} {
		limit["patientId"] = e.patient
		e.technician.post(t, "/emergency-grants", limit).created(t)
	}
	for _, role := range []rbac.Role{rbac.Scheduler, rbac.Biller, rbac.Auditor, rbac.Patient, rbac.SuperAdmin} {
		e.as(e.own.tokens[role]).post(t, "/emergency-grants", whole).refused(t, http.StatusForbidden, "forbidden")
	}
	foreign := "/emergency-grants/" + taken.text("id")
	// Users see their own grants.
	for _, from := range []caller{e.as(e.other.tokens[rbac.Admin]), e.as(e.own.tokens[rbac.Practitioner])} {
		from.get(t, foreign).refused(t, http.StatusNotFound, "emergency-grant-not-found")
		from.post(t, foreign+"/revoke", body{}).refused(t, http.StatusNotFound, "emergency-grant-not-found")
		require.Empty(t, from.get(t, "/emergency-grants").ok(t).body["data"])
	}
	require.Len(t, e.technician.get(t, "/emergency-grants").ok(t).body["data"], 3)
	require.Len(t, e.admin().get(t, "/emergency-grants?limit=2").ok(t).body["data"], 2)
	require.Len(t, e.admin().all(t, "/emergency-grants?limit=2", nil), 3)
}

func TestEmergencyGrantsExpire(t *testing.T) {
	t.Parallel()
	e := openEmergency(t)
	t.Run("when it expires", func(t *testing.T) {
		path, _ := e.take(t, 30)
		later := func(by time.Duration) caller { // access tokens expire before
			e.clock.set(by)
			return e.as(e.signIn(t, "own", rbac.Technician)).with("Break-Glass", idOf(path))
		}
		later(30*time.Minute-10*time.Second).get(t, "/patients").ok(t)
		later(30*time.Minute).get(t, "/patients").refused(t, http.StatusForbidden, "emergency-grant-not-open")
	})
	e.technician = e.as(e.signIn(t, "own", rbac.Technician))
	e.own.tokens[rbac.Admin] = e.signIn(t, "own", rbac.Admin)
	t.Run("when an administrator revokes it, from the next request on", func(t *testing.T) {
		path, under := e.take(t, 480)
		under.get(t, "/patients").ok(t)
		require.Equal(t, false, e.admin().post(t, path+"/revoke", body{}).ok(t).body["open"])
		under.get(t, "/patients").refused(t, http.StatusForbidden, "emergency-grant-not-open")
		e.admin().post(t, path+"/revoke", body{}).refused(t, http.StatusConflict, "emergency-grant-over")
	})
	t.Run("when its holder returns it", func(t *testing.T) {
		path, under := e.take(t, 60)
		e.technician.post(t, path+"/revoke", body{}).ok(t)
		under.get(t, "/patients").refused(t, http.StatusForbidden, "emergency-grant-not-open")
	})
}

func TestEmergencyGrantIsReviewedByAnotherUser(t *testing.T) {
	t.Parallel()
	e := openEmergency(t)
	path, _ := e.take(t, 60)
	verdict := body{"justified": false, "note": "The practice was open: a colleague could have been asked."}
	e.technician.post(t, path+"/review", verdict).refused(t, http.StatusForbidden, "forbidden")
	e.admin().post(t, path+"/review", verdict).refused(t, http.StatusConflict, "emergency-grant-open")
	e.admin().post(t, path+"/revoke", body{}).ok(t)
	require.Equal(t, false, e.admin().post(t, path+"/review", verdict).ok(t).body["justified"])
	e.admin().post(t, path+"/review", body{"justified": true}).refused(t, http.StatusConflict, "emergency-grant-reviewed")
	e.admin().post(t, "/emergency-grants/"+uuid.NewString()+"/review", verdict).
		refused(t, http.StatusNotFound, "emergency-grant-not-found")

	e.admin().post(t, "/api-keys", body{"name": "Machine", "permissions": []string{"emergency:take", "emergency:review"}}).
		refused(t, http.StatusUnprocessableEntity, "validation-failed") // emergency access is for users only

	own := "/emergency-grants/" + e.admin().post(t, "/emergency-grants",
		body{"patientId": e.patient, "reason": emergencyReason}).created(t).String()
	e.admin().post(t, own+"/revoke", body{}).ok(t)
	e.admin().post(t, own+"/review", verdict).refused(t, http.StatusForbidden, "emergency-own-review")
	unreviewed := e.admin().get(t, "/emergency-grants?reviewed=false").ok(t).body["data"].([]any)
	require.Len(t, unreviewed, 1, "it stays on the list until another user reviews it")
	require.Equal(t, idOf(own), unreviewed[0].(map[string]any)["id"])

	for _, change := range []string{
		"DELETE FROM emergency_grants", "TRUNCATE emergency_grants",
		"UPDATE emergency_grants SET reason = 'something else, as long as it has to be'",
		"UPDATE emergency_grants SET expires_at = expires_at + interval '1 minute'",
		"UPDATE emergency_grants SET justified = true WHERE reviewed_at IS NOT NULL",
		"UPDATE emergency_grants SET revoked_at = NULL, revoked_by = NULL",
		"UPDATE emergency_grants SET reviewed_at = now(), reviewed_by = user_id, justified = true WHERE reviewed_at IS NULL",
	} {
		require.Error(t, e.tryAsOwner(t, change), "not even the owner of the tables: %s", change)
	}
	require.ErrorContains(t, e.tryAsProgram(t, "DELETE FROM emergency_grants"), "permission denied")
}

// TestDenialRecordsTheRequestedGrant names grants that are not valid.
func TestDenialRecordsTheRequestedGrant(t *testing.T) {
	t.Parallel()
	e := openEmergency(t)
	path, under := e.take(t, 60)
	owner := e.owner(t)
	tried := func(as caller) []string {
		t.Helper()
		a := as.get(t, "/patients").refused(t, http.StatusForbidden, "emergency-grant-not-open")
		return texts(t, owner,
			`SELECT concat_ws(' ', outcome, subject_type, subject_id, grant_id) FROM audit_events WHERE action = 'request.deny'
				AND request_id = $1`, a.request())
	}
	nobodys := uuid.NewString()
	require.Equal(t, []string{"denied emergency-grant " + idOf(path)},
		tried(e.as(e.own.tokens[rbac.Practitioner]).with("Break-Glass", idOf(path))), "of another user")
	require.Equal(t, []string{"denied emergency-grant " + nobodys}, tried(e.technician.with("Break-Glass", nobodys)))
	none := tried(e.technician.with("Break-Glass", "none"))
	require.Len(t, none, 1)
	require.NotContains(t, none[0], "emergency-grant")
	e.admin().post(t, path+"/revoke", body{}).ok(t)
	require.Equal(t, []string{"denied emergency-grant " + idOf(path)}, tried(under))
}

// TestNothingIsChangedUnderAGrant tries every operation with an effect, as an
// administrator with nearly all permissions.
func TestNothingIsChangedUnderAGrant(t *testing.T) {
	t.Parallel()
	e := openEmergency(t)
	id := e.admin().post(t, "/emergency-grants", body{"patientId": e.patient, "reason": emergencyReason}).
		created(t).String()
	under, nobodys := e.admin().with("Break-Glass", id), uuid.NewString()
	tried := 0
	for _, r := range e.app.Routes() {
		if r.Method == http.MethodGet || r.ReadOnly || r.Permission == httpx.Public ||
			slices.Contains(beyondOrganizations, r.Permission) {
			continue
		}
		path := anyParameter.ReplaceAllString(r.Path, nobodys)
		under.send(t, r.Method, path, body{}).refused(t, http.StatusForbidden, "emergency-read-only")
		tried++
	}
	require.Greater(t, tried, 60)
	require.Equal(t, tried, e.count(t, "SELECT count(*) FROM audit_events WHERE outcome = 'denied' AND subject_type = "+
		"'emergency-grant' AND subject_id::text = $1", id))
}

// beyondOrganizations are permissions that an organization's administrators do not
// hold.
var beyondOrganizations = []identity.Permission{"organization:create", "organization:disable"}
