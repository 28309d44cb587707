// Package mfa manages second factors: codes of authenticator apps (TOTP), recovery codes, and the
// policy that an organization requires them.
package mfa

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/account"
	"omnirapeutic/modules/rbac/password"
	"omnirapeutic/modules/rbac/revocation"
	"omnirapeutic/modules/rbac/session"
	"omnirapeutic/modules/rbac/throttle"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/encryption"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/mail"
	"omnirapeutic/platform/patch"
	"omnirapeutic/platform/trail"
)

// The errors of second factors.
var (
	// ErrOn is returned if a second factor is on; it must be turned off first.
	ErrOn = fault.Define(fault.Conflict, "second-factor-on", "You already have a second factor.").
		Advising("Turn it off first to use another app or phone.")
	// ErrNotStarted is returned if there is no enrolment, or it has expired.
	ErrNotStarted = fault.Define(fault.Conflict, "second-factor-not-begun",
		"No second factor is being set up, or the setup was started more than 15 minutes ago.").
		Advising("Start again, and show the new QR code.")
	// ErrNone is returned if no second factor is on.
	ErrNone = fault.Define(fault.NotFound, "no-second-factor", "No second factor is set up.").
		Advising("Reload the status of the second factor, and offer to set one up.")
	// ErrOwn is returned if callers remove their own second factor as an administrator.
	ErrOwn = fault.Define(fault.Forbidden, "own-second-factor",
		"Turn your own second factor off with your password and a code, or ask another administrator to remove it.").
		Advising("Show the page where the user turns it off: `PUT /auth/second-factor/off`.")
)

// Service manages second factors. It is safe for concurrent use.
type Service struct {
	Dependencies

	secrets encryption.Sealer
	signIns session.SignInTrail
	store   store
}

// Dependencies are the dependencies of the service.
type Dependencies struct {
	rbac.Core

	Accounts    *account.Service
	Passwords   *password.Service
	Revocations *revocation.Service
	Sessions    *session.Service
	Throttle    *throttle.Service
	// Secrets encrypt the secrets of apps. The first is in use, the others are former ones.
	Secrets [][]byte
}

// New returns the service.
func New(d Dependencies) *Service {
	return &Service{
		Dependencies: d,
		secrets:      encryption.New("secrets of second factors", d.Secrets...),
		signIns:      session.NewSignInTrail(d.Core),
	}
}

// Status is the status of the caller's second factor.
type Status struct {
	On                bool
	Since             *time.Time // nil: it is off
	RecoveryCodesLeft int        // number of unused codes
	ConfirmUntil      *time.Time // when a started enrolment expires; nil: none
	Required          bool       // whether the organization requires it for sign-ins with a password
}

// Mine returns the caller's status. Errors: [identity.ErrUnauthenticated],
// [identity.ErrPeopleOnly].
func (s *Service) Mine(ctx context.Context) (Status, error) {
	caller, err := account.Person(ctx)
	if err != nil {
		return Status{}, err
	}
	return db.Snapshot(ctx, s.Database, "second-factor.get", func(ctx context.Context) (Status, error) {
		f, err := s.store.factor(ctx, caller.UserID)
		if err != nil {
			return Status{}, err
		}
		policy, err := s.store.policy(ctx)
		if err != nil {
			return Status{}, err
		}
		status := Status{On: f.IsOn(), Required: policy.SecondFactorRequired}
		if f.isStarted(s.Clock.Now()) {
			status.ConfirmUntil = new(f.StartedAt.Add(enrolmentTime).UTC())
		}
		if f.IsOn() {
			status.Since = new(f.ConfirmedAt.UTC())
			status.RecoveryCodesLeft, err = s.store.recoveryCodesLeft(ctx, caller.OrganizationID, caller.UserID)
		}
		return status, err
	})
}

// Factors returns the second factors of users, by user, in the transaction of the context. The number
// of queries is the same for any number of users.
func (s *Service) Factors(ctx context.Context, users []rbac.User) (map[uuid.UUID]Factor, error) {
	return s.store.factors(ctx, users)
}

// TurnOff removes the caller's second factor with its recovery codes. Sessions continue. If the
// organization requires a second factor, they can only set one up after their next refresh. Errors:
// [identity.ErrPeopleOnly], [ErrNone], [fault.ErrInvalid] for a wrong password or code,
// [throttle.ErrSignInDelayed], [password.ErrBusy].
func (s *Service) TurnOff(ctx context.Context, password, code string) error {
	return s.withBoth(ctx, password, code, "second-factor.turn-off", mail.SecondFactorOff, func(ctx context.Context, f Factor) error {
		_, err := s.store.delete(ctx, f.OrganizationID, f.UserID)
		return err
	})
}

// RenewRecoveryCodes returns new recovery codes for the caller, which are shown only once. Earlier
// codes become invalid. Errors: as for [Service.TurnOff].
func (s *Service) RenewRecoveryCodes(ctx context.Context, password, code string) ([]string, error) {
	codes := newRecoveryCodes()
	const action = "second-factor.renew-recovery-codes"
	return codes, s.withBoth(ctx, password, code, action, mail.RecoveryCodesRenewed, func(ctx context.Context, f Factor) error {
		return s.store.replaceRecoveryCodes(ctx, f, recoveryHashes(codes))
	})
}

// Remove removes the second factor of a user of the caller's organization with its recovery codes,
// and ends all of the user's sessions. Errors: [rbac.ErrUserNotFound], [ErrOwn],
// [identity.ErrBeyondOwn] for a user with more permissions than the caller, [ErrNone],
// [patch.ErrStale] if the user has another version.
func (s *Service) Remove(ctx context.Context, user uuid.UUID, match patch.Match) error {
	caller, err := identity.From(ctx)
	if err != nil {
		return err
	}
	const action = "second-factor.take-away"
	// Without [db.ProvenBy]: the caller can repeat it after an unknown outcome.
	_, err = db.Serializable(ctx, s.Database, action, func(ctx context.Context) (struct{}, error) {
		u, err := s.Accounts.AdministeredUser(ctx, user)
		if err != nil {
			return struct{}{}, err
		}
		if err := match.Check(u.Version); err != nil {
			return struct{}{}, err
		}
		if user == caller.UserID {
			return struct{}{}, ErrOwn
		}
		if removed, err := s.store.delete(ctx, u.OrganizationID, user); err != nil {
			return struct{}{}, err
		} else if !removed {
			return struct{}{}, ErrNone
		}
		if _, err := s.Revocations.RevokeUser(ctx, u.OrganizationID, user); err != nil {
			return struct{}{}, err
		}
		if err := rbac.NotifyChange(ctx, s.Core, u, mail.SecondFactorOff); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, trail.RecordBy(ctx, s.Audit, trail.Event{
			Action: action, SubjectType: "user", SubjectID: user, OccurredAt: s.Clock.Now(),
		})
	})
	return err
}

// Outdated selects enrolments that were not confirmed in time.
func (s *Service) Outdated(now time.Time) []db.Removal {
	return []db.Removal{{
		Table: "second_factors", Key: []string{"organization_id", "user_id"},
		Where: "confirmed_at IS NULL", Time: "started_at", Before: now.Add(-enrolmentTime),
	}}
}
