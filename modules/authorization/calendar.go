package authorization

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
)

// Calendar has the appointments that authorizations back. Its methods act in the
// transaction of the context, in the organization of its caller.
type Calendar interface {
	// Scheduled returns the appointments on the authorization that are still to take
	// place, the earliest first.
	Scheduled(ctx context.Context, authorization uuid.UUID) ([]BookedAppointment, error)
	// Settle has the appointments no longer hold anything of the authorization: all of
	// them or none. The error is a refusal, or what the caller may not do.
	Settle(ctx context.Context, r Resettlement) error
	// Refusals are what it may have against that, for documents.
	Refusals() []*fault.Error
}

// BookedAppointment is an appointment that is still to take place.
type BookedAppointment struct {
	ID              uuid.UUID
	Start, End      time.Time
	ServiceDate     calendar.Date
	Units           int // which it holds of the authorization
	PractitionerIDs []uuid.UUID
}

// Resettlement says what becomes of appointments.
type Resettlement struct {
	AuthorizationID uuid.UUID // on which they are
	Appointments    []BookedAppointment
	MoveTo          *uuid.UUID // the authorization that they move to; nil: they are cancelled
	Reason          *string
}
