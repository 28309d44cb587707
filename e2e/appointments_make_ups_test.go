package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
)

// cancellationReason returns the id of a reason of the organization's list.
func cancellationReason(t *testing.T, c *harness.Clinic, code string) string {
	t.Helper()
	for _, r := range c.Admin().All(t, "/cancellation-reasons", nil) {
		if r["code"] == code {
			return r["id"].(string)
		}
	}
	require.Fail(t, "no such reason", code)
	return ""
}

func TestAPracticeHasACodeListOfCancellationReasons(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	codes := harness.Column(c.Admin().All(t, "/cancellation-reasons?sort=code&limit=4", nil), "code")
	require.Equal(t, []string{
		"CLINIC-CLOSED", "FAMILY-AWAY", "FAMILY-CONFLICT", "NO-AUTHORIZATION", "NO-STAFF", "OTHER", "PATIENT-ILL",
		"STAFF-ILL", "STAFF-OFF", "TRANSPORT", "WEATHER",
	}, codes)
	require.Equal(t, []string{"STAFF-ILL", "STAFF-OFF"},
		harness.Column(c.Admin().All(t, "/cancellation-reasons?party=STAFF&sort=code", nil), "code"))
	added := harness.Body{"code": "SCHOOL", "name": "School holiday", "party": "FAMILY"}
	path := "/cancellation-reasons/" + c.Admin().Post(t, "/cancellation-reasons", added).Created(t).String()
	c.Admin().Post(t, "/cancellation-reasons", added).Refused(t, http.StatusConflict, "cancellation-reason-taken")
	c.Admin().Post(t, "/cancellation-reasons", harness.Body{"code": "school", "name": "x", "party": "FAMILY"}).
		Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	changed := c.Admin().Patch(t, path, harness.Body{"party": "OTHER", "active": false}).OK(t)
	require.Equal(t, "OTHER", changed.Text("party"))
	unknown := "/cancellation-reasons/" + uuid.NewString()
	c.Admin().Get(t, unknown).Refused(t, http.StatusNotFound, "cancellation-reason-not-found")
	c.Admin().Patch(t, unknown, harness.Body{"name": "x"}).
		Refused(t, http.StatusNotFound, "cancellation-reason-not-found")
	c.As(c.Other.Tokens["ADMIN"]).Get(t, path).Refused(t, http.StatusNotFound, "cancellation-reason-not-found")

	at := c.Book(t, c.Booking(c.Authorize(t, 20), c.AddPractitioner(t), c.At(t, 2, "09:00"), time.Hour))
	for _, id := range []string{harness.IDOf(path), uuid.NewString()} {
		c.Admin().Post(t, at+"/cancel", harness.Body{"cancellationReasonId": id}).
			Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	}
	require.Equal(t, "SCHEDULED", c.Admin().Get(t, at).Text("status"))
}

func TestACancellationHasAPartyAReasonAndItsNotice(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path, practitioner := c.Authorize(t, 40), c.AddPractitioner(t)
	soon, later := c.Ago(-3*time.Hour), c.Ago(-72*time.Hour)
	ill := cancellationReason(t, c, "PATIENT-ILL")
	first := c.Book(t, c.Booking(path, practitioner, soon, time.Hour))
	second := c.Book(t, c.Booking(path, practitioner, later, time.Hour))
	a := c.Admin().Post(t, first+"/cancel", harness.Body{"cancellationReasonId": ill, "reason": "A fever."}).OK(t)
	require.Equal(t, "FAMILY", a.Text("cancellationParty"), "the party of the reason")
	require.Equal(t, ill, a.Text("cancellationReasonId"))
	require.Equal(t, "A fever.", a.Text("cancelReason"))
	require.Equal(t, true, a.Body["lateCancel"])
	require.InDelta(t, 180, a.Number(t, "noticeMinutes"), 3)
	b := c.Admin().Post(t, second+"/cancel", harness.Body{"cancellationReasonId": ill, "party": "STAFF"}).OK(t)
	require.Equal(t, "STAFF", b.Text("cancellationParty"))
	require.Equal(t, false, b.Body["lateCancel"])
	require.InDelta(t, 72*60, b.Number(t, "noticeMinutes"), 3)

	open := c.Admin().Post(t, second+"/reopen", harness.Body{"reason": "A mistake."}).OK(t)
	for _, member := range []string{"cancellationParty", "cancellationReasonId", "noticeMinutes"} {
		require.Nil(t, open.Body[member], member)
	}
	require.Nil(t, open.Body["missedTime"])
	trail := string(c.Admin().Get(t, "/admin/audit-events?limit=200&action=appointment.cancel").OK(t).Raw)
	require.Contains(t, trail, `"cancellationReasonId":"`+ill)
	c.RequireClean(t)
}

func TestAMakeUpIsLinkedToTheMissedAppointment(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path, practitioner := c.Authorize(t, 100), c.AddPractitioner(t)
	booking := func(days int, length time.Duration, changes ...harness.Body) harness.Body {
		return c.Booking(path, practitioner, c.At(t, days, "09:00"), length, changes...)
	}
	missed := c.Book(t, booking(-9, 2*time.Hour))
	makeUp := harness.Body{"makeUpFor": harness.IDOf(missed)}
	left := func() (minutes, units int) {
		p := harness.Answer{Body: c.Admin().Get(t, missed).OK(t).Body["missedTime"].(map[string]any)["patients"].([]any)[0].(map[string]any)}
		return p.Number(t, "leftMinutes"), p.Number(t, "leftUnits")
	}
	invalid := func(changes ...harness.Body) {
		t.Helper()
		c.Admin().Post(t, "/appointments", booking(-8, time.Hour, changes...)).
			Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	}
	invalid(makeUp) // it is still booked
	c.Admin().Post(t, missed+"/cancel", harness.Body{"party": "FAMILY"}).OK(t)
	invalid(harness.Body{"makeUpFor": uuid.NewString()})
	invalid(makeUp, harness.Body{"recurrenceRule": "FREQ=WEEKLY;COUNT=2"})
	invalid(harness.Body{"exceedsMissedTime": true})
	stranger := c.AddPatient(t)
	other := c.Authorize(t, 20, harness.Body{"patientId": stranger})
	invalid(makeUp, harness.Body{"patientId": stranger, "authorizationId": harness.IDOf(other)})

	first := c.Book(t, booking(-7, 45*time.Minute, makeUp))
	require.Equal(t, harness.IDOf(missed), c.Admin().Get(t, first).Text("makeUpFor"))
	minutes, units := left()
	require.Equal(t, []int{75, 5}, []int{minutes, units}, "planned")
	c.Admin().Post(t, first+"/complete", harness.Body{"endTime": c.At(t, -7, "09:30")}).OK(t)
	minutes, units = left()
	require.Equal(t, []int{90, 6}, []int{minutes, units}, "30 minutes were made up")

	tooLong := booking(-6, 105*time.Minute, makeUp)
	refused := c.Admin().Post(t, "/appointments", tooLong).
		Refused(t, http.StatusConflict, "make-up-exceeds-missed-time")
	details := refused.Body["reasons"].([]any)[0].(map[string]any)["details"].(map[string]any)
	require.Equal(t, []any{120.0, 90.0, 105.0},
		[]any{details["missedMinutes"], details["leftMinutes"], details["minutes"]})
	require.Equal(t, []string{"make-up-exceeds-missed-time"},
		c.Admin().Post(t, "/appointments/preview", tooLong).OK(t).Occurrences(t)[0].Reasons(t))

	second := c.Book(t, booking(-6, 90*time.Minute, makeUp))
	c.Admin().Post(t, "/appointments", booking(-5, 15*time.Minute, makeUp)).
		Refused(t, http.StatusConflict, "make-up-exceeds-missed-time")
	c.Admin().Patch(t, second, harness.Body{"endTime": c.At(t, -6, "10:45")}).
		Refused(t, http.StatusConflict, "make-up-exceeds-missed-time")
	c.Admin().Patch(t, second, harness.Body{"endTime": c.At(t, -6, "10:15")}).OK(t)
	c.Admin().Post(t, second+"/cancel", harness.Body{}).OK(t)
	invalid(harness.Body{"makeUpFor": harness.IDOf(second)}) // it is a make-up itself
	third := c.Book(t, booking(-5, 90*time.Minute, makeUp))
	c.Admin().Post(t, second+"/reopen", harness.Body{"reason": "The family can come."}).
		Refused(t, http.StatusConflict, "make-up-exceeds-missed-time")
	longer := c.Book(t, booking(-4, 3*time.Hour, makeUp, harness.Body{"exceedsMissedTime": true}))
	require.Equal(t, true, c.Admin().Get(t, longer).Body["exceedsMissedTime"])
	shown := c.Admin().Get(t, missed).OK(t).Body["missedTime"].(map[string]any)["makeUps"].([]any)
	ids := []string{}
	for _, m := range shown {
		ids = append(ids, "/appointments/"+m.(map[string]any)["appointmentId"].(string))
	}
	require.Equal(t, []string{first, second, third, longer}, ids)
	c.RequireClean(t)
}

// TestConcurrentMakeUpsKeepWithinTheMissedTime books 8 make-ups of half an hour at once for one missed hour.
func TestConcurrentMakeUpsKeepWithinTheMissedTime(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 100)
	missed := c.Book(t, c.Booking(path, c.AddPractitioner(t), c.At(t, -9, "09:00"), time.Hour))
	c.Admin().Post(t, missed+"/cancel", harness.Body{}).OK(t)
	const requests = 8
	statuses := make(chan int, requests)
	for i := range requests {
		b := c.Booking(path, c.AddPractitioner(t), c.At(t, -8, "09:00").Add(time.Duration(i)*time.Hour), 30*time.Minute,
			harness.Body{"makeUpFor": harness.IDOf(missed)})
		go func() {
			a, err := c.Admin().TryPost(t, "/appointments", b)
			if err != nil {
				a.Status = 0
			}
			statuses <- a.Status
		}()
	}
	count := map[int]int{}
	for range requests {
		count[<-statuses]++
	}
	require.Equal(t, map[int]int{http.StatusCreated: 2, http.StatusConflict: requests - 2}, count)
	c.RequireClean(t)
}

// TestCancellationsAreReportedToTheMinute compares the report with figures that were computed by hand.
func TestCancellationsAreReportedToTheMinute(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	stranger := c.AddPatient(t)
	since := harness.Body{"startDate": c.Date(t, -300)}
	own, others := c.Authorize(t, 200, since), c.Authorize(t, 200, since, harness.Body{"patientId": stranger})
	jordan, kim := c.AddPractitioner(t), c.AddPractitioner(t)
	ill, off := cancellationReason(t, c, "PATIENT-ILL"), cancellationReason(t, c, "STAFF-OFF")
	ofStranger := harness.Body{"patientId": stranger, "authorizationId": harness.IDOf(others)}
	book := func(who uuid.UUID, days int, wall string, minutes int, changes ...harness.Body) string {
		return c.Book(t, c.Booking(own, who, c.At(t, days, wall), time.Duration(minutes)*time.Minute, changes...))
	}
	cancel := func(at string, b harness.Body) { c.Admin().Post(t, at+"/cancel", b).OK(t) }
	first := book(jordan, 3, "09:00", 120) // 120 minutes, 8 units
	cancel(first, harness.Body{"cancellationReasonId": ill})
	second := book(jordan, -3, "09:00", 60) // late
	cancel(second, harness.Body{"cancellationReasonId": ill})
	third := book(kim, -2, "13:00", 90, ofStranger) // late
	cancel(third, harness.Body{"cancellationReasonId": off})
	cancel(book(kim, -2, "16:00", 30, ofStranger), harness.Body{"party": "OTHER"}) // late
	c.Admin().Post(t, book(kim, -4, "09:00", 45)+"/no-show", harness.Body{}).OK(t)
	cancel(book(jordan, -200, "09:00", 60), harness.Body{}) // out of the period
	// 45 minutes of the first are made up, 30 are planned; the third is made up by more than was missed.
	done := book(jordan, -1, "09:00", 45, harness.Body{"makeUpFor": harness.IDOf(first)})
	c.Admin().Post(t, done+"/complete", harness.Body{}).OK(t)
	book(jordan, 5, "09:00", 30, harness.Body{"makeUpFor": harness.IDOf(first)})
	extra := book(kim, -1, "13:00", 105, ofStranger,
		harness.Body{"makeUpFor": harness.IDOf(third), "exceedsMissedTime": true})
	c.Admin().Post(t, extra+"/complete", harness.Body{}).OK(t)
	cancel(book(jordan, 6, "09:00", 15, harness.Body{"makeUpFor": harness.IDOf(first)}), harness.Body{"party": "CLINIC"})

	figures := []string{
		"cancellations", "lateCancellations", "noShows", "missedMinutes", "missedUnits", "madeUpMinutes", "madeUpUnits",
		"plannedMinutes", "plannedUnits", "leftMinutes", "leftUnits",
	}
	report := func(key, query string) map[any][]float64 {
		rows := map[any][]float64{}
		path := "/reports/cancellations?from=" + c.Date(t, -30) + "&to=" + c.Date(t, 30) + "&limit=2" + query
		for _, row := range c.Admin().All(t, path, nil) {
			for _, figure := range figures {
				rows[row[key]] = append(rows[row[key]], row[figure].(float64))
			}
		}
		return rows
	}
	require.Equal(t, map[any][]float64{
		ill: {2, 1, 0, 180, 12, 45, 3, 30, 2, 105, 7}, // 120 - 75, and 60
		off: {1, 1, 0, 90, 6, 105, 7, 0, 0, 0, 0},
		nil: {2, 1, 1, 90, 6, 0, 0, 0, 0, 90, 6}, // 30, 15, and the no-show of 45
	}, report("cancellationReasonId", ""))
	require.Equal(t, map[any][]float64{
		"FAMILY": {2, 1, 0, 180, 12, 45, 3, 30, 2, 105, 7},
		"STAFF":  {1, 1, 0, 90, 6, 105, 7, 0, 0, 0, 0},
		"OTHER":  {1, 1, 0, 30, 2, 0, 0, 0, 0, 30, 2},
		"CLINIC": {1, 0, 0, 15, 1, 0, 0, 0, 0, 15, 1},
		nil:      {0, 0, 1, 45, 3, 0, 0, 0, 0, 45, 3},
	}, report("cancellationParty", "&groupBy=party"))
	require.Equal(t, map[any][]float64{
		c.Own.Patient.String(): {3, 1, 1, 240, 16, 45, 3, 30, 2, 165, 11},
		stranger:               {2, 2, 0, 120, 8, 105, 7, 0, 0, 30, 2},
	}, report("patientId", "&groupBy=patient"))
	require.Equal(t, map[any][]float64{
		jordan.String(): {3, 1, 0, 195, 13, 45, 3, 30, 2, 120, 8},
		kim.String():    {2, 2, 1, 165, 11, 105, 7, 0, 0, 75, 5},
	}, report("practitionerId", "&groupBy=practitioner"))
	require.Equal(t, map[any][]float64{
		"FAMILY": {2, 1, 0, 180, 12, 45, 3, 30, 2, 105, 7},
	}, report("cancellationParty", "&groupBy=party&party=FAMILY&cancellationReasonId="+ill+
		"&patientId="+c.Own.Patient.String()+"&practitionerId="+jordan.String()))
	months := 0.0
	for month, row := range report("month", "&groupBy=month") {
		require.Regexp(t, `^20\d\d-\d\d$`, month)
		months += row[3]
	}
	require.InDelta(t, 360.0, months, 0)
	c.Admin().Get(t, "/reports/cancellations?from=2026-01-01&to=2027-01-02").
		Refused(t, http.StatusUnprocessableEntity, "validation-failed")

	table := c.Admin().WithHeader("Accept", "text/csv").Get(t, "/reports/cancellations?party=STAFF").OK(t)
	lines := strings.Split(string(table.Raw), "\r\n")
	require.Equal(t, "cancellationReasonId,reasonName,cancellationParty,patientId,practitionerId,month,"+
		strings.Join(figures, ","), lines[0])
	require.Equal(t, off+",Practitioner is off,,,,,1,1,0,90,6,105,7,0,0,0,0", lines[1])
}
