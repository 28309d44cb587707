package e2e

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/rbac"
)

// delivered books and completes an appointment of an hour, two hours ago, and returns the path of
// its session.
func (c *clinic) delivered(t testing.TB, authorization string, practitioner uuid.UUID, changes ...body) string {
	t.Helper()
	path := c.book(t, c.booking(authorization, practitioner, c.ago(2*hour), hour, changes...))
	return "/sessions/" + c.completed(t, path)
}

// completed completes an appointment and returns the id of its session.
func (c *clinic) completed(t testing.TB, appointment string, changes ...body) string {
	t.Helper()
	b := body{}
	for _, change := range changes {
		for k, v := range change {
			b[k] = v
		}
	}
	done := c.admin().post(t, appointment+"/complete", b).ok(t)
	return done.body["session"].(map[string]any)["id"].(string)
}

func idOf(path string) string { return path[strings.LastIndex(path, "/")+1:] }

func TestCorrectionOfTimesMovesUnits(t *testing.T) {
	t.Parallel()
	c := open(t)
	who := c.employ(t)
	path := c.authorize(t, 10)
	session := c.delivered(t, path, who)
	c.requireBalance(t, path, 10, 4, 0)

	end := c.ago(2*hour - 30*time.Minute)
	preview := c.admin().post(t, session+"/correct/preview", body{"endTime": end}).ok(t)
	require.EqualValues(t, 4, preview.body["current"].(map[string]any)["units"])
	require.EqualValues(t, 2, preview.body["corrected"].(map[string]any)["units"])
	c.requireBalance(t, path, 10, 4, 0)

	corrected := c.admin().post(t, session+"/correct", body{"endTime": end, "reason": "The child left early."}).ok(t)
	require.EqualValues(t, 2, corrected.body["session"].(map[string]any)["units"])
	require.Equal(t, "CORRECTED", corrected.body["session"].(map[string]any)["change"])
	c.requireBalance(t, path, 10, 2, 0)

	var kinds []string
	var corrects any
	for _, each := range c.admin().get(t, path+"/entries").ok(t).items(t) {
		kinds = append(kinds, each.body["kind"].(string))
		if each.body["kind"] == "reverse" {
			corrects = each.body["corrects"]
			require.Equal(t, "The child left early.", each.body["reason"])
		}
	}
	require.Equal(t, []string{"reserve", "consume", "reverse", "reserve", "consume"}, kinds)
	require.EqualValues(t, 2, corrects, "the reversal names the consumption")

	versions := c.admin().get(t, session+"/versions").ok(t).body["versions"].([]any)
	require.Len(t, versions, 2)
	first, last := versions[0].(map[string]any), versions[1].(map[string]any)
	require.Equal(t, []any{"COMPLETED", "CORRECTED"}, []any{first["change"], last["change"]})
	require.EqualValues(t, 4, first["patients"].([]any)[0].(map[string]any)["units"])
	require.EqualValues(t, 2, last["patients"].([]any)[0].(map[string]any)["units"])
	require.Equal(t, "The child left early.", last["changeReason"])
	c.requireClean(t)
}

func TestCorrectionThatChangesNothingMakesNoVersion(t *testing.T) {
	t.Parallel()
	c := open(t)
	session := c.delivered(t, c.authorize(t, 10), c.employ(t))
	done := c.admin().post(t, session+"/correct", body{"reason": "Checked."}).ok(t)
	require.EqualValues(t, 1, done.body["session"].(map[string]any)["version"])
	require.Len(t, c.admin().get(t, session+"/versions").ok(t).body["versions"], 1)
}

func TestCorrectionMovesUnitsToAnotherAuthorization(t *testing.T) {
	t.Parallel()
	c := open(t)
	wrong, right := c.authorize(t, 10), c.authorize(t, 10)
	session := c.delivered(t, wrong, c.employ(t))
	c.admin().post(t, session+"/correct", body{
		"patients": []body{{"patientId": c.own.patient, "authorizationId": idOf(right)}}, "reason": "Wrong payer.",
	}).ok(t)
	c.requireBalance(t, wrong, 10, 0, 0)
	c.requireBalance(t, right, 10, 4, 0)
	require.Equal(t, idOf(right), c.admin().get(t, session).ok(t).body["patients"].([]any)[0].(map[string]any)["authorizationId"])
	c.requireClean(t)
}

func TestCorrectionOfThePractitioner(t *testing.T) {
	t.Parallel()
	c := open(t)
	advice := c.service(t, "97155", "BCBA")
	analyst, other := c.employ(t, body{"code": "BCBA"}), c.employ(t, body{"code": "BCBA"})
	technician := c.employ(t)
	path := c.authorize(t, 10, body{"serviceCodeId": advice})
	session := c.delivered(t, path, analyst, body{"serviceCodeId": advice})
	c.admin().post(t, session+"/correct", body{"practitionerIds": []any{technician}, "reason": "Substitute."}).
		refused(t, http.StatusConflict, "credential-missing")
	c.admin().post(t, session+"/correct", body{"practitionerIds": []any{other}, "reason": "Substitute."}).ok(t)
	require.Equal(t, other.String(), c.admin().get(t, session).ok(t).body["practitionerId"])
	require.Equal(t, []any{analyst.String()},
		c.admin().get(t, session+"/versions").ok(t).body["versions"].([]any)[0].(map[string]any)["practitionerIds"])
	c.requireBalance(t, path, 10, 4, 0)
	c.requireClean(t)
}

func TestCorrectionOfAGroup(t *testing.T) {
	t.Parallel()
	c := open(t)
	absent, present := c.anotherPatient(t), c.anotherPatient(t)
	first := c.authorize(t, 10)
	wrong, right := c.authorize(t, 10, body{"patientId": absent}), c.authorize(t, 10, body{"patientId": present})
	session := c.delivered(t, first, c.employ(t), body{
		"patientId": nil, "authorizationId": nil, "patients": []body{
			{"patientId": c.own.patient, "authorizationId": idOf(first)},
			{"patientId": absent, "authorizationId": idOf(wrong)},
		},
	})
	c.admin().post(t, session+"/correct", body{
		"patients": []body{{"patientId": c.own.patient}, {"patientId": present}}, "reason": "Mixed up.",
	}).refusedField(t, "patients[1].authorizationId")
	c.admin().post(t, session+"/correct", body{
		"patients": []body{{"patientId": c.own.patient}, {"patientId": present, "authorizationId": idOf(wrong)}},
		"reason":   "Mixed up.",
	}).refusedField(t, "patients[1].authorizationId")
	c.admin().post(t, session+"/correct", body{
		"patients": []body{{"patientId": c.own.patient}, {"patientId": present, "authorizationId": idOf(right)}},
		"reason":   "Mixed up.",
	}).ok(t)
	c.requireBalance(t, first, 10, 4, 0)
	c.requireBalance(t, wrong, 10, 0, 0)
	c.requireBalance(t, right, 10, 4, 0)
	c.admin().post(t, session+"/correct", body{"patients": []body{{"patientId": present}}, "reason": "One was absent."}).ok(t)
	c.requireBalance(t, first, 10, 0, 0)
	require.Len(t, c.admin().get(t, session).ok(t).body["patients"], 1)
	require.Len(t, c.admin().get(t, session+"/versions").ok(t).body["versions"], 3)
	c.requireClean(t)
}

func TestCorrectionConsumesUnitsThatAreGrantedLater(t *testing.T) {
	t.Parallel()
	c := open(t)
	path := c.authorize(t, 4)
	booked := c.book(t, c.booking(path, c.employ(t), c.ago(3*hour), hour))
	session := "/sessions/" + c.completed(t, booked, body{"endTime": c.ago(hour + 30*time.Minute)})
	require.EqualValues(t, 2, c.admin().get(t, session).ok(t).number(t, "unauthorizedUnits"))
	require.Len(t, c.admin().get(t, "/sessions?unauthorized=true").ok(t).items(t), 1)
	c.admin().patch(t, path, body{"totalUnits": 5}).ok(t)
	c.admin().post(t, session+"/correct", body{"reason": "More units were granted."}).ok(t)
	require.EqualValues(t, 1, c.admin().get(t, session).ok(t).number(t, "unauthorizedUnits"))
	c.admin().patch(t, path, body{"totalUnits": 10}).ok(t)
	c.admin().post(t, session+"/correct", body{"reason": "More units were granted."}).ok(t)
	require.EqualValues(t, 0, c.admin().get(t, session).ok(t).number(t, "unauthorizedUnits"))
	require.Empty(t, c.admin().get(t, "/sessions?unauthorized=true").ok(t).items(t))
	c.requireBalance(t, path, 10, 6, 0)
	c.requireClean(t)
}

func TestRepeatedCorrectionTakesEffectOnce(t *testing.T) {
	t.Parallel()
	c := open(t)
	path := c.authorize(t, 10)
	session := c.delivered(t, path, c.employ(t))
	correction := body{"endTime": c.ago(hour + 30*time.Minute), "reason": "Left early."}
	var answers []string
	for range 3 {
		done := c.admin().post(t, session+"/correct", correction, "Idempotency-Key", "one").ok(t)
		answers = append(answers, done.raw)
	}
	require.Equal(t, answers[0], answers[1])
	require.Equal(t, answers[0], answers[2])
	require.Len(t, c.admin().get(t, session+"/versions").ok(t).body["versions"], 2)
	c.requireBalance(t, path, 10, 2, 0)
	c.requireClean(t)
}

// TestOneOfConcurrentCorrectionsWins sends ten corrections of the same version, five times.
func TestOneOfConcurrentCorrectionsWins(t *testing.T) {
	t.Parallel()
	c := open(t)
	path := c.authorize(t, 100)
	session := c.delivered(t, path, c.employ(t))
	start := c.ago(2 * hour)
	for round := 1; round <= 5; round++ {
		var group sync.WaitGroup
		statuses := make([]int, 10)
		for i := range statuses {
			group.Go(func() {
				end := start.Add(time.Duration(15+15*((i+round)%7)) * time.Minute)
				statuses[i] = c.admin().post(t, session+"/correct", body{"endTime": end, "confirm": true, "reason": "Race."},
					"If-Match", `"`+string(rune('0'+round))+`"`).status
			})
		}
		group.Wait()
		won := 0
		for _, status := range statuses {
			if status == http.StatusOK {
				won++
				continue
			}
			require.Equal(t, http.StatusPreconditionFailed, status)
		}
		require.Equal(t, 1, won, "round %d", round)
		c.requireBalance(t, path, 100, c.admin().get(t, session).ok(t).number(t, "units"), 0)
	}
	c.requireClean(t)
}

func TestVoidedSession(t *testing.T) {
	t.Parallel()
	c := open(t)
	who := c.employ(t)
	t.Run("its appointment is cancelled, and its units are available", func(t *testing.T) {
		path := c.authorize(t, 10)
		session := c.delivered(t, path, who)
		done := c.admin().post(t, session+"/void", body{"reason": "Never happened.", "appointment": "CANCELLED"}).ok(t)
		require.Equal(t, "CANCELLED", done.body["appointment"].(map[string]any)["status"])
		require.Equal(t, "VOIDED", done.body["session"].(map[string]any)["change"])
		require.EqualValues(t, 0, done.body["session"].(map[string]any)["units"])
		c.requireBalance(t, path, 10, 0, 0)
		c.admin().post(t, session+"/void", body{"reason": "Again.", "appointment": "CANCELLED"}).
			refused(t, http.StatusConflict, "session-voided")
		c.admin().post(t, session+"/correct", body{"reason": "Again."}).refused(t, http.StatusConflict, "session-voided")
		appointment := done.body["appointment"].(map[string]any)["id"].(string)
		require.Empty(t, c.admin().get(t, "/sessions?appointmentId="+appointment).ok(t).items(t))
		require.Len(t, c.admin().get(t, "/sessions?voided=true&appointmentId="+appointment).ok(t).items(t), 1)
	})
	t.Run("its appointment is booked again, and can be completed again", func(t *testing.T) {
		path := c.authorize(t, 10)
		session := c.delivered(t, path, who, body{
			"startTime": c.ago(5 * hour).Format(time.RFC3339), "endTime": c.ago(4 * hour).Format(time.RFC3339),
		})
		done := c.admin().post(t, session+"/void", body{"reason": "Other appointment.", "appointment": "SCHEDULED"}).ok(t)
		c.requireBalance(t, path, 10, 0, 4)
		again := c.completed(t, "/appointments/"+done.body["appointment"].(map[string]any)["id"].(string))
		require.NotEqual(t, idOf(session), again)
		c.requireBalance(t, path, 10, 4, 0)
		require.Equal(t, "VOIDED", c.admin().get(t, session).ok(t).body["change"])
	})
	t.Run("its appointment is a no-show, which consumes units if the practice says so", func(t *testing.T) {
		path := c.authorize(t, 10)
		session := c.delivered(t, path, who, body{
			"startTime": c.ago(8 * hour).Format(time.RFC3339), "endTime": c.ago(7 * hour).Format(time.RFC3339),
		})
		c.admin().patch(t, c.practice(), body{"noShowConsumes": true}).ok(t)
		c.admin().post(t, session+"/void", body{"reason": "Nobody came.", "appointment": "NO_SHOW"}).ok(t)
		c.requireBalance(t, path, 10, 4, 0)
	})
	c.requireClean(t)
}

func TestReopenedAppointment(t *testing.T) {
	t.Parallel()
	c := open(t)
	who := c.employ(t)
	path := c.authorize(t, 10)
	at := c.ago(3 * hour)
	cancelled := c.book(t, c.booking(path, who, at, hour))
	c.admin().post(t, cancelled+"/cancel", body{}).ok(t)
	c.requireBalance(t, path, 10, 0, 0)
	reopened := c.admin().post(t, cancelled+"/reopen", body{"reason": "Cancelled by mistake."}).ok(t)
	require.Equal(t, "SCHEDULED", reopened.body["status"])
	require.Nil(t, reopened.body["cancelledAt"])
	c.requireBalance(t, path, 10, 0, 4)

	c.admin().patch(t, c.practice(), body{"noShowConsumes": true}).ok(t)
	c.admin().post(t, cancelled+"/no-show", body{}).ok(t)
	c.requireBalance(t, path, 10, 4, 0)
	c.admin().post(t, cancelled+"/reopen", body{"reason": "The child came late."}).ok(t)
	c.requireBalance(t, path, 10, 0, 4)
	c.completed(t, cancelled)
	c.requireBalance(t, path, 10, 4, 0)

	other := c.book(t, c.booking(path, who, at.Add(-2*hour), hour))
	c.admin().post(t, other+"/cancel", body{}).ok(t)
	c.book(t, c.booking(path, who, at.Add(-2*hour), 30*time.Minute))
	c.admin().post(t, other+"/reopen", body{"reason": "Mistake."}).refused(t, http.StatusConflict, "practitioner-overlap")
	c.requireClean(t)
}

// TestVisitIsRecounted corrects, voids and completes sessions of one visit with CMS_TOTAL.
func TestVisitIsRecounted(t *testing.T) {
	t.Parallel()
	c := open(t)
	insurance := c.insuredBy(t, "CMS_TOTAL")
	advice := c.service(t, "97155")
	one := c.authorize(t, 100, body{"insuranceId": insurance})
	other := c.authorize(t, 100, body{"insuranceId": insurance, "serviceCodeId": advice})
	who := c.employ(t)
	at := c.hour(t, -1, "09:00")
	units := func(session string) int { return c.admin().get(t, session).ok(t).number(t, "units") }

	long := "/sessions/" + c.completed(t, c.book(t, c.booking(other, who, at.Add(hour), 33*time.Minute, body{"serviceCodeId": advice})))
	require.Equal(t, 2, units(long))
	short := "/sessions/" + c.completed(t, c.book(t, c.booking(one, who, at, 7*time.Minute)))
	require.Equal(t, []int{1, 2}, []int{units(short), units(long)}, "40 minutes are 3 units")

	end := at.Add(hour + 23*time.Minute)
	c.admin().post(t, long+"/correct", body{"endTime": end, "reason": "Ten minutes less."}).ok(t)
	require.Equal(t, []int{0, 2}, []int{units(short), units(long)}, "30 minutes are 2 units")
	versions := c.admin().get(t, short+"/versions").ok(t).body["versions"].([]any)
	require.Equal(t, "RECOUNTED", versions[len(versions)-1].(map[string]any)["change"])
	c.requireBalance(t, one, 100, 0, 0)
	c.requireBalance(t, other, 100, 2, 0)

	c.admin().post(t, short+"/correct", body{"endTime": at.Add(14 * time.Minute), "confirm": true, "reason": "It was longer."}).ok(t)
	require.Equal(t, []int{1, 1}, []int{units(short), units(long)}, "14 and 23 minutes are 2 units")
	c.admin().post(t, long+"/void", body{"reason": "Not rendered.", "appointment": "CANCELLED"}).ok(t)
	require.Equal(t, 1, units(short))
	c.requireBalance(t, one, 100, 1, 0)
	c.requireBalance(t, other, 100, 0, 0)
	c.requireClean(t)
}

func TestWhoMayCorrect(t *testing.T) {
	t.Parallel()
	c := open(t)
	technician := c.as(c.own.tokens[rbac.Technician])
	path := c.authorize(t, 50)
	stranger := c.delivered(t, path, c.employ(t))
	technician.post(t, stranger+"/correct", body{"reason": "Not mine."}).refused(t, http.StatusNotFound, "session-not-found")
	c.as(c.own.tokens[rbac.Scheduler]).post(t, stranger+"/correct", body{"reason": "No."}).
		refused(t, http.StatusForbidden, "forbidden")
	c.as(c.own.tokens[rbac.Biller]).post(t, stranger+"/correct", body{"endTime": c.ago(hour + 30*time.Minute), "reason": "Billing."}).ok(t)
	c.as(c.other.tokens[rbac.Admin]).post(t, stranger+"/void", body{"reason": "No.", "appointment": "CANCELLED"}).
		refused(t, http.StatusNotFound, "session-not-found")
}
