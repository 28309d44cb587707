package authorization

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/record"
)

// booked returns an authorization with an appointment's reservation for today, and the
// appointment's id.
func booked(total, used, units int, caps ...Cap) (account, uuid.UUID) {
	a := granted(total, used, 0)
	a.Caps, _ = capsOf(caps)
	a.UnitsByDate = a.Caps.noUnits()
	appointment := uuid.New()
	op := reserve(units).on(today)
	op.AppointmentID = &appointment
	a, _ = decide(a, op, at)
	return a, appointment
}

func TestResize(t *testing.T) {
	t.Parallel()
	type change struct {
		units int
		day   calendar.Date
	}
	tomorrow := today.AddDays(1)
	for _, test := range []struct {
		it      string
		total   int
		caps    []Cap
		status  Status
		to      change
		refusal *fault.Error
		entries []EntryKind
		left    int
	}{
		{"reserves the difference for a longer time", 10, nil, Active, change{7, today}, nil, []EntryKind{Reserve}, 7},
		{"releases the difference for a shorter one", 10, nil, Active, change{1, today}, nil, []EntryKind{Release}, 1},
		{"writes nothing if nothing changes", 10, nil, Active, change{4, today}, nil, nil, 4},
		{
			"releases all units for a time too short for a unit", 10, nil, Active,
			change{0, today},
			nil,
			[]EntryKind{Release},
			0,
		},
		{"moves its own units to another day", 4, nil, Active, change{4, tomorrow}, nil, []EntryKind{Release, Reserve}, 4},
		{"refuses more than its own and the available units", 6, nil, Active, change{7, today}, ErrInsufficientUnits, nil, 4},
		{"refuses more than is available on another day", 6, nil, Active, change{7, tomorrow}, ErrInsufficientUnits, nil, 4},
		{"refuses a day after the last", 10, nil, Active, change{1, lastDay.AddDays(1)}, ErrOutsideDates, nil, 4},
		{"refuses to grow once cancelled", 10, nil, Cancelled, change{5, today}, ErrNotActive, nil, 4},
		{"refuses to move once cancelled", 10, nil, Cancelled, change{4, tomorrow}, ErrNotActive, nil, 4},
		{"shrinks on the same day even then", 10, nil, Cancelled, change{3, today}, nil, []EntryKind{Release}, 3},
		{
			"does not count its own units twice against a cap", 10,
			[]Cap{{PerWeek, 5}},
			Active,
			change{5, tomorrow},
			nil,
			[]EntryKind{Release, Reserve},
			5,
		},
		{"keeps to a cap with all of its units", 10, []Cap{{PerDay, 5}}, Active, change{6, today}, ErrCapExceeded, nil, 4},
	} {
		t.Run("it "+test.it, func(t *testing.T) {
			t.Parallel()
			a, appointment := booked(test.total, 0, 4, test.caps...)
			a.Decision = test.status
			op := settle(Reserve, &a.reservations[0].ID, test.to.units).on(test.to.day)
			op.AppointmentID = &appointment
			after, outcome := decide(a, op, at)
			requireRefusal(t, test.refusal, outcome)
			require.Equal(t, test.left, after.Scheduled)
			require.Equal(t, test.left, after.reservations[0].Left())
			if test.refusal != nil {
				require.Equal(t, a, after)
				require.Equal(t, outcome.Refusal, outcome.Reasons[0])
				return
			}
			require.Equal(t, test.entries, kinds(outcome.Entries))
			if len(test.caps) > 0 {
				require.Equal(t, UnitsByDate{test.to.day: test.to.units}, after.UnitsByDate)
			}
		})
	}
	t.Run("grows again from zero units", func(t *testing.T) {
		t.Parallel()
		a, appointment := booked(10, 0, 4)
		for _, to := range []change{{0, today}, {2, tomorrow}, {3, tomorrow}} {
			op := settle(Reserve, &a.reservations[0].ID, to.units).on(to.day)
			op.AppointmentID = &appointment
			var outcome Outcome
			a, outcome = decide(a, op, at)
			require.Nil(t, outcome.Refusal)
			require.Equal(t, to.units, a.Scheduled)
		}
		require.Len(t, a.reservations, 1)
		require.Equal(t, tomorrow, a.reservations[0].ServiceDate)
	})
	t.Run("resizes only the appointment's own reservation", func(t *testing.T) {
		t.Parallel()
		a, appointment := booked(10, 0, 4)
		op := settle(Reserve, &a.reservations[0].ID, 5).on(today)
		op.AppointmentID = new(uuid.New())
		_, outcome := decide(a, op, at)
		requireRefusal(t, ErrBelongsToAppointment, outcome)
		plain := granted(10, 0, 4)
		op = settle(Reserve, &plain.reservations[0].ID, 5).on(today)
		op.AppointmentID = &appointment
		_, outcome = decide(plain, op, at)
		requireRefusal(t, ErrReservationNotFound, outcome)
	})
	t.Run("is refused after a consumption", func(t *testing.T) {
		t.Parallel()
		a, appointment := booked(10, 0, 4)
		op := settle(Consume, &a.reservations[0].ID, 2)
		op.AppointmentID = &appointment
		a, _ = decide(a, op, at)
		op = settle(Reserve, &a.reservations[0].ID, 5).on(today)
		op.AppointmentID = &appointment
		_, outcome := decide(a, op, at)
		requireRefusal(t, ErrReservationClosed, outcome)
	})
}

func TestReserveReportsEveryBrokenRule(t *testing.T) {
	t.Parallel()
	a, _ := booked(10, 0, 8, Cap{PerDay, 9})
	a.Decision = Pending
	_, outcome := decide(a, reserve(3).on(today), at)
	require.Len(t, outcome.Reasons, 3)
	for i, want := range []*fault.Error{ErrNotActive, ErrInsufficientUnits, ErrCapExceeded} {
		require.ErrorIs(t, outcome.Reasons[i], want)
	}
}

// ledgerOf returns a ledger with the accounts.
func ledgerOf(accounts ...account) *Ledger {
	all := map[record.Key]account{}
	for _, a := range accounts {
		all[a.key()] = a
	}
	return &Ledger{state: stateOf(all)}
}

func claim(a account, units int, day calendar.Date) Claim {
	return Claim{
		OrganizationID: a.OrganizationID, AuthorizationID: a.ID, AppointmentID: uuid.New(), ReservationID: uuid.New(),
		Units: units, ServiceDate: day, OperationID: uuid.New(), ActorID: uuid.New(), RequestID: "r",
	}
}

func TestSheet(t *testing.T) {
	t.Parallel()
	t.Run("is kept completely or not at all", func(t *testing.T) {
		t.Parallel()
		one, other := granted(10, 0, 0), granted(3, 0, 0)
		l := ledgerOf(one, other)
		sheet := l.Sheet()
		reasons, err := sheet.Hold(claim(one, 4, today))
		require.NoError(t, err)
		require.Empty(t, reasons)
		reasons, err = sheet.Hold(claim(other, 4, today))
		require.NoError(t, err)
		require.ErrorIs(t, reasons[0], ErrInsufficientUnits)
		require.Empty(t, l.state.changed(), "nothing is changed before Keep")

		sheet = l.Sheet()
		for range 2 {
			reasons, err = sheet.Hold(claim(one, 5, today))
			require.NoError(t, err)
			require.Empty(t, reasons)
		}
		sheet.Keep()
		left, _ := l.Authorization(one.OrganizationID, one.ID)
		require.Zero(t, left.Available())
		require.Len(t, l.state.messages, 1, "one balance is published for any number of claims")
	})
	t.Run("settles a session beyond the held units, and reports missing units", func(t *testing.T) {
		t.Parallel()
		a := granted(6, 0, 0)
		l := ledgerOf(a)
		c := claim(a, 4, today)
		require.Equal(t, [2]int{6, 2}, settled(t, l, c, 8, today))
		sheet := l.Sheet()
		c.Units = 8
		_, err := sheet.Settle(c)
		require.ErrorIs(t, err, ErrReservationClosed, "once")
	})
	for _, test := range []struct {
		it      string
		held    int
		units   int
		day     calendar.Date
		balance Balance
		want    [2]int
	}{
		{"uses held units, and releases the rest", 4, 3, today, Balance{6, 3, 0}, [2]int{3, 0}},
		{"uses available units if none were held", 0, 3, today, Balance{6, 3, 0}, [2]int{3, 0}},
		{"books nothing for no units", 4, 0, today, Balance{6, 0, 0}, [2]int{0, 0}},
		{"books nothing on a day outside the dates", 4, 5, lastDay.AddDays(1), Balance{6, 0, 0}, [2]int{0, 5}},
		{"never books more than the available units", 0, 9, today, Balance{6, 6, 0}, [2]int{6, 3}},
	} {
		t.Run("it "+test.it, func(t *testing.T) {
			t.Parallel()
			a := granted(6, 0, 0)
			l := ledgerOf(a)
			require.Equal(t, test.want, settled(t, l, claim(a, test.held, today), test.units, test.day))
			left, _ := l.Authorization(a.OrganizationID, a.ID)
			require.Equal(t, test.balance, left.Balance)
		})
	}
	t.Run("releases an appointment's units once", func(t *testing.T) {
		t.Parallel()
		a := granted(6, 0, 0)
		l := ledgerOf(a)
		c := claim(a, 4, today)
		hold(t, l, c)
		for range 2 {
			sheet := l.Sheet()
			require.NoError(t, sheet.Release(c))
			sheet.Keep()
		}
		current := l.state.accounts[a.key()]
		require.Equal(t, []EntryKind{Reserve, Release}, kinds(current.entries))
	})
	t.Run("reports an unknown authorization", func(t *testing.T) {
		t.Parallel()
		reasons, err := ledgerOf().Sheet().Hold(claim(granted(1, 0, 0), 1, today))
		require.NoError(t, err)
		require.ErrorIs(t, reasons[0], ErrNotFound)
	})
	t.Run("returns an error for damaged books", func(t *testing.T) {
		t.Parallel()
		a, appointment := booked(10, 0, 4)
		a.Scheduled = 0
		c := claim(a, 0, today)
		c.AppointmentID, c.ReservationID = appointment, a.reservations[0].ID
		require.ErrorIs(t, ledgerOf(a).Sheet().Release(c), ErrLedgerDamaged)
	})
}

func hold(t *testing.T, l *Ledger, c Claim) {
	t.Helper()
	sheet := l.Sheet()
	reasons, err := sheet.Hold(c)
	require.NoError(t, err)
	require.Empty(t, reasons)
	sheet.Keep()
}

// settled holds the claim, settles it, and returns the consumed and the missing units.
func settled(t *testing.T, l *Ledger, c Claim, units int, day calendar.Date) [2]int {
	t.Helper()
	hold(t, l, c)
	c.Units, c.ServiceDate = units, day
	sheet := l.Sheet()
	result, err := sheet.Settle(c)
	require.NoError(t, err)
	sheet.Keep()
	current := l.state.accounts[c.key()]
	for _, p := range problemsOf(current.after, current.entries, time.Time{}) {
		require.Contains(t, []string{"sequence", "chain"}, p.Check, "the fixture begins in the middle of its ledger: %s", p)
	}
	return [2]int{result.Units, result.Missing}
}
