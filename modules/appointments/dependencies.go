package appointments

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/authorization"
	"omnirapeutic/modules/directory"
	"omnirapeutic/platform/command"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/outbox"
	"omnirapeutic/platform/record"
	"omnirapeutic/platform/scheduling"
	"omnirapeutic/platform/trail"
)

// Directory provides organizations, patients, practitioners, payers and service codes.
type Directory interface {
	// TimeZone returns the organization's time zone, which defines its dates.
	TimeZone(ctx context.Context, organization uuid.UUID) (*time.Location, error)
	// ForgetTimeZone removes the time zone from the cache, because it has changed.
	ForgetTimeZone(organization uuid.UUID)
	// Organization returns an organization that the caller may see. The error is
	// [directory.ErrOrganizationNotFound].
	Organization(ctx context.Context, id uuid.UUID) (directory.Organization, error)
	// ChangeOrganization changes the caller's organization, in the transaction of the context if
	// there is one.
	ChangeOrganization(ctx context.Context, c directory.OrganizationChange) (directory.Organization, error)
	// SchedulingRules returns the rules for bookings, in the transaction of the context.
	SchedulingRules(ctx context.Context, q scheduling.Query) (scheduling.Rules, error)
	// CancellationReasonsByKey returns the existing reasons of cancellations, in the transaction of the context.
	CancellationReasonsByKey(
		ctx context.Context, keys []record.Key,
	) (map[record.Key]directory.CancellationReason, error)
	// NoteRules returns the rules for notes of the caller's organization, by service code and in order of
	// their first days, in the transaction of the context.
	NoteRules(ctx context.Context) (db.Reading[map[uuid.UUID][]scheduling.DatedNoteRule], error)
	// PairsForConflicts returns the services of the caller's organization that may run together, in the
	// transaction of the context.
	PairsForConflicts(ctx context.Context) (db.Reading[[]directory.ServicePair], error)
}

// Events publishes changes.
type Events interface {
	// Publish publishes each message once, in the transaction of the context, to the subscribers
	// with its permissions.
	Publish(ctx context.Context, messages []outbox.Message) error
}

// Audit records events in the audit trail.
type Audit interface {
	// Record writes the events in the transaction of the context.
	Record(ctx context.Context, events []trail.Event) error
	// Note commits events that belong to no change, before it returns. The error is
	// [trail.ErrNotRecorded].
	Note(ctx context.Context, events []trail.Event) error
}

// Callers provides the users of organizations.
type Callers interface {
	// CurrentCaller returns a user with the current permissions, read in the transaction of the
	// context. The error is [identity.ErrUnauthenticated] if the user may not sign in.
	CurrentCaller(ctx context.Context, organization, user uuid.UUID) (identity.Caller, error)
}

// Dependencies has the dependencies of the services. Tests set the clock and the ids.
type Dependencies struct {
	Database  *db.DB
	Engine    *command.Engine
	Directory Directory
	// Authorizations has the ledger of units, which joins the transactions of appointments.
	Authorizations *authorization.Service
	Events         Events
	Audit          Audit
	Callers        Callers
	// Families reminds families of appointments; nil: no mail is sent.
	Families Families
	Clock    func() time.Time
	NewID    func() uuid.UUID
}

// base has what all services of this module need.
type base struct {
	Dependencies
	store     store
	hours     availabilityStore
	delivered deliveredStore
	reminders *reminderProgress
}

// now returns the current time with PostgreSQL's precision.
func (s base) now() time.Time { return s.Clock().UTC().Truncate(time.Microsecond) }

func (s base) newIDs(n int) []uuid.UUID {
	ids := make([]uuid.UUID, n)
	for i := range ids {
		ids[i] = s.NewID()
	}
	return ids
}
