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

// limited returns an authorization of the years 2023 to 2028 with room for many
// units and the caps, weeks beginning on that day.
func limited(weekStart time.Weekday, caps ...Cap) account {
	a := granted(100_000, 0, 0)
	a.StartDate, a.EndDate = day(2023, time.January, 1), day(2028, time.December, 31)
	a.Caps, _ = capsOf(caps)
	a.weekStart = weekStart
	a.Booked = a.Caps.nothingBooked()
	return a
}

// having returns the account after reservations of units for days, by turns.
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

// TestCapsCountTheirPeriod asks for 3 units under a cap of 10 with 8 booked, so
// that 1 is missing on the days of the period and none on the days beside it.
func TestCapsCountTheirPeriod(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		period      Period
		week        time.Weekday
		booked      string
		first, last string
	}{
		{PerDay, time.Sunday, "2026-03-10", "2026-03-10", "2026-03-10"},
		// 2026-03-11 is a Wednesday; a week with each first day holds it.
		{PerWeek, time.Sunday, "2026-03-11", "2026-03-08", "2026-03-14"},
		{PerWeek, time.Monday, "2026-03-11", "2026-03-09", "2026-03-15"},
		{PerWeek, time.Tuesday, "2026-03-11", "2026-03-10", "2026-03-16"},
		{PerWeek, time.Wednesday, "2026-03-11", "2026-03-11", "2026-03-17"},
		{PerWeek, time.Thursday, "2026-03-11", "2026-03-05", "2026-03-11"},
		{PerWeek, time.Friday, "2026-03-11", "2026-03-06", "2026-03-12"},
		{PerWeek, time.Saturday, "2026-03-11", "2026-03-07", "2026-03-13"},
		// Over the turn of a year, a clock change in America, and a leap day.
		{PerWeek, time.Monday, "2026-01-01", "2025-12-29", "2026-01-04"},
		{PerWeek, time.Sunday, "2026-11-01", "2026-11-01", "2026-11-07"},
		{PerWeek, time.Sunday, "2024-02-29", "2024-02-25", "2024-03-02"},
		{PerMonth, time.Sunday, "2026-03-01", "2026-03-01", "2026-03-31"},
		{PerMonth, time.Sunday, "2026-04-30", "2026-04-01", "2026-04-30"},
		{PerMonth, time.Sunday, "2026-02-28", "2026-02-01", "2026-02-28"},
		{PerMonth, time.Sunday, "2024-02-29", "2024-02-01", "2024-02-29"},
		{PerMonth, time.Sunday, "2026-12-31", "2026-12-01", "2026-12-31"},
	} {
		t.Run(fmt.Sprintf("it counts the %s of %s from %s to %s", test.period, test.booked, test.first, test.last), func(t *testing.T) {
			t.Parallel()
			a := limited(test.week, Cap{test.period, 10}).having(t, 8, test.booked)
			first, last := date(t, test.first), date(t, test.last)
			for _, within := range []calendar.Date{first, date(t, test.booked), last} {
				_, o := decide(a, reserve(3).on(within), at)
				requireRefusal(t, ErrCapExceeded, o)
				require.Equal(t, CapShortage{test.period, first, last, 10, 8, 3, 1}, o.Refusal.Details())
				_, o = decide(a, reserve(2).on(within), at)
				require.Nil(t, o.Refusal, "what fits")
			}
			for _, beside := range []calendar.Date{first.AddDays(-1), last.AddDays(1)} {
				_, o := decide(a, reserve(10).on(beside), at)
				require.Nil(t, o.Refusal)
				_, o = decide(a, reserve(11).on(beside), at)
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
		require.Equal(t, a, after, "a refusal changes nothing")
		return o.Refusal.Details().(CapShortage)
	}
	accepted := func(t *testing.T, a account, op Operation) account {
		t.Helper()
		after, o := decide(a, op, at)
		require.Nil(t, o.Refusal, "%v", o.Refusal)
		return after
	}
	t.Run("it takes a cap of zero at its word", func(t *testing.T) {
		t.Parallel()
		for _, p := range periods {
			shortage := refusedBy(t, limited(time.Sunday, Cap{p, 0}), reserve(1))
			require.Equal(t, 1, shortage.Missing)
			require.Equal(t, p, shortage.Cap)
		}
	})
	t.Run("it counts a reservation without a date as today's", func(t *testing.T) {
		t.Parallel()
		a := limited(time.Sunday, Cap{PerDay, 5})
		a = accepted(t, a, reserve(5))
		require.Equal(t, today, refusedBy(t, a, reserve(1).on(today)).PeriodStart)
		accepted(t, a, reserve(5).on(today.AddDays(1)))
	})
	t.Run("it counts the whole span by the counters", func(t *testing.T) {
		t.Parallel()
		a := granted(100, 7, 4)
		a.Caps, _ = capsOf([]Cap{{PerSpan, 12}})
		require.Nil(t, a.Booked)
		require.Equal(t, CapShortage{PerSpan, firstDay, lastDay, 12, 11, 3, 2}, refusedBy(t, a, reserve(3)))
		accepted(t, a, reserve(1))
	})
	t.Run("it asks every cap, and tells the shortest period first", func(t *testing.T) {
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
	t.Run("it says first that units are not there at all", func(t *testing.T) {
		t.Parallel()
		a := limited(time.Sunday, Cap{PerDay, 1})
		_, o := decide(a, reserve(100_001), at)
		requireRefusal(t, ErrInsufficientUnits, o)
	})
	t.Run("it counts what was used, and not what was given back", func(t *testing.T) {
		t.Parallel()
		a := limited(time.Sunday, Cap{PerDay, 10}).having(t, 6, tenth, 4, tenth)
		first, second := a.reservations[0].ID, a.reservations[1].ID
		a = accepted(t, a, settle(Consume, &first, 5)) // 1 goes back
		require.Equal(t, 9, refusedBy(t, a, reserve(2)).Booked)
		a = accepted(t, a, settle(Release, &second, 3))
		require.Equal(t, 6, refusedBy(t, a, reserve(5)).Booked)
		accepted(t, a, reserve(4))
	})
	t.Run("it never refuses a consumption, whose surplus counts", func(t *testing.T) {
		t.Parallel()
		a := limited(time.Sunday, Cap{PerDay, 4}, Cap{PerSpan, 4}).having(t, 4, tenth)
		a = accepted(t, a, settle(Consume, &a.reservations[0].ID, 7))
		require.Equal(t, 7, a.Used)
		require.Equal(t, CapShortage{PerDay, today, today, 4, 7, 1, 4}, refusedBy(t, a, reserve(1)))
		a = accepted(t, a, settle(Consume, nil, 2))
		require.Equal(t, 9, refusedBy(t, a, reserve(1)).Booked)
	})
	t.Run("it counts a reservation on its own day, whenever it is consumed", func(t *testing.T) {
		t.Parallel()
		a := limited(time.Sunday, Cap{PerDay, 4}).having(t, 4, tenth)
		a = accepted(t, a, settle(Consume, &a.reservations[0].ID, 4).on(date(t, "2026-03-11")))
		refusedBy(t, a, reserve(1).on(date(t, tenth)))
		accepted(t, a, reserve(4).on(date(t, "2026-03-11")))
	})
	t.Run("it counts an expired hold as free in the same operation", func(t *testing.T) {
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
	t.Run("it refuses only what is new once it is below what is booked", func(t *testing.T) {
		t.Parallel()
		a := limited(time.Sunday, Cap{PerWeek, 20}).having(t, 8, tenth, 8, "2026-03-12")
		a.Caps.Week = new(10)
		require.Equal(t, 7, refusedBy(t, a, reserve(1)).Missing)
		a = accepted(t, a, settle(Consume, &a.reservations[0].ID, 0))
		a = accepted(t, a, settle(Release, &a.reservations[1].ID, 0))
		accepted(t, a, reserve(2))
	})
	t.Run("it leaves the account that it was given alone", func(t *testing.T) {
		t.Parallel()
		a := limited(time.Sunday, Cap{PerDay, 10}).having(t, 4, tenth)
		accepted(t, a, reserve(3))
		require.Equal(t, Bookings{today: 4}, a.Booked)
	})
}

func TestCapRefusalInWords(t *testing.T) {
	t.Parallel()
	for p, want := range map[Period]string{
		PerDay:   "The authorization allows 2 units on the day 2026-03-10. Booked: 0, Requested: 5, Missing: 3",
		PerWeek:  "The authorization allows 2 units in the week from 2026-03-09 to 2026-03-15. Booked: 0, Requested: 5, Missing: 3",
		PerMonth: "The authorization allows 2 units in the month from 2026-03-01 to 2026-03-31. Booked: 0, Requested: 5, Missing: 3",
		PerSpan:  "The authorization allows 2 units in all, from 2023-01-01 to 2028-12-31. Booked: 0, Requested: 5, Missing: 3",
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
	t.Run("it keeps one for each period and lists the shortest first", func(t *testing.T) {
		t.Parallel()
		c, wrong := capsOf([]Cap{{PerSpan, 4}, {PerWeek, 2}, {PerMonth, 3}, {PerDay, 0}})
		require.Empty(t, wrong)
		require.Equal(t, []Cap{{PerDay, 0}, {PerWeek, 2}, {PerMonth, 3}, {PerSpan, 4}}, c.List())
	})
	t.Run("it tells everything that is wrong", func(t *testing.T) {
		t.Parallel()
		_, wrong := capsOf([]Cap{{PerDay, 1}, {PerDay, 1}, {"YEAR", 1}, {PerWeek, -1}, {PerMonth, MaxUnits + 1}})
		var fields []string
		for _, f := range wrong {
			fields = append(fields, f.Field)
		}
		require.Equal(t, []string{"caps[1].period", "caps[2].period", "caps[3].units", "caps[4].units"}, fields)
	})
	t.Run("it is refused by the service before anything else", func(t *testing.T) {
		t.Parallel()
		_, err := NewAuthorization{Caps: []Cap{{PerDay, -1}}, Status: Active}.check()
		require.ErrorIs(t, err, fault.ErrInvalid)
	})
}

// TestOperationsOfABulk looks at what ties them together.
func TestOperationsOfABulk(t *testing.T) {
	t.Parallel()
	first, second := uuid.New(), uuid.New()
	of := func(atomic bool, authorizations ...uuid.UUID) batch {
		b := batch{atomic: atomic}
		for _, id := range authorizations {
			b.ops = append(b.ops, Operation{Kind: Reserve, AuthorizationID: id, Units: 1})
		}
		b.bind()
		return b
	}
	t.Run("it goes through authorizations in one order", func(t *testing.T) {
		t.Parallel()
		require.Len(t, of(false, first, second, first).authorizations(), 2)
		require.Equal(t, of(false, first, second).authorizations(), of(false, second, first, second).authorizations())
	})
	t.Run("it knows a request that differs anywhere by its first operation", func(t *testing.T) {
		t.Parallel()
		mine := of(false, first, second).ops[0].fingerprint()
		require.Equal(t, mine, of(false, first, second).ops[0].fingerprint())
		for _, other := range []batch{of(true, first, second), of(false, first), of(false, first, first), of(false, first, second, first)} {
			require.NotEqual(t, mine, other.ops[0].fingerprint())
		}
		require.NotEqual(t, mine, Operation{Kind: Reserve, AuthorizationID: first, Units: 1}.fingerprint(), "nor is it a single one")
	})
}
