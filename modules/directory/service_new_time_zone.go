package directory

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
)

// Calendar gives access to the appointments of organizations. Its methods act in the transaction
// of the context, in the organization of its caller.
type Calendar interface {
	// Misdated returns the future appointments that start on another date than their service date
	// in the time zone, the earliest first.
	Misdated(ctx context.Context, zone *time.Location) ([]MisdatedBooking, error)
	// Redate gives those appointments the dates on which they start in the time zone: all of them
	// or none. The error is a refusal or a missing permission.
	Redate(ctx context.Context, zone *time.Location) error
	// WaitForBookings returns the options of a transaction that waits for running bookings.
	WaitForBookings() []db.Option
	// Refusals are the possible refusals of new dates, for documentation.
	Refusals() []*fault.Error
}

// MisdatedBooking is an appointment whose service date differs in a new time zone.
type MisdatedBooking struct {
	AppointmentID  uuid.UUID     `json:"appointmentId"`
	StartTime      time.Time     `json:"startTime"`
	EndTime        time.Time     `json:"endTime"`
	ServiceDate    calendar.Date `json:"serviceDate"`    // The service date as booked.
	NewServiceDate calendar.Date `json:"newServiceDate"` // The date of the start in the new time zone.
	// The number of units that the booking holds for the date.
	Units int `json:"units"`
}

// MisdatedBookings are the details of [ErrServiceDates].
type MisdatedBookings struct {
	Bookings []MisdatedBooking `json:"bookings"` // The first 1,000 appointments, in the order of their times.
	Total    int               `json:"total"`    // The number of such appointments.
}

// ErrServiceDates carries [MisdatedBookings].
var ErrServiceDates = fault.Define(fault.Conflict, "service-dates-change",
	"Appointments start on another date in the new time zone.").
	Carrying(MisdatedBookings{}).
	Advising("Show `bookings`, ask whether their service dates should change, and send `serviceDates`: MOVE or KEEP.")

// ServiceDatePolicy decides about the service dates of appointments that start on another date in
// an organization's new time zone.
type ServiceDatePolicy string

// The policies. Without one, a time zone that changes service dates is refused.
const (
	// MoveServiceDates gives each appointment the date of its start in the new time zone. Its units
	// move to that date, by the rules of a booking.
	MoveServiceDates ServiceDatePolicy = "MOVE"
	// KeepServiceDates leaves the dates and units unchanged until an appointment is rescheduled or
	// completed.
	KeepServiceDates ServiceDatePolicy = "KEEP"
)

const maxMisdatedShown = 1000

// changeZone applies the policy to the service dates of appointments, after the organization has
// its new time zone. The error is [ErrServiceDates] if dates change and no policy is given.
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
	return ErrServiceDates.With(MisdatedBookings{found[:min(len(found), maxMisdatedShown)], len(found)},
		"%d appointments start on another date in %s. Choose whether their service dates change.", len(found), name)
}

// zoneRefusals are the possible refusals of a new time zone.
func (s *Service) zoneRefusals() []*fault.Error {
	if s.calendar == nil {
		return nil
	}
	return append(s.calendar.Refusals(), ErrServiceDates)
}
