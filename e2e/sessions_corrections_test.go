package e2e

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/db/dbtest"
)

// delivered books and completes an appointment of an time.Hour, two hours ago, and returns the path of
// its session.
func delivered(t testing.TB, c *harness.Clinic, authorization string, practitioner uuid.UUID, changes ...harness.Body) string {
	t.Helper()
	path := c.Book(t, c.Booking(authorization, practitioner, c.Ago(2*time.Hour), time.Hour, changes...))
	return "/sessions/" + completed(t, c, path)
}

// startOf returns the start of an appointment or a session. A second look at the clock could be in
// the next minute.
func startOf(t testing.TB, c *harness.Clinic, path string) time.Time {
	t.Helper()
	start, err := time.Parse(time.RFC3339, c.Admin().Get(t, path).OK(t).Text("startTime"))
	require.NoError(t, err)
	return start
}

// completed completes an appointment and returns the id of its session.
func completed(t testing.TB, c *harness.Clinic, appointment string, changes ...harness.Body) string {
	t.Helper()
	b := harness.Body{}
	for _, change := range changes {
		for k, v := range change {
			b[k] = v
		}
	}
	done := c.Admin().Post(t, appointment+"/complete", b).OK(t)
	return done.Body["session"].(map[string]any)["id"].(string)
}

func TestCorrectionOfTimesMovesUnits(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	who := c.AddPractitioner(t)
	path := c.Authorize(t, 10)
	session := delivered(t, c, path, who)
	c.RequireBalance(t, path, 10, 4, 0)

	end := startOf(t, c, session).Add(30 * time.Minute)
	preview := c.Admin().Post(t, session+"/correct/preview", harness.Body{"endTime": end}).OK(t)
	require.EqualValues(t, 4, preview.Body["current"].(map[string]any)["units"])
	require.EqualValues(t, 2, preview.Body["corrected"].(map[string]any)["units"])
	c.RequireBalance(t, path, 10, 4, 0)

	corrected := c.Admin().Post(t, session+"/correct", harness.Body{"endTime": end, "reason": "The child left early."}).OK(t)
	require.EqualValues(t, 2, corrected.Body["session"].(map[string]any)["units"])
	require.Equal(t, "CORRECTED", corrected.Body["session"].(map[string]any)["change"])
	c.RequireBalance(t, path, 10, 2, 0)

	var kinds []string
	var corrects any
	for _, each := range c.Admin().All(t, path+"/entries", nil) {
		kinds = append(kinds, each["kind"].(string))
		if each["kind"] == "reverse" {
			corrects = each["corrects"]
			require.Equal(t, "The child left early.", each["reason"])
		}
	}
	require.Equal(t, []string{"reserve", "consume", "reverse", "reserve", "consume"}, kinds)
	require.EqualValues(t, 2, corrects, "the reversal names the consumption")

	versions := c.Admin().Get(t, session+"/versions").OK(t).Body["versions"].([]any)
	require.Len(t, versions, 2)
	first, last := versions[0].(map[string]any), versions[1].(map[string]any)
	require.Equal(t, []any{"COMPLETED", "CORRECTED"}, []any{first["change"], last["change"]})
	require.EqualValues(t, 4, first["patients"].([]any)[0].(map[string]any)["units"])
	require.EqualValues(t, 2, last["patients"].([]any)[0].(map[string]any)["units"])
	require.Equal(t, "The child left early.", last["changeReason"])
	c.RequireClean(t)
}

func TestCorrectionThatChangesNothingMakesNoVersion(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 10)
	session := delivered(t, c, path, c.AddPractitioner(t))
	keyed := c.Admin().WithHeader("Idempotency-Key", "checked")
	done := keyed.Post(t, session+"/correct", harness.Body{"reason": "Checked."}).OK(t)
	keyed.Post(t, session+"/correct", harness.Body{"reason": "Checked."}).OK(t)
	require.EqualValues(t, 1, done.Body["session"].(map[string]any)["version"])
	require.Len(t, c.Admin().Get(t, session+"/versions").OK(t).Body["versions"], 1)
	require.Zero(t, c.Count(t, "SELECT count(*) FROM outbox WHERE type = 'session.corrected'"))
	c.RequireBalance(t, path, 10, 4, 0)

	recorded := c.Admin().All(t, "/admin/audit-events?action=session.correct&subjectId="+harness.IDOf(session), nil)
	require.Len(t, recorded, 1, "the audit trail has the attempt")
	attempt := recorded[0]
	require.Equal(t, "Checked.", attempt["after"].(map[string]any)["reason"])
	delete(attempt["after"].(map[string]any), "reason")
	require.Equal(t, attempt["before"], attempt["after"])
	c.RequireClean(t)
}

func TestCorrectionMovesUnitsToAnotherAuthorization(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	wrong, right := c.Authorize(t, 10), c.Authorize(t, 10)
	session := delivered(t, c, wrong, c.AddPractitioner(t))
	c.Admin().Post(t, session+"/correct", harness.Body{
		"patients": []harness.Body{{"patientId": c.Own.Patient, "authorizationId": harness.IDOf(right)}}, "reason": "Wrong payer.",
	}).OK(t)
	c.RequireBalance(t, wrong, 10, 0, 0)
	c.RequireBalance(t, right, 10, 4, 0)
	require.Equal(t, harness.IDOf(right), c.Admin().Get(t, session).OK(t).Body["patients"].([]any)[0].(map[string]any)["authorizationId"])
	c.RequireClean(t)
}

func TestCorrectionOfThePractitioner(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	advice := addService(t, c, "97155", "BCBA")
	analyst, other := c.AddPractitioner(t, harness.Body{"code": "BCBA"}), c.AddPractitioner(t, harness.Body{"code": "BCBA"})
	technician := c.AddPractitioner(t)
	path := c.Authorize(t, 10, harness.Body{"serviceCodeId": advice})
	session := delivered(t, c, path, analyst, harness.Body{"serviceCodeId": advice})
	c.Admin().Post(t, session+"/correct", harness.Body{"practitionerIds": []any{technician}, "reason": "Substitute."}).
		Refused(t, http.StatusConflict, "credential-missing")
	c.Admin().Post(t, session+"/correct", harness.Body{"practitionerIds": []any{other}, "reason": "Substitute."}).OK(t)
	require.Equal(t, other.String(), c.Admin().Get(t, session).OK(t).Body["practitionerId"])
	require.Equal(t, []any{analyst.String()},
		c.Admin().Get(t, session+"/versions").OK(t).Body["versions"].([]any)[0].(map[string]any)["practitionerIds"])
	c.RequireBalance(t, path, 10, 4, 0)
	c.RequireClean(t)
}

func TestCorrectionOfAGroup(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	absent, present := c.AddPatient(t), c.AddPatient(t)
	first := c.Authorize(t, 10)
	wrong, right := c.Authorize(t, 10, harness.Body{"patientId": absent}), c.Authorize(t, 10, harness.Body{"patientId": present})
	session := delivered(t, c, first, c.AddPractitioner(t), harness.Body{
		"patientId": nil, "authorizationId": nil, "patients": []harness.Body{
			{"patientId": c.Own.Patient, "authorizationId": harness.IDOf(first)},
			{"patientId": absent, "authorizationId": harness.IDOf(wrong)},
		},
	})
	c.Admin().Post(t, session+"/correct", harness.Body{
		"patients": []harness.Body{{"patientId": c.Own.Patient}, {"patientId": present}}, "reason": "Mixed up.",
	}).Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	c.Admin().Post(t, session+"/correct", harness.Body{
		"patients": []harness.Body{{"patientId": c.Own.Patient}, {"patientId": present, "authorizationId": harness.IDOf(wrong)}},
		"reason":   "Mixed up.",
	}).Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	c.Admin().Post(t, session+"/correct", harness.Body{
		"patients": []harness.Body{{"patientId": c.Own.Patient}, {"patientId": present, "authorizationId": harness.IDOf(right)}},
		"reason":   "Mixed up.",
	}).OK(t)
	c.RequireBalance(t, first, 10, 4, 0)
	c.RequireBalance(t, wrong, 10, 0, 0)
	c.RequireBalance(t, right, 10, 4, 0)
	c.Admin().Post(t, session+"/correct", harness.Body{"patients": []harness.Body{{"patientId": present}}, "reason": "One was absent."}).OK(t)
	c.RequireBalance(t, first, 10, 0, 0)
	require.Len(t, c.Admin().Get(t, session).OK(t).Body["patients"], 1)
	require.Len(t, c.Admin().Get(t, session+"/versions").OK(t).Body["versions"], 3)
	c.RequireClean(t)
}

func TestCorrectionConsumesUnitsThatAreGrantedLater(t *testing.T) {
	t.Parallel()
	c := harness.OpenInTheAfternoon(t)
	path := c.Authorize(t, 4)
	booked := c.Book(t, c.Booking(path, c.AddPractitioner(t), c.Ago(3*time.Hour), time.Hour))
	session := "/sessions/" + completed(t, c, booked, harness.Body{"endTime": startOf(t, c, booked).Add(90 * time.Minute)})
	require.Equal(t, 2, c.Admin().Get(t, session).OK(t).Number(t, "unauthorizedUnits"))
	require.Len(t, c.Admin().All(t, "/sessions?unauthorized=true", nil), 1)
	unchanged := c.Admin().Post(t, session+"/correct", harness.Body{"reason": "Were more units granted?"}).OK(t)
	require.Equal(t, 1, unchanged.Number(t, "session", "version"), "without new units nothing changes")
	require.Equal(t, 2, unchanged.Number(t, "session", "unauthorizedUnits"))
	c.RequireBalance(t, path, 4, 4, 0)
	require.Equal(t, 1, c.CountEntries(t, path, "consume"))
	c.Admin().Patch(t, path, harness.Body{"totalUnits": 5}).OK(t)
	c.Admin().Post(t, session+"/correct", harness.Body{"reason": "More units were granted."}).OK(t)
	require.Equal(t, 1, c.Admin().Get(t, session).OK(t).Number(t, "unauthorizedUnits"))
	c.Admin().Patch(t, path, harness.Body{"totalUnits": 10}).OK(t)
	c.Admin().Post(t, session+"/correct", harness.Body{"reason": "More units were granted."}).OK(t)
	require.Equal(t, 0, c.Admin().Get(t, session).OK(t).Number(t, "unauthorizedUnits"))
	require.Empty(t, c.Admin().All(t, "/sessions?unauthorized=true", nil))
	c.RequireBalance(t, path, 10, 6, 0)
	c.RequireClean(t)
}

func TestRepeatedCorrectionTakesEffectOnce(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 10)
	session := delivered(t, c, path, c.AddPractitioner(t))
	correction := harness.Body{"endTime": startOf(t, c, session).Add(30 * time.Minute), "reason": "Left early."}
	var answers []string
	for range 3 {
		done := c.Admin().WithHeader("Idempotency-Key", "one").Post(t, session+"/correct", correction).OK(t)
		answers = append(answers, string(done.Raw))
	}
	require.Equal(t, answers[0], answers[1])
	require.Equal(t, answers[0], answers[2])
	require.Len(t, c.Admin().Get(t, session+"/versions").OK(t).Body["versions"], 2)
	c.RequireBalance(t, path, 10, 2, 0)
	c.RequireClean(t)
}

// TestOneOfConcurrentCorrectionsWins sends ten corrections of the same version, five times.
func TestOneOfConcurrentCorrectionsWins(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 100)
	session := delivered(t, c, path, c.AddPractitioner(t))
	start := startOf(t, c, session)
	for round := 1; round <= 5; round++ {
		var group sync.WaitGroup
		answers := make([]harness.Answer, 10)
		for i := range answers {
			group.Go(func() {
				end := start.Add(time.Duration(15+15*((i+round)%7)) * time.Minute)
				answers[i] = c.Admin().WithHeader("If-Match", `"`+string(rune('0'+round))+`"`).
					Post(t, session+"/correct", harness.Body{"endTime": end, "confirm": true, "reason": "Race."})
			})
		}
		group.Wait()
		won := 0
		for _, a := range answers {
			switch a.Status {
			case http.StatusOK: // with another version, unless it changes nothing
				won += a.Number(t, "session", "version") - round
			default:
				require.Equal(t, http.StatusPreconditionFailed, a.Status, "%s", a.Raw)
			}
		}
		require.Equal(t, 1, won, "round %d", round)
		c.RequireBalance(t, path, 100, c.Admin().Get(t, session).OK(t).Number(t, "units"), 0)
	}
	c.RequireClean(t)
}

func TestVoidedSession(t *testing.T) {
	t.Parallel()
	c := harness.OpenInTheAfternoon(t)
	who := c.AddPractitioner(t)
	t.Run("its appointment is cancelled, and its units are available", func(t *testing.T) {
		path := c.Authorize(t, 10)
		session := delivered(t, c, path, who)
		done := c.Admin().Post(t, session+"/void", harness.Body{"reason": "Never happened.", "appointment": "CANCELLED"}).OK(t)
		require.Equal(t, "CANCELLED", done.Body["appointment"].(map[string]any)["status"])
		require.Equal(t, "VOIDED", done.Body["session"].(map[string]any)["change"])
		require.EqualValues(t, 0, done.Body["session"].(map[string]any)["units"])
		c.RequireBalance(t, path, 10, 0, 0)
		c.Admin().Post(t, session+"/void", harness.Body{"reason": "Again.", "appointment": "CANCELLED"}).
			Refused(t, http.StatusConflict, "session-voided")
		c.Admin().Post(t, session+"/correct", harness.Body{"reason": "Again."}).Refused(t, http.StatusConflict, "session-voided")
		appointment := done.Body["appointment"].(map[string]any)["id"].(string)
		require.Empty(t, c.Admin().All(t, "/sessions?voided=false&appointmentId="+appointment, nil))
		require.Len(t, c.Admin().All(t, "/sessions?voided=true&appointmentId="+appointment, nil), 1)
	})
	t.Run("its appointment is booked again, and can be completed again", func(t *testing.T) {
		path := c.Authorize(t, 10)
		session := delivered(t, c, path, who, harness.Body{
			"startTime": c.Ago(5 * time.Hour).Format(time.RFC3339), "endTime": c.Ago(4 * time.Hour).Format(time.RFC3339),
		})
		done := c.Admin().Post(t, session+"/void", harness.Body{"reason": "Other appointment.", "appointment": "SCHEDULED"}).OK(t)
		c.RequireBalance(t, path, 10, 0, 4)
		appointment := done.Body["appointment"].(map[string]any)["id"].(string)
		again := completed(t, c, "/appointments/"+appointment)
		require.NotEqual(t, harness.IDOf(session), again)
		both := c.Admin().All(t, "/sessions?appointmentId="+appointment, nil)
		require.Equal(t, []string{who.String(), who.String()}, harness.Column(both, "practitionerId"))
		c.RequireBalance(t, path, 10, 4, 0)
		require.Equal(t, "VOIDED", c.Admin().Get(t, session).OK(t).Body["change"])
	})
	t.Run("its appointment is a no-show, which consumes units if the practice says so", func(t *testing.T) {
		path := c.Authorize(t, 10)
		session := delivered(t, c, path, who, harness.Body{
			"startTime": c.Ago(8 * time.Hour).Format(time.RFC3339), "endTime": c.Ago(7 * time.Hour).Format(time.RFC3339),
		})
		c.Admin().Patch(t, "/organizations/"+c.Own.ID.String(), harness.Body{"noShowConsumes": true}).OK(t)
		c.Admin().Post(t, session+"/void", harness.Body{"reason": "The family did not come.", "appointment": "NO_SHOW"}).OK(t)
		c.RequireBalance(t, path, 10, 4, 0)
	})
	c.RequireClean(t)
}

func TestVoidToANoShowConsumesTheBookedUnitsOfAVisit(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	c.Admin().Patch(t, "/organizations/"+c.Own.ID.String(), harness.Body{"noShowConsumes": true}).OK(t)
	path := c.Authorize(t, 10, harness.Body{"insuranceId": c.AddInsurance(t, "rounding", "CMS_TOTAL")})
	session := delivered(t, c, path, c.AddPractitioner(t))
	c.RequireBalance(t, path, 10, 4, 0)
	c.Admin().Post(t, session+"/void", harness.Body{"appointment": "NO_SHOW", "reason": "The child did not come."}).OK(t)
	c.RequireBalance(t, path, 10, 4, 0)
	c.RequireClean(t)
}

func TestReopenedAppointment(t *testing.T) {
	t.Parallel()
	c := harness.OpenInTheAfternoon(t)
	who := c.AddPractitioner(t)
	path := c.Authorize(t, 10)
	at := c.Ago(3 * time.Hour)
	cancelled := c.Book(t, c.Booking(path, who, at, time.Hour))
	c.Admin().Post(t, cancelled+"/cancel", harness.Body{}).OK(t)
	c.RequireBalance(t, path, 10, 0, 0)
	reopened := c.Admin().Post(t, cancelled+"/reopen", harness.Body{"reason": "Cancelled by mistake."}).OK(t)
	require.Equal(t, "SCHEDULED", reopened.Body["status"])
	require.Nil(t, reopened.Body["cancelledAt"])
	c.RequireBalance(t, path, 10, 0, 4)

	c.Admin().Patch(t, "/organizations/"+c.Own.ID.String(), harness.Body{"noShowConsumes": true}).OK(t)
	c.Admin().Post(t, cancelled+"/no-show", harness.Body{}).OK(t)
	c.RequireBalance(t, path, 10, 4, 0)
	c.Admin().Post(t, cancelled+"/reopen", harness.Body{"reason": "The child came late."}).OK(t)
	c.RequireBalance(t, path, 10, 0, 4)
	completed(t, c, cancelled)
	c.RequireBalance(t, path, 10, 4, 0)

	other := c.Book(t, c.Booking(path, who, at.Add(-2*time.Hour), time.Hour))
	c.Admin().Post(t, other+"/cancel", harness.Body{}).OK(t)
	c.Book(t, c.Booking(path, who, at.Add(-2*time.Hour), 30*time.Minute))
	c.Admin().Post(t, other+"/reopen", harness.Body{"reason": "Mistake."}).Refused(t, http.StatusConflict, "practitioner-overlap")
	c.RequireClean(t)
}

// TestVisitIsRecounted corrects, voids and completes sessions of one visit with CMS_TOTAL.
func TestVisitIsRecounted(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	insurance := c.AddInsurance(t, "rounding", "CMS_TOTAL")
	advice := addService(t, c, "97155")
	one := c.Authorize(t, 100, harness.Body{"insuranceId": insurance})
	other := c.Authorize(t, 100, harness.Body{"insuranceId": insurance, "serviceCodeId": advice})
	who := c.AddPractitioner(t)
	at := c.At(t, -1, "09:00")
	units := func(session string) int { return c.Admin().Get(t, session).OK(t).Number(t, "units") }

	long := "/sessions/" + completed(t, c, c.Book(t,
		c.Booking(other, who, at.Add(time.Hour), 33*time.Minute, harness.Body{"serviceCodeId": advice})))
	require.Equal(t, 2, units(long))
	short := "/sessions/" + completed(t, c, c.Book(t, c.Booking(one, who, at, 7*time.Minute)))
	require.Equal(t, []int{1, 2}, []int{units(short), units(long)}, "40 minutes are 3 units")

	end := at.Add(time.Hour + 23*time.Minute)
	c.Admin().Post(t, long+"/correct", harness.Body{"endTime": end, "reason": "Ten minutes less."}).OK(t)
	require.Equal(t, []int{0, 2}, []int{units(short), units(long)}, "30 minutes are 2 units")
	versions := c.Admin().Get(t, short+"/versions").OK(t).Body["versions"].([]any)
	require.Equal(t, "RECOUNTED", versions[len(versions)-1].(map[string]any)["change"])
	c.RequireBalance(t, one, 100, 0, 0)
	c.RequireBalance(t, other, 100, 2, 0)

	c.Admin().Post(t, short+"/correct", harness.Body{"endTime": at.Add(14 * time.Minute), "confirm": true, "reason": "It was longer."}).OK(t)
	require.Equal(t, []int{1, 1}, []int{units(short), units(long)}, "14 and 23 minutes are 2 units")
	c.Admin().Post(t, long+"/void", harness.Body{"reason": "Not rendered.", "appointment": "CANCELLED"}).OK(t)
	require.Equal(t, 1, units(short))
	c.RequireBalance(t, one, 100, 1, 0)
	c.RequireBalance(t, other, 100, 0, 0)
	c.RequireClean(t)
}

func TestWhoMayCorrect(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	technician := c.As(c.Own.Tokens[rbac.Technician])
	path := c.Authorize(t, 50)
	stranger := delivered(t, c, path, c.AddPractitioner(t))
	technician.Post(t, stranger+"/correct", harness.Body{"reason": "Not mine."}).Refused(t, http.StatusNotFound, "session-not-found")
	c.As(c.Own.Tokens[rbac.Scheduler]).Post(t, stranger+"/correct", harness.Body{"reason": "No."}).
		Refused(t, http.StatusForbidden, "forbidden")
	c.As(c.Own.Tokens[rbac.Biller]).Post(t, stranger+"/correct",
		harness.Body{"endTime": startOf(t, c, stranger).Add(30 * time.Minute), "reason": "Billing."}).OK(t)
	c.As(c.Other.Tokens[rbac.Admin]).Post(t, stranger+"/void", harness.Body{"reason": "No.", "appointment": "CANCELLED"}).
		Refused(t, http.StatusNotFound, "session-not-found")
}

func TestTechnicianCorrectsOwnSessionsOfTheDay(t *testing.T) {
	t.Parallel()
	year, month, day := time.Now().In(harness.NewYork(t)).Date()
	noon := time.Date(year, month, day-1, 12, 0, 0, 0, harness.NewYork(t))
	database := dbtest.New(t)
	c := &harness.Clinic{Database: database, Clock: harness.FrozenClock(noon)}
	c.Start(t, database.Open(t))
	c.Own, c.Other = c.AddPractice(t, "own"), c.AddPractice(t, "other")
	technician := c.As(c.Own.Tokens[rbac.Technician])
	practitioner := c.AddPractitioner(t)
	c.LinkUsers(t, c.Own, practitioner, c.Own.Patient)
	path := c.Authorize(t, 20)
	own := func() string {
		return "/sessions/" + completed(t, c, c.Book(t, c.Booking(path, practitioner, noon.Add(-2*time.Hour), time.Hour)))
	}
	session := own()
	technician.Post(t, session+"/correct", harness.Body{"endTime": noon.Add(-90 * time.Minute), "reason": "Typing error."}).OK(t)
	technician.Post(t, session+"/void", harness.Body{"appointment": "CANCELLED", "reason": "Other child."}).OK(t)
	session = own()
	c.Clock.Advance(24 * time.Hour)
	technician = c.As(c.SignIn(t, "own", rbac.Technician))
	c.Own.Tokens[rbac.Admin] = c.SignIn(t, "own", rbac.Admin)
	for call, b := range map[string]harness.Body{
		"/correct": {"reason": "Late."}, "/void": {"appointment": "CANCELLED", "reason": "Late."},
		"/correct/preview": {},
	} {
		technician.Post(t, session+call, b).Refused(t, http.StatusForbidden, "correction-too-late")
	}
	c.RequireBalance(t, path, 20, 4, 0)
}

// TestVerifyFindsTamperedCorrections changes stored corrections behind the program's back.
func TestVerifyFindsTamperedCorrections(t *testing.T) {
	t.Parallel()
	for name, tamper := range map[string]string{
		"the units of an earlier version": "UPDATE session_version_patients SET units = units + 1",
		"the entry of an earlier version": "UPDATE session_version_patients SET consumption = 1",
		"the entry of the session":        "UPDATE session_patients SET consumption = consumption - 1",
		"the correction of a reversal":    "UPDATE unit_entries SET corrects = 1 WHERE kind = 'reverse'",
		"the units of the session":        "UPDATE session_patients SET units = units + 1",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := harness.Open(t)
			session := delivered(t, c, c.Authorize(t, 10), c.AddPractitioner(t))
			c.Admin().Post(t, session+"/correct",
				harness.Body{"endTime": startOf(t, c, session).Add(30 * time.Minute), "reason": "Left early."}).OK(t)
			c.RequireClean(t)
			owner := c.Owner(t)
			for _, table := range []string{"session_version_patients", "unit_entries"} {
				_, err := owner.ExecContext(t.Context(), "ALTER TABLE "+table+" DISABLE TRIGGER USER")
				require.NoError(t, err)
			}
			_, err := owner.ExecContext(t.Context(), tamper)
			require.NoError(t, err)
			require.Equal(t, false, c.Admin().Verify(t).Body["ok"])
		})
	}
}

// TestUnitsOfADayRoundedTogether delivers three sessions of 20 minutes, the last by another
// practitioner, by each basis of a payer's rule.
func TestUnitsOfADayRoundedTogether(t *testing.T) {
	t.Parallel()
	for basis, want := range map[string][]int{
		"SESSION": {1, 1, 1}, "DAY": {2, 1, 1}, "DAY_AND_PRACTITIONER": {2, 1, 1},
	} {
		t.Run(basis, func(t *testing.T) {
			t.Parallel()
			c := harness.Open(t)
			insurance := c.AddInsurance(t, "rounding", "MIDPOINT")
			payer := c.Admin().All(t, "/payers", nil)[0]["id"].(string)
			c.Admin().Patch(t, "/payers/"+payer, harness.Body{"roundingBasis": basis}).OK(t)
			path := c.Authorize(t, 100, harness.Body{"insuranceId": insurance})
			first, second := c.AddPractitioner(t), c.AddPractitioner(t)
			today := c.At(t, 0, "00:00")
			var booked []string
			for i, practitioner := range []uuid.UUID{first, first, second} {
				booked = append(booked, c.Book(t,
					c.Booking(path, practitioner, today.Add(time.Duration(1+i)*time.Hour), 20*time.Minute)))
			}
			sum := 0
			for i, appointment := range booked {
				units := c.Admin().Get(t, appointment).Number(t, "units")
				require.Equal(t, want[i], units, "appointment %d", i)
				sum += units
			}
			c.RequireBalance(t, path, 100, 0, sum)
			c.RequireClean(t)
		})
	}
}

// TestRoundingOfTheServiceDate changes a payer's rule after a booking and before its session.
func TestRoundingOfTheServiceDate(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	insurance := c.AddInsurance(t, "rounding", "CEIL")
	payer := c.Admin().All(t, "/payers", nil)[0]["id"].(string)
	path := c.Authorize(t, 100, harness.Body{"insuranceId": insurance})
	practitioner := c.AddPractitioner(t)
	year, month, day := c.Clock.Now().In(harness.NewYork(t)).Date()
	start := time.Date(year, month, day, 0, 0, 0, 0, harness.NewYork(t))
	booked := c.Book(t, c.Booking(path, practitioner, start, 20*time.Minute))
	require.Equal(t, 2, c.Admin().Get(t, booked).Number(t, "units"))
	c.Admin().Patch(t, "/payers/"+payer, harness.Body{"rounding": "FLOOR"}).OK(t)
	c.Clock.SetAhead(time.Hour)
	c.Own.Tokens[rbac.Admin] = c.SignIn(t, "own", rbac.Admin)
	session := "/sessions/" + completed(t, c, booked)
	require.Equal(t, 1, c.Admin().Get(t, session).Number(t, "units"), "by the rule that is in force on the service date")
	c.RequireBalance(t, path, 100, 1, 0)
	c.RequireClean(t)
}
