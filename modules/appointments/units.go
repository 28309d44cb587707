package appointments

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
)

// Units is the account book of authorized units.
type Units interface {
	// Open reads the authorizations and the named reservations, in the transaction of the context.
	Open(ctx context.Context, now time.Time, held []Held) (Book, error)
	// Refusals returns the errors of claims, for the API documentation.
	Refusals() []*fault.Error
	// Others returns the patient's other granted authorizations for the service whose dates include
	// the day, sorted by end date.
	Others(ctx context.Context, patient, serviceCode uuid.UUID, day calendar.Date, but uuid.UUID) ([]uuid.UUID, error)
	// NotFound returns the error for an unknown authorization.
	NotFound() *fault.Error
	// RefusalOf returns the refusal for a violated constraint of the units tables, or the error
	// itself.
	RefusalOf(err error) error
}

// Held has the keys of an authorization and of an appointment's reservation on it, if any.
type Held struct {
	OrganizationID  uuid.UUID
	AuthorizationID uuid.UUID
	ReservationID   *uuid.UUID
}

// Book is the account book within one transaction. Claims are decided in memory, in order, and
// written together at the end.
type Book interface {
	// Terms returns the terms that bookings must match; false for an unknown authorization.
	Terms(organization, authorization uuid.UUID) (Terms, bool)
	// Sheet begins the claims of one request: all of them are kept, or none.
	Sheet() Sheet
	// Write writes the kept claims, in the transaction of the context.
	Write(ctx context.Context) error
}

// Terms has the patient, the service and the insurance of an authorization.
type Terms struct {
	PatientID     uuid.UUID
	ServiceCodeID uuid.UUID
	InsuranceID   *uuid.UUID
}

// Sheet collects the claims of one request. An error is not caused by the request: the books are
// damaged, or a claim was settled before.
type Sheet interface {
	// Hold sets the units and the date of the appointment's reservation, and returns every rule
	// that this would break.
	Hold(c Claim) (reasons []*fault.Error, err error)
	// Release releases the units that the reservation still holds.
	Release(c Claim) error
	// Settle consumes the units for a session on the date, and releases the rest. It returns the
	// numbers of consumed and unauthorized units.
	Settle(c Claim) (consumed, unauthorized int, err error)
	Keep()
}

// Claim is an appointment's claim on an authorization.
type Claim struct {
	OrganizationID  uuid.UUID
	AuthorizationID uuid.UUID
	AppointmentID   uuid.UUID
	ReservationID   uuid.UUID // created if it does not exist and units are held
	Units           int
	ServiceDate     calendar.Date

	OperationID uuid.UUID
	ActorID     uuid.UUID
	RequestID   string
	Reason      *string
}
