package appointments

import (
	"slices"

	"omnirapeutic/modules/authorization"
	"omnirapeutic/platform/calendar"
)

// Impact is the effect of a change of an authorization on its bookings.
type Impact struct {
	authorization.Balance                   // after the change, with the stranded bookings unchanged
	Bookings              []StrandedBooking // earliest first
	Units                 int               // held by these bookings
	MissingUnits          int               // units that the new total would lack even without these bookings
	OtherOutside          int               // reservations outside the dates without a SCHEDULED appointment
}

// StrandedBooking is an appointment that the authorization would no longer cover.
type StrandedBooking struct {
	Appointment
	Units int // held on the authorization
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

// impactOf returns the SCHEDULED appointments that the authorization would not cover with these
// terms: those outside the dates; those from today on, if it is cancelled; and, if the total is too
// low, the latest ones until the others fit.
func impactOf(a authorization.Authorization, scheduled []Appointment, today calendar.Date) Impact {
	i := Impact{Balance: a.Balance}
	var covered []StrandedBooking
	strand := func(b StrandedBooking, cause Cause) {
		b.Cause = cause
		i.Bookings = append(i.Bookings, b)
		i.Units += b.Units
	}
	for _, each := range scheduled {
		b := StrandedBooking{Appointment: each, Units: each.UnitsOn(a.ID)}
		switch {
		case !a.Covers(b.ServiceDate):
			strand(b, CauseDates)
		case a.Decision == authorization.Cancelled && !b.ServiceDate.Before(today):
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

// needsPolicy reports whether the change must say how to handle the appointment. If the appointment
// holds units, the checks of its reservation refuse the change.
func (b StrandedBooking) needsPolicy() bool {
	return b.Cause == CauseStatus || b.Cause == CauseDates && b.Units == 0
}

// cancels reports whether the change cancels the authorization.
func cancels(a authorization.Authorization, c authorization.Change) bool {
	return c.Status.Given && c.Status.Value == authorization.Cancelled && a.Decision != authorization.Cancelled
}

// shortens reports whether the change removes days from the authorization.
func shortens(a authorization.Authorization, c authorization.Change) bool {
	return c.StartDate.Given && c.StartDate.Value.After(a.StartDate) || c.EndDate.Given &&
		c.EndDate.Value.Before(a.EndDate)
}

func (i Impact) bookings() []strandedBookingBody {
	all := make([]strandedBookingBody, len(i.Bookings))
	for n, each := range i.Bookings {
		all[n] = strandedBookingBody{
			AppointmentID: each.ID, StartTime: each.Start, EndTime: each.End, ServiceDate: each.ServiceDate, Units: each.Units,
			PractitionerIDs: each.Practitioners, Cause: each.Cause,
		}
	}
	return all
}
