package e2e

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
)

// beforeClockChange returns 15:00 in New York, ten days before the next clock change, and the
// authorization's fields for a series across that change.
func beforeClockChange(t testing.TB, c *harness.Clinic) (start time.Time, dates harness.Body) {
	t.Helper()
	zone := harness.NewYork(t)
	_, change := c.Clock.Now().AddDate(0, 0, 11).In(zone).ZoneBounds()
	year, month, day := change.AddDate(0, 0, -10).Date()
	return time.Date(year, month, day, 15, 0, 0, 0,
		zone), harness.Body{"endDate": change.AddDate(0, 3, 0).Format(time.DateOnly)}
}

// startsOf returns the days, counted from the first, and times of the appointments in a
// state.
func startsOf(t testing.TB, c *harness.Clinic, from time.Time, status string) []string {
	t.Helper()
	found := c.Admin().Get(t, "/appointments?limit=200&status="+status).OK(t)
	starts := []string{}
	for _, item := range found.Body["data"].([]any) {
		at, err := time.Parse(time.RFC3339, item.(map[string]any)["startTime"].(string))
		require.NoError(t, err)
		local := at.In(harness.NewYork(t))
		midnight := func(x time.Time) time.Time { return time.Date(x.Year(), x.Month(), x.Day(), 0, 0, 0, 0, time.UTC) }
		days := int(midnight(local).Sub(midnight(from)).Hours() / 24)
		starts = append(starts, time.Duration(days*24*int(time.Hour)).String()+" "+local.Format("15:04"))
	}
	return starts
}

func TestSeriesIsBooked(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	start, dates := beforeClockChange(t, c)
	path := c.Authorize(t, 20, dates)
	b := c.Booking(path, c.AddPractitioner(t), start, time.Hour, harness.Body{"recurrenceRule": "FREQ=WEEKLY;COUNT=4"})
	result := c.Admin().WithHeader("Idempotency-Key", "a series").Post(t, "/appointments", b)
	result.Created(t)
	require.NotEmpty(t, result.Text("seriesId"))
	require.Equal(t, start.UTC().Format(time.RFC3339), result.Text("startTime"))
	require.Len(t, result.Occurrences(t), 4)
	offsets := map[string]bool{}
	for i, o := range result.Occurrences(t) {
		require.Equal(t, "15:00", o.LocalTime(t, "startTime"), "clocks change, the time of day does not")
		require.Equal(t, "16:00", o.LocalTime(t, "endTime"))
		require.Empty(t, o.Body["reasons"])
		booked := c.Admin().Get(t, "/appointments/"+o.Text("appointmentId")).OK(t)
		require.Equal(t, result.Text("seriesId"), booked.Text("seriesId"))
		require.Equal(t, o.Text("startTime"), booked.Text("startTime"))
		at, err := time.Parse(time.RFC3339, o.Text("startTime"))
		require.NoError(t, err)
		offsets[at.UTC().Format("15:04")] = true
		require.Equal(t, start.AddDate(0, 0, 7*i).UTC(), at.UTC())
	}
	require.Len(t, offsets, 2, "clocks did change in between")
	c.RequireBalance(t, path, 20, 0, 16)
	c.Book(t, c.Booking(path, c.AddPractitioner(t), start.AddDate(0, 0, 1), time.Hour)) // not in a series
	listed := c.Admin().Get(t, "/appointments?seriesId="+result.Text("seriesId")+"&limit=3").OK(t)
	rest := c.Admin().Get(t,
		"/appointments?seriesId="+result.Text("seriesId")+"&limit=3&cursor="+listed.Text("nextCursor")).OK(t)
	for i, item := range append(listed.Body["data"].([]any), rest.Body["data"].([]any)...) {
		require.Equal(t, result.Occurrences(t)[i].Text("appointmentId"), item.(map[string]any)["id"])
	}
	require.Len(t, rest.Body["data"], 1)
	require.Empty(t,
		c.As(c.Other.Tokens["ADMIN"]).Get(t, "/appointments?seriesId="+result.Text("seriesId")).OK(t).Body["data"])
	again := c.Admin().WithHeader("Idempotency-Key", "a series").Post(t, "/appointments", b)
	require.Equal(t, "true", again.Header.Get("Idempotency-Replayed"))
	require.JSONEq(t, string(result.Raw), string(again.Raw))
	c.RequireBalance(t, path, 20, 0, 20)
	c.RequireClean(t)
}

func TestSeriesIsBookedAtomically(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	start, dates := beforeClockChange(t, c)
	path := c.Authorize(t, 11, dates)
	practitioner := c.AddPractitioner(t)
	other := c.Authorize(t, 11, dates)
	c.Book(t, c.Booking(other, practitioner, start.AddDate(0, 0, 7).Add(time.Hour/2), time.Hour)) // overlaps the second
	series := harness.Body{"recurrenceRule": "FREQ=WEEKLY;COUNT=5"}
	preview := c.Admin().Post(t, "/appointments/preview", c.Booking(path, practitioner, start, time.Hour, series)).OK(t)
	require.Equal(t, false, preview.Body["bookable"])
	refused := c.Admin().Post(t, "/appointments", c.Booking(path, practitioner, start, time.Hour, series)).Refused(t,
		http.StatusConflict, "series-refused")
	require.Equal(t, refused.Body["occurrences"], preview.Body["occurrences"],
		"a preview has the same result as the booking")
	all := refused.Occurrences(t)
	require.Len(t, all, 5)
	require.Empty(t, all[0].Body["reasons"])
	require.Nil(t, all[0].Body["appointmentId"], "nothing is booked")
	require.Equal(t, []string{"practitioner-overlap", "patient-overlap"}, all[1].Reasons(t))
	require.Equal(t, []string{"insufficient-units"}, all[4].Reasons(t))
	c.RequireBalance(t, path, 11, 0, 0)
	require.Equal(t, []string{"168h0m0s 15:30"}, startsOf(t, c, start, "SCHEDULED"))

	series["allowPartial"] = true
	result := c.Admin().Post(t, "/appointments", c.Booking(path, practitioner, start, time.Hour, series))
	result.Created(t)
	all = result.Occurrences(t)
	require.NotEmpty(t, all[0].Text("appointmentId"))
	require.Equal(t, []string{"practitioner-overlap", "patient-overlap"}, all[1].Reasons(t))
	require.NotEmpty(t, all[2].Text("appointmentId"))
	require.Equal(t, []string{"insufficient-units"}, all[3].Reasons(t))
	require.Nil(t, all[3].Body["appointmentId"])
	c.RequireBalance(t, path, 11, 0, 8)
	refused = c.Admin().Post(t, "/appointments", c.Booking(path, practitioner, start, time.Hour, series)).
		Refused(t, http.StatusConflict, "series-refused")
	require.Len(t, refused.Occurrences(t), 5, "nothing can be booked")
	c.RequireClean(t)
}

func TestSeriesNeverGoesPastTheAuthorization(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	start, _ := beforeClockChange(t, c)
	path := c.Authorize(t, 100, harness.Body{"endDate": start.AddDate(0, 0, 8).Format(time.DateOnly)})
	series := harness.Body{"recurrenceRule": "FREQ=WEEKLY;COUNT=3"}
	practitioner := c.AddPractitioner(t)
	refused := c.Admin().Post(t, "/appointments", c.Booking(path, practitioner, start, time.Hour, series)).Refused(t,
		http.StatusConflict, "series-refused")
	require.Equal(t, []string{"outside-authorization-dates"}, refused.Occurrences(t)[2].Reasons(t))
	c.RequireBalance(t, path, 100, 0, 0)
	series["allowPartial"] = true
	result := c.Admin().Post(t, "/appointments", c.Booking(path, practitioner, start, time.Hour, series))
	result.Created(t)
	require.Equal(t, []string{"outside-authorization-dates"}, result.Occurrences(t)[2].Reasons(t))
	c.RequireBalance(t, path, 100, 0, 8)
	for _, rule := range []string{
		"FREQ=WEEKLY", "FREQ=HOURLY;COUNT=2",
		"FREQ=MONTHLY;BYMONTHDAY=-1,1,2;BYSETPOS=9;COUNT=3", "every day",
	} {
		invalid := c.Admin().Post(t, "/appointments",
			c.Booking(path, practitioner, start, time.Hour, harness.Body{"recurrenceRule": rule})).
			Refused(t, http.StatusUnprocessableEntity, "validation-failed")
		require.Equal(t, "recurrenceRule", invalid.Body["errors"].([]any)[0].(map[string]any)["field"])
	}
	unknown := c.Booking(path, practitioner, start, time.Hour, series)
	unknown["practitionerId"] = uuid.New()
	c.Admin().Post(t, "/appointments", unknown).Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	c.RequireClean(t)
}

func TestChangeOfASeries(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	start, dates := beforeClockChange(t, c)
	path := c.Authorize(t, 100, dates)
	practitioner := c.AddPractitioner(t)
	result := c.Admin().Post(t, "/appointments",
		c.Booking(path, practitioner, start, time.Hour, harness.Body{"recurrenceRule": "FREQ=DAILY;COUNT=5"}))
	result.Created(t)
	all := result.Occurrences(t)
	at := func(i int) string { return "/appointments/" + all[i].Text("appointmentId") }
	move := func(i, days int, clock time.Duration, length time.Duration) harness.Body {
		moved := start.AddDate(0, 0, i+days).Add(clock)
		return harness.Body{"startTime": moved.UTC(), "endTime": moved.Add(length).UTC()}
	}

	one := c.Admin().Patch(t, at(1), move(1, 0, -2*time.Hour, time.Hour)).OK(t)
	require.Nil(t, one.Body["occurrences"])
	require.Equal(t, []string{"0s 15:00", "24h0m0s 13:00", "48h0m0s 15:00", "72h0m0s 15:00", "96h0m0s 15:00"},
		startsOf(t, c, start, "SCHEDULED"))

	// One day later, to the former time of the next one.
	following := c.Admin().Patch(t, at(2)+"?scope=following", move(2, 1, time.Hour/2, 2*time.Hour)).OK(t)
	require.Len(t, following.Occurrences(t), 3)
	require.Equal(t, all[2].Text("appointmentId"), following.Text("id"))
	require.Equal(t, []string{"0s 15:00", "24h0m0s 13:00", "72h0m0s 15:30", "96h0m0s 15:30", "120h0m0s 15:30"},
		startsOf(t, c, start, "SCHEDULED"))
	c.RequireBalance(t, path, 100, 0, 2*4+3*8)

	c.Admin().Patch(t, at(0)+"?scope=all", move(0, 0, time.Hour, time.Hour)).OK(t)
	require.Equal(t, []string{"0s 16:00", "24h0m0s 16:00", "72h0m0s 16:00", "96h0m0s 16:00", "120h0m0s 16:00"},
		startsOf(t, c, start, "SCHEDULED"))
	c.RequireBalance(t, path, 100, 0, 20)

	// The last one conflicts, so none moves.
	c.Book(t, c.Booking(c.Authorize(t, 4, dates), c.AddPractitioner(t), start.AddDate(0, 0, 5).Add(4*time.Hour),
		time.Hour))
	refused := c.Admin().Patch(t, at(0)+"?scope=all", move(0, 0, 4*time.Hour, time.Hour)).
		Refused(t, http.StatusConflict, "series-refused")
	require.Equal(t, []string{"patient-overlap"}, refused.Occurrences(t)[4].Reasons(t))
	require.Empty(t, refused.Occurrences(t)[0].Body["reasons"])
	require.Equal(t, "19:00", refused.Occurrences(t)[0].LocalTime(t, "startTime"), "the original time")
	c.RequireBalance(t, path, 100, 0, 20)
	c.Admin().WithHeader("If-Match", `"1"`).Patch(t, at(0)+"?scope=all", move(0, 0, 2*time.Hour, time.Hour)).
		Refused(t, http.StatusPreconditionFailed, "stale-version")

	c.Admin().Post(t, at(2)+"/cancel", harness.Body{"reason": "on holiday"}).OK(t)
	cancelled := c.Admin().WithHeader("Idempotency-Key", "away").
		Post(t, at(3)+"/cancel?scope=following", harness.Body{"reason": "moved away"}).OK(t)
	require.Len(t, cancelled.Occurrences(t), 2)
	require.Equal(t, "moved away", c.Admin().Get(t, at(4)).Text("cancelReason"))
	require.Equal(t, "true", c.Admin().WithHeader("Idempotency-Key", "away").Post(t, at(3)+"/cancel?scope=following",
		harness.Body{"reason": "moved away"}).OK(t).Header.Get("Idempotency-Replayed"))
	c.RequireBalance(t, path, 100, 0, 8)
	c.Admin().Post(t, at(0)+"/cancel?scope=all", harness.Body{}).OK(t)
	c.RequireBalance(t, path, 100, 0, 0)
	require.Len(t, startsOf(t, c, start, "CANCELLED"), 5)
	c.Admin().Post(t, at(0)+"/cancel?scope=all", harness.Body{}).Refused(t, http.StatusConflict, "series-refused")
	c.Admin().Post(t, at(0)+"/cancel?scope=some", harness.Body{}).
		Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	c.RequireClean(t)
}

func TestPreviewOfABooking(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 4)
	b := c.Booking(path, c.AddPractitioner(t), c.At(t, 3, "15:00"), time.Hour)
	free := c.Admin().Post(t, "/appointments/preview", b).OK(t)
	require.Equal(t, true, free.Body["bookable"])
	require.Equal(t, 4, free.Occurrences(t)[0].Number(t, "units"))
	require.Nil(t, free.Occurrences(t)[0].Body["appointmentId"])
	c.RequireBalance(t, path, 4, 0, 0)
	require.Empty(t, startsOf(t, c, c.At(t, 3, "00:00"), "SCHEDULED"), "nothing is written")
	c.Book(t, b)
	taken := c.Admin().Post(t, "/appointments/preview", b).OK(t)
	require.Equal(t, false, taken.Body["bookable"])
	require.Equal(t, []string{"practitioner-overlap", "patient-overlap", "insufficient-units"},
		taken.Occurrences(t)[0].Reasons(t))
	b["practitionerId"] = uuid.New()
	c.Admin().Post(t, "/appointments/preview", b).Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	c.RequireBalance(t, path, 4, 0, 4)
	c.RequireClean(t)
}
