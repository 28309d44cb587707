// Package revocation makes every instance refuse tokens that were revoked: of a user who was
// disabled or got other roles, of a session that has ended, of an API key, or of a disabled
// organization. A revocation is a row and a notification, and each instance keeps the recent ones
// in memory.
package revocation

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/sirupsen/logrus"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
)

// Service revokes tokens and checks them. It is safe for concurrent use.
type Service struct {
	database *db.DB
	clock    rbac.Clock
	logger   logrus.FieldLogger
	store    store
	known    revocations
	// announced is signalled when another instance has announced revocations.
	announced chan struct{}
}

// New returns the service. Until [Service.LoadRevocations] is called, it knows only its own
// revocations, which is enough for commands and tests.
func New(database *db.DB, clock rbac.Clock, logger logrus.FieldLogger) *Service {
	return &Service{database: database, clock: clock, logger: logger, announced: make(chan struct{}, 1)}
}

// RevokeUser ends all sign-ins of a user and invalidates their access tokens on every instance, if
// the transaction of the context commits. It returns the epoch of new tokens. The caller records
// the reason. The error is gorm's if there is no such user.
func (s *Service) RevokeUser(ctx context.Context, organization, user uuid.UUID) (epoch int64, err error) {
	epoch, err = s.store.raiseEpoch(ctx, organization, user)
	if err != nil {
		return 0, err
	}
	return epoch, s.announce(ctx, organization, change{subject{ofUser, user}, epoch, s.clock.Now()})
}

// IsRevoked reports whether the user's tokens of the epoch are revoked, in the transaction of the
// context.
func (s *Service) IsRevoked(ctx context.Context, organization, user uuid.UUID, epoch int64) (bool, error) {
	current, err := s.store.epochOf(ctx, organization, user)
	return current > epoch, err
}

// RevokeKey makes every instance refuse an API key, if the transaction of the context commits.
func (s *Service) RevokeKey(ctx context.Context, organization, key uuid.UUID, at time.Time) error {
	return s.announce(ctx, organization, change{subject{ofUser, key}, 1, at}) // a key has one epoch
}

// RevokeSessions makes every instance refuse the access tokens of ended sessions, if the transaction
// of the context commits.
func (s *Service) RevokeSessions(
	ctx context.Context, organization uuid.UUID, at time.Time, sessions ...uuid.UUID,
) error {
	if len(sessions) == 0 {
		return nil
	}
	changes := make([]change, len(sessions))
	for i, id := range sessions {
		changes[i] = change{subject{ofSignIn, id}, 1, at}
	}
	return s.announce(ctx, organization, changes...)
}

// PermissionsChanged makes every instance load the organization's permission sets again, if the
// transaction of the context commits. The version rises with each change.
func (s *Service) PermissionsChanged(ctx context.Context, organization uuid.UUID, version int, at time.Time) error {
	return s.announce(ctx, organization, change{subject{ofPermissions, organization}, int64(version), at})
}

// OnPermissionsChanged registers fn for changed permission sets. fn gets the organization, or
// [uuid.Nil] if any may have changed. It must not block, and may be called several times for one
// change. Call it before all other methods.
func (s *Service) OnPermissionsChanged(fn func(organization uuid.UUID)) {
	s.known.listeners = append(s.known.listeners, fn)
}

// AccountChanged makes every instance read the name of a user again, if the transaction of the context
// commits. The version rises with each change.
func (s *Service) AccountChanged(ctx context.Context, organization, user uuid.UUID, version int, at time.Time) error {
	return s.announce(ctx, organization, change{subject{ofAccount, user}, int64(version), at})
}

// OnAccountChanged registers fn for changed accounts. fn must not block. Call it before all
// other methods.
func (s *Service) OnAccountChanged(fn func(user uuid.UUID)) {
	s.known.accounts = append(s.known.accounts, fn)
}

// announce publishes changes to every instance if the transaction of the context commits: to this
// one immediately, to the others by NOTIFY. An instance that misses a notification finds the
// change at its next poll.
func (s *Service) announce(ctx context.Context, organization uuid.UUID, changes ...change) error {
	if err := db.AfterCommit(ctx, func(context.Context) { s.known.apply(changes...) }); err != nil {
		return err
	}
	return s.store.insert(ctx, organization, changes)
}

// Check returns an error if the caller's token or key is revoked: [identity.ErrUnauthenticated], or
// [ErrTokenNotChecked] while revocations cannot be loaded. It makes no query.
func (s *Service) Check(caller identity.Caller) error { return s.known.check(caller) }

// HasLoaded reports whether this instance loads the revocations of others. Without them, results
// must not be cached.
func (s *Service) HasLoaded() bool { return s.known.hasLoaded() }

// ContextUntilRevoked returns a context for long responses, which ends when the caller's access
// token is revoked. Call the returned function when the response ends.
func (s *Service) ContextUntilRevoked(
	ctx context.Context, caller identity.Caller,
) (context.Context, context.CancelFunc) {
	return s.known.contextUntilRevoked(ctx, caller)
}

// Outdated selects the revocations that are older than every token.
func (s *Service) Outdated(now time.Time) []db.Removal {
	return []db.Removal{{
		Table: "access_changes", Key: []string{"organization_id", "sequence"}, Time: "changed_at", Before: now.Add(-Keep),
	}}
}
