package appointments

import (
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
)

// Delivered is a session as billing sees it: without clinical text.
type Delivered struct {
	ID            uuid.UUID
	AppointmentID uuid.UUID
	ServiceCodeID uuid.UUID
	Version       int
	Span          `gorm:"embedded"`
	ServiceDate   calendar.Date
	VoidedAt      *time.Time
	ExportedAt    *time.Time // set while a payer has a claim for it

	PlaceOfService            *string
	SupervisingPractitionerID *uuid.UUID

	Practitioners []uuid.UUID      `gorm:"-"` // the first one renders the service
	Patients      []SessionPatient `gorm:"-"`
	Conflicts     []ConflictKind   `gorm:"-"` // they keep it from being billed
}

// CoveredUnits are the units of a version of a session that an authorization covers.
type CoveredUnits struct {
	OrganizationID  uuid.UUID
	AuthorizationID uuid.UUID
	SessionID       uuid.UUID
	Version         int
	Units           int
	// AppointmentID is the appointment of the present version of a session that took place; nil: the
	// version is an earlier one, or the session is voided.
	AppointmentID *uuid.UUID
}
