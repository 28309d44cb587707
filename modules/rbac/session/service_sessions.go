// Package session manages sessions: sign-ins on devices, with their access tokens and refresh
// tokens. It does not know how a user has proven their identity.
package session

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/account"
	"omnirapeutic/modules/rbac/permissionset"
	"omnirapeutic/modules/rbac/revocation"
	"omnirapeutic/modules/rbac/throttle"
	"omnirapeutic/platform/cache"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/encryption"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/trail"
)

// ErrNotFound is returned if the user has no such session, or it has ended.
var ErrNotFound = fault.Define(fault.NotFound, "sign-in-not-found", "Session not found, or it has ended.").
	Advising("Reload the sessions.")

// keepEnded is how long an ended session is kept, as a record of the user's networks.
const keepEnded = 30 * 24 * time.Hour

// Service manages sessions. It is safe for concurrent use.
type Service struct {
	Dependencies

	tokens     *accessTokens
	refreshKey []byte // derives successors of refresh tokens
	signIns    SignInTrail
	store      store
	accounts   cache.ByID[rbac.User] // of callers; see [Service.Me]
}

// Dependencies are the dependencies of the service.
type Dependencies struct {
	rbac.Core

	Accounts    *account.Service
	Permissions *permissionset.Reader
	Revocations *revocation.Service
	Throttle    *throttle.Service
	// Secrets sign access tokens. The first is in use; tokens of the others are still accepted.
	Secrets [][]byte
	// Lifetime is how long an access token is valid.
	Lifetime time.Duration
	// Idle is how long a session lasts without a refresh, Longest its maximum duration.
	Idle, Longest time.Duration
}

// New returns the service.
func New(d Dependencies) *Service {
	s := &Service{
		Dependencies: d,
		tokens:       newAccessTokens(d.Secrets, d.Lifetime, d.Clock, d.NewID),
		refreshKey:   encryption.DeriveKey(d.Secrets[0], "refresh", sha256.Size),
		signIns:      NewSignInTrail(d.Core),
	}
	d.Revocations.OnAccountChanged(s.accounts.Invalidate)
	return s
}

// List returns the caller's active sessions, the newest first.
func (s *Service) List(ctx context.Context) ([]Session, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return nil, err
	}
	return db.Snapshot(ctx, s.Database, "sign-in.list", func(ctx context.Context) ([]Session, error) {
		return s.store.active(ctx, caller.OrganizationID, caller.UserID, s.Clock.Now())
	})
}

// End ends one of the caller's sessions. The error is [ErrNotFound].
func (s *Service) End(ctx context.Context, id uuid.UUID) error {
	caller, err := identity.From(ctx)
	if err != nil {
		return err
	}
	return s.end(ctx, caller, id, "sign-in.end")
}

// SignOut ends the caller's session. The error is [identity.ErrUnauthenticated] if the caller is
// not signed in.
func (s *Service) SignOut(ctx context.Context) error {
	caller, err := identity.From(ctx)
	if err != nil {
		return err
	}
	err = s.end(ctx, caller, caller.SignInID, "user.sign-out")
	if errors.Is(err, ErrNotFound) {
		return identity.ErrUnauthenticated // it has already ended
	}
	return err
}

// end ends one of the caller's sessions and records the action. It works without [db.ProvenBy]: the
// caller can repeat it after an unknown outcome.
func (s *Service) end(ctx context.Context, caller identity.Caller, id uuid.UUID, action string) error {
	now := s.Clock.Now()
	_, err := db.Serializable(ctx, s.Database, action, func(ctx context.Context) (struct{}, error) {
		if err := s.revokeOne(ctx, caller.OrganizationID, caller.UserID, id, now); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, trail.RecordBy(ctx, s.Audit, trail.Event{
			Action: action, SubjectType: "sign-in", SubjectID: id, OccurredAt: now,
		})
	})
	return err
}

// revokeOne revokes one session of a user. The error is [ErrNotFound] if it does not exist or has ended.
func (s *Service) revokeOne(ctx context.Context, organization, user, id uuid.UUID, now time.Time) error {
	found, err := s.store.one(ctx, organization, user, id, now)
	if db.IsNotFound(err) {
		return ErrNotFound
	}
	if err != nil {
		return err
	}
	return s.revoke(ctx, found, now)
}

// revoke ends a session and invalidates its tokens, in the transaction of the context.
func (s *Service) revoke(ctx context.Context, in Session, now time.Time) error {
	if err := s.store.markEnded(ctx, in.OrganizationID, in.ID, now); err != nil {
		return err
	}
	return s.Revocations.RevokeSessions(ctx, in.OrganizationID, now, in.ID)
}

// SignOutEverywhere ends all sessions of the caller, including the current one. Their tokens become
// invalid on every instance. The error is [identity.ErrUnauthenticated] if the caller is not signed
// in.
func (s *Service) SignOutEverywhere(ctx context.Context) error {
	caller, err := identity.From(ctx)
	if err != nil {
		return err
	}
	revoked := func(ctx context.Context) (bool, error) {
		return s.Revocations.IsRevoked(ctx, caller.OrganizationID, caller.UserID, caller.Epoch)
	}
	const action = "user.sign-out-everywhere"
	_, err = db.Serializable(ctx, s.Database, action, func(ctx context.Context) (struct{}, error) {
		if db.InDoubt(ctx) { // an earlier attempt may have committed; other instances load it themselves
			if done, err := revoked(ctx); done || err != nil {
				return struct{}{}, err
			}
		}
		if _, err := s.Revocations.RevokeUser(ctx, caller.OrganizationID, caller.UserID); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, trail.RecordBy(ctx, s.Audit, trail.Event{
			Action: action, SubjectType: "user", SubjectID: caller.UserID, OccurredAt: s.Clock.Now(),
		})
	}, db.ProvenBy(revoked))
	if db.IsNotFound(err) {
		return identity.ErrUnauthenticated
	}
	return err
}

// EndProviderSessions ends a user's sessions through an identity provider, in the transaction of the
// context. If user is nil, it concerns all users of the caller's organization. It returns the number
// of sessions that were active or whose access tokens may still be valid.
func (s *Service) EndProviderSessions(ctx context.Context, user *uuid.UUID, now time.Time) (int, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return 0, err
	}
	ended, err := s.store.endByProvider(ctx, user, now)
	if err != nil {
		return 0, err
	}
	return len(ended), s.Revocations.RevokeSessions(ctx, caller.OrganizationID, now, ended...)
}

// RemoveTokens removes the refresh tokens of ended sessions of all organizations, and returns their
// number.
func (s *Service) RemoveTokens(ctx context.Context, now time.Time) (removed int64, err error) {
	for {
		var sessions int64
		n, err := db.ReadCommitted(ctx, s.Database, "access.sweep", func(ctx context.Context) (n int64, err error) {
			n, sessions, err = s.store.removeTokens(ctx, now)
			return n, err
		}, db.AllOrganizations())
		removed += n
		if err != nil || n < maxRemovedTokens && sessions < maxEndedSessions {
			return removed, err
		}
	}
}

// Outdated selects sessions that ended long ago and have no more tokens.
func (s *Service) Outdated(now time.Time) []db.Removal {
	return []db.Removal{{
		Table: "sign_ins", Key: []string{"organization_id", "id"},
		Where: "NOT has_refresh_tokens", Time: sessionEnd, Before: now.Add(-keepEnded),
	}}
}
