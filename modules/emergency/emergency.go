// Package emergency lets clinicians break the glass: read the records of one patient
// who is out of their reach, when care cannot wait for an administrator. It is taken
// alone and at once, with a reason, for a while, to read only. Administrators are told
// at once, whatever is read carries the grant's id in the audit trail, and somebody
// else has to review it.
package emergency

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/outbox"
	"omnirapeutic/platform/trail"
)

// How long a grant holds.
const (
	MinDuration     = 30 * time.Minute
	DefaultDuration = 60 * time.Minute
	MaxDuration     = 480 * time.Minute
)

// How long a reason is, in characters, without spaces around it: long enough that
// somebody else can judge it.
const (
	MinReason = 25
	MaxReason = 500
)

// The permissions of this module. Held for oneself, they are for the grants that one
// has taken.
const (
	PermissionTake   identity.Permission = "emergency:take"
	PermissionRead   identity.Permission = "emergency:read"
	PermissionRevoke identity.Permission = "emergency:revoke"
	PermissionReview identity.Permission = "emergency:review"
)

// Grant lets the user who took it read the records of one patient. It is never
// deleted.
type Grant struct {
	OrganizationID uuid.UUID `gorm:"primaryKey"`
	ID             uuid.UUID `gorm:"primaryKey"`
	UserID         uuid.UUID
	PatientID      uuid.UUID
	Reason         string
	GrantedAt      time.Time
	ExpiresAt      time.Time
	RevokedAt      *time.Time // before it was over
	RevokedBy      *uuid.UUID
	ReviewedAt     *time.Time
	ReviewedBy     *uuid.UUID // never the user
	Justified      *bool      // what the reviewer says of it
	ReviewNote     *string
}

// OpenAt reports whether the grant holds at the moment.
func (g Grant) OpenAt(now time.Time) bool { return g.RevokedAt == nil && now.Before(g.ExpiresAt) }

// The refusals of this module. Wrong fields are [fault.ErrInvalid].
var (
	// ErrNotFound: none within the caller's reach.
	ErrNotFound = fault.Define(fault.NotFound, "emergency-grant-not-found", "There is no such emergency grant.")
	// ErrNotOpen: a request names a grant that does not hold: nobody is told why.
	ErrNotOpen = fault.Define(fault.Forbidden, "emergency-grant-not-open", "You hold no emergency grant of this id: there is none, it is somebody else's, or it is over.").
			Advising("Send the request without `Break-Glass`, or take another grant.")
	// ErrReadOnly: a request that changes something names a grant.
	ErrReadOnly = fault.Define(fault.Forbidden, "emergency-read-only", "An emergency grant is for reading only.").
			Advising("Send the request without `Break-Glass`.")
	// ErrOver: what is over cannot be revoked.
	ErrOver = fault.Define(fault.Conflict, "emergency-grant-over", "The emergency grant is over.")
	// ErrStillOpen: what is not over cannot be reviewed.
	ErrStillOpen = fault.Define(fault.Conflict, "emergency-grant-open", "The emergency grant is not over: what is read under it is still to come.").
			Advising("Revoke it, or review it when it is over.")
	// ErrReviewed: it was reviewed before; the first review stays.
	ErrReviewed = fault.Define(fault.Conflict, "emergency-grant-reviewed", "The emergency grant has been reviewed.")
	// ErrOwnReview: nobody reviews what they took themselves.
	ErrOwnReview = fault.Define(fault.Forbidden, "emergency-own-review", "Nobody reviews an emergency grant that they took themselves.").
			Advising("Let somebody else review it.")
)

// Events is told, in the transaction of a change, what has changed.
type Events interface {
	// Publish tells whoever holds their permissions, once and only if the transaction commits.
	Publish(ctx context.Context, messages []outbox.Message) error
}

// Audit is told, in the transaction of a change, who did what.
type Audit interface {
	// Record keeps the events if, and only if, the transaction commits.
	Record(ctx context.Context, events []trail.Event) error
}

// Service has the use cases of emergency grants. It is safe for concurrent use. Its
// methods act in the organization of the [identity.Caller] in the context and fail
// without one.
type Service struct {
	database *db.DB
	events   Events
	audit    Audit
	clock    func() time.Time
	newID    func() uuid.UUID
	store    store
}

// Dependencies are what the service works with. The clock and the ids are passed in
// so that tests decide on both.
type Dependencies struct {
	Database *db.DB
	Events   Events
	Audit    Audit
	Clock    func() time.Time
	NewID    func() uuid.UUID
}

// New returns the service.
func New(d Dependencies) *Service {
	return &Service{database: d.Database, events: d.Events, audit: d.Audit, clock: d.Clock, newID: d.NewID}
}

// now is the moment as the database can keep it: in whole microseconds.
func (s *Service) now() time.Time { return s.clock().UTC().Truncate(time.Microsecond) }
