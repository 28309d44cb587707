package authorization

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// february returns an authorization of 28 days, 1 to 28 February 2026.
func february(t *testing.T, total, used, scheduled int) Authorization {
	t.Helper()
	return Authorization{
		Balance: Balance{total, used, scheduled}, Decision: Active, StartDate: date(t, "2026-02-01"),
		EndDate: date(t, "2026-02-28"),
	}
}

func TestProjections(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		total, used, scheduled int
		today, lastBooked      string
		recent                 int
		exhausted              string
		unused                 int
	}{
		// 14 days have elapsed, 14 remain.
		"used up on the last day":               {28, 14, 0, "2026-02-14", "", 14, "2026-02-28", 0},
		"one unit more than can be used":        {29, 14, 0, "2026-02-14", "", 14, "", 1},
		"a begun day counts":                    {15, 14, 0, "2026-02-14", "", 28, "2026-02-15", 0},
		"nothing used lately":                   {28, 14, 0, "2026-02-14", "", 0, "", 14},
		"scheduled units are used on their day": {28, 14, 4, "2026-02-14", "2026-02-20", 14, "", 2}, // 10 left, 8 days
		"all is scheduled":                      {28, 14, 14, "2026-02-14", "2026-02-26", 14, "2026-02-26", 0},
		"units scheduled earlier and not used":  {28, 14, 14, "2026-02-14", "2026-02-10", 14, "2026-02-14", 0},
		"scheduled for the last day":            {28, 14, 4, "2026-02-14", "2026-02-28", 14, "", 10},
		"on the last day":                       {28, 14, 0, "2026-02-28", "", 14, "", 14},
		"half a unit is rounded up":             {28, 14, 0, "2026-02-14", "", 1, "", 13}, // 1 × 14 ÷ 14
		"before it begins":                      {28, 0, 4, "2026-01-31", "2026-02-20", 0, "", 24},
		"all is used":                           {28, 28, 0, "2026-02-14", "", 14, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seen := activity{recent: c.recent}
			if c.lastBooked != "" {
				seen.lastBooked = date(t, c.lastBooked)
			}
			u := february(t, c.total, c.used, c.scheduled).utilizationOn(date(t, c.today), seen, time.Sunday)
			require.Equal(t, c.exhausted, u.ExhaustedOn.String())
			require.Equal(t, c.unused, *u.UnusedAtEnd)
		})
	}
}

func TestProjectionNeedsAGrant(t *testing.T) {
	t.Parallel()
	for _, decision := range []Status{Pending, Cancelled} {
		a := february(t, 28, 14, 0)
		a.Decision = decision
		u := a.utilizationOn(date(t, "2026-02-14"), activity{recent: 14}, time.Sunday)
		require.Nil(t, u.UnusedAtEnd)
		require.True(t, u.ExhaustedOn.IsZero())
		require.True(t, u.LastBookable.IsZero())
		require.InDelta(t, 50.0, *u.UsedPercent, 0)
	}
}

func TestPercentagesAreTruncatedAndRatesAreRounded(t *testing.T) {
	t.Parallel()
	u := february(t, 480, 431, 0).utilizationOn(date(t, "2026-02-27"), activity{}, time.Sunday)
	require.InDelta(t, 89.7, *u.UsedPercent, 0)    // 89.79: not yet 90
	require.InDelta(t, 96.4, u.ElapsedPercent, 0)  // 27 ÷ 28 = 96.42
	require.InDelta(t, 111.7, *u.AverageWeekly, 0) // 431 × 7 ÷ 27 = 111.74
	require.Equal(t, 80, u.usageBand())
	require.InDelta(t, 0, *u.RecentWeekly, 0)
	require.InDelta(t, 93.1, *u.PacePercent, 0) // (431 × 28) ÷ (480 × 27) = 93.11
	nothing := february(t, 0, 0, 0).utilizationOn(date(t, "2026-02-14"), activity{}, time.Sunday)
	require.Nil(t, nothing.UsedPercent)
	require.Nil(t, nothing.BookedPercent)
	require.Nil(t, nothing.PacePercent)
	require.Zero(t, nothing.usageBand())
}

func TestTheRecentWindow(t *testing.T) {
	t.Parallel()
	a := february(t, 28, 0, 0)
	a.StartDate, a.EndDate = date(t, "2026-01-05"), date(t, "2026-07-04")
	for today, first := range map[string]string{
		"2026-01-05": "2026-01-05", "2026-02-01": "2026-01-05", "2026-02-02": "2026-01-06", "2026-03-02": "2026-02-03",
		"2026-07-04": "2026-06-07",
	} {
		window, ok := a.recentWindow(date(t, today))
		require.True(t, ok)
		require.Equal(t, first, window.first.String())
		require.Equal(t, today, window.last.String())
	}
	for _, outside := range []string{"2026-01-04", "2026-07-05"} {
		_, ok := a.recentWindow(date(t, outside))
		require.False(t, ok)
	}
}

func TestTheLargestNumbers(t *testing.T) {
	t.Parallel()
	a := Authorization{
		Balance: Balance{MaxUnits, MaxUnits - 1, 0}, Decision: Active, StartDate: firstDayOfAll,
		EndDate: lastDayOfAll,
	}
	u := a.utilizationOn(date(t, "2026-03-02"), activity{recent: MaxUnits - 1}, time.Sunday)
	require.InDelta(t, 99.9, *u.UsedPercent, 0)
	require.Equal(t, "2026-03-03", u.ExhaustedOn.String())
	require.Zero(t, *u.UnusedAtEnd)
	u = a.utilizationOn(lastDayOfAll, activity{recent: 1}, time.Sunday)
	require.Equal(t, 1, *u.UnusedAtEnd)
	require.False(t, a.underUsedOn(lastDayOfAll))
}

func TestTheLastBookableDay(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		caps   []Cap
		booked map[string]int
		want   string
	}{
		"no caps":             {nil, nil, "2026-02-28"},
		"a day that is full":  {[]Cap{{PerDay, 4}}, map[string]int{"2026-02-28": 4, "2026-02-27": 3}, "2026-02-27"},
		"a week that is full": {[]Cap{{PerWeek, 4}}, map[string]int{"2026-02-23": 4}, "2026-02-21"}, // a Saturday
		"a day and a week": {
			[]Cap{{PerDay, 2}, {PerWeek, 4}}, map[string]int{"2026-02-28": 2, "2026-02-24": 2, "2026-02-21": 2}, "2026-02-20",
		},
		"every day is full":          {[]Cap{{PerMonth, 4}}, map[string]int{"2026-02-02": 4}, ""},
		"a cap that allows nothing":  {[]Cap{{PerDay, 0}}, nil, ""},
		"a cap of the whole is full": {[]Cap{{PerSpan, 4}}, map[string]int{"2026-02-02": 4}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := february(t, 28, 0, 0)
			caps, fieldErrors := capsOf(c.caps)
			require.Empty(t, fieldErrors)
			a.Caps, a.UnitsByDate = caps, caps.noUnits()
			for day, units := range c.booked {
				a.Scheduled += units
				if a.UnitsByDate != nil {
					a.UnitsByDate[date(t, day)] = units
				}
			}
			require.Equal(t, c.want, account{Authorization: a, weekStart: time.Sunday}.lastBookable().String())
		})
	}
	full := february(t, 28, 14, 14)
	require.True(t, account{Authorization: full}.lastBookable().IsZero())
}

func TestAlertIDs(t *testing.T) {
	t.Parallel()
	const id = "0198f0de-0000-7000-8000-00000000000a"
	for _, kind := range AlertKinds() {
		authorization, read, ok := alertOf(id + "." + string(kind))
		require.True(t, ok)
		require.Equal(t, kind, read)
		require.Equal(t, id+"."+string(kind), Alert{
			View: View{Authorization: Authorization{ID: authorization}},
			Kind: kind,
		}.ID())
	}
	for _, text := range []string{
		"", ".", id, id + ".", id + ".expiring-7", id + ".expired.", "x.expired", "{" + id + "}.expired",
		"0198F0DE-0000-7000-8000-00000000000A.expired",
	} {
		_, _, ok := alertOf(text)
		require.False(t, ok, text)
	}
}
