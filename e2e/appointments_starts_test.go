package e2e

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/rbac"
)

func TestStartIsRefusedTooEarlyAndTooLate(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path, practitioner := c.Authorize(t, 100), c.AddPractitioner(t)
	now := freezeAtMinute(c)
	at := now.Add(31 * time.Minute)
	booked := c.Book(t, c.Booking(path, practitioner, at, time.Hour))

	early := c.Admin().Post(t, booked+"/start", harness.Body{}).Refused(t, http.StatusConflict, "start-too-early")
	require.Equal(t, at.Add(-30*time.Minute).Format(time.RFC3339), early.Text("startableFrom"))
	local := at.In(harness.NewYork(t)).Format("Monday, 2 January 2006, 15:04")
	require.Contains(t, early.Text("detail"), local, "the refusal shows the booked time in the clinic's time zone")
	require.Equal(t, "SCHEDULED", c.Admin().Get(t, booked).Text("status"))

	organization := "/organizations/" + c.Own.ID.String()
	c.Admin().Patch(t, organization, harness.Body{"earlyStartMinutes": 1441}).
		Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	require.EqualValues(t, 30, c.Admin().Get(t, organization).OK(t).Body["earlyStartMinutes"], "the default")
	c.Admin().Patch(t, organization, harness.Body{"earlyStartMinutes": 31}).OK(t)
	c.Admin().Post(t, booked+"/start", harness.Body{}).OK(t)

	over := c.Book(t, c.Booking(path, practitioner, now.Add(-2*time.Hour), time.Hour))
	late := c.Admin().Post(t, over+"/start", harness.Body{}).Refused(t, http.StatusConflict, "start-too-late")
	require.Contains(t, late.Text("detail"), "startTime", "it requires the time")
	started := c.Admin().Post(t, over+"/start", harness.Body{"startTime": now.Add(-2*time.Hour + 3*time.Minute)}).OK(t)
	require.Equal(t, now.Add(-2*time.Hour+3*time.Minute).Format(time.RFC3339), started.Text("startedAt"))
	// The times may be on both sides of midnight.
	done := c.Admin().Post(t, over+"/complete", harness.Body{"confirm": true}).OK(t)
	require.Equal(t, started.Text("startedAt"), done.Body["session"].(map[string]any)["startTime"])
	c.RequireClean(t)
}

func TestStartRulesApplyToTheGivenTime(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path, practitioner := c.Authorize(t, 400), c.AddPractitioner(t)
	now := freezeAtMinute(c)
	for it, test := range map[string]struct {
		booked, startTime time.Duration // from now
		status            int
		code              string
	}{
		"in the future":          {0, time.Second, 422, "validation-failed"},
		"more than 24 hours ago": {-26 * time.Hour, -24*time.Hour - time.Second, 422, "validation-failed"},
		"24 hours ago":           {-24 * time.Hour, -24 * time.Hour, 200, ""},
		"on its first minute":    {-5 * time.Hour, -5*time.Hour - 30*time.Minute, 200, ""},
		"before its first minute": {
			-7 * time.Hour, -7*time.Hour - 30*time.Minute - time.Second, 409, "start-too-early",
		},
		"before the booked end":              {-9 * time.Hour, -8*time.Hour - time.Second, 200, ""},
		"at the booked end":                  {-11 * time.Hour, -10 * time.Hour, 409, "start-too-late"},
		"now, of an appointment in 100 days": {100 * 24 * time.Hour, 0, 409, "start-too-early"},
	} {
		t.Run(it, func(t *testing.T) {
			booked := c.Book(t, c.Booking(path, practitioner, now.Add(test.booked), time.Hour))
			a := c.Admin().Post(t, booked+"/start", harness.Body{"startTime": now.Add(test.startTime)})
			if test.code != "" {
				a.Refused(t, test.status, test.code)
				require.Equal(t, "SCHEDULED", c.Admin().Get(t, booked).Text("status"))
				return
			}
			a.OK(t)
		})
	}
}

func TestReopenUndoesAStart(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path, practitioner := c.Authorize(t, 20), c.AddPractitioner(t)
	at := c.Ago(time.Hour / 2)
	booked := c.Book(t, c.Booking(path, practitioner, at, time.Hour))
	notStarted := c.Admin().Post(t, booked+"/reopen", harness.Body{"reason": "x"}).
		Refused(t, http.StatusConflict, "appointment-transition")
	require.Contains(t, notStarted.Text("detail"), "IN_PROGRESS")
	c.Admin().Post(t, booked+"/start", harness.Body{}).OK(t)
	c.Admin().Post(t, booked+"/reopen", harness.Body{}).Refused(t, http.StatusUnprocessableEntity, "validation-failed")

	keyed := c.Admin().WithHeader("Idempotency-Key", "back")
	back := keyed.Post(t, booked+"/reopen", harness.Body{"reason": "The wrong child."}).OK(t)
	require.Equal(t, []any{"SCHEDULED", nil, "The wrong child."},
		[]any{back.Text("status"), back.Body["startedAt"], back.Text("reopenReason")})
	require.NotEmpty(t, back.Text("reopenedAt"))
	require.NotEmpty(t, back.Text("reopenedBy"))
	require.Equal(t, back.Body, harness.WithoutNames(c.Admin().Get(t, booked).Body))
	require.JSONEq(t, string(back.Raw), string(keyed.Post(t, booked+"/reopen",
		harness.Body{"reason": "The wrong child."}).Raw))
	c.RequireBalance(t, path, 20, 0, 4)
	require.Contains(t, string(c.Admin().Get(t, "/admin/audit-events?action=appointment.reopen").OK(t).Raw),
		"The wrong child.")

	c.Admin().Post(t, booked+"/start", harness.Body{"startTime": at}).OK(t)
	c.Admin().Post(t, booked+"/complete", harness.Body{"startTime": at, "endTime": c.Ago(0), "confirm": true}).OK(t)
	c.Admin().Post(t, booked+"/reopen", harness.Body{"reason": "x"}).
		Refused(t, http.StatusConflict, "appointment-transition")
	c.RequireClean(t)
}

func TestACompletionFarFromTheBookedTimesNeedsConfirmation(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path, practitioner := c.Authorize(t, 400), c.AddPractitioner(t)
	day := c.At(t, -3, "00:00")
	for it, test := range map[string]struct {
		booked, start time.Duration // from midnight
		length        time.Duration
		differences   []any // nil: no confirmation is needed
	}{
		"on another date":              {10 * time.Hour, 34 * time.Hour, time.Hour, []any{"other-date"}},
		"twice as long":                {12 * time.Hour, 12 * time.Hour, 2 * time.Hour, nil},
		"more than twice as long":      {15 * time.Hour, 15 * time.Hour, 121 * time.Minute, []any{"other-length"}},
		"half as long":                 {18 * time.Hour, 18 * time.Hour, 30 * time.Minute, nil},
		"less than half as long":       {19 * time.Hour, 19 * time.Hour, 29 * time.Minute, []any{"other-length"}},
		"a minute, on another date":    {20 * time.Hour, 45 * time.Hour, time.Minute, []any{"other-date", "other-length"}},
		"at another time of that date": {21 * time.Hour, 1 * time.Hour, time.Hour, nil},
	} {
		t.Run(it, func(t *testing.T) {
			booked := c.Book(t, c.Booking(path, practitioner, day.Add(test.booked), time.Hour))
			times := harness.Body{"startTime": day.Add(test.start), "endTime": day.Add(test.start + test.length)}
			a := c.Admin().Post(t, booked+"/complete", times)
			if test.differences == nil {
				a.OK(t)
				return
			}
			a.Refused(t, http.StatusConflict, "session-unconfirmed")
			require.Equal(t, test.differences, a.Body["differences"])
			for _, at := range []time.Duration{test.booked, test.start} {
				require.Contains(t, a.Text("detail"), day.Add(at).In(harness.NewYork(t)).Format("Monday, 2 January 2006, 15:04"))
			}
			require.Equal(t, "SCHEDULED", c.Admin().Get(t, booked).Text("status"))
			times["confirm"] = true
			c.Admin().Post(t, booked+"/complete", times).OK(t)
		})
	}
	t.Run("by the organization's own factor", func(t *testing.T) {
		organization := "/organizations/" + c.Own.ID.String()
		c.Admin().Patch(t, organization, harness.Body{"confirmLengthFactor": 0.5}).
			Refused(t, http.StatusUnprocessableEntity, "validation-failed")
		c.Admin().Patch(t, organization, harness.Body{"confirmLengthFactor": 1.25}).OK(t)
		at := day.Add(8 * time.Hour)
		booked := c.Book(t, c.Booking(path, practitioner, at, time.Hour))
		c.Admin().Post(t, booked+"/complete", harness.Body{"startTime": at, "endTime": at.Add(76 * time.Minute)}).
			Refused(t, http.StatusConflict, "session-unconfirmed")
		c.Admin().Post(t, booked+"/complete", harness.Body{"startTime": at, "endTime": at.Add(75 * time.Minute)}).OK(t)
	})
	c.RequireClean(t)
}

func TestStartAndCompleteInOneMinuteExplainsTheRequest(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path, practitioner := c.Authorize(t, 20), c.AddPractitioner(t)
	now := freezeAtMinute(c)
	booked := c.Book(t, c.Booking(path, practitioner, now.Add(-10*time.Minute), time.Hour))
	c.Admin().Post(t, booked+"/start", harness.Body{}).OK(t)
	for _, later := range []time.Duration{0, time.Minute} {
		c.Clock.SetAhead(later)
		a := c.Admin().Post(t, booked+"/complete", harness.Body{}).
			Refused(t, http.StatusUnprocessableEntity, "validation-failed")
		invalid := a.Body["errors"].([]any)[0].(map[string]any)
		require.Equal(t, []any{"endTime", "too-short"}, []any{invalid["field"], invalid["code"]})
		require.Contains(t, invalid["message"], "send the actual startTime and endTime")
		c.Admin().Post(t, booked+"/complete", harness.Body{"confirm": true}).
			Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	}
	require.Equal(t, "IN_PROGRESS", c.Admin().Get(t, booked).Text("status"))
	at := now.Add(-10 * time.Minute)
	c.Admin().Post(t, booked+"/complete", harness.Body{"startTime": at, "endTime": at.Add(time.Minute)}).
		Refused(t, http.StatusConflict, "session-unconfirmed")
	c.Admin().Post(t, booked+"/complete", harness.Body{"startTime": at, "endTime": at.Add(time.Minute), "confirm": true}).
		OK(t)
	c.RequireClean(t)
}

func TestACompletedAppointmentOccupiesItsWorkedTime(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path, practitioner := c.Authorize(t, 100), c.AddPractitioner(t)
	at := c.At(t, -2, "09:00")
	booked := c.Book(t, c.Booking(path, practitioner, at, 2*time.Hour))
	c.Admin().Post(t, booked+"/complete", harness.Body{"startTime": at, "endTime": at.Add(time.Hour)}).OK(t)
	c.Admin().Patch(t, booked, harness.Body{"notes": "left early"}).OK(t)

	late := c.Booking(path, practitioner, at.Add(time.Hour), time.Hour)
	preview := c.Admin().Post(t, "/appointments/preview", late).OK(t)
	require.Equal(t, true, preview.Body["bookable"], "%s", preview.Raw)
	c.Book(t, late)
	c.Admin().Post(t, "/appointments", c.Booking(path, practitioner, at.Add(time.Hour/2), time.Hour)).
		Refused(t, http.StatusConflict, "practitioner-overlap")

	moved := c.Book(t, c.Booking(path, practitioner, at.Add(4*time.Hour), time.Hour))
	c.Admin().Post(t, moved+"/complete", harness.Body{
		"startTime": at.Add(6 * time.Hour), "endTime": at.Add(7 * time.Hour),
	}).OK(t)
	c.Book(t, c.Booking(path, practitioner, at.Add(4*time.Hour), time.Hour))
	c.Admin().Post(t, "/appointments", c.Booking(path, practitioner, at.Add(6*time.Hour), time.Hour)).
		Refused(t, http.StatusConflict, "practitioner-overlap")

	longer := c.Book(t, c.Booking(path, practitioner, at.Add(8*time.Hour), time.Hour))
	next := c.Book(t, c.Booking(path, practitioner, at.Add(9*time.Hour), time.Hour))
	c.Admin().Post(t, longer+"/complete",
		harness.Body{"startTime": at.Add(8 * time.Hour), "endTime": at.Add(9*time.Hour + 30*time.Minute)}).OK(t)
	c.Admin().Patch(t, next, harness.Body{"endTime": at.Add(9*time.Hour + 45*time.Minute)}).
		Refused(t, http.StatusConflict, "practitioner-overlap")
	c.Admin().Patch(t, next, harness.Body{"startTime": at.Add(9*time.Hour + 30*time.Minute)}).OK(t)
	c.RequireClean(t)
}

func TestASessionOnAnotherDateStaysInTheListOfItsBookedDay(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path, practitioner := c.Authorize(t, 100), c.AddPractitioner(t)
	booked := c.Book(t, c.Booking(path, practitioner, c.At(t, -5, "09:00"), time.Hour))
	at := c.At(t, -3, "09:00")
	c.Admin().Post(t, booked+"/complete", harness.Body{"startTime": at, "endTime": at.Add(time.Hour), "confirm": true}).
		OK(t)
	day := "?from=" + c.Date(t, -5) + "&to=" + c.Date(t, -5)
	for _, filter := range []string{
		"", "&practitionerId=" + practitioner.String(), "&patientId=" + c.Own.Patient.String(),
	} {
		require.Len(t, c.Admin().Get(t, "/appointments"+day+filter).OK(t).Body["data"], 1, filter)
	}
	c.Book(t, c.Booking(path, practitioner, c.At(t, -5, "09:00"), time.Hour))
	c.Admin().Post(t, "/appointments", c.Booking(path, practitioner, at, time.Hour)).
		Refused(t, http.StatusConflict, "practitioner-overlap")
}

func TestOpeningsAndWarningsUseWorkedTime(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	c.Clock.SetAhead(time.Until(c.At(t, 1, "09:58")))
	c.Own.Tokens[rbac.Admin] = c.SignIn(t, "own", rbac.Admin)
	path, practitioner := c.Authorize(t, 100), c.AddPractitioner(t)
	c.Admin().Send(t, http.MethodPut, "/practitioners/"+practitioner.String()+"/availability", harness.Body{
		"weekly": everyDay("09:00", "13:00"), "exceptions": []harness.Body{},
		"bufferBeforeMinutes": 0, "bufferAfterMinutes": 15,
	}).OK(t)
	at := c.At(t, 0, "09:00")
	booked := c.Book(t, c.Booking(path, practitioner, at, 3*time.Hour))
	openings := func() []string {
		day := at.In(harness.NewYork(t)).Format(time.DateOnly)
		return c.Admin().Get(t,
			"/practitioners/"+practitioner.String()+"/openings?from="+day+"&to="+day+"&minutes=45&step=15").
			Openings(t)
	}
	require.Equal(t, []string{"12:15"}, openings())
	c.Admin().Post(t, booked+"/complete",
		harness.Body{"startTime": at, "endTime": at.Add(45 * time.Minute), "confirm": true}).OK(t)
	require.Equal(t, "10:00", openings()[0])

	near := c.Admin().Post(t, "/appointments", c.Booking(path, practitioner, at.Add(45*time.Minute), time.Hour))
	near.Created(t)
	require.Contains(t, string(near.Raw), "within-buffer")
	far := c.Admin().Post(t, "/appointments", c.Booking(path, practitioner, at.Add(2*time.Hour), time.Hour))
	far.Created(t)
	require.NotContains(t, string(far.Raw), "within-buffer")
}

func TestADateOfBirthInTheFutureIsRefused(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	today := c.Clock.Now().In(harness.NewYork(t))
	born := func(days int) harness.Body {
		return harness.Body{"firstName": "B", "lastName": "C", "dateOfBirth": today.AddDate(0, 0, days).Format(time.DateOnly)}
	}
	child := "/patients/" + c.Admin().Post(t, "/patients", born(0)).Created(t).String()
	for _, days := range []int{1, 2, 400} {
		c.Admin().Post(t, "/patients", born(days)).Refused(t, http.StatusUnprocessableEntity, "validation-failed")
		c.Admin().Patch(t, child, harness.Body{"dateOfBirth": born(days)["dateOfBirth"]}).
			Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	}
}
