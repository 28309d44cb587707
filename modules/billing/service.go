package billing

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/appointments"
	"omnirapeutic/modules/authorization"
	"omnirapeutic/modules/directory"
	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/record"
	"omnirapeutic/platform/trail"
)

// Sessions provides delivered sessions.
type Sessions interface {
	// Delivered returns a reading of the sessions on service dates, and of the ones with the ids, in the
	// transaction of the context.
	Delivered(ctx context.Context, from, to calendar.Date, ids []uuid.UUID) (*appointments.DeliveredReading, error)
	// SetExported marks sessions as exported, or with nil as not exported, in the transaction of the
	// context.
	SetExported(ctx context.Context, sessions []uuid.UUID, at *time.Time) error
	// CoveredUnits returns the units of all versions of sessions on authorizations, in the transaction of
	// the context.
	CoveredUnits(ctx context.Context, authorizations []record.Key) ([]appointments.CoveredUnits, error)
}

// Authorizations provides authorizations and their ledger.
type Authorizations interface {
	// ByID returns a reading of authorizations, in the transaction of the context.
	ByID(ctx context.Context, ids []uuid.UUID) (db.Reading[map[uuid.UUID]authorization.Authorization], error)
	// ConsumedUnits returns a reading of the consumed units on service dates, in the transaction of the context.
	ConsumedUnits(ctx context.Context, from, to calendar.Date) (db.Reading[[]authorization.ConsumedUnits], error)
}

// Directory provides the master data of claims.
type Directory interface {
	// ClaimData returns a reading of the data that concerns all patients, in the transaction of the context.
	ClaimData(ctx context.Context) (db.Reading[directory.ClaimData], error)
	// PatientClaimData returns a reading of the data of patients, in the transaction of the context.
	PatientClaimData(ctx context.Context, patients []uuid.UUID) (db.Reading[directory.ClaimData], error)
}

// Dependencies are the dependencies of the service. Tests provide their own clock and ids.
type Dependencies struct {
	Database       *db.DB
	Sessions       Sessions
	Authorizations Authorizations
	Directory      Directory
	Audit          trail.Recorder
	Clock          func() time.Time
	NewID          func() uuid.UUID
}

// Service has the use cases of billing. It is safe for concurrent use. Its methods act in the
// organization of the [identity.Caller] in the context, and fail without one.
type Service struct {
	Dependencies
	store store
}

// New returns the service.
func New(d Dependencies) *Service { return &Service{Dependencies: d} }

// now returns the current time with PostgreSQL's precision.
func (s *Service) now() time.Time { return s.Clock().UTC().Truncate(time.Microsecond) }
