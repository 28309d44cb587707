package authorization

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"omnirapeutic/platform/calendar"
)

// model is a simple model of units: each unit is a stone in one of several boxes. It has no
// counters, entries or hashes.
type model struct {
	available int
	used      int
	held      []box // oldest first
	caps      []Cap
	weekStart time.Weekday
}

type box struct {
	id        uuid.UUID
	stones    int
	used      int // stones used out of it
	day       calendar.Date
	expiresAt time.Time // zero: never
	owner     uuid.UUID // the appointment that owns it; zero: none
}

// fits reports whether more stones on a day keep to the caps. It counts every stone that is in a
// box or was used out of one.
func (m *model) fits(units int, day calendar.Date) bool {
	for _, limit := range m.caps {
		for _, b := range m.held {
			if m.together(limit.Period, b.day, day) {
				limit.Units -= b.stones + b.used
			}
		}
		if units > limit.Units {
			return false
		}
	}
	return true
}

// together reports whether two days are in one period, by stepping from one to the other.
func (m *model) together(p Period, x, y calendar.Date) bool {
	if y.Before(x) {
		x, y = y, x
	}
	for d := x; d != y; {
		d = d.AddDays(1)
		switch {
		case p == PerDay, p == PerWeek && d.Time().Weekday() == m.weekStart, p == PerMonth && d.Time().Day() == 1:
			return false
		}
	}
	return true
}

func (m *model) expire(now time.Time) {
	for i := range m.held {
		if b := &m.held[i]; !b.expiresAt.IsZero() && !b.expiresAt.After(now) {
			m.available += b.stones
			b.stones = 0
		}
	}
}

func (m *model) box(id uuid.UUID) *box {
	i := slices.IndexFunc(m.held, func(b box) bool { return b.id == id })
	if i < 0 {
		return nil
	}
	return &m.held[i]
}

// appointmentHold is the units that an appointment holds.
type appointmentHold struct {
	appointment, reservation uuid.UUID
	units                    int
	day                      calendar.Date
}

// holds returns the units that the appointments hold.
func (m *model) holds() []appointmentHold {
	var all []appointmentHold
	for _, b := range m.held {
		if b.owner != uuid.Nil && b.stones > 0 {
			all = append(all, appointmentHold{b.owner, b.id, b.stones, b.day})
		}
	}
	return all
}

// holdsIn returns the units that the reservations hold for appointments.
func holdsIn(reservations []Reservation) []appointmentHold {
	var all []appointmentHold
	for _, r := range reservations {
		if r.AppointmentID != nil && r.hasLeft() {
			all = append(all, appointmentHold{*r.AppointmentID, r.ID, r.Left(), r.ServiceDate})
		}
	}
	return all
}

func (m *model) scheduled() int {
	sum := 0
	for _, b := range m.held {
		sum += b.stones
	}
	return sum
}

// try moves the stones if the operation is possible. It reports whether it was, and the missing
// stones of a consumption.
func (m *model) try(op Operation, now time.Time) (accepted bool, missing int) {
	before := *m
	before.held = slices.Clone(m.held)
	defer func() {
		if !accepted {
			*m = before
		}
	}()
	m.expire(now)
	owner := uuid.Nil
	if op.AppointmentID != nil {
		owner = *op.AppointmentID
	}
	switch {
	case op.Kind == Reserve && op.ReservationID != nil:
		b := m.box(*op.ReservationID)
		if b == nil || b.owner == uuid.Nil || b.owner != owner || b.used > 0 {
			return false, 0
		}
		less := b.day == op.ServiceDate && op.Units <= b.stones
		m.available += b.stones
		b.stones = 0
		if !less && (op.Units > m.available || op.Units > 0 && !m.fits(op.Units, op.ServiceDate)) {
			return false, 0
		}
		m.available -= op.Units
		b.stones = op.Units
		if op.Units > 0 {
			b.day = op.ServiceDate
		}
		return true, 0
	case op.Kind == Reserve:
		if op.Units > m.available || !m.fits(op.Units, op.ServiceDate) {
			return false, 0
		}
		b := box{id: op.NewID, stones: op.Units, day: op.ServiceDate, owner: owner}
		if op.HoldFor > 0 {
			b.expiresAt = now.Add(op.HoldFor)
		}
		m.available -= op.Units
		m.held = append(m.held, b)
		return true, 0
	case op.Kind == Adjust:
		change := op.Total - (m.available + m.used + m.scheduled())
		if m.available+change < 0 {
			return false, 0
		}
		m.available += change
		return true, 0
	case op.Kind == Expire:
		return true, 0
	case op.ReservationID != nil:
		b := m.box(*op.ReservationID)
		reopens := op.Kind == Consume && b != nil && b.owner != uuid.Nil && b.used == 0
		if b == nil || b.owner != uuid.Nil && b.owner != owner || b.stones == 0 && !reopens {
			return false, 0
		}
		units := op.Units
		if units == 0 {
			units = b.stones
		}
		if op.Kind == Release {
			if units > b.stones {
				return false, 0
			}
			b.stones -= units
			m.available += units
			return true, 0
		}
		fromBox := min(units, b.stones)
		fromAvailable := min(units-fromBox, m.available)
		m.used += fromBox + fromAvailable
		b.used += fromBox + fromAvailable
		b.stones -= fromBox
		m.available -= fromAvailable
		if !op.KeepRest {
			m.available += b.stones
			b.stones = 0
		}
		return true, units - fromBox - fromAvailable
	case op.Kind == Consume && owner != uuid.Nil:
		units := min(op.Units, m.available)
		m.available -= units
		m.used += units
		m.held = append(m.held, box{id: op.NewID, used: units, day: today, owner: owner})
		return true, op.Units - units
	default:
		left := op.Units
		for i := range m.held {
			if m.held[i].owner != uuid.Nil {
				continue
			}
			units := min(left, m.held[i].stones)
			m.held[i].stones -= units
			left -= units
			if op.Kind == Release {
				m.available += units
			} else {
				m.used += units
				m.held[i].used += units
			}
		}
		if op.Kind == Release {
			return left == 0, 0
		}
		fromAvailable := min(left, m.available)
		m.held = append(m.held, box{used: fromAvailable, day: today})
		m.available -= fromAvailable
		m.used += fromAvailable
		left -= fromAvailable
		return left < op.Units, left
	}
}

// TestDecideAgainstModel runs random operations on both. After each it checks that they agree and
// that the books verify.
func TestDecideAgainstModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		total := rapid.IntRange(0, 30).Draw(t, "total")
		a := granted(total, 0, 0)
		a.LastSequence, a.LastHash = 0, genesis(a.OrganizationID, a.ID, total)
		stones := model{
			available: total, caps: drawCaps(t),
			weekStart: time.Weekday(rapid.IntRange(0, 6).Draw(t, "first day of weeks")),
		}
		a.Caps, _ = capsOf(stones.caps)
		a.UnitsByDate, a.weekStart = a.Caps.noUnits(), stones.weekStart
		var entries []Entry
		now := noon

		for range rapid.IntRange(1, 40).Draw(t, "operations") {
			now = now.Add(time.Duration(rapid.IntRange(0, 90).Draw(t, "seconds")) * time.Second)
			op := drawOperation(t, a)
			accepted, missing := stones.try(op, now)

			before := a
			var outcome Outcome
			a, outcome = decide(a, op, Moment{Now: now, Today: today})

			require.Equal(t, accepted, outcome.Refusal == nil, "verdict on %+v: %v", op, outcome.Refusal)
			if !accepted {
				require.Equal(t, before, a)
				continue
			}
			require.Equal(t, missing, outcome.Missing)
			if op.Kind == Reserve && op.ReservationID == nil {
				require.True(t, stones.fits(0, op.ServiceDate), "%+v exceeds one of %v", op, stones.caps)
			}
			require.Equal(t, Balance{stones.available + stones.used + stones.scheduled(), stones.used, stones.scheduled()},
				a.Balance)

			entries = append(entries, outcome.Entries...)
			require.ElementsMatch(t, stones.holds(), holdsIn(a.reservations))
			require.Empty(t, problemsOf(a, entries, now))
		}
	})
}

// drawCaps draws at most one cap per period, or none at all.
func drawCaps(t *rapid.T) []Cap {
	var caps []Cap
	for _, p := range periods {
		if rapid.IntRange(0, 2).Draw(t, "cap per "+string(p)) == 0 {
			caps = append(caps, Cap{p, rapid.IntRange(0, 25).Draw(t, "units per "+string(p))})
		}
	}
	return caps
}

func drawOperation(t *rapid.T, a account) Operation {
	op := Operation{
		ID: uuid.New(), NewID: uuid.New(),
		Kind: rapid.SampledFrom([]EntryKind{Reserve, Reserve, Reserve, Release, Consume, Consume, Adjust, Expire}).Draw(t,
			"kind"),
		Units: rapid.IntRange(1, 12).Draw(t, "units"),
	}
	switch op.Kind {
	case Reserve:
		op.ServiceDate = firstDay.AddDays(rapid.IntRange(0, 30).Draw(t, "day"))
		op.HoldFor = time.Duration(rapid.SampledFrom([]int{0, 0, 30, 60, 120}).Draw(t, "hold")) * time.Second
		drawAppointment(t, a, &op)
	case Adjust:
		op.Total = rapid.IntRange(0, 40).Draw(t, "new total")
	case Release, Consume:
		if len(a.reservations) > 0 && rapid.Bool().Draw(t, "named") {
			op.ReservationID = new(rapid.SampledFrom(a.reservations).Draw(t, "reservation").ID)
			op.Units = rapid.IntRange(0, 12).Draw(t, "units of it")
			op.KeepRest = rapid.Bool().Draw(t, "keep rest")
			op.AppointmentID = drawOwner(t, a, *op.ReservationID)
		} else if op.Kind == Consume && rapid.IntRange(0, 3).Draw(t, "for an appointment without units") == 0 {
			op.AppointmentID = new(uuid.New())
		}
	}
	return op
}

// drawAppointment turns some reservations into reservations of appointments, and some into a resize of an
// existing one.
func drawAppointment(t *rapid.T, a account, op *Operation) {
	switch rapid.IntRange(0, 3).Draw(t, "appointment") {
	case 0:
		op.AppointmentID, op.HoldFor = new(uuid.New()), 0
	case 1:
		if len(a.reservations) > 0 {
			op.ReservationID = new(rapid.SampledFrom(a.reservations).Draw(t, "reservation").ID)
			op.Units = rapid.IntRange(0, 12).Draw(t, "units from now on")
			op.AppointmentID = drawOwner(t, a, *op.ReservationID)
		}
	}
}

// drawOwner returns the appointment of the reservation, most of the time.
func drawOwner(t *rapid.T, a account, reservation uuid.UUID) *uuid.UUID {
	if rapid.IntRange(0, 9).Draw(t, "another caller") == 0 {
		return new(uuid.New())
	}
	return a.reservation(reservation).AppointmentID
}
