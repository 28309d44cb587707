// Package emergency lets clinicians break the glass: read the records of one patient outside
// their record scope when care cannot wait for an administrator. A grant takes effect
// immediately, without approval. It needs a reason, expires, and allows reading only.
// Administrators are notified, the audit trail marks every read record with the grant's id, and
// another user reviews the grant.
package emergency

import (
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/outbox"
	"omnirapeutic/platform/trail"
)

// Grant lets its user read the records of one patient. Grants are never deleted.
type Grant struct {
	OrganizationID uuid.UUID `gorm:"primaryKey"`
	ID             uuid.UUID `gorm:"primaryKey"`
	UserID         uuid.UUID
	PatientID      uuid.UUID
	Reason         string
	GrantedAt      time.Time
	ExpiresAt      time.Time
	RevokedAt      *time.Time // set if it was ended early
	RevokedBy      *uuid.UUID
	ReviewedAt     *time.Time
	ReviewedBy     *uuid.UUID // never the user
	Justified      *bool      // the reviewer's decision
	ReviewNote     *string
}

// The errors of this module. Invalid fields are [fault.ErrInvalid].
var (
	// ErrNotFound is returned if no such grant is within the caller's record scope.
	ErrNotFound = fault.Define(fault.NotFound, "emergency-grant-not-found", "Emergency grant not found.")
	// ErrNotOpen is returned if a request names a grant that does not apply. It does not say why.
	ErrNotOpen = fault.Define(fault.Forbidden, "emergency-grant-not-open",
		"The emergency grant is unknown, belongs to another user, or has ended.").
		Advising("Send the request without `Break-Glass`, or take a new grant.")
	// ErrReadOnly is returned if a request with a grant is not a read.
	ErrReadOnly = fault.Define(fault.Forbidden, "emergency-read-only", "An emergency grant allows reading only.").
			Advising("Send the request without `Break-Glass`.")
	// ErrOver is returned if a grant that has ended is revoked.
	ErrOver = fault.Define(fault.Conflict, "emergency-grant-over", "The emergency grant has already ended.")
	// ErrStillOpen is returned if a grant is reviewed before its end.
	ErrStillOpen = fault.Define(fault.Conflict, "emergency-grant-open",
		"The emergency grant is still open. It can be reviewed after its end.").
		Advising("Revoke the grant, or review it after it has expired.")
	// ErrReviewed is returned if a grant was reviewed before. The first review is kept.
	ErrReviewed = fault.Define(fault.Conflict, "emergency-grant-reviewed",
		"The emergency grant has already been reviewed.")
	// ErrOwnReview is returned if users review their own grants.
	ErrOwnReview = fault.Define(fault.Forbidden, "emergency-own-review", "You cannot review your own emergency grant.").
			Advising("Ask another user to review it.")
)

// Service implements the use cases of emergency grants. It is safe for concurrent use. Its
// methods act in the organization of the [identity.Caller] in the context and fail without one.
type Service struct {
	database *db.DB
	events   outbox.Publisher
	audit    trail.Recorder
	clock    func() time.Time
	newID    func() uuid.UUID
	store    store
}

// Dependencies are the dependencies of the service. Tests provide their own clock and ids.
type Dependencies struct {
	Database *db.DB
	Events   outbox.Publisher
	Audit    trail.Recorder
	Clock    func() time.Time
	NewID    func() uuid.UUID
}

// New returns the service.
func New(d Dependencies) *Service {
	return &Service{database: d.Database, events: d.Events, audit: d.Audit, clock: d.Clock, newID: d.NewID}
}

// now returns the time with the precision of the database: whole microseconds.
func (s *Service) now() time.Time { return s.clock().UTC().Truncate(time.Microsecond) }
