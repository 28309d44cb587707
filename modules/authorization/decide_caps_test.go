package authorization

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
)

// limited returns an authorization of the years 2023 to 2028 with many units and the given caps.
// Its weeks begin on weekStart.
func limited(weekStart time.Weekday, caps ...Cap) account {
	a := granted(100_000, 0, 0)
	a.StartDate, a.EndDate = day(2023, time.January, 1), day(2028, time.December, 31)
	a.Caps, _ = capsOf(caps)
	a.weekStart = weekStart
	a.UnitsByDate = a.Caps.noUnits()
	return a
}

// having returns the account after reservations; pairs alternates days and units.
func (a account) having(t *testing.T, pairs ...any) account {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		var o Outcome
		a, o = decide(a, reserve(pairs[i].(int)).on(date(t, pairs[i+1].(string))), at)
		require.Nil(t, o.Refusal, "%v", o.Refusal)
	}
	return a
}

func date(t *testing.T, text string) calendar.Date {
	t.Helper()
	d, err := calendar.ParseDate(text)
	require.NoError(t, err)
	return d
}

// TestCapsCountTheirPeriod requests 3 units under a cap of 10 with 8 booked. One unit is missing on
// each day of the period, and none on the adjacent days.
func TestCapsCountTheirPeriod(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		period      Period
		week        time.Weekday
		booked      string
		first, last string
	}{
		{PerDay, time.Sunday, "2026-03-10", "2026-03-10", "2026-03-10"},
		// 2026-03-11 is a Wednesday; weeks begin on each day of the week.
		{PerWeek, time.Sunday, "2026-03-11", "2026-03-08", "2026-03-14"},
		{PerWeek, time.Monday, "2026-03-11", "2026-03-09", "2026-03-15"},
		{PerWeek, time.Tuesday, "2026-03-11", "2026-03-10", "2026-03-16"},
		{PerWeek, time.Wednesday, "2026-03-11", "2026-03-11", "2026-03-17"},
		{PerWeek, time.Thursday, "2026-03-11", "2026-03-05", "2026-03-11"},
		{PerWeek, time.Friday, "2026-03-11", "2026-03-06", "2026-03-12"},
		{PerWeek, time.Saturday, "2026-03-11", "2026-03-07", "2026-03-13"},
		// A turn of the year, a clock change in America, and a leap day.
		{PerWeek, time.Monday, "2026-01-01", "2025-12-29", "2026-01-04"},
		{PerWeek, time.Sunday, "2026-11-01", "2026-11-01", "2026-11-07"},
		{PerWeek, time.Sunday, "2024-02-29", "2024-02-25", "2024-03-02"},
		{PerMonth, time.Sunday, "2026-03-01", "2026-03-01", "2026-03-31"},
		{PerMonth, time.Sunday, "2026-04-30", "2026-04-01", "2026-04-30"},
		{PerMonth, time.Sunday, "2026-02-28", "2026-02-01", "2026-02-28"},
		{PerMonth, time.Sunday, "2024-02-29", "2024-02-01", "2024-02-29"},
		{PerMonth, time.Sunday, "2026-12-31", "2026-12-01", "2026-12-31"},
	} {
		t.Run(fmt.Sprintf("counts the %s of %s from %s to %s", test.period, test.booked, test.first, test.last),
			func(t *testing.T) {
				t.Parallel()
				a := limited(test.week, Cap{test.period, 10}).having(t, 8, test.booked)
				first, last := date(t, test.first), date(t, test.last)
				for _, within := range []calendar.Date{first, date(t, test.booked), last} {
					_, o := decide(a, reserve(3).on(within), at)
					requireRefusal(t, ErrCapExceeded, o)
					require.Equal(t, CapShortage{a.backing(), test.period, first, last, 10, 8, 3, 1}, o.Refusal.Details())
					_, o = decide(a, reserve(2).on(within), at)
					require.Nil(t, o.Refusal, "what fits")
				}
				for _, adjacent := range []calendar.Date{first.AddDays(-1), last.AddDays(1)} {
					_, o := decide(a, reserve(10).on(adjacent), at)
					require.Nil(t, o.Refusal)
					_, o = decide(a, reserve(11).on(adjacent), at)
					requireRefusal(t, ErrCapExceeded, o)
				}
			})
	}
}

func TestCaps(t *testing.T) {
	t.Parallel()
	const tenth = "2026-03-10" // a Tuesday, and today
	refusedBy := func(t *testing.T, a account, op Operation) CapShortage {
		t.Helper()
		after, o := decide(a, op, at)
		requireRefusal(t, ErrCapExceeded, o)
		require.Equal(t, a, after, "a refused operation changes nothing")
		return o.Refusal.Details().(CapShortage)
	}
	accepted := func(t *testing.T, a account, op Operation) account {
		t.Helper()
		after, o := decide(a, op, at)
		require.Nil(t, o.Refusal, "%v", o.Refusal)
		return after
	}
	t.Run("refuses everything with a cap of zero", func(t *testing.T) {
		t.Parallel()
		for _, p := range periods {
			shortage := refusedBy(t, limited(time.Sunday, Cap{p, 0}), reserve(1))
			require.Equal(t, 1, shortage.Missing)
			require.Equal(t, p, shortage.Cap)
		}
	})
	t.Run("counts a reservation without a date as today's", func(t *testing.T) {
		t.Parallel()
		a := limited(time.Sunday, Cap{PerDay, 5})
		a = accepted(t, a, reserve(5))
		require.Equal(t, today, refusedBy(t, a, reserve(1).on(today)).PeriodStart)
		accepted(t, a, reserve(5).on(today.AddDays(1)))
	})
	t.Run("counts the whole span by the counters", func(t *testing.T) {
		t.Parallel()
		a := granted(100, 7, 4)
		a.Caps, _ = capsOf([]Cap{{PerSpan, 12}})
		require.Nil(t, a.UnitsByDate)
		require.Equal(t, CapShortage{a.backing(), PerSpan, firstDay, lastDay, 12, 11, 3, 2}, refusedBy(t, a, reserve(3)))
		accepted(t, a, reserve(1))
	})
	t.Run("checks every cap, and reports the shortest period first", func(t *testing.T) {
		t.Parallel()
		// Week of March 8 to 14: 6 + 6; month: 6 + 6 + 6.
		a := limited(time.Sunday, Cap{PerSpan, 20}, Cap{PerMonth, 20}, Cap{PerWeek, 12}, Cap{PerDay, 6}).
			having(t, 6, tenth, 6, "2026-03-11", 6, "2026-03-20")
		require.Equal(t, PerDay, refusedBy(t, a, reserve(1).on(date(t, tenth))).Cap)
		require.Equal(t, PerWeek, refusedBy(t, a, reserve(1).on(date(t, "2026-03-12"))).Cap)
		require.Equal(t, PerMonth, refusedBy(t, a, reserve(3).on(date(t, "2026-03-25"))).Cap)
		require.Equal(t, PerSpan, refusedBy(t, a, reserve(3).on(date(t, "2026-04-25"))).Cap)
		accepted(t, a, reserve(2).on(date(t, "2026-03-25")))
	})
	t.Run("reports insufficient units first", func(t *testing.T) {
		t.Parallel()
		a := limited(time.Sunday, Cap{PerDay, 1})
		_, o := decide(a, reserve(100_001), at)
		requireRefusal(t, ErrInsufficientUnits, o)
	})
	t.Run("counts used units, but not released ones", func(t *testing.T) {
		t.Parallel()
		a := limited(time.Sunday, Cap{PerDay, 10}).having(t, 6, tenth, 4, tenth)
		first, second := a.reservations[0].ID, a.reservations[1].ID
		a = accepted(t, a, settle(Consume, &first, 5)) // 1 is released
		require.Equal(t, 9, refusedBy(t, a, reserve(2)).Booked)
		a = accepted(t, a, settle(Release, &second, 3))
		require.Equal(t, 6, refusedBy(t, a, reserve(5)).Booked)
		accepted(t, a, reserve(4))
	})
	t.Run("never refuses a consumption, but counts its surplus", func(t *testing.T) {
		t.Parallel()
		a := limited(time.Sunday, Cap{PerDay, 4}, Cap{PerSpan, 4}).having(t, 4, tenth)
		a = accepted(t, a, settle(Consume, &a.reservations[0].ID, 7))
		require.Equal(t, 7, a.Used)
		require.Equal(t, CapShortage{a.backing(), PerDay, today, today, 4, 7, 1, 4}, refusedBy(t, a, reserve(1)))
		a = accepted(t, a, settle(Consume, nil, 2))
		require.Equal(t, 9, refusedBy(t, a, reserve(1)).Booked)
	})
	t.Run("counts a reservation on its own day, even if it is consumed on another", func(t *testing.T) {
		t.Parallel()
		a := limited(time.Sunday, Cap{PerDay, 4}).having(t, 4, tenth)
		a = accepted(t, a, settle(Consume, &a.reservations[0].ID, 4).on(date(t, "2026-03-11")))
		refusedBy(t, a, reserve(1).on(date(t, tenth)))
		accepted(t, a, reserve(4).on(date(t, "2026-03-11")))
	})
	t.Run("counts an expired hold as free in the same operation", func(t *testing.T) {
		t.Parallel()
		hold := reserve(10)
		hold.HoldFor = time.Minute
		a := accepted(t, limited(time.Sunday, Cap{PerDay, 10}, Cap{PerSpan, 10}), hold)
		refusedBy(t, a, reserve(1))
		due := Moment{Now: noon.Add(time.Minute), Today: today}
		after, o := decide(a, reserve(10), due)
		require.Nil(t, o.Refusal)
		require.Equal(t, []EntryKind{Expire, Reserve}, kinds(o.Entries))
		_, o = decide(after, reserve(1), due)
		require.Equal(t, 10, o.Refusal.Details().(CapShortage).Booked)
	})
	t.Run("refuses only new reservations once it is below the booked units", func(t *testing.T) {
		t.Parallel()
		a := limited(time.Sunday, Cap{PerWeek, 20}).having(t, 8, tenth, 8, "2026-03-12")
		a.Caps.Week = new(10)
		require.Equal(t, 7, refusedBy(t, a, reserve(1)).Missing)
		a = accepted(t, a, settle(Consume, &a.reservations[0].ID, 0))
		a = accepted(t, a, settle(Release, &a.reservations[1].ID, 0))
		accepted(t, a, reserve(2))
	})
	t.Run("does not modify the given account", func(t *testing.T) {
		t.Parallel()
		a := limited(time.Sunday, Cap{PerDay, 10}).having(t, 4, tenth)
		accepted(t, a, reserve(3))
		require.Equal(t, UnitsByDate{today: 4}, a.UnitsByDate)
	})
}

func TestCapRefusalText(t *testing.T) {
	t.Parallel()
	for p, want := range map[Period]string{
		PerDay: "The authorization allows 2 units on the day 2026-03-10. Booked: 0, Requested: 5, Missing: 3",
		PerWeek: "The authorization allows 2 units in the week from 2026-03-09 to 2026-03-15. Booked: 0, Requested: 5, " +
			"Missing: 3",
		PerMonth: "The authorization allows 2 units in the month from 2026-03-01 to 2026-03-31. Booked: 0, Requested: 5, " +
			"Missing: 3",
		PerSpan: "The authorization allows 2 units in all, from 2023-01-01 to 2028-12-31. Booked: 0, Requested: 5, " +
			"Missing: 3",
	} {
		_, o := decide(limited(time.Monday, Cap{p, 2}), reserve(5), at)
		require.EqualError(t, o.Refusal, want)
	}
}

func TestPeriodsAtTheEndsOfTheCalendar(t *testing.T) {
	t.Parallel()
	a := limited(time.Sunday)
	require.Equal(t, days{firstDayOfAll, day(1, time.January, 6)}, a.period(PerWeek, firstDayOfAll), "a Monday")
	require.Equal(t, days{day(9999, time.December, 26), lastDayOfAll}, a.period(PerWeek, lastDayOfAll), "a Friday")
	require.Equal(t, days{day(9999, time.December, 1), lastDayOfAll}, a.period(PerMonth, lastDayOfAll))
}

func TestCapsOf(t *testing.T) {
	t.Parallel()
	t.Run("keeps one per period and lists the shortest first", func(t *testing.T) {
		t.Parallel()
		c, fieldErrors := capsOf([]Cap{{PerSpan, 4}, {PerWeek, 2}, {PerMonth, 3}, {PerDay, 0}})
		require.Empty(t, fieldErrors)
		require.Equal(t, []Cap{{PerDay, 0}, {PerWeek, 2}, {PerMonth, 3}, {PerSpan, 4}}, c.List())
	})
	t.Run("reports all field errors", func(t *testing.T) {
		t.Parallel()
		_, fieldErrors := capsOf([]Cap{{PerDay, 1}, {PerDay, 1}, {"YEAR", 1}, {PerWeek, -1}, {PerMonth, MaxUnits + 1}})
		var fields []string
		for _, f := range fieldErrors {
			fields = append(fields, f.Field)
		}
		require.Equal(t, []string{"caps[1].period", "caps[2].period", "caps[3].units", "caps[4].units"}, fields)
	})
	t.Run("the service checks them first", func(t *testing.T) {
		t.Parallel()
		_, err := NewAuthorization{Caps: []Cap{{PerDay, -1}}, Status: Active}.check()
		require.ErrorIs(t, err, fault.ErrInvalid)
	})
}

// TestFingerprintOfABulk checks that a bulk differs from any other bulk and from a single operation.
func TestFingerprintOfABulk(t *testing.T) {
	t.Parallel()
	first, second := uuid.New(), uuid.New()
	of := func(atomic bool, authorizations ...uuid.UUID) []byte {
		c := unitCommand{atomic: atomic}
		for _, id := range authorizations {
			c.ops = append(c.ops, Operation{Kind: Reserve, AuthorizationID: id, Units: 1})
		}
		return c.bulkFingerprint()
	}
	mine := of(false, first, second)
	require.Equal(t, mine, of(false, first, second))
	for _, other := range [][]byte{
		of(true, first, second), of(false, first), of(false, first, first), of(false, first, second, first),
		Operation{Kind: Reserve, AuthorizationID: first, Units: 1}.fingerprint(),
	} {
		require.NotEqual(t, mine, other)
	}
}
