// Package directory keeps what everything else refers to: organizations, their
// patients, practitioners, payers, coverages and service codes.
//
// Each noun has a file of its own with what is particular to it; what they have
// in common, to be created, read, listed and changed, is written once, in
// kind.go and store.go.
package directory

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/recent"
)

// Service has the use cases of the directory. It is safe for concurrent use. Its
// methods act in the organization of the identity.Caller in the context and fail
// without one, unless they say otherwise: what belongs to another organization
// does not exist.
type Service struct {
	database *db.DB
	audit    Audit
	access   Access
	calendar Calendar // nil: the program has no appointments
	clock    func() time.Time
	newID    func() uuid.UUID
	zones    recent.Of[*time.Location]
}

// Access lets people and other systems in.
type Access interface {
	// Switched has nobody let into the organization from now on, or everybody again, on
	// every instance, if and when the transaction of the context commits. The version
	// is the organization's, which rises with each switch.
	Switched(ctx context.Context, organization uuid.UUID, disabled bool, version int) error
}

// New returns the service. Tests pass their own clock and ids. The calendar may be nil, for a
// program without appointments.
func New(database *db.DB, audit Audit, access Access, calendar Calendar, clock func() time.Time, newID func() uuid.UUID) *Service {
	return &Service{database: database, audit: audit, access: access, calendar: calendar, clock: clock, newID: newID}
}

// now is the moment as the database can keep it: in whole microseconds.
func (s *Service) now() time.Time { return s.clock().UTC().Truncate(time.Microsecond) }

// Record is what every record of an organization has.
type Record struct {
	ID             uuid.UUID `json:"id" gorm:"primaryKey"`
	OrganizationID uuid.UUID `json:"organizationId" gorm:"primaryKey"`
	Version        int       `json:"version"` // counts every change, starting with 1
	CreatedAt      time.Time `json:"createdAt"`
	UpdatedAt      time.Time `json:"updatedAt"`
}

func (r *Record) head() *Record { return r }

// Revision returns the version, which the API gives as ETag.
func (r Record) Revision() int { return r.Version }

// Page says which part of a list is asked for, and in which order: by default that
// of the ids, in which the records were made.
type Page = db.Keyset

// Status says whether somebody is still looked after, or still works here.
type Status string

// The states of patients and practitioners.
const (
	Active   Status = "ACTIVE"
	Inactive Status = "INACTIVE"
)

// The refusals of this module. Wrong fields are [fault.ErrInvalid].
var (
	ErrOrganizationNotFound = fault.Define(fault.NotFound, "organization-not-found", "There is no such organization.")
	ErrPatientNotFound      = fault.Define(fault.NotFound, "patient-not-found", "There is no such patient.")
	ErrPractitionerNotFound = fault.Define(fault.NotFound, "practitioner-not-found", "There is no such practitioner.")
	ErrPayerNotFound        = fault.Define(fault.NotFound, "payer-not-found", "There is no such payer.")
	ErrInsuranceNotFound    = fault.Define(fault.NotFound, "insurance-not-found", "There is no such insurance.")
	ErrServiceCodeNotFound  = fault.Define(fault.NotFound, "service-code-not-found", "There is no such service code.")

	// ErrOwnOrganization: whoever disables their own organization could not enable it.
	ErrOwnOrganization = fault.Define(fault.Conflict, "own-organization", "Nobody disables the organization that they belong to: they could not enable it any more.").
				Advising("Have somebody of another organization do it.")

	// These come with [Taken].
	ErrMedicalRecordNumberTaken = fault.Define(fault.Conflict, "medical-record-number-taken", "Another patient has this medical record number.").Carrying(Taken{})
	ErrNPITaken                 = fault.Define(fault.Conflict, "npi-taken", "Another practitioner has this NPI.").Carrying(Taken{})
	ErrServiceCodeTaken         = fault.Define(fault.Conflict, "service-code-taken", "There is already a service code with this code.").Carrying(Taken{})
)

// Taken are the details of the refusal of a value that must be unique and that
// another record has.
type Taken struct {
	Field string `json:"field"`
}

// latestToday is the current date in the zone where it is latest on Earth, UTC+14. Any later date
// is in the future everywhere, so it can be refused without the organization's time zone.
func latestToday(now time.Time) calendar.Date {
	const ahead = 14 * time.Hour
	return calendar.DateIn(now.Add(ahead), time.UTC)
}
