package authorization

import (
	"context"
	"slices"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
)

// Impact is the effect of a change on the bookings of an authorization.
type Impact struct {
	Balance                        // after the change, with the stranded bookings unchanged
	Bookings     []StrandedBooking // earliest first
	Units        int               // held by these bookings
	MissingUnits int               // units that the new total would lack even without these bookings
	OtherOutside int               // reservations outside the dates without a SCHEDULED appointment
}

// StrandedBooking is an appointment that the authorization would no longer cover.
type StrandedBooking struct {
	BookedAppointment
	Cause Cause
}

// Cause is the reason why an appointment would be stranded.
type Cause string

// The causes, in the order of the checks.
const (
	CauseDates  Cause = "OUTSIDE_DATES"
	CauseStatus Cause = "CANCELLED"
	CauseUnits  Cause = "UNITS" // the total is too low for it and the earlier ones
)

// Impact returns the bookings that a change would strand: appointments outside the new dates; all
// appointments from today on, if the authorization is cancelled; and, if the total is too low, the
// latest appointments until the others fit. It writes nothing. Errors: [ErrNotFound],
// [fault.ErrInvalid].
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

// impactOf returns the appointments that an authorization with these terms would not cover.
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

// Policy says how a change handles the appointments that it would strand.
type Policy string

// The policies. Without one, a change that would strand bookings is refused.
const (
	CancelStranded Policy = "CANCEL"
	MoveStranded   Policy = "MOVE" // to another authorization
	// KeepStranded leaves them unchanged. It applies only to a cancellation: other changes that
	// strand held units are refused.
	KeepStranded Policy = "KEEP"
)

// cancels reports whether the change cancels the authorization.
func (c Change) cancels(a Authorization) bool {
	return c.Status.Given && c.Status.Value == Cancelled && a.Decision != Cancelled
}

// shortens reports whether the change removes days from the authorization.
func (c Change) shortens(a Authorization) bool {
	return c.StartDate.Given && c.StartDate.Value.After(a.StartDate) || c.EndDate.Given && c.EndDate.Value.Before(a.EndDate)
}

// needsPolicy reports whether the appointment needs [ErrBookingsStranded]. If it holds units, the
// checks of its reservation refuse the change.
func (b StrandedBooking) needsPolicy() bool {
	return b.Cause == CauseStatus || b.Cause == CauseDates && b.Units == 0
}

// strandedRefusals returns the errors of applying a policy.
func (s *Service) strandedRefusals() []*fault.Error {
	if s.calendar == nil {
		return nil
	}
	return s.calendar.Refusals()
}

// settleStranded applies the change's policy to the appointments that the change would strand, and
// returns the resulting authorization. Without a policy, it refuses to cancel an authorization with
// appointments from today on, and to remove days with an appointment that holds no units: the error
// is [ErrBookingsStranded]. Other checks refuse dates and totals that conflict with held units.
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
		if !slices.ContainsFunc(i.Bookings, StrandedBooking.needsPolicy) {
			return a, nil
		}
		return a, ErrBookingsStranded.With(StrandedBookings{i.bookings(), i.Units},
			"%d appointments with %d units are still booked on the authorization. Choose whether to cancel, move or keep them.", len(
				i.Bookings,
			), i.Units)
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
