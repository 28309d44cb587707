package app

import (
	"context"
	"time"

	"omnirapeutic/modules/appointments"
	"omnirapeutic/modules/directory"
	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
)

// practiceCalendar finds and changes the appointments whose service dates depend on a time zone.
type practiceCalendar struct{ app *App }

// Misdated implements directory.Calendar.
func (p practiceCalendar) Misdated(ctx context.Context, zone *time.Location) ([]directory.MisdatedBooking, error) {
	found, err := p.app.Appointments.Misdated(ctx, zone)
	bookings := make([]directory.MisdatedBooking, len(found))
	for i, a := range found {
		bookings[i] = directory.MisdatedBooking{
			AppointmentID:  a.ID,
			StartTime:      a.Start,
			EndTime:        a.End,
			ServiceDate:    a.ServiceDate,
			NewServiceDate: calendar.DateIn(a.Start, zone),
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
func (p practiceCalendar) WaitForBookings() []db.Option { return p.app.Commands.WaitForBatches() }

// Refusals implements directory.Calendar.
func (practiceCalendar) Refusals() []*fault.Error { return []*fault.Error{appointments.ErrRedate} }
