package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	logtest "github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/platform/db"
)

// seriesCall is one of many concurrent changes of a series. The resulting appointment
// identifies the call, because each call has its own time of day and length.
type seriesCall struct {
	occurrence int
	scope      string // "": this appointment alone
	minutes    int    // after 15:00; the length is 15 minutes and as many more
	cancel     bool
}

func (s seriesCall) send(t *testing.T, c *harness.Clinic, start time.Time, occurrences []string) harness.Answer {
	path, query := occurrences[s.occurrence], ""
	if s.scope != "" {
		query = "?scope=" + s.scope
	}
	if s.cancel {
		return c.Admin().Post(t, path+"/cancel"+query, harness.Body{"reason": fmt.Sprint(s)})
	}
	at := start.AddDate(0, 0, s.occurrence).Add(time.Duration(s.minutes) * time.Minute)
	return c.Admin().Patch(t, path+query,
		harness.Body{"startTime": at.UTC(), "endTime": at.Add(time.Duration(15+s.minutes) * time.Minute).UTC()})
}

// TestSeriesTenChangesAtOnce runs concurrent changes of one appointment, of it and the
// following, and of the whole series, together with cancellations. Each takes effect
// completely or is refused, and the final state matches the answers.
func TestSeriesTenChangesAtOnce(t *testing.T) {
	t.Parallel()
	calls := []seriesCall{
		{2, "", 15, false},
		{2, "", 30, false},
		{0, "all", 45, false},
		{5, "all", 60, false},
		{1, "following", 75, false},
		{4, "following", 90, false},
		{3, "", 0, true},
		{6, "following", 0, true},
		{3, "following", 105, false},
		{3, "", 0, true},
	}
	database := harness.TwoPractices.New(t)
	c := harness.Serve(t, database, database.Open(t))
	for round := range 4 {
		start, dates := beforeClockChange(t, c)
		path := c.Authorize(t, 1000, dates)
		result := c.Admin().Post(t, "/appointments",
			c.Booking(path, c.AddPractitioner(t), start.Add(time.Duration(round)*5*time.Hour),
				15*time.Minute, harness.Body{"recurrenceRule": "FREQ=DAILY;COUNT=8"}))
		result.Created(t)
		start = start.Add(time.Duration(round) * 5 * time.Hour)
		var all []string
		for _, o := range result.Occurrences(t) {
			all = append(all, "/appointments/"+o.Text("appointmentId"))
		}
		reverse := round%2 == 1
		round := slices.Clone(calls)
		if reverse { // varies which call comes first
			slices.Reverse(round)
		}
		answers := make([]harness.Answer, len(round))
		harness.Concurrently(len(round), func(i int) { answers[i] = round[i].send(t, c, start, all) })

		changes, cancels := map[string]int{}, map[string]int{} // by appointment id
		shapes := map[string]bool{}                            // shapes that an answer has given an appointment
		for i, a := range answers {
			if a.Status != http.StatusOK {
				require.Contains(t, []string{"series-refused", "appointment-transition"}, a.Text("code"), "%s", a.Raw)
				require.Equal(t, http.StatusConflict, a.Status)
				continue
			}
			reported := []harness.Answer{a}
			if round[i].scope != "" {
				reported = a.Occurrences(t)
			}
			for _, o := range reported {
				id := o.Text("appointmentId")
				if id == "" {
					id = o.Text("id")
				}
				changes[id]++
				if round[i].cancel {
					cancels[id]++
				} else {
					shapes[id+o.Text("startTime")+o.Text("endTime")] = true
				}
			}
		}
		held := 0
		for i, item := range all {
			now := c.Admin().Get(t, item).OK(t)
			id := harness.IDOf(item)
			require.Equal(t, 1+changes[id], now.Number(t, "version"),
				"every change answered with 200 is stored once, and no other")
			require.Equal(t, cancels[id], map[string]int{"SCHEDULED": 0, "CANCELLED": 1}[now.Text("status")],
				"cancelled at most once")
			if changes[id] > cancels[id] {
				require.True(t, shapes[id+now.Text("startTime")+now.Text("endTime")],
					"occurrence %d matches one of the answers: %s", i, now.Raw)
			}
			from, err := time.Parse(time.RFC3339, now.Text("startTime"))
			require.NoError(t, err)
			to, err := time.Parse(time.RFC3339, now.Text("endTime"))
			require.NoError(t, err)
			if now.Text("status") == "SCHEDULED" {
				require.Equal(t, int(to.Sub(from)/(15*time.Minute)), now.Number(t, "units"))
				held += now.Number(t, "units")
			}
		}
		c.RequireBalance(t, path, 1000, 0, held)
		c.RequireClean(t)
		c.Admin().Post(t, all[0]+"/cancel?scope=all", harness.Body{}) // frees units; refused if nothing is left
		c.RequireBalance(t, path, 1000, 0, 0)
	}
}

// TestSeriesOfMaximumLength books, moves and cancels a series of 366 over HTTP, to
// the last unit, with no more statements than a series of two.
func TestSeriesOfMaximumLength(t *testing.T) {
	t.Parallel()
	logger, log := logtest.NewNullLogger()
	database := harness.TwoPractices.New(t)
	c := harness.Serve(t, database, database.Open(t,
		func(config *db.Config) { config.SlowQuery, config.Logger = 1, logger }))
	during := func(run func()) []string {
		log.Reset()
		run()
		return statementsOf(log)
	}
	year := harness.Body{"endDate": c.Clock.Now().AddDate(1, 3, 0).Format(time.DateOnly)}
	// live books, moves and cancels a series, and returns the statements of each
	// step.
	live := func(n, hours int) (steps [][]string) {
		units := 4 * n
		path, practitioner, at := c.Authorize(t, units,
			year), c.AddPractitioner(t), c.At(t, 1, "00:00").Add(time.Duration(hours)*time.Hour)
		var result harness.Answer
		steps = append(steps, during(func() {
			result = c.Admin().Post(t, "/appointments",
				c.Booking(path, practitioner, at, time.Hour, harness.Body{"recurrenceRule": fmt.Sprintf("FREQ=DAILY;COUNT=%d", n)}))
		}))
		result.Created(t)
		require.Len(t, result.Occurrences(t), n)
		c.RequireBalance(t, path, units, 0, units)
		one := "/appointments/" + result.Text("id")
		last := "/appointments/" + result.Occurrences(t)[n-1].Text("appointmentId")
		refused := c.Admin().Patch(t, one+"?scope=all",
			harness.Body{"startTime": at.UTC(), "endTime": at.Add(75 * time.Minute).UTC()}).
			Refused(t, http.StatusConflict, "series-refused")
		require.Len(t, refused.Occurrences(t), n)
		c.RequireBalance(t, path, units, 0, units)
		steps = append(steps, during(func() {
			c.Admin().Patch(t, last+"?scope=all", harness.Body{
				"startTime": at.AddDate(0, 0, n-1).Add(2 * time.Hour).UTC(),
				"endTime":   at.AddDate(0, 0, n-1).Add(2*time.Hour + 45*time.Minute).UTC(),
			}).OK(t)
		}))
		require.Equal(t, 3, c.Admin().Get(t, one).Number(t, "units"))
		c.RequireBalance(t, path, units, 0, 3*n)
		require.Equal(t, n, c.Count(t, "SELECT count(*) FROM appointments WHERE status = 'SCHEDULED'"))
		steps = append(steps, during(func() { c.Admin().Post(t, one+"/cancel?scope=all", harness.Body{}).OK(t) }))
		require.Zero(t, c.Count(t, "SELECT count(*) FROM appointments WHERE status = 'SCHEDULED'"))
		c.RequireBalance(t, path, units, 0, 0)
		return steps
	}
	live(2, 4) // caches that there are no working hours
	few := live(2, 8)
	many := live(366, 14)
	for i, step := range []string{"booked", "moved", "cancelled"} {
		require.Equal(t, few[i], many[i], "the same number of statements when it is %s", step)
		require.Less(t, len(many[i]), 40)
		t.Logf("%s: %d statements: %s", step, len(many[i]), strings.Join(many[i], ", "))
	}
	c.RequireClean(t)
}
