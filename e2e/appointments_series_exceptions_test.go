package e2e

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestUnchangedTimesOfASeriesLeaveExceptionsAlone: a form sends the times of its appointment
// together with the user's changes.
func TestUnchangedTimesOfASeriesLeaveExceptionsAlone(t *testing.T) {
	t.Parallel()
	c := open(t)
	start, dates := c.atChange(t)
	path := c.authorize(t, 20, dates)
	who := c.employ(t)
	booked := c.admin().post(t, "/appointments",
		c.booking(path, who, start, hour, body{"recurrenceRule": "FREQ=WEEKLY;COUNT=4"}))
	booked.created(t)
	var all []string
	for _, o := range booked.occurrences(t) {
		all = append(all, "/appointments/"+o.text("appointmentId"))
	}
	wednesday := start.AddDate(0, 0, 16).Add(2 * hour)
	c.admin().patch(t, all[2], body{"startTime": wednesday.UTC(), "endTime": wednesday.Add(hour / 2).UTC()}).ok(t)
	c.requireBalance(t, path, 20, 0, 14)
	times := c.starts(t, start, "SCHEDULED")
	require.Equal(t, []string{"0s 15:00", "168h0m0s 15:00", "384h0m0s 17:00", "504h0m0s 15:00"}, times)
	// At the former time of the third.
	c.book(t, c.booking(c.authorize(t, 4, dates), c.employ(t), start.AddDate(0, 0, 14), hour))
	times = c.starts(t, start, "SCHEDULED")

	unchanged := body{
		"startTime":       start.UTC(),
		"endTime":         start.Add(hour).UTC(),
		"practitionerId":  who,
		"authorizationId": idOf(path),
	}
	with := func(more body) body {
		b := body{}
		for _, from := range []body{unchanged, more} {
			for k, v := range from {
				b[k] = v
			}
		}
		return b
	}
	for _, scope := range []string{"all", "following"} {
		noted := c.admin().patch(t, all[0]+"?scope="+scope, with(body{"notes": "for " + scope})).ok(t)
		require.Len(t, noted.occurrences(t), 4)
		require.Equal(t, times, c.starts(t, start, "SCHEDULED"))
		require.Equal(t, "for "+scope, c.admin().get(t, all[2]).text("notes"))
		c.requireBalance(t, path, 20, 0, 14)
	}
	version := c.admin().get(t, all[2]).number(t, "version")
	c.admin().patch(t, all[0]+"?scope=all", unchanged).ok(t)
	c.admin().patch(t, all[0]+"?scope=all", body{"endTime": start.Add(hour).UTC()}).ok(t)
	require.Equal(t, version, c.admin().get(t, all[2]).number(t, "version"), "nothing is changed")

	substitute := c.employ(t)
	c.admin().patch(t, all[2], body{"practitionerId": substitute}).ok(t)
	c.admin().patch(t, all[0]+"?scope=all", body{"practitionerId": who, "notes": "the substitute stays"}).ok(t)
	require.Equal(t, substitute.String(), c.admin().get(t, all[2]).text("practitionerId"))
	c.admin().patch(t, all[0]+"?scope=all", with(body{"practitionerId": c.employ(t)})).ok(t)
	require.Equal(t, times, c.starts(t, start, "SCHEDULED"), "other staff")
	other := c.authorize(t, 14, dates)
	c.admin().patch(t, all[0]+"?scope=all", body{
		"startTime": start.UTC(), "endTime": start.Add(hour).UTC(),
		"authorizationId": idOf(other),
	}).ok(t)
	require.Equal(t, times, c.starts(t, start, "SCHEDULED"), "another authorization")
	c.requireBalance(t, path, 20, 0, 0)
	c.requireBalance(t, other, 14, 0, 14)
	c.admin().patch(t, all[0]+"?scope=all", body{"endTime": start.Add(hour / 2).UTC()}).ok(t)
	require.Equal(t, times, c.starts(t, start, "SCHEDULED"), "a new end")
	c.requireBalance(t, other, 14, 0, 8)
	c.requireClean(t)
}

// TestASeriesMovesOnlyToBookableTimes: in Nuuk the clocks skip the last hour of a Saturday
// in March.
func TestASeriesMovesOnlyToBookableTimes(t *testing.T) {
	t.Parallel()
	c := open(t)
	nuuk, err := time.LoadLocation("America/Nuuk")
	require.NoError(t, err)
	c.admin().patch(t, "/organizations/"+c.own.id.String(), body{"timeZone": nuuk.String()}).ok(t)
	now := c.clock.now()
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
	path := c.authorize(t, 20, body{"endDate": change.AddDate(0, 1, 0).Format(time.DateOnly)})
	who := c.employ(t)
	weekly := body{"recurrenceRule": "FREQ=WEEKLY;COUNT=3"}
	booked := c.admin().post(t, "/appointments", c.booking(path, who, at(23, 30), hour/4, weekly)).
		refused(t, http.StatusUnprocessableEntity, "validation-failed")
	require.Contains(t, string(booked.raw), "neither that time nor a later one")

	series := c.admin().post(t, "/appointments", c.booking(path, who, at(15, 0), hour/4, weekly))
	series.created(t)
	moved := c.admin().patch(t, "/appointments/"+series.text("id")+"?scope=all",
		body{"startTime": at(23, 30), "endTime": at(23, 45)}).
		refused(t, http.StatusUnprocessableEntity, "validation-failed")
	require.Equal(t, "startTime", moved.body["errors"].([]any)[0].(map[string]any)["field"])
	require.Contains(t, string(moved.raw), change.Format(time.DateOnly))
	require.Equal(t, 1, c.admin().get(t, "/appointments/"+series.text("id")).number(t, "version"))
	c.requireClean(t)
}

// TestMovedBookingsAreCheckedLikeNewOnes: the rules of a new booking, and of
// changing one authorization, also apply to moving many.
func TestMovedBookingsAreCheckedLikeNewOnes(t *testing.T) {
	t.Parallel()
	c := open(t)
	from, to := c.authorize(t, 20), c.authorize(t, 20)
	gone, available := c.employ(t), c.employ(t)
	leaving := c.book(t, c.booking(from, gone, c.hour(t, 1, "15:00"), hour))
	c.book(t, c.booking(from, available, c.hour(t, 2, "15:00"), hour))
	c.admin().patch(t, "/practitioners/"+gone.String(), body{"status": "INACTIVE"}).ok(t)

	one := c.admin().patch(t, leaving, body{"authorizationId": idOf(to)}).
		refused(t, http.StatusConflict, "practitioner-inactive")
	require.Equal(t, []string{"practitioner-inactive"}, one.reasons(t))
	moved := c.admin().post(t, from+"/move-bookings", move(to)).refused(t, http.StatusConflict, "move-refused")
	require.Equal(t, []string{"practitioner-inactive"}, moved.occurrences(t)[0].reasons(t))
	require.Empty(t, moved.occurrences(t)[1].body["reasons"])
	preview := c.admin().post(t, from+"/move-bookings/preview", move(to)).ok(t)
	require.Equal(t, moved.body["occurrences"], preview.body["occurrences"])
	c.admin().patch(t, from, body{"endDate": c.day(t, 0), "strandedBookings": "MOVE", "moveToAuthorizationId": idOf(to)}).
		refused(t, http.StatusConflict, "move-refused")
	c.requireBalance(t, from, 20, 0, 8)

	c.admin().patch(t, leaving, body{"practitionerId": available}).ok(t)
	c.admin().post(t, from+"/move-bookings", move(to)).ok(t)
	c.requireBalance(t, from, 20, 0, 0)
	c.requireBalance(t, to, 20, 0, 8)
	c.requireClean(t)
}

// TestASeriesKeepsItsTimeOfDayWhereClocksDisplaceOne: on one day the clocks skip the series' time
// of day, and its appointment is an hour later. That is not an exception, and not a new time of day
// for the others.
func TestASeriesKeepsItsTimeOfDayWhereClocksDisplaceOne(t *testing.T) {
	t.Parallel()
	for name, usual := range map[string]time.Duration{"Africa/Cairo": 0, "America/New_York": 2*hour + hour/2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := open(t)
			zone, err := time.LoadLocation(name)
			require.NoError(t, err)
			c.admin().patch(t, c.practice(), body{"timeZone": name}).ok(t)
			_, change := c.clock.now().AddDate(0, 0, 3).In(zone).ZoneBounds()
			if !change.IsDST() {
				_, change = change.ZoneBounds()
			}
			year, month, day := change.Date()
			clock := func(t time.Time) string { return t.In(zone).Format("15:04") }
			first := time.Date(year, month, day-2, 0, 0, 0, 0, zone).Add(usual)
			path := c.authorize(t, 100, body{"endDate": change.AddDate(0, 1, 0).Format(time.DateOnly)})
			booked := c.admin().post(t, "/appointments",
				c.booking(path, c.employ(t), first, hour/4, body{"recurrenceRule": "FREQ=DAILY;COUNT=5"}))
			booked.created(t)
			requireTimes := func(displaced int, length time.Duration) []time.Time {
				t.Helper()
				var starts []time.Time
				for i, item := range c.admin().get(t,
					"/appointments?seriesId="+booked.text("seriesId")).ok(t).body["data"].([]any) {
					a := answer{body: item.(map[string]any)}
					start, err := time.Parse(time.RFC3339, a.text("startTime"))
					require.NoError(t, err)
					end, err := time.Parse(time.RFC3339, a.text("endTime"))
					require.NoError(t, err)
					want := clock(first)
					if i == displaced {
						want = clock(first.Add(hour))
					}
					require.Equal(t, want, clock(start), "appointment %d", i)
					require.Equal(t, length, end.Sub(start))
					starts = append(starts, start)
				}
				require.Len(t, starts, 5)
				return starts
			}
			starts := requireTimes(2, hour/4)
			for i, o := range booked.occurrences(t) {
				at := "/appointments/" + o.text("appointmentId") + "?scope=all"
				c.admin().patch(t, at, body{"startTime": starts[i], "endTime": starts[i].Add(hour / 4), "notes": at}).ok(t)
				requireTimes(2, hour/4)
			}
			displaced := "/appointments/" + booked.occurrences(t)[2].text("appointmentId") + "?scope=all"
			c.admin().patch(t, displaced, body{"endTime": starts[2].Add(hour / 2)}).ok(t)
			requireTimes(2, hour/2)
			next := first.AddDate(0, 0, 1).UTC()
			c.admin().patch(t, "/appointments/"+booked.text("id")+"?scope=all",
				body{"startTime": next, "endTime": next.Add(hour / 2)}).ok(t)
			requireTimes(1, hour/2)
			c.requireClean(t)
		})
	}
}
