package e2e

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// atChange returns 15:00 in New York, ten days before the next clock change, and the
// authorization's fields for a series across that change.
func (c *clinic) atChange(t testing.TB) (start time.Time, dates body) {
	t.Helper()
	zone := newYork(t)
	_, change := c.clock.now().AddDate(0, 0, 11).In(zone).ZoneBounds()
	year, month, day := change.AddDate(0, 0, -10).Date()
	return time.Date(year, month, day, 15, 0, 0, 0, zone), body{"endDate": change.AddDate(0, 3, 0).Format(time.DateOnly)}
}

// occurrences returns each appointment of a series in the answer.
func (a answer) occurrences(t testing.TB) []answer {
	t.Helper()
	list, ok := a.body["occurrences"].([]any)
	require.True(t, ok, "%s", a.raw)
	all := make([]answer, len(list))
	for i, item := range list {
		all[i] = answer{status: a.status, body: item.(map[string]any), raw: a.raw}
	}
	return all
}

// wall returns a time of an answer as local time in New York.
func (a answer) wall(t testing.TB, member string) string {
	t.Helper()
	at, err := time.Parse(time.RFC3339, a.text(member))
	require.NoError(t, err)
	return at.In(newYork(t)).Format("15:04")
}

// starts returns the days, counted from the first, and times of the appointments in a
// state.
func (c *clinic) starts(t testing.TB, from time.Time, status string) []string {
	t.Helper()
	found := c.admin().get(t, "/appointments?limit=200&status="+status).ok(t)
	starts := []string{}
	for _, item := range found.body["data"].([]any) {
		at, err := time.Parse(time.RFC3339, item.(map[string]any)["startTime"].(string))
		require.NoError(t, err)
		local := at.In(newYork(t))
		midnight := func(x time.Time) time.Time { return time.Date(x.Year(), x.Month(), x.Day(), 0, 0, 0, 0, time.UTC) }
		days := int(midnight(local).Sub(midnight(from)).Hours() / 24)
		starts = append(starts, time.Duration(days*24*int(time.Hour)).String()+" "+local.Format("15:04"))
	}
	return starts
}

func TestSeriesIsBooked(t *testing.T) {
	t.Parallel()
	c := open(t)
	start, dates := c.atChange(t)
	path := c.authorize(t, 20, dates)
	b := c.booking(path, c.employ(t), start, hour, body{"recurrenceRule": "FREQ=WEEKLY;COUNT=4"})
	result := c.admin().with("Idempotency-Key", "a series").post(t, "/appointments", b)
	result.created(t)
	require.NotEmpty(t, result.text("seriesId"))
	require.Equal(t, start.UTC().Format(time.RFC3339), result.text("startTime"))
	require.Len(t, result.occurrences(t), 4)
	offsets := map[string]bool{}
	for i, o := range result.occurrences(t) {
		require.Equal(t, "15:00", o.wall(t, "startTime"), "clocks change, the time of day does not")
		require.Equal(t, "16:00", o.wall(t, "endTime"))
		require.Empty(t, o.body["reasons"])
		booked := c.admin().get(t, "/appointments/"+o.text("appointmentId")).ok(t)
		require.Equal(t, result.text("seriesId"), booked.text("seriesId"))
		require.Equal(t, o.text("startTime"), booked.text("startTime"))
		at, err := time.Parse(time.RFC3339, o.text("startTime"))
		require.NoError(t, err)
		offsets[at.UTC().Format("15:04")] = true
		require.Equal(t, start.AddDate(0, 0, 7*i).UTC(), at.UTC())
	}
	require.Len(t, offsets, 2, "clocks did change in between")
	c.requireBalance(t, path, 20, 0, 16)
	c.book(t, c.booking(path, c.employ(t), start.AddDate(0, 0, 1), hour)) // not in a series
	listed := c.admin().get(t, "/appointments?seriesId="+result.text("seriesId")+"&limit=3").ok(t)
	rest := c.admin().get(t,
		"/appointments?seriesId="+result.text("seriesId")+"&limit=3&cursor="+listed.text("nextCursor")).ok(t)
	for i, item := range append(listed.body["data"].([]any), rest.body["data"].([]any)...) {
		require.Equal(t, result.occurrences(t)[i].text("appointmentId"), item.(map[string]any)["id"])
	}
	require.Len(t, rest.body["data"], 1)
	require.Empty(t,
		c.as(c.other.tokens["ADMIN"]).get(t, "/appointments?seriesId="+result.text("seriesId")).ok(t).body["data"])
	again := c.admin().with("Idempotency-Key", "a series").post(t, "/appointments", b)
	require.Equal(t, "true", again.header.Get("Idempotency-Replayed"))
	require.JSONEq(t, string(result.raw), string(again.raw))
	c.requireBalance(t, path, 20, 0, 20)
	c.requireClean(t)
}

func TestSeriesIsWholeOrNothing(t *testing.T) {
	t.Parallel()
	c := open(t)
	start, dates := c.atChange(t)
	path := c.authorize(t, 11, dates)
	who := c.employ(t)
	other := c.authorize(t, 11, dates)
	c.book(t, c.booking(other, who, start.AddDate(0, 0, 7).Add(hour/2), hour)) // overlaps the second
	series := body{"recurrenceRule": "FREQ=WEEKLY;COUNT=5"}
	preview := c.admin().post(t, "/appointments/preview", c.booking(path, who, start, hour, series)).ok(t)
	require.Equal(t, false, preview.body["bookable"])
	refused := c.admin().post(t, "/appointments", c.booking(path, who, start, hour, series)).refused(t,
		http.StatusConflict, "series-refused")
	require.Equal(t, refused.body["occurrences"], preview.body["occurrences"],
		"a preview has the same result as the booking")
	all := refused.occurrences(t)
	require.Len(t, all, 5)
	require.Empty(t, all[0].body["reasons"])
	require.Nil(t, all[0].body["appointmentId"], "nothing is booked")
	require.Equal(t, []string{"practitioner-overlap", "patient-overlap"}, all[1].reasons(t))
	require.Equal(t, []string{"insufficient-units"}, all[4].reasons(t))
	c.requireBalance(t, path, 11, 0, 0)
	require.Equal(t, []string{"168h0m0s 15:30"}, c.starts(t, start, "SCHEDULED"))

	series["allowPartial"] = true
	result := c.admin().post(t, "/appointments", c.booking(path, who, start, hour, series))
	result.created(t)
	all = result.occurrences(t)
	require.NotEmpty(t, all[0].text("appointmentId"))
	require.Equal(t, []string{"practitioner-overlap", "patient-overlap"}, all[1].reasons(t))
	require.NotEmpty(t, all[2].text("appointmentId"))
	require.Equal(t, []string{"insufficient-units"}, all[3].reasons(t))
	require.Nil(t, all[3].body["appointmentId"])
	c.requireBalance(t, path, 11, 0, 8)
	refused = c.admin().post(t, "/appointments", c.booking(path, who, start, hour, series)).
		refused(t, http.StatusConflict, "series-refused")
	require.Len(t, refused.occurrences(t), 5, "nothing can be booked")
	c.requireClean(t)
}

func TestSeriesNeverGoesPastTheAuthorization(t *testing.T) {
	t.Parallel()
	c := open(t)
	start, _ := c.atChange(t)
	path := c.authorize(t, 100, body{"endDate": start.AddDate(0, 0, 8).Format(time.DateOnly)})
	series := body{"recurrenceRule": "FREQ=WEEKLY;COUNT=3"}
	who := c.employ(t)
	refused := c.admin().post(t, "/appointments", c.booking(path, who, start, hour, series)).refused(t,
		http.StatusConflict, "series-refused")
	require.Equal(t, []string{"outside-authorization-dates"}, refused.occurrences(t)[2].reasons(t))
	c.requireBalance(t, path, 100, 0, 0)
	series["allowPartial"] = true
	result := c.admin().post(t, "/appointments", c.booking(path, who, start, hour, series))
	result.created(t)
	require.Equal(t, []string{"outside-authorization-dates"}, result.occurrences(t)[2].reasons(t))
	c.requireBalance(t, path, 100, 0, 8)
	for _, rule := range []string{
		"FREQ=WEEKLY", "FREQ=HOURLY;COUNT=2",
		"FREQ=MONTHLY;BYMONTHDAY=-1,1,2;BYSETPOS=9;COUNT=3", "every day",
	} {
		invalid := c.admin().post(t, "/appointments", c.booking(path, who, start, hour, body{"recurrenceRule": rule})).
			refused(t, http.StatusUnprocessableEntity, "validation-failed")
		require.Equal(t, "recurrenceRule", invalid.body["errors"].([]any)[0].(map[string]any)["field"])
	}
	unknown := c.booking(path, who, start, hour, series)
	unknown["practitionerId"] = uuid.New()
	c.admin().post(t, "/appointments", unknown).refused(t, http.StatusUnprocessableEntity, "validation-failed")
	c.requireClean(t)
}

func TestChangeOfASeries(t *testing.T) {
	t.Parallel()
	c := open(t)
	start, dates := c.atChange(t)
	path := c.authorize(t, 100, dates)
	who := c.employ(t)
	result := c.admin().post(t, "/appointments",
		c.booking(path, who, start, hour, body{"recurrenceRule": "FREQ=DAILY;COUNT=5"}))
	result.created(t)
	all := result.occurrences(t)
	at := func(i int) string { return "/appointments/" + all[i].text("appointmentId") }
	move := func(i, days int, clock time.Duration, length time.Duration) body {
		moved := start.AddDate(0, 0, i+days).Add(clock)
		return body{"startTime": moved.UTC(), "endTime": moved.Add(length).UTC()}
	}

	one := c.admin().patch(t, at(1), move(1, 0, -2*hour, hour)).ok(t)
	require.Nil(t, one.body["occurrences"])
	require.Equal(t, []string{"0s 15:00", "24h0m0s 13:00", "48h0m0s 15:00", "72h0m0s 15:00", "96h0m0s 15:00"},
		c.starts(t, start, "SCHEDULED"))

	// One day later, to the former time of the next one.
	following := c.admin().patch(t, at(2)+"?scope=following", move(2, 1, hour/2, 2*hour)).ok(t)
	require.Len(t, following.occurrences(t), 3)
	require.Equal(t, all[2].text("appointmentId"), following.text("id"))
	require.Equal(t, []string{"0s 15:00", "24h0m0s 13:00", "72h0m0s 15:30", "96h0m0s 15:30", "120h0m0s 15:30"},
		c.starts(t, start, "SCHEDULED"))
	c.requireBalance(t, path, 100, 0, 2*4+3*8)

	c.admin().patch(t, at(0)+"?scope=all", move(0, 0, hour, hour)).ok(t)
	require.Equal(t, []string{"0s 16:00", "24h0m0s 16:00", "72h0m0s 16:00", "96h0m0s 16:00", "120h0m0s 16:00"},
		c.starts(t, start, "SCHEDULED"))
	c.requireBalance(t, path, 100, 0, 20)

	// The last one conflicts, so none moves.
	c.book(t, c.booking(c.authorize(t, 4, dates), c.employ(t), start.AddDate(0, 0, 5).Add(4*hour), hour))
	refused := c.admin().patch(t, at(0)+"?scope=all", move(0, 0, 4*hour, hour)).
		refused(t, http.StatusConflict, "series-refused")
	require.Equal(t, []string{"patient-overlap"}, refused.occurrences(t)[4].reasons(t))
	require.Empty(t, refused.occurrences(t)[0].body["reasons"])
	require.Equal(t, "19:00", refused.occurrences(t)[0].wall(t, "startTime"), "the original time")
	c.requireBalance(t, path, 100, 0, 20)
	c.admin().with("If-Match", `"1"`).patch(t, at(0)+"?scope=all", move(0, 0, 2*hour, hour)).
		refused(t, http.StatusPreconditionFailed, "stale-version")

	c.admin().post(t, at(2)+"/cancel", body{"reason": "on holiday"}).ok(t)
	cancelled := c.admin().with("Idempotency-Key", "away").
		post(t, at(3)+"/cancel?scope=following", body{"reason": "moved away"}).ok(t)
	require.Len(t, cancelled.occurrences(t), 2)
	require.Equal(t, "moved away", c.admin().get(t, at(4)).text("cancelReason"))
	require.Equal(t, "true", c.admin().with("Idempotency-Key", "away").post(t, at(3)+"/cancel?scope=following",
		body{"reason": "moved away"}).ok(t).header.Get("Idempotency-Replayed"))
	c.requireBalance(t, path, 100, 0, 8)
	c.admin().post(t, at(0)+"/cancel?scope=all", body{}).ok(t)
	c.requireBalance(t, path, 100, 0, 0)
	require.Len(t, c.starts(t, start, "CANCELLED"), 5)
	c.admin().post(t, at(0)+"/cancel?scope=all", body{}).refused(t, http.StatusConflict, "series-refused")
	c.admin().post(t, at(0)+"/cancel?scope=some", body{}).refused(t, http.StatusUnprocessableEntity, "validation-failed")
	c.requireClean(t)
}

func TestPreviewOfABooking(t *testing.T) {
	t.Parallel()
	c := open(t)
	path := c.authorize(t, 4)
	b := c.booking(path, c.employ(t), c.hour(t, 3, "15:00"), hour)
	free := c.admin().post(t, "/appointments/preview", b).ok(t)
	require.Equal(t, true, free.body["bookable"])
	require.Equal(t, 4, free.occurrences(t)[0].number(t, "units"))
	require.Nil(t, free.occurrences(t)[0].body["appointmentId"])
	c.requireBalance(t, path, 4, 0, 0)
	require.Empty(t, c.starts(t, c.hour(t, 3, "00:00"), "SCHEDULED"), "nothing is written")
	c.book(t, b)
	taken := c.admin().post(t, "/appointments/preview", b).ok(t)
	require.Equal(t, false, taken.body["bookable"])
	require.Equal(t, []string{"practitioner-overlap", "patient-overlap", "insufficient-units"},
		taken.occurrences(t)[0].reasons(t))
	b["practitionerId"] = uuid.New()
	c.admin().post(t, "/appointments/preview", b).refused(t, http.StatusUnprocessableEntity, "validation-failed")
	c.requireBalance(t, path, 4, 0, 4)
	c.requireClean(t)
}
