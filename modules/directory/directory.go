// Package directory stores the master data of organizations: patients, practitioners, payers,
// coverages and service codes, and the organizations themselves.
//
// Each noun has its own file. The common operations (create, read, list, change) are implemented
// once, in service_crud.go and store.go. The structs of the nouns are rows; http_*.go converts them
// to resources of the API.
package directory

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/cache"
	"omnirapeutic/platform/db"
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
	clock    func() time.Time
	newID    func() uuid.UUID
	zones    cache.PerOrganization[*time.Location]
}

// Access controls access to organizations.
type Access interface {
	// SetOrganizationDisabled refuses all access to the organization, or allows it again, on every instance, if the
	// transaction of the context commits. The version is the organization's and rises with each
	// change.
	SetOrganizationDisabled(ctx context.Context, organization uuid.UUID, disabled bool, version int) error
}

// New returns the service. Tests pass their own clock and ids.
func New(
	database *db.DB, audit trail.Recorder, access Access, clock func() time.Time, newID func() uuid.UUID,
) *Service {
	return &Service{database: database, audit: audit, access: access, clock: clock, newID: newID}
}

// now returns the time with the precision of the database: whole microseconds.
func (s *Service) now() time.Time { return s.clock().UTC().Truncate(time.Microsecond) }

// Record holds the common fields of an organization's records.
type Record struct {
	ID             uuid.UUID `gorm:"primaryKey"`
	OrganizationID uuid.UUID `gorm:"primaryKey"`
	Version        int
	CreatedAt      time.Time
	UpdatedAt      time.Time
}

func (r *Record) head() *Record { return r }

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
