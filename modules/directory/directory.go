// Package directory stores the master data of organizations: patients, practitioners, payers,
// coverages and service codes, and the organizations themselves.
//
// Each noun has its own file. The common operations (create, read, list, change) are implemented
// once, in service_crud.go and store.go. The structs of the nouns are rows, and resources of the API.
// The audit trail uses their JSON names too.
package directory

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/cache"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/trail"
)

// Service implements the use cases of the directory. It is safe for concurrent use. Its methods
// act in the organization of the identity.Caller in the context and fail without one, unless they
// say otherwise. Records of other organizations are not found.
type Service struct {
	database *db.DB
	store    store
	audit    trail.Recorder
	access   Access
	calendar Calendar // nil: the program has no appointments
	clock    func() time.Time
	newID    func() uuid.UUID
	zones    cache.PerOrganization[*time.Location]
}

// Access controls access to organizations.
type Access interface {
	// OrganizationSwitched refuses all access to the organization, or allows it again, on every instance, if the
	// transaction of the context commits. The version is the organization's and rises with each
	// change.
	OrganizationSwitched(ctx context.Context, organization uuid.UUID, disabled bool, version int) error
}

// New returns the service. Tests pass their own clock and ids. The calendar may be nil, for a
// program without appointments.
func New(
	database *db.DB, audit trail.Recorder, access Access, calendar Calendar, clock func() time.Time, newID func() uuid.UUID,
) *Service {
	return &Service{database: database, audit: audit, access: access, calendar: calendar, clock: clock, newID: newID}
}

// now returns the time with the precision of the database: whole microseconds.
func (s *Service) now() time.Time { return s.clock().UTC().Truncate(time.Microsecond) }

// Record holds the common fields of an organization's records.
type Record struct {
	ID             uuid.UUID `json:"id" gorm:"primaryKey"`
	OrganizationID uuid.UUID `json:"organizationId" gorm:"primaryKey"`
	Version        int       `json:"version"`
	CreatedAt      time.Time `json:"createdAt"`
	UpdatedAt      time.Time `json:"updatedAt"`
}

func (r *Record) head() *Record { return r }

// Revision returns the version, which the API returns as ETag.
func (r Record) Revision() int { return r.Version }

// Page selects a part of a list and its order. The default order is by id, which is the order of
// creation.
type Page = db.Keyset

// Status is whether a patient is in care, or a practitioner works here.
type Status string

// The states of patients and practitioners.
const (
	Active   Status = "ACTIVE"
	Inactive Status = "INACTIVE"
)

// The errors of this module. Invalid fields are [fault.ErrInvalid].
var (
	ErrOrganizationNotFound = fault.Define(fault.NotFound, "organization-not-found", "Organization not found.")
	ErrPatientNotFound      = fault.Define(fault.NotFound, "patient-not-found", "Patient not found.")
	ErrPractitionerNotFound = fault.Define(fault.NotFound, "practitioner-not-found", "Practitioner not found.")
	ErrPayerNotFound        = fault.Define(fault.NotFound, "payer-not-found", "Payer not found.")
	ErrInsuranceNotFound    = fault.Define(fault.NotFound, "insurance-not-found", "Coverage not found.")
	ErrServiceCodeNotFound  = fault.Define(fault.NotFound, "service-code-not-found", "Service code not found.")

	// ErrOwnOrganization is returned for the caller's own organization, which the caller could not
	// enable again.
	ErrOwnOrganization = fault.Define(fault.Conflict, "own-organization",
		"You cannot disable your own organization, because you could not enable it again.").
		Advising("Ask an administrator of another organization to do it.")

	// These have [Taken] as details.
	ErrMedicalRecordNumberTaken = fault.Define(fault.Conflict, "medical-record-number-taken",
		"Another patient has this medical record number.").Carrying(Taken{})
	ErrNPITaken         = fault.Define(fault.Conflict, "npi-taken", "Another practitioner has this NPI.").Carrying(Taken{})
	ErrServiceCodeTaken = fault.Define(fault.Conflict, "service-code-taken",
		"Another service code has this code.").Carrying(Taken{})
)

// Taken are the details of the errors about unique values that another record already has.
type Taken struct {
	Field string `json:"field"` // The member whose value another record has.
}
