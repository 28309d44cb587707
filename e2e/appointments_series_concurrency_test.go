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

func (s seriesCall) send(t *testing.T, c *clinic, start time.Time, occurrences []string) answer {
	path, query := occurrences[s.occurrence], ""
	if s.scope != "" {
		query = "?scope=" + s.scope
	}
	if s.cancel {
		return c.admin().post(t, path+"/cancel"+query, body{"reason": fmt.Sprint(s)})
	}
	at := start.AddDate(0, 0, s.occurrence).Add(time.Duration(s.minutes) * time.Minute)
	return c.admin().patch(t, path+query,
		body{"startTime": at.UTC(), "endTime": at.Add(time.Duration(15+s.minutes) * time.Minute).UTC()})
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
	database := twoPractices.New(t)
	c := serve(t, database, database.Open(t))
	for round := range 4 {
		start, dates := c.atChange(t)
		path := c.authorize(t, 1000, dates)
		result := c.admin().post(t, "/appointments", c.booking(path, c.employ(t), start.Add(time.Duration(round)*5*hour),
			15*time.Minute, body{"recurrenceRule": "FREQ=DAILY;COUNT=8"}))
		result.created(t)
		start = start.Add(time.Duration(round) * 5 * hour)
		var all []string
		for _, o := range result.occurrences(t) {
			all = append(all, "/appointments/"+o.text("appointmentId"))
		}
		reverse := round%2 == 1
		round := slices.Clone(calls)
		if reverse { // varies which call comes first
			slices.Reverse(round)
		}
		answers := make([]answer, len(round))
		together(len(round), func(i int) { answers[i] = round[i].send(t, c, start, all) })

		changes, cancels := map[string]int{}, map[string]int{} // by appointment id
		shapes := map[string]bool{}                            // shapes that an answer has given an appointment
		for i, a := range answers {
			if a.status != http.StatusOK {
				require.Contains(t, []string{"series-refused", "appointment-transition"}, a.text("code"), "%s", a.raw)
				require.Equal(t, http.StatusConflict, a.status)
				continue
			}
			reported := []answer{a}
			if round[i].scope != "" {
				reported = a.occurrences(t)
			}
			for _, o := range reported {
				id := o.text("appointmentId")
				if id == "" {
					id = o.text("id")
				}
				changes[id]++
				if round[i].cancel {
					cancels[id]++
				} else {
					shapes[id+o.text("startTime")+o.text("endTime")] = true
				}
			}
		}
		held := 0
		for i, item := range all {
			now := c.admin().get(t, item).ok(t)
			id := idOf(item)
			require.Equal(t, 1+changes[id], now.number(t, "version"),
				"every change answered with 200 is stored once, and no other")
			require.Equal(t, cancels[id], map[string]int{"SCHEDULED": 0, "CANCELLED": 1}[now.text("status")],
				"cancelled at most once")
			if changes[id] > cancels[id] {
				require.True(t, shapes[id+now.text("startTime")+now.text("endTime")],
					"occurrence %d matches one of the answers: %s", i, now.raw)
			}
			from, err := time.Parse(time.RFC3339, now.text("startTime"))
			require.NoError(t, err)
			to, err := time.Parse(time.RFC3339, now.text("endTime"))
			require.NoError(t, err)
			if now.text("status") == "SCHEDULED" {
				require.Equal(t, int(to.Sub(from)/(15*time.Minute)), now.number(t, "units"))
				held += now.number(t, "units")
			}
		}
		c.requireBalance(t, path, 1000, 0, held)
		c.requireClean(t)
		c.admin().post(t, all[0]+"/cancel?scope=all", body{}) // frees units; refused if nothing is left
		c.requireBalance(t, path, 1000, 0, 0)
	}
}

// TestSeriesOfMaximumLength books, moves and cancels a series of 366 over HTTP, to
// the last unit, with no more statements than a series of two.
func TestSeriesOfMaximumLength(t *testing.T) {
	t.Parallel()
	logger, log := logtest.NewNullLogger()
	database := twoPractices.New(t)
	c := serve(t, database, database.Open(t, func(config *db.Config) { config.SlowQuery, config.Logger = 1, logger }))
	during := func(run func()) []string {
		log.Reset()
		run()
		return statementsOf(log)
	}
	year := body{"endDate": c.clock.now().AddDate(1, 3, 0).Format(time.DateOnly)}
	// live books, moves and cancels a series, and returns the statements of each
	// step.
	live := func(n, hours int) (steps [][]string) {
		units := 4 * n
		path, who, at := c.authorize(t, units, year), c.employ(t), c.hour(t, 1, "00:00").Add(time.Duration(hours)*hour)
		var result answer
		steps = append(steps, during(func() {
			result = c.admin().post(t, "/appointments",
				c.booking(path, who, at, hour, body{"recurrenceRule": fmt.Sprintf("FREQ=DAILY;COUNT=%d", n)}))
		}))
		result.created(t)
		require.Len(t, result.occurrences(t), n)
		c.requireBalance(t, path, units, 0, units)
		one := "/appointments/" + result.text("id")
		last := "/appointments/" + result.occurrences(t)[n-1].text("appointmentId")
		refused := c.admin().patch(t, one+"?scope=all",
			body{"startTime": at.UTC(), "endTime": at.Add(75 * time.Minute).UTC()}).
			refused(t, http.StatusConflict, "series-refused")
		require.Len(t, refused.occurrences(t), n)
		c.requireBalance(t, path, units, 0, units)
		steps = append(steps, during(func() {
			c.admin().patch(t, last+"?scope=all", body{
				"startTime": at.AddDate(0, 0, n-1).Add(2 * hour).UTC(),
				"endTime":   at.AddDate(0, 0, n-1).Add(2*hour + 45*time.Minute).UTC(),
			}).ok(t)
		}))
		require.Equal(t, 3, c.admin().get(t, one).number(t, "units"))
		c.requireBalance(t, path, units, 0, 3*n)
		require.Equal(t, n, c.count(t, "SELECT count(*) FROM appointments WHERE status = 'SCHEDULED'"))
		steps = append(steps, during(func() { c.admin().post(t, one+"/cancel?scope=all", body{}).ok(t) }))
		require.Zero(t, c.count(t, "SELECT count(*) FROM appointments WHERE status = 'SCHEDULED'"))
		c.requireBalance(t, path, units, 0, 0)
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
	c.requireClean(t)
}
