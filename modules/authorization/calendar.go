package authorization

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
)

// Calendar has the appointments of authorizations. Its methods run in the transaction of the
// context, in the organization of its caller.
type Calendar interface {
	// Scheduled returns the authorization's SCHEDULED appointments, earliest first.
	Scheduled(ctx context.Context, authorization uuid.UUID) ([]BookedAppointment, error)
	// Settle cancels or moves the appointments, so that they no longer hold units of the
	// authorization: all of them or none. The error is a refusal or a missing permission.
	Settle(ctx context.Context, r Resettlement) error
	// Refusals returns the errors of Settle, for the API documentation.
	Refusals() []*fault.Error
}

// BookedAppointment is a SCHEDULED appointment.
type BookedAppointment struct {
	ID              uuid.UUID
	Start, End      time.Time
	ServiceDate     calendar.Date
	Units           int // held on the authorization
	PractitionerIDs []uuid.UUID
}

// Resettlement says which appointments to cancel or move.
type Resettlement struct {
	AuthorizationID uuid.UUID // the authorization of the appointments
	Appointments    []BookedAppointment
	MoveTo          *uuid.UUID // the authorization to move them to; nil: cancel them
	Reason          *string
}
