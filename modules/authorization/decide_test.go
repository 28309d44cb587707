package authorization

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/patch"
)

var (
	day      = calendar.NewDate
	firstDay = day(2026, time.March, 1)
	today    = day(2026, time.March, 10)
	lastDay  = day(2026, time.March, 31)
	noon     = time.Date(2026, time.March, 10, 12, 0, 0, 0, time.UTC)
	at       = Moment{Now: noon, Today: today}
)

// granted returns an active authorization of March 2026 with the counters, and an open reservation
// for its scheduled units.
func granted(total, used, scheduled int) account {
	a := account{Authorization: Authorization{
		OrganizationID: uuid.New(),
		ID:             uuid.New(),
		Balance:        Balance{total, used, scheduled},
		StartDate:      firstDay,
		EndDate:        lastDay,
		Decision:       Active,
		Version:        1,
		InitialUnits:   total,
		LastSequence:   1,
	}}
	if scheduled > 0 {
		a.reservations = append(a.reservations, Reservation{
			ID: uuid.New(), AuthorizationID: a.ID, Units: scheduled, ServiceDate: today, Sequence: 1,
		})
	}
	return a
}

func reserve(units int) Operation {
	return Operation{ID: uuid.New(), Kind: Reserve, Units: units, NewID: uuid.New()}
}

func settle(kind EntryKind, reservation *uuid.UUID, units int) Operation {
	return Operation{ID: uuid.New(), Kind: kind, ReservationID: reservation, Units: units, NewID: uuid.New()}
}

func (o Operation) on(day calendar.Date) Operation { o.ServiceDate = day; return o }

func kinds(entries []Entry) []EntryKind {
	var k []EntryKind
	for _, e := range entries {
		k = append(k, e.Kind)
	}
	return k
}

func TestReserve(t *testing.T) {
	t.Parallel()
	with := func(a account, change func(*account)) account { change(&a); return a }
	for _, test := range []struct {
		it      string
		account account
		op      Operation
		refusal *fault.Error
		balance Balance
	}{
		{"holds units that are available", granted(10, 2, 3), reserve(5), nil, Balance{10, 2, 8}},
		{"refuses one unit more than is available", granted(10, 2, 3), reserve(6), ErrInsufficientUnits, Balance{10, 2, 3}},
		{"refuses on an authorization of zero units", granted(0, 0, 0), reserve(1), ErrInsufficientUnits, Balance{}},
		{"is possible on the first day", granted(10, 0, 0), reserve(1).on(firstDay), nil, Balance{10, 0, 1}},
		{"is possible on the last day", granted(10, 0, 0), reserve(1).on(lastDay), nil, Balance{10, 0, 1}},
		{
			"refuses the day before the first", granted(10, 0, 0), reserve(1).on(firstDay.AddDays(-1)), ErrOutsideDates,
			Balance{10, 0, 0},
		},
		{
			"refuses the day after the last", granted(10, 0, 0), reserve(1).on(lastDay.AddDays(1)), ErrOutsideDates,
			Balance{10, 0, 0},
		},
		{
			"refuses while pending", with(granted(10, 0, 0), func(a *account) {
				a.Decision = Pending
			}), reserve(1), ErrNotActive,
			Balance{10, 0, 0},
		},
		{
			"refuses once cancelled", with(granted(10, 0, 0), func(a *account) {
				a.Decision = Cancelled
			}), reserve(1), ErrNotActive,
			Balance{10, 0, 0},
		},
		{
			"refuses for today once it has expired", with(granted(10, 0, 0), func(a *account) { a.EndDate = today.AddDays(-1) }),
			reserve(1), ErrOutsideDates,
			Balance{10, 0, 0},
		},
		{
			"is possible for a day within the dates after it has expired, for entries from paper records",
			with(granted(10, 0, 0), func(a *account) { a.EndDate = today.AddDays(-1) }), reserve(1).on(firstDay), nil,
			Balance{10, 0, 1},
		},
	} {
		t.Run("it "+test.it, func(t *testing.T) {
			t.Parallel()
			after, outcome := decide(test.account, test.op, at)
			requireRefusal(t, test.refusal, outcome)
			require.Equal(t, test.balance, after.Balance)
			if test.refusal != nil {
				require.Equal(t, test.account, after, "a refused operation changes nothing")
				return
			}
			require.Equal(t, []EntryKind{Reserve}, kinds(outcome.Entries))
			require.Len(t, outcome.Reservations, 1)
			require.Equal(t, test.op.NewID, outcome.Reservations[0].ID)
			require.Equal(t, test.account.Version+1, after.Version)
		})
	}
}

func requireRefusal(t *testing.T, want *fault.Error, got Outcome) {
	t.Helper()
	if want == nil {
		require.Nil(t, got.Refusal)
		return
	}
	require.NotNil(t, got.Refusal, "must be refused")
	require.ErrorIs(t, got.Refusal, want)
	require.Empty(t, got.Entries)
}

func TestReserveReportsAvailableUnits(t *testing.T) {
	t.Parallel()
	a := granted(10, 2, 3)
	_, outcome := decide(a, reserve(6), at)
	require.EqualError(t, outcome.Refusal, "Insufficient units available. Available: 5, Requested: 6")
	require.Equal(t, Shortage{a.backing(), 5, 6}, outcome.Refusal.Details())
}

func TestRelease(t *testing.T) {
	t.Parallel()
	t.Run("releases all remaining units without a number", func(t *testing.T) {
		t.Parallel()
		a := granted(10, 0, 4)
		after, outcome := decide(a, settle(Release, &a.reservations[0].ID, 0), at)
		require.Nil(t, outcome.Refusal)
		require.Equal(t, Balance{10, 0, 0}, after.Balance)
		require.False(t, outcome.Reservations[0].OpenAt(outcome.Reservations[0].UpdatedAt))
	})
	t.Run("releases some units and leaves the reservation open", func(t *testing.T) {
		t.Parallel()
		a := granted(10, 0, 4)
		after, outcome := decide(a, settle(Release, &a.reservations[0].ID, 3), at)
		require.Nil(t, outcome.Refusal)
		require.Equal(t, Balance{10, 0, 1}, after.Balance)
		require.Equal(t, 1, outcome.Reservations[0].Left())
	})
	t.Run("refuses more than the remaining units", func(t *testing.T) {
		t.Parallel()
		a := granted(10, 0, 4)
		_, outcome := decide(a, settle(Release, &a.reservations[0].ID, 5), at)
		require.Equal(t, ReservedShortage{Reserved: 4, Requested: 5}, outcome.Refusal.Details())
	})
	t.Run("refuses a closed reservation", func(t *testing.T) {
		t.Parallel()
		a := granted(10, 0, 4)
		after, _ := decide(a, settle(Release, &a.reservations[0].ID, 0), at)
		_, outcome := decide(after, settle(Release, &a.reservations[0].ID, 0), at)
		requireRefusal(t, ErrReservationClosed, outcome)
	})
	t.Run("refuses a reservation of another authorization", func(t *testing.T) {
		t.Parallel()
		_, outcome := decide(granted(10, 0, 4), settle(Release, new(uuid.New()), 0), at)
		requireRefusal(t, ErrReservationNotFound, outcome)
	})
	for _, status := range []Status{Cancelled, Pending} {
		t.Run("is possible on an authorization that is "+string(status), func(t *testing.T) {
			t.Parallel()
			a := granted(10, 0, 4)
			a.Decision = status
			after, outcome := decide(a, settle(Release, &a.reservations[0].ID, 0), at)
			require.Nil(t, outcome.Refusal)
			require.Zero(t, after.Scheduled)
		})
	}
	t.Run("takes from the oldest open reservations without an appointment", func(t *testing.T) {
		t.Parallel()
		a := granted(20, 0, 3)
		a.reservations[0].AppointmentID = new(uuid.New())
		a, _ = decide(a, reserve(4), at)
		a, _ = decide(a, reserve(5), at)
		after, outcome := decide(a, settle(Release, nil, 6), at)
		require.Nil(t, outcome.Refusal)
		require.Equal(t, []int{3, 0, 3}, left(after))
		_, outcome = decide(after, settle(Release, nil, 4), at)
		require.Equal(t, ReservedShortage{Reserved: 3, Requested: 4}, outcome.Refusal.Details())
	})
}

func left(a account) []int {
	var l []int
	for _, r := range a.reservations {
		l = append(l, r.Left())
	}
	return l
}

func TestAppointmentsReservation(t *testing.T) {
	t.Parallel()
	appointment := uuid.New()
	a := granted(10, 0, 4)
	a.reservations[0].AppointmentID = &appointment
	for _, kind := range []EntryKind{Release, Consume} {
		t.Run("is not settled without its appointment by "+string(kind), func(t *testing.T) {
			t.Parallel()
			_, outcome := decide(a, settle(kind, &a.reservations[0].ID, 1), at)
			requireRefusal(t, ErrBelongsToAppointment, outcome)
		})
		t.Run("is settled through its appointment by "+string(kind), func(t *testing.T) {
			t.Parallel()
			op := settle(kind, &a.reservations[0].ID, 1)
			op.AppointmentID = &appointment
			_, outcome := decide(a, op, at)
			require.Nil(t, outcome.Refusal)
		})
	}
}

func TestConsume(t *testing.T) {
	t.Parallel()
	named := func(a account, units int) Operation { return settle(Consume, &a.reservations[0].ID, units) }
	t.Run("turns all reserved units into used units", func(t *testing.T) {
		t.Parallel()
		a := granted(10, 1, 4)
		after, outcome := decide(a, named(a, 0), at)
		require.Nil(t, outcome.Refusal)
		require.Equal(t, Balance{10, 5, 0}, after.Balance)
		require.Equal(t, 4, outcome.Consumed)
	})
	t.Run("releases the rest if fewer were used", func(t *testing.T) {
		t.Parallel()
		a := granted(10, 0, 4)
		after, outcome := decide(a, named(a, 3), at)
		require.Equal(t, Balance{10, 3, 0}, after.Balance)
		require.Equal(t, []EntryKind{Consume, Release}, kinds(outcome.Entries))
	})
	t.Run("keeps the rest reserved on request", func(t *testing.T) {
		t.Parallel()
		a := granted(10, 0, 4)
		op := named(a, 3)
		op.KeepRest = true
		after, _ := decide(a, op, at)
		require.Equal(t, Balance{10, 3, 1}, after.Balance)
	})
	t.Run("takes the surplus from the available units", func(t *testing.T) {
		t.Parallel()
		a := granted(10, 0, 4)
		after, outcome := decide(a, named(a, 6), at)
		require.Equal(t, Balance{10, 6, 0}, after.Balance)
		require.Equal(t, []EntryKind{Reserve, Consume}, kinds(outcome.Entries))
		require.Zero(t, outcome.Missing)
	})
	t.Run("reports missing units and never books below zero", func(t *testing.T) {
		t.Parallel()
		a := granted(10, 5, 4)
		after, outcome := decide(a, named(a, 7), at)
		require.Nil(t, outcome.Refusal)
		require.Equal(t, Balance{10, 10, 0}, after.Balance)
		require.Equal(t, 5, outcome.Consumed)
		require.Equal(t, 2, outcome.Missing)
	})
	t.Run("consumes a fully booked authorization", func(t *testing.T) {
		t.Parallel()
		a := granted(8, 0, 4)
		a, _ = decide(a, reserve(4), at)
		require.Equal(t, Exhausted, a.StatusOn(today))
		a, outcome := decide(a, named(a, 0), at)
		require.Nil(t, outcome.Refusal)
		a, outcome = decide(a, settle(Consume, &a.reservations[1].ID, 0), at)
		require.Nil(t, outcome.Refusal)
		require.Equal(t, Balance{8, 8, 0}, a.Balance)
	})
	t.Run("is possible after the authorization has ended", func(t *testing.T) {
		t.Parallel()
		a := granted(10, 0, 4)
		later := Moment{Now: noon.AddDate(0, 2, 0), Today: today.AddDays(60)}
		after, outcome := decide(a, named(a, 5), later)
		require.Nil(t, outcome.Refusal)
		require.Equal(t, 5, after.Used, "the session took place within the dates, the surplus too")
	})
	t.Run("refuses a session outside the dates", func(t *testing.T) {
		t.Parallel()
		a := granted(10, 0, 4)
		_, outcome := decide(a, named(a, 4).on(lastDay.AddDays(1)), at)
		requireRefusal(t, ErrOutsideDates, outcome)
	})
	t.Run("takes no surplus from a cancelled authorization", func(t *testing.T) {
		t.Parallel()
		a := granted(10, 0, 4)
		a.Decision = Cancelled
		after, outcome := decide(a, named(a, 6), at)
		require.Equal(t, Balance{10, 4, 0}, after.Balance)
		require.Equal(t, 2, outcome.Missing)
	})
	t.Run("takes from the oldest and keeps their rest reserved without a reservation id", func(t *testing.T) {
		t.Parallel()
		a := granted(20, 0, 4)
		a, _ = decide(a, reserve(4), at)
		after, outcome := decide(a, settle(Consume, nil, 5), at)
		require.Nil(t, outcome.Refusal)
		require.Equal(t, []int{0, 3}, left(after))
		require.Equal(t, Balance{20, 5, 3}, after.Balance)
	})
	t.Run("reserves and uses units that were not reserved", func(t *testing.T) {
		t.Parallel()
		after, outcome := decide(granted(10, 0, 0), settle(Consume, nil, 4), at)
		require.Nil(t, outcome.Refusal)
		require.Equal(t, Balance{10, 4, 0}, after.Balance)
		require.Equal(t, []EntryKind{Reserve, Consume}, kinds(outcome.Entries))
	})
	t.Run("refuses if no unit can be consumed", func(t *testing.T) {
		t.Parallel()
		_, outcome := decide(granted(4, 4, 0), settle(Consume, nil, 2), at)
		requireRefusal(t, ErrInsufficientUnits, outcome)
	})
}

func TestHoldsExpire(t *testing.T) {
	t.Parallel()
	held := func() account {
		op := reserve(6)
		op.HoldFor = time.Minute
		a, outcome := decide(granted(10, 0, 0), op, at)
		require.Nil(t, outcome.Refusal)
		return a
	}
	due := Moment{Now: noon.Add(time.Minute), Today: today}
	early := Moment{Now: due.Now.Add(-time.Microsecond), Today: today}

	t.Run("counts until the instant of expiry", func(t *testing.T) {
		t.Parallel()
		_, outcome := decide(held(), reserve(5), early)
		requireRefusal(t, ErrInsufficientUnits, outcome)
	})
	t.Run("is free at the instant of expiry, for a reserve that needs its units", func(t *testing.T) {
		t.Parallel()
		after, outcome := decide(held(), reserve(10), due)
		require.Nil(t, outcome.Refusal)
		require.Equal(t, []EntryKind{Expire, Reserve}, kinds(outcome.Entries))
		require.Equal(t, Balance{10, 0, 10}, after.Balance)
		require.Nil(t, after.NextExpiry)
		require.Len(t, outcome.Reservations, 1, "the outcome has only the new reservation")
	})
	t.Run("can no longer be consumed", func(t *testing.T) {
		t.Parallel()
		a := held()
		_, outcome := decide(a, settle(Consume, &a.reservations[0].ID, 0), due)
		requireRefusal(t, ErrReservationClosed, outcome)
		require.True(t, outcome.Refusal.Details().(Settled).Expired)
	})
	t.Run("is recorded by the sweeper, once", func(t *testing.T) {
		t.Parallel()
		after, outcome := decide(held(), Operation{ID: uuid.New(), Kind: Expire}, due)
		require.Equal(t, []EntryKind{Expire}, kinds(outcome.Entries))
		_, outcome = decide(after, Operation{ID: uuid.New(), Kind: Expire}, due)
		require.Empty(t, outcome.Entries)
	})
	t.Run("does not affect a later hold", func(t *testing.T) {
		t.Parallel()
		later := reserve(1)
		later.HoldFor = time.Hour
		a, _ := decide(held(), later, at)
		after, _ := decide(a, Operation{ID: uuid.New(), Kind: Expire}, due)
		require.Equal(t, 1, after.Scheduled)
		require.Equal(t, noon.Add(time.Hour), *after.NextExpiry)
	})
}

func TestAdjust(t *testing.T) {
	t.Parallel()
	adjust := func(total int) Operation {
		return Operation{ID: uuid.New(), Kind: Adjust, Total: total, Reason: new("the payer cut it")}
	}
	t.Run("can be lowered to the used and scheduled units", func(t *testing.T) {
		t.Parallel()
		after, outcome := decide(granted(10, 2, 3), adjust(5), at)
		require.Nil(t, outcome.Refusal)
		require.Equal(t, Balance{5, 2, 3}, after.Balance)
		require.Equal(t, -5, outcome.Entries[0].Units)
		require.Equal(t, "the payer cut it", *outcome.Entries[0].Reason)
	})
	t.Run("cannot be lower", func(t *testing.T) {
		t.Parallel()
		_, outcome := decide(granted(10, 2, 3), adjust(4), at)
		require.Equal(t, BookedUnits{Requested: 4, UsedUnits: 2, ScheduledUnits: 3}, outcome.Refusal.Details())
	})
	t.Run("requires the current version", func(t *testing.T) {
		t.Parallel()
		op := adjust(9)
		op.Match = patch.Match(patch.Tag(1))
		after, outcome := decide(granted(10, 2, 3), op, at)
		require.Nil(t, outcome.Refusal)
		require.Equal(t, 9, after.Total)
		again, outcome := decide(after, op, at)
		require.Equal(t, patch.Current{CurrentVersion: 2}, outcome.Refusal.Details())
		require.Equal(t, after, again)
	})
	t.Run("writes nothing if nothing changes", func(t *testing.T) {
		t.Parallel()
		after, outcome := decide(granted(10, 2, 3), adjust(10), at)
		require.Empty(t, outcome.Entries)
		require.Equal(t, 1, after.Version)
	})
}

func TestStatus(t *testing.T) {
	t.Parallel()
	a := granted(10, 4, 2).Authorization
	full := granted(10, 4, 6).Authorization
	for _, test := range []struct {
		it   string
		a    Authorization
		day  calendar.Date
		want Status
	}{
		{"is upcoming the day before the first", a, firstDay.AddDays(-1), Upcoming},
		{"is active on the first day", a, firstDay, Active},
		{"is active on the last day", a, lastDay, Active},
		{"is expired the day after the last", a, lastDay.AddDays(1), Expired},
		{"is exhausted when nothing is available", full, today, Exhausted},
		{"is expired rather than exhausted", full, lastDay.AddDays(1), Expired},
		{
			"stays cancelled on any date", func() Authorization { c := a; c.Decision = Cancelled; return c }(),
			lastDay.AddDays(1), Cancelled,
		},
		{"stays pending on any date", func() Authorization { c := a; c.Decision = Pending; return c }(), today, Pending},
	} {
		t.Run("it "+test.it, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.want, test.a.StatusOn(test.day))
		})
	}
}
