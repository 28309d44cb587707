package e2e

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
)

// TestUnchangedTimesOfASeriesLeaveExceptionsAlone: a form sends the times of its appointment
// together with the user's changes.
func TestUnchangedTimesOfASeriesLeaveExceptionsAlone(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	start, dates := beforeClockChange(t, c)
	path := c.Authorize(t, 20, dates)
	practitioner := c.AddPractitioner(t)
	booked := c.Admin().Post(t, "/appointments",
		c.Booking(path, practitioner, start, time.Hour, harness.Body{"recurrenceRule": "FREQ=WEEKLY;COUNT=4"}))
	booked.Created(t)
	var all []string
	for _, o := range booked.Occurrences(t) {
		all = append(all, "/appointments/"+o.Text("appointmentId"))
	}
	wednesday := start.AddDate(0, 0, 16).Add(2 * time.Hour)
	c.Admin().Patch(t, all[2], harness.Body{"startTime": wednesday.UTC(), "endTime": wednesday.Add(time.Hour / 2).UTC()}).
		OK(t)
	c.RequireBalance(t, path, 20, 0, 14)
	times := startsOf(t, c, start, "SCHEDULED")
	require.Equal(t, []string{"0s 15:00", "168h0m0s 15:00", "384h0m0s 17:00", "504h0m0s 15:00"}, times)
	// At the former time of the third.
	c.Book(t, c.Booking(c.Authorize(t, 4, dates), c.AddPractitioner(t), start.AddDate(0, 0, 14), time.Hour))
	times = startsOf(t, c, start, "SCHEDULED")

	unchanged := harness.Body{
		"startTime":       start.UTC(),
		"endTime":         start.Add(time.Hour).UTC(),
		"practitionerId":  practitioner,
		"authorizationId": harness.IDOf(path),
	}
	with := func(more harness.Body) harness.Body {
		b := harness.Body{}
		for _, from := range []harness.Body{unchanged, more} {
			for k, v := range from {
				b[k] = v
			}
		}
		return b
	}
	for _, scope := range []string{"all", "following"} {
		noted := c.Admin().Patch(t, all[0]+"?scope="+scope, with(harness.Body{"notes": "for " + scope})).OK(t)
		require.Len(t, noted.Occurrences(t), 4)
		require.Equal(t, times, startsOf(t, c, start, "SCHEDULED"))
		require.Equal(t, "for "+scope, c.Admin().Get(t, all[2]).Text("notes"))
		c.RequireBalance(t, path, 20, 0, 14)
	}
	version := c.Admin().Get(t, all[2]).Number(t, "version")
	c.Admin().Patch(t, all[0]+"?scope=all", unchanged).OK(t)
	c.Admin().Patch(t, all[0]+"?scope=all", harness.Body{"endTime": start.Add(time.Hour).UTC()}).OK(t)
	require.Equal(t, version, c.Admin().Get(t, all[2]).Number(t, "version"), "nothing is changed")

	substitute := c.AddPractitioner(t)
	c.Admin().Patch(t, all[2], harness.Body{"practitionerId": substitute}).OK(t)
	c.Admin().Patch(t, all[0]+"?scope=all", harness.Body{"practitionerId": practitioner, "notes": "the substitute stays"}).
		OK(t)
	require.Equal(t, substitute.String(), c.Admin().Get(t, all[2]).Text("practitionerId"))
	c.Admin().Patch(t, all[0]+"?scope=all", with(harness.Body{"practitionerId": c.AddPractitioner(t)})).OK(t)
	require.Equal(t, times, startsOf(t, c, start, "SCHEDULED"), "other staff")
	other := c.Authorize(t, 14, dates)
	c.Admin().Patch(t, all[0]+"?scope=all", harness.Body{
		"startTime": start.UTC(), "endTime": start.Add(time.Hour).UTC(),
		"authorizationId": harness.IDOf(other),
	}).OK(t)
	require.Equal(t, times, startsOf(t, c, start, "SCHEDULED"), "another authorization")
	c.RequireBalance(t, path, 20, 0, 0)
	c.RequireBalance(t, other, 14, 0, 14)
	c.Admin().Patch(t, all[0]+"?scope=all", harness.Body{"endTime": start.Add(time.Hour / 2).UTC()}).OK(t)
	require.Equal(t, times, startsOf(t, c, start, "SCHEDULED"), "a new end")
	c.RequireBalance(t, other, 14, 0, 8)
	c.RequireClean(t)
}

// TestASeriesMovesOnlyToBookableTimes: in Nuuk the clocks skip the last hour of a Saturday
// in March.
func TestASeriesMovesOnlyToBookableTimes(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	nuuk, err := time.LoadLocation("America/Nuuk")
	require.NoError(t, err)
	c.Admin().Patch(t, "/organizations/"+c.Own.ID.String(), harness.Body{"timeZone": nuuk.String()}).OK(t)
	now := c.Clock.Now()
	year := now.Year()
	if now.Month() >= time.March {
		year++
	}
	change := time.Date(year, time.March, 31, 0, 0, 0, 0, time.UTC)
	change = change.AddDate(0, 0, -int(change.Weekday())-1) // the Saturday before the last Sunday
	first := change.AddDate(0, 0, -14)
	at := func(hour, minute int) time.Time {
		return time.Date(year, first.Month(), first.Day(), hour, minute, 0, 0, nuuk)
	}
	path := c.Authorize(t, 20, harness.Body{"endDate": change.AddDate(0, 1, 0).Format(time.DateOnly)})
	practitioner := c.AddPractitioner(t)
	weekly := harness.Body{"recurrenceRule": "FREQ=WEEKLY;COUNT=3"}
	booked := c.Admin().Post(t, "/appointments", c.Booking(path, practitioner, at(23, 30), time.Hour/4, weekly)).
		Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	require.Contains(t, string(booked.Raw), "neither that time nor a later one")

	series := c.Admin().Post(t, "/appointments", c.Booking(path, practitioner, at(15, 0), time.Hour/4, weekly))
	series.Created(t)
	moved := c.Admin().Patch(t, "/appointments/"+series.Text("id")+"?scope=all",
		harness.Body{"startTime": at(23, 30), "endTime": at(23, 45)}).
		Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	require.Equal(t, "startTime", moved.Body["errors"].([]any)[0].(map[string]any)["field"])
	require.Contains(t, string(moved.Raw), change.Format(time.DateOnly))
	require.Equal(t, 1, c.Admin().Get(t, "/appointments/"+series.Text("id")).Number(t, "version"))
	c.RequireClean(t)
}

// TestMovedBookingsAreCheckedLikeNewOnes: the rules of a new booking, and of
// changing one authorization, also apply to moving many.
func TestMovedBookingsAreCheckedLikeNewOnes(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	from, to := c.Authorize(t, 20), c.Authorize(t, 20)
	gone, available := c.AddPractitioner(t), c.AddPractitioner(t)
	leaving := c.Book(t, c.Booking(from, gone, c.At(t, 1, "15:00"), time.Hour))
	c.Book(t, c.Booking(from, available, c.At(t, 2, "15:00"), time.Hour))
	c.Admin().Patch(t, "/practitioners/"+gone.String(), harness.Body{"status": "INACTIVE"}).OK(t)

	one := c.Admin().Patch(t, leaving, harness.Body{"authorizationId": harness.IDOf(to)}).
		Refused(t, http.StatusConflict, "practitioner-inactive")
	require.Equal(t, []string{"practitioner-inactive"}, one.Reasons(t))
	moved := c.Admin().Post(t, from+"/move-bookings", move(to)).Refused(t, http.StatusConflict, "move-refused")
	require.Equal(t, []string{"practitioner-inactive"}, moved.Occurrences(t)[0].Reasons(t))
	require.Empty(t, moved.Occurrences(t)[1].Body["reasons"])
	preview := c.Admin().Post(t, from+"/move-bookings/preview", move(to)).OK(t)
	require.Equal(t, moved.Body["occurrences"], preview.Body["occurrences"])
	c.Admin().Patch(t, from, harness.Body{
		"endDate": c.Date(t, 0), "strandedBookings": "MOVE", "moveToAuthorizationId": harness.IDOf(to),
	}).
		Refused(t, http.StatusConflict, "move-refused")
	c.RequireBalance(t, from, 20, 0, 8)

	c.Admin().Patch(t, leaving, harness.Body{"practitionerId": available}).OK(t)
	c.Admin().Post(t, from+"/move-bookings", move(to)).OK(t)
	c.RequireBalance(t, from, 20, 0, 0)
	c.RequireBalance(t, to, 20, 0, 8)
	c.RequireClean(t)
}

// TestASeriesKeepsItsTimeOfDayWhereClocksDisplaceOne: on one day the clocks skip the series' time
// of day, and its appointment is an hour later. That is not an exception, and not a new time of day
// for the others.
func TestASeriesKeepsItsTimeOfDayWhereClocksDisplaceOne(t *testing.T) {
	t.Parallel()
	for name, usual := range map[string]time.Duration{"Africa/Cairo": 0, "America/New_York": 2*time.Hour + time.Hour/2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := harness.Open(t)
			zone, err := time.LoadLocation(name)
			require.NoError(t, err)
			c.Admin().Patch(t, ownPath(c), harness.Body{"timeZone": name}).OK(t)
			_, change := c.Clock.Now().AddDate(0, 0, 3).In(zone).ZoneBounds()
			if !change.IsDST() {
				_, change = change.ZoneBounds()
			}
			year, month, day := change.Date()
			clock := func(t time.Time) string { return t.In(zone).Format("15:04") }
			first := time.Date(year, month, day-2, 0, 0, 0, 0, zone).Add(usual)
			path := c.Authorize(t, 100, harness.Body{"endDate": change.AddDate(0, 1, 0).Format(time.DateOnly)})
			booked := c.Admin().Post(t, "/appointments",
				c.Booking(path, c.AddPractitioner(t), first, time.Hour/4, harness.Body{"recurrenceRule": "FREQ=DAILY;COUNT=5"}))
			booked.Created(t)
			requireTimes := func(displaced int, length time.Duration) []time.Time {
				t.Helper()
				var starts []time.Time
				for i, item := range c.Admin().Get(t,
					"/appointments?seriesId="+booked.Text("seriesId")).OK(t).Body["data"].([]any) {
					a := harness.Answer{Body: item.(map[string]any)}
					start, err := time.Parse(time.RFC3339, a.Text("startTime"))
					require.NoError(t, err)
					end, err := time.Parse(time.RFC3339, a.Text("endTime"))
					require.NoError(t, err)
					want := clock(first)
					if i == displaced {
						want = clock(first.Add(time.Hour))
					}
					require.Equal(t, want, clock(start), "appointment %d", i)
					require.Equal(t, length, end.Sub(start))
					starts = append(starts, start)
				}
				require.Len(t, starts, 5)
				return starts
			}
			starts := requireTimes(2, time.Hour/4)
			for i, o := range booked.Occurrences(t) {
				at := "/appointments/" + o.Text("appointmentId") + "?scope=all"
				c.Admin().Patch(t, at, harness.Body{"startTime": starts[i], "endTime": starts[i].Add(time.Hour / 4), "notes": at}).
					OK(t)
				requireTimes(2, time.Hour/4)
			}
			displaced := "/appointments/" + booked.Occurrences(t)[2].Text("appointmentId") + "?scope=all"
			c.Admin().Patch(t, displaced, harness.Body{"endTime": starts[2].Add(time.Hour / 2)}).OK(t)
			requireTimes(2, time.Hour/2)
			next := first.AddDate(0, 0, 1).UTC()
			c.Admin().Patch(t, "/appointments/"+booked.Text("id")+"?scope=all",
				harness.Body{"startTime": next, "endTime": next.Add(time.Hour / 2)}).OK(t)
			requireTimes(1, time.Hour/2)
			c.RequireClean(t)
		})
	}
}
