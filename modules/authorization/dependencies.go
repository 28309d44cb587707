package authorization

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/sirupsen/logrus"

	"omnirapeutic/platform/command"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/outbox"
	"omnirapeutic/platform/trail"
)

// Directory provides organizations, patients, insurances and service codes.
type Directory interface {
	// TimeZone returns the organization's time zone, which defines its dates.
	TimeZone(ctx context.Context, organization uuid.UUID) (*time.Location, error)
	// CheckReferences returns an error with the field of a reference that does not exist in the
	// caller's organization, or does not match the others.
	CheckReferences(ctx context.Context, patient, serviceCode uuid.UUID, insurance *uuid.UUID) error
	// WeekStarts returns the first day of the week of each insurance's payer. organizations[i] is
	// the organization of insurances[i].
	WeekStarts(ctx context.Context, organizations, insurances []uuid.UUID) ([]time.Weekday, error)
	// WeekStartsOf returns a reading of the first days of the week of insurances' payers in the caller's
	// organization, by insurance, in the transaction of the context.
	WeekStartsOf(ctx context.Context, insurances db.Subquery) (db.Reading[map[uuid.UUID]time.Weekday], error)
	// PayerNamesOf returns a reading of the names of insurances' payers in the caller's organization, by insurance, in
	// the transaction of the context.
	PayerNamesOf(ctx context.Context, insurances db.Subquery) (db.Reading[map[uuid.UUID]string], error)
	// InsurancesOf returns the insurances of a payer, in the caller's organization.
	InsurancesOf(ctx context.Context, payer uuid.UUID) ([]uuid.UUID, error)
}

// Events publishes changes.
type Events interface {
	// Publish publishes each message once, in the transaction of the context, to the subscribers
	// with its permissions.
	Publish(ctx context.Context, messages []outbox.Message) error
}

// Dependencies has the dependencies of the services. Tests set the clock and the ids.
type Dependencies struct {
	Database  *db.DB
	Engine    *command.Engine
	Directory Directory
	Events    Events
	Audit     Audit
	Clock     func() time.Time
	NewID     func() uuid.UUID
	Logger    logrus.FieldLogger
	// SweeperGrace is the time that the sweeper has to release an expired hold before
	// [VerificationService.Verify] reports it as overdue. 0: no sweeper runs, and no hold is reported.
	SweeperGrace time.Duration
	// OnVerified, if set, is called with the report of every verification. The organization is the
	// zero id for a verification of all.
	OnVerified func(organization uuid.UUID, r Report)
}

// base has what all services of this module need.
type base struct {
	Dependencies
	store store
}

// now returns the current time with PostgreSQL's precision, so that an entry's hash matches its
// stored row.
func (s base) now() time.Time { return s.Clock().UTC().Truncate(time.Microsecond) }

// moment returns the current time and its date in the organization's time zone.
func (s base) moment(ctx context.Context, organization uuid.UUID) (Moment, error) {
	zone, err := s.Directory.TimeZone(ctx, organization)
	if err != nil {
		return Moment{}, err
	}
	return momentIn(s.now(), zone), nil
}

// Audit records events in the audit trail.
type Audit interface {
	// Record writes the events in the transaction of the context.
	Record(ctx context.Context, events []trail.Event) error
}

// read calls fn in a snapshot, with the current time.
func read[T any](
	ctx context.Context, s base, operation string, fn func(context.Context, Moment) (T, error),
) (T, error) {
	var none T
	caller, err := identity.From(ctx)
	if err != nil {
		return none, err
	}
	return db.Snapshot(ctx, s.Database, operation, func(ctx context.Context) (T, error) {
		at, err := s.moment(ctx, caller.OrganizationID)
		if err != nil {
			return none, err
		}
		return fn(ctx, at)
	})
}
