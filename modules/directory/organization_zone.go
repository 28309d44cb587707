package directory

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
)

// Calendar has the appointments of organizations. Its methods act in the transaction of
// the context, in the organization of its caller.
type Calendar interface {
	// Misdated returns the appointments still to take place that in the time zone start on
	// another date than their service date, the earliest first.
	Misdated(ctx context.Context, zone *time.Location) ([]MisdatedBooking, error)
	// Redate gives those appointments the dates on which they start in the time zone: all
	// of them or none. The error is a refusal, or what the caller may not do.
	Redate(ctx context.Context, zone *time.Location) error
	// WaitForBookings has a transaction wait for bookings that are under way.
	WaitForBookings() db.Option
	// Refusals are what it may have against new dates, for documents.
	Refusals() []*fault.Error
}

// MisdatedBooking is an appointment whose service date is another one in a new time zone.
type MisdatedBooking struct {
	AppointmentID  uuid.UUID     `json:"appointmentId"`
	StartTime      time.Time     `json:"startTime"`
	EndTime        time.Time     `json:"endTime"`
	ServiceDate    calendar.Date `json:"serviceDate"`    // as it is booked
	NewServiceDate calendar.Date `json:"newServiceDate"` // on which it starts in the new time zone
	Units          int           `json:"units"`          // which it holds for the date
}

// MisdatedBookings are the details of [ErrServiceDates].
type MisdatedBookings struct {
	Bookings []MisdatedBooking `json:"bookings"` // in the order of their times, at most 1000
	Total    int               `json:"total"`    // how many there are
}

// ErrServiceDates comes with [MisdatedBookings].
var ErrServiceDates = fault.Define(fault.Conflict, "service-dates-change", "Appointments start on another date in the new time zone.").
	Carrying(MisdatedBookings{}).
	Advising("Show `bookings` and ask what becomes of their service dates; say it in `serviceDates`: MOVE or KEEP.")

// ServiceDatePolicy says what becomes of the service dates of appointments that start on
// another date in an organization's new time zone.
type ServiceDatePolicy string

// The policies; without one, a time zone that changes service dates is refused.
const (
	// MoveServiceDates gives each appointment the date on which it starts in the new time
	// zone. Its units move to that date, by the rules of a booking.
	MoveServiceDates ServiceDatePolicy = "MOVE"
	// KeepServiceDates leaves the dates and their units as they are, until an appointment
	// is rescheduled or completed.
	KeepServiceDates ServiceDatePolicy = "KEEP"
)

const mostMisdatedShown = 1000

// changeZone does with the service dates of appointments what a change of the time zone
// says, once the organization has the new one. The error is [ErrServiceDates] where it
// says nothing and there are some.
func (s *Service) changeZone(ctx context.Context, name string, policy ServiceDatePolicy) error {
	if s.calendar == nil || policy == KeepServiceDates {
		return nil
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return err
	}
	if policy == MoveServiceDates {
		return s.calendar.Redate(ctx, zone)
	}
	found, err := s.calendar.Misdated(ctx, zone)
	if err != nil || len(found) == 0 {
		return err
	}
	return ErrServiceDates.With(MisdatedBookings{found[:min(len(found), mostMisdatedShown)], len(found)},
		"%d appointments start on another date in %s; say what becomes of their service dates.", len(found), name)
}

// zoneRefusals are what may stand against a new time zone.
func (s *Service) zoneRefusals() []*fault.Error {
	if s.calendar == nil {
		return nil
	}
	return append(s.calendar.Refusals(), ErrServiceDates)
}
