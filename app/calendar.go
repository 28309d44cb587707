package app

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/appointments"
	"omnirapeutic/modules/authorization"
	"omnirapeutic/modules/directory"
	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
)

// bookedOn provides the appointments that depend on an authorization when it changes.
type bookedOn struct{ app *App }

// Scheduled implements authorization.Calendar.
func (s bookedOn) Scheduled(ctx context.Context, id uuid.UUID) ([]authorization.BookedAppointment, error) {
	found, err := s.app.Appointments.ScheduledOn(ctx, id)
	booked := make([]authorization.BookedAppointment, len(found))
	for i, a := range found {
		booked[i] = authorization.BookedAppointment{
			ID: a.ID, Start: a.Start, End: a.End, ServiceDate: a.ServiceDate, PractitionerIDs: a.Practitioners, Units: a.UnitsOn(id),
		}
	}
	return booked, err
}

// Settle implements authorization.Calendar.
func (s bookedOn) Settle(ctx context.Context, by authorization.Resettlement) error {
	ids := make([]uuid.UUID, len(by.Appointments))
	for i, a := range by.Appointments {
		ids[i] = a.ID
	}
	if by.MoveTo != nil {
		return s.app.Appointments.MoveStranded(ctx, ids, by.AuthorizationID, *by.MoveTo, by.Reason)
	}
	return s.app.Appointments.CancelStranded(ctx, ids, by.Reason)
}

// Refusals implements authorization.Calendar.
func (bookedOn) Refusals() []*fault.Error {
	return []*fault.Error{appointments.ErrMove, appointments.ErrGroup}
}

// practiceCalendar finds and changes the appointments whose service dates depend on a time zone.
type practiceCalendar struct{ app *App }

// Misdated implements directory.Calendar.
func (p practiceCalendar) Misdated(ctx context.Context, zone *time.Location) ([]directory.MisdatedBooking, error) {
	found, err := p.app.Appointments.Misdated(ctx, zone)
	bookings := make([]directory.MisdatedBooking, len(found))
	for i, a := range found {
		bookings[i] = directory.MisdatedBooking{
			AppointmentID: a.ID, StartTime: a.Start, EndTime: a.End, ServiceDate: a.ServiceDate, NewServiceDate: calendar.DateIn(a.Start, zone),
		}
		for _, patient := range a.Patients {
			bookings[i].Units += patient.Units
		}
	}
	return bookings, err
}

// Redate implements directory.Calendar.
func (p practiceCalendar) Redate(ctx context.Context, zone *time.Location) error {
	return p.app.Appointments.Redate(ctx, zone)
}

// WaitForBookings implements directory.Calendar.
func (p practiceCalendar) WaitForBookings() db.Option { return p.app.Appointments.WaitForBookings() }

// Refusals implements directory.Calendar.
func (practiceCalendar) Refusals() []*fault.Error { return []*fault.Error{appointments.ErrRedate} }
