package app

import (
	"context"

	"github.com/google/uuid"

	"omnirapeutic/modules/appointments"
	"omnirapeutic/modules/authorization"
	"omnirapeutic/platform/fault"
)

// bookedOn has the appointments that a change of an authorization may strand.
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
