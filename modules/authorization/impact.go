package authorization

import (
	"context"
	"slices"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
)

// Impact is what a change of an authorization would mean for what is booked on it.
type Impact struct {
	Balance                        // as it would be, were nothing done about what is stranded
	Bookings     []StrandedBooking // the earliest first
	Units        int               // of those bookings
	MissingUnits int               // which the new total would lack even without those bookings
	OtherOutside int               // reservations outside the dates that are of no appointment that is still to take place
}

// StrandedBooking is an appointment that the authorization would not cover any more.
type StrandedBooking struct {
	BookedAppointment
	Cause Cause
}

// Cause says why an appointment would be stranded.
type Cause string

// The causes, in the order in which they are looked for.
const (
	CauseDates  Cause = "OUTSIDE_DATES"
	CauseStatus Cause = "CANCELLED"
	CauseUnits  Cause = "UNITS" // the total would not be enough for it, and those before it
)

// Impact tells what a change would strand: appointments outside the new dates; from
// today on all, where it is cancelled; and where the total is not enough, the latest
// ones until the others fit. Nothing is written. Errors: [ErrNotFound], [fault.ErrInvalid].
func (s *Service) Impact(ctx context.Context, id uuid.UUID, c Change) (Impact, error) {
	if err := c.check(); err != nil {
		return Impact{}, err
	}
	return read(ctx, s, "authorization.impact", func(ctx context.Context, at Moment) (Impact, error) {
		a, err := s.store.current(ctx, id, at.Now)
		if err != nil {
			return Impact{}, err
		}
		show(ctx, a.ID, a.PatientID)
		return s.impactOn(ctx, a, c, at)
	})
}

func (s *Service) impactOn(ctx context.Context, a Authorization, c Change, at Moment) (Impact, error) {
	c.StartDate.Apply(&a.StartDate)
	c.EndDate.Apply(&a.EndDate)
	c.Status.Apply(&a.Decision)
	c.TotalUnits.Apply(&a.Total)
	if a.EndDate.Before(a.StartDate) {
		return Impact{}, fault.InvalidFields(fieldDatesOrder)
	}
	if s.calendar == nil {
		return Impact{Balance: a.Balance}, nil
	}
	scheduled, err := s.calendar.Scheduled(ctx, a.ID)
	if err != nil {
		return Impact{}, err
	}
	i := impactOf(a, scheduled, at.Today)
	outside, err := s.store.stranded(ctx, a.ID, a.StartDate, a.EndDate, at.Now)
	i.OtherOutside = outside.Reservations
	for _, b := range i.Bookings {
		if b.Cause == CauseDates && b.Units > 0 {
			i.OtherOutside--
		}
	}
	return i, err
}

// impactOf returns which of the appointments an authorization with these terms would
// not cover.
func impactOf(a Authorization, scheduled []BookedAppointment, today calendar.Date) Impact {
	i := Impact{Balance: a.Balance}
	var covered []BookedAppointment
	strand := func(b BookedAppointment, cause Cause) {
		i.Bookings = append(i.Bookings, StrandedBooking{b, cause})
		i.Units += b.Units
	}
	for _, b := range scheduled {
		switch {
		case !a.Covers(b.ServiceDate):
			strand(b, CauseDates)
		case a.Decision == Cancelled && !b.ServiceDate.Before(today):
			strand(b, CauseStatus)
		default:
			covered = append(covered, b)
		}
	}
	for _, b := range slices.Backward(covered) {
		if b.Units > 0 && a.Used+a.Scheduled-i.Units > a.Total {
			strand(b, CauseUnits)
		}
	}
	i.MissingUnits = max(0, a.Used+a.Scheduled-i.Units-a.Total)
	slices.SortStableFunc(i.Bookings, func(x, y StrandedBooking) int { return x.Start.Compare(y.Start) })
	return i
}

// Policy says what becomes of the appointments that a change would strand.
type Policy string

// The policies; without one, a change that would strand bookings is refused.
const (
	CancelStranded Policy = "CANCEL"
	MoveStranded   Policy = "MOVE" // to another authorization
	// KeepStranded leaves them as they are, to be dealt with later. It helps where an
	// authorization is cancelled: units that are held fit every total and lie within
	// every authorization's dates.
	KeepStranded Policy = "KEEP"
)

// cancels reports whether the change is what takes the authorization back.
func (c Change) cancels(a Authorization) bool {
	return c.Status.Given && c.Status.Value == Cancelled && a.Decision != Cancelled
}

// shortens reports whether days would be within the authorization no more.
func (c Change) shortens(a Authorization) bool {
	return c.StartDate.Given && c.StartDate.Value.After(a.StartDate) || c.EndDate.Given && c.EndDate.Value.Before(a.EndDate)
}

// untold reports whether the appointment would be stranded without a refusal of its own
// where nothing is said of it: of one that holds units, its reservation tells.
func (b StrandedBooking) untold() bool {
	return b.Cause == CauseStatus || b.Cause == CauseDates && b.Units == 0
}

// strandedRefusals are what may stand against a policy.
func (s *Service) strandedRefusals() []*fault.Error {
	if s.calendar == nil {
		return nil
	}
	return s.calendar.Refusals()
}

// settleStranded does with the appointments that the change would strand what it
// says, and returns the authorization as that has left it. Where it says nothing, an
// authorization with appointments from today on is not cancelled, nor shortened past one
// that holds nothing: the error is [ErrBookingsStranded]. Of units that are held, dates and
// totals have refusals of their own.
func (s *Service) settleStranded(ctx context.Context, a Authorization, c Change, at Moment) (Authorization, error) {
	if c.Stranded == KeepStranded || c.Stranded == "" && !c.cancels(a) && !c.shortens(a) {
		return a, nil
	}
	counted := a
	if err := s.store.freeExpired(ctx, []*Authorization{&counted}, at.Now); err != nil {
		return a, err
	}
	i, err := s.impactOn(ctx, counted, c, at)
	if err != nil || len(i.Bookings) == 0 {
		return a, err
	}
	if c.Stranded == "" {
		if !slices.ContainsFunc(i.Bookings, StrandedBooking.untold) {
			return a, nil
		}
		return a, ErrBookingsStranded.With(StrandedBookings{i.bookings(), i.Units},
			"%d appointments with %d units are still booked on the authorization; say what becomes of them.", len(i.Bookings), i.Units)
	}
	resettlement := Resettlement{AuthorizationID: a.ID, Reason: c.Reason}
	if c.Stranded == MoveStranded {
		resettlement.MoveTo = c.MoveTo
	}
	for _, b := range i.Bookings {
		resettlement.Appointments = append(resettlement.Appointments, b.BookedAppointment)
	}
	if err := s.calendar.Settle(ctx, resettlement); err != nil {
		return a, err
	}
	return s.store.get(ctx, a.ID)
}
