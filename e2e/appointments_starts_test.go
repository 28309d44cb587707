package e2e

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/rbac"
)

func TestStartIsRefusedTooEarlyAndTooLate(t *testing.T) {
	t.Parallel()
	c := open(t)
	path, who := c.authorize(t, 100), c.employ(t)
	now := c.freeze()
	at := now.Add(31 * time.Minute)
	booked := c.book(t, c.booking(path, who, at, hour))

	early := c.admin().post(t, booked+"/start", body{}).refused(t, http.StatusConflict, "start-too-early")
	require.Equal(t, at.Add(-30*time.Minute).Format(time.RFC3339), early.text("startableFrom"))
	local := at.In(newYork(t)).Format("Monday, 2 January 2006, 15:04")
	require.Contains(t, early.text("detail"), local, "the refusal shows the booked time in the clinic's time zone")
	require.Equal(t, "SCHEDULED", c.admin().get(t, booked).text("status"))

	organization := "/organizations/" + c.own.id.String()
	c.admin().patch(t, organization, body{"earlyStartMinutes": 1441}).
		refused(t, http.StatusUnprocessableEntity, "validation-failed")
	require.EqualValues(t, 30, c.admin().get(t, organization).ok(t).body["earlyStartMinutes"], "the default")
	c.admin().patch(t, organization, body{"earlyStartMinutes": 31}).ok(t)
	c.admin().post(t, booked+"/start", body{}).ok(t)

	over := c.book(t, c.booking(path, who, now.Add(-2*hour), hour))
	late := c.admin().post(t, over+"/start", body{}).refused(t, http.StatusConflict, "start-too-late")
	require.Contains(t, late.text("detail"), "startTime", "it requires the time")
	started := c.admin().post(t, over+"/start", body{"startTime": now.Add(-2*hour + 3*time.Minute)}).ok(t)
	require.Equal(t, now.Add(-2*hour+3*time.Minute).Format(time.RFC3339), started.text("startedAt"))
	done := c.admin().post(t, over+"/complete", body{}).ok(t)
	require.Equal(t, started.text("startedAt"), done.body["session"].(map[string]any)["startTime"])
	c.requireClean(t)
}

func TestStartRulesApplyToTheGivenTime(t *testing.T) {
	t.Parallel()
	c := open(t)
	path, who := c.authorize(t, 400), c.employ(t)
	now := c.freeze()
	for it, test := range map[string]struct {
		booked, startTime time.Duration // from now
		status            int
		code              string
	}{
		"in the future":                      {0, time.Second, 422, "validation-failed"},
		"more than 24 hours ago":             {-26 * hour, -24*hour - time.Second, 422, "validation-failed"},
		"24 hours ago":                       {-24 * hour, -24 * hour, 200, ""},
		"on its first minute":                {-5 * hour, -5*hour - 30*time.Minute, 200, ""},
		"before its first minute":            {-7 * hour, -7*hour - 30*time.Minute - time.Second, 409, "start-too-early"},
		"before the booked end":              {-9 * hour, -8*hour - time.Second, 200, ""},
		"at the booked end":                  {-11 * hour, -10 * hour, 409, "start-too-late"},
		"now, of an appointment in 100 days": {100 * 24 * hour, 0, 409, "start-too-early"},
	} {
		t.Run(it, func(t *testing.T) {
			booked := c.book(t, c.booking(path, who, now.Add(test.booked), hour))
			a := c.admin().post(t, booked+"/start", body{"startTime": now.Add(test.startTime)})
			if test.code != "" {
				a.refused(t, test.status, test.code)
				require.Equal(t, "SCHEDULED", c.admin().get(t, booked).text("status"))
				return
			}
			a.ok(t)
		})
	}
}

func TestReopenUndoesAStart(t *testing.T) {
	t.Parallel()
	c := open(t)
	path, who := c.authorize(t, 20), c.employ(t)
	at := c.ago(hour / 2)
	booked := c.book(t, c.booking(path, who, at, hour))
	notStarted := c.admin().post(t, booked+"/reopen", body{"reason": "x"}).
		refused(t, http.StatusConflict, "appointment-transition")
	require.Contains(t, notStarted.text("detail"), "IN_PROGRESS")
	c.admin().post(t, booked+"/start", body{}).ok(t)
	c.admin().post(t, booked+"/reopen", body{}).refused(t, http.StatusUnprocessableEntity, "validation-failed")

	keyed := c.admin().with("Idempotency-Key", "back")
	back := keyed.post(t, booked+"/reopen", body{"reason": "The wrong child."}).ok(t)
	require.Equal(t, []any{"SCHEDULED", nil, "The wrong child."},
		[]any{back.text("status"), back.body["startedAt"], back.text("reopenReason")})
	require.NotEmpty(t, back.text("reopenedAt"))
	require.NotEmpty(t, back.text("reopenedBy"))
	require.JSONEq(t, string(back.raw), string(c.admin().get(t, booked).raw))
	require.JSONEq(t, string(back.raw), string(keyed.post(t, booked+"/reopen", body{"reason": "The wrong child."}).raw))
	c.requireBalance(t, path, 20, 0, 4)
	require.Contains(t, string(c.admin().get(t, "/admin/audit-events?action=appointment.reopen").ok(t).raw),
		"The wrong child.")

	c.admin().post(t, booked+"/start", body{"startTime": at}).ok(t)
	c.admin().post(t, booked+"/complete", body{"startTime": at, "endTime": c.ago(0), "confirm": true}).ok(t)
	c.admin().post(t, booked+"/reopen", body{"reason": "x"}).refused(t, http.StatusConflict, "appointment-transition")
	c.requireClean(t)
}

func TestACompletionFarFromTheBookedTimesNeedsConfirmation(t *testing.T) {
	t.Parallel()
	c := open(t)
	path, who := c.authorize(t, 400), c.employ(t)
	day := c.hour(t, -3, "00:00")
	for it, test := range map[string]struct {
		booked, start time.Duration // from midnight
		length        time.Duration
		differences   []any // nil: no confirmation is needed
	}{
		"on another date":              {10 * hour, 34 * hour, hour, []any{"other-date"}},
		"twice as long":                {12 * hour, 12 * hour, 2 * hour, nil},
		"more than twice as long":      {15 * hour, 15 * hour, 121 * time.Minute, []any{"other-length"}},
		"half as long":                 {18 * hour, 18 * hour, 30 * time.Minute, nil},
		"less than half as long":       {19 * hour, 19 * hour, 29 * time.Minute, []any{"other-length"}},
		"a minute, on another date":    {20 * hour, 45 * hour, time.Minute, []any{"other-date", "other-length"}},
		"at another time of that date": {21 * hour, 1 * hour, hour, nil},
	} {
		t.Run(it, func(t *testing.T) {
			booked := c.book(t, c.booking(path, who, day.Add(test.booked), hour))
			times := body{"startTime": day.Add(test.start), "endTime": day.Add(test.start + test.length)}
			a := c.admin().post(t, booked+"/complete", times)
			if test.differences == nil {
				a.ok(t)
				return
			}
			a.refused(t, http.StatusConflict, "session-unconfirmed")
			require.Equal(t, test.differences, a.body["differences"])
			for _, at := range []time.Duration{test.booked, test.start} {
				require.Contains(t, a.text("detail"), day.Add(at).In(newYork(t)).Format("Monday, 2 January 2006, 15:04"))
			}
			require.Equal(t, "SCHEDULED", c.admin().get(t, booked).text("status"))
			times["confirm"] = true
			c.admin().post(t, booked+"/complete", times).ok(t)
		})
	}
	t.Run("by the organization's own factor", func(t *testing.T) {
		organization := "/organizations/" + c.own.id.String()
		c.admin().patch(t, organization, body{"confirmLengthFactor": 0.5}).
			refused(t, http.StatusUnprocessableEntity, "validation-failed")
		c.admin().patch(t, organization, body{"confirmLengthFactor": 1.25}).ok(t)
		at := day.Add(8 * hour)
		booked := c.book(t, c.booking(path, who, at, hour))
		c.admin().post(t, booked+"/complete", body{"startTime": at, "endTime": at.Add(76 * time.Minute)}).
			refused(t, http.StatusConflict, "session-unconfirmed")
		c.admin().post(t, booked+"/complete", body{"startTime": at, "endTime": at.Add(75 * time.Minute)}).ok(t)
	})
	c.requireClean(t)
}

func TestStartAndCompleteInOneMinuteExplainsTheRequest(t *testing.T) {
	t.Parallel()
	c := open(t)
	path, who := c.authorize(t, 20), c.employ(t)
	now := c.freeze()
	booked := c.book(t, c.booking(path, who, now.Add(-10*time.Minute), hour))
	c.admin().post(t, booked+"/start", body{}).ok(t)
	for _, later := range []time.Duration{0, time.Minute} {
		c.clock.set(later)
		a := c.admin().post(t, booked+"/complete", body{}).refused(t, http.StatusUnprocessableEntity, "validation-failed")
		invalid := a.body["errors"].([]any)[0].(map[string]any)
		require.Equal(t, []any{"endTime", "too-short"}, []any{invalid["field"], invalid["code"]})
		require.Contains(t, invalid["message"], "send the actual startTime and endTime")
		c.admin().post(t, booked+"/complete", body{"confirm": true}).
			refused(t, http.StatusUnprocessableEntity, "validation-failed")
	}
	require.Equal(t, "IN_PROGRESS", c.admin().get(t, booked).text("status"))
	at := now.Add(-10 * time.Minute)
	c.admin().post(t, booked+"/complete", body{"startTime": at, "endTime": at.Add(time.Minute)}).
		refused(t, http.StatusConflict, "session-unconfirmed")
	c.admin().post(t, booked+"/complete", body{"startTime": at, "endTime": at.Add(time.Minute), "confirm": true}).ok(t)
	c.requireClean(t)
}

func TestACompletedAppointmentOccupiesItsWorkedTime(t *testing.T) {
	t.Parallel()
	c := open(t)
	path, who := c.authorize(t, 100), c.employ(t)
	at := c.hour(t, -2, "09:00")
	booked := c.book(t, c.booking(path, who, at, 2*hour))
	c.admin().post(t, booked+"/complete", body{"startTime": at, "endTime": at.Add(hour)}).ok(t)
	c.admin().patch(t, booked, body{"notes": "left early"}).ok(t)

	late := c.booking(path, who, at.Add(hour), hour)
	preview := c.admin().post(t, "/appointments/preview", late).ok(t)
	require.Equal(t, true, preview.body["bookable"], "%s", preview.raw)
	c.book(t, late)
	c.admin().post(t, "/appointments", c.booking(path, who, at.Add(hour/2), hour)).
		refused(t, http.StatusConflict, "practitioner-overlap")

	moved := c.book(t, c.booking(path, who, at.Add(4*hour), hour))
	c.admin().post(t, moved+"/complete", body{"startTime": at.Add(6 * hour), "endTime": at.Add(7 * hour)}).ok(t)
	c.book(t, c.booking(path, who, at.Add(4*hour), hour))
	c.admin().post(t, "/appointments", c.booking(path, who, at.Add(6*hour), hour)).
		refused(t, http.StatusConflict, "practitioner-overlap")

	longer := c.book(t, c.booking(path, who, at.Add(8*hour), hour))
	next := c.book(t, c.booking(path, who, at.Add(9*hour), hour))
	c.admin().post(t, longer+"/complete",
		body{"startTime": at.Add(8 * hour), "endTime": at.Add(9*hour + 30*time.Minute)}).ok(t)
	c.admin().patch(t, next, body{"endTime": at.Add(9*hour + 45*time.Minute)}).
		refused(t, http.StatusConflict, "practitioner-overlap")
	c.admin().patch(t, next, body{"startTime": at.Add(9*hour + 30*time.Minute)}).ok(t)
	c.requireClean(t)
}

func TestASessionOnAnotherDateStaysInTheListOfItsBookedDay(t *testing.T) {
	t.Parallel()
	c := open(t)
	path, who := c.authorize(t, 100), c.employ(t)
	booked := c.book(t, c.booking(path, who, c.hour(t, -5, "09:00"), hour))
	at := c.hour(t, -3, "09:00")
	c.admin().post(t, booked+"/complete", body{"startTime": at, "endTime": at.Add(hour), "confirm": true}).ok(t)
	day := "?from=" + c.day(t, -5) + "&to=" + c.day(t, -5)
	for _, filter := range []string{"", "&practitionerId=" + who.String(), "&patientId=" + c.own.patient.String()} {
		require.Len(t, c.admin().get(t, "/appointments"+day+filter).ok(t).body["data"], 1, filter)
	}
	c.book(t, c.booking(path, who, c.hour(t, -5, "09:00"), hour))
	c.admin().post(t, "/appointments", c.booking(path, who, at, hour)).
		refused(t, http.StatusConflict, "practitioner-overlap")
}

func TestOpeningsAndWarningsUseWorkedTime(t *testing.T) {
	t.Parallel()
	c := open(t)
	c.clock.set(time.Until(c.hour(t, 1, "09:58")))
	c.own.tokens[rbac.Admin] = c.signIn(t, "own", rbac.Admin)
	path, who := c.authorize(t, 100), c.employ(t)
	c.admin().send(t, http.MethodPut, "/practitioners/"+who.String()+"/availability", body{
		"weekly": everyDay("09:00", "13:00"), "exceptions": []body{}, "bufferBeforeMinutes": 0, "bufferAfterMinutes": 15,
	}).ok(t)
	at := c.hour(t, 0, "09:00")
	booked := c.book(t, c.booking(path, who, at, 3*hour))
	openings := func() []string {
		day := at.In(newYork(t)).Format(time.DateOnly)
		return c.admin().get(t, "/practitioners/"+who.String()+"/openings?from="+day+"&to="+day+"&minutes=45&step=15").
			openings(t)
	}
	require.Equal(t, []string{"12:15"}, openings())
	c.admin().post(t, booked+"/complete",
		body{"startTime": at, "endTime": at.Add(45 * time.Minute), "confirm": true}).ok(t)
	require.Equal(t, "10:00", openings()[0])

	near := c.admin().post(t, "/appointments", c.booking(path, who, at.Add(45*time.Minute), hour))
	near.created(t)
	require.Contains(t, string(near.raw), "within-buffer")
	far := c.admin().post(t, "/appointments", c.booking(path, who, at.Add(2*hour), hour))
	far.created(t)
	require.NotContains(t, string(far.raw), "within-buffer")
}

func TestADateOfBirthInTheFutureIsRefused(t *testing.T) {
	t.Parallel()
	c := open(t)
	today := c.clock.now().In(newYork(t))
	born := func(days int) body {
		return body{"firstName": "B", "lastName": "C", "dateOfBirth": today.AddDate(0, 0, days).Format(time.DateOnly)}
	}
	child := "/patients/" + c.admin().post(t, "/patients", born(0)).created(t).String()
	for _, days := range []int{1, 2, 400} {
		c.admin().post(t, "/patients", born(days)).refused(t, http.StatusUnprocessableEntity, "validation-failed")
		c.admin().patch(t, child, body{"dateOfBirth": born(days)["dateOfBirth"]}).
			refused(t, http.StatusUnprocessableEntity, "validation-failed")
	}
}
