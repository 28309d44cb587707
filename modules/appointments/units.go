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
	// Open reads the authorizations, and those reservations on them that are named,
	// in the transaction of the context.
	Open(ctx context.Context, now time.Time, held []Held) (Book, error)
	// Refusals are what it may have against a claim, for documents.
	Refusals() []*fault.Error
	// NotFound is its refusal where there is no such authorization.
	NotFound() *fault.Error
	// Others returns the patient's authorizations for the service, but for one, that
	// are granted and hold the day, those that end first coming first.
	Others(ctx context.Context, patient, serviceCode uuid.UUID, day calendar.Date, but uuid.UUID) ([]uuid.UUID, error)
	// RefusalOf returns the refusal that a violated constraint of the books means,
	// or the error itself.
	RefusalOf(err error) error
}

// Held names an authorization and, where an appointment has one, its reservation on it.
type Held struct {
	OrganizationID  uuid.UUID
	AuthorizationID uuid.UUID
	ReservationID   *uuid.UUID
}

// Book is the account book as one transaction sees it. Claims on it are decided in
// memory, in their order, and written once at the end.
type Book interface {
	// Terms returns what bookings have to fit; false where there is no such authorization.
	Terms(organization, authorization uuid.UUID) (Terms, bool)
	// Sheet begins the claims of one request, of which all are kept or none.
	Sheet() Sheet
	// Write writes what was kept, in the transaction of the context.
	Write(ctx context.Context) error
}

// Terms are whose authorization it is, for which service and by which insurance.
type Terms struct {
	PatientID     uuid.UUID
	ServiceCodeID uuid.UUID
	InsuranceID   *uuid.UUID
}

// Sheet is where the claims of one request are noted. Errors are not the
// request's: the books are damaged, or a claim was settled before.
type Sheet interface {
	// Hold has the appointment's reservation hold the units for the date from now on,
	// and returns every rule that stands against it.
	Hold(c Claim) (reasons []*fault.Error, err error)
	// Release gives back what the reservation still holds.
	Release(c Claim) error
	// Settle consumes the units for a session on the date, and gives back what is
	// left. It returns how many units it made, and how many nobody has authorized.
	Settle(c Claim) (consumed, unauthorized int, err error)
	Keep()
}

// Claim is what an appointment claims of an authorization.
type Claim struct {
	OrganizationID  uuid.UUID
	AuthorizationID uuid.UUID
	AppointmentID   uuid.UUID
	ReservationID   uuid.UUID // made where it is not there yet and something is to be held
	Units           int
	ServiceDate     calendar.Date

	OperationID uuid.UUID
	ActorID     uuid.UUID
	RequestID   string
	Reason      *string
}
