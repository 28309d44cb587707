// Package password knows everything about passwords: the rules for new ones, their hashes, proofs,
// changes and resets.
package password

import (
	"context"
	"errors"
	"time"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/account"
	"omnirapeutic/modules/rbac/revocation"
	"omnirapeutic/modules/rbac/session"
	"omnirapeutic/modules/rbac/throttle"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/encryption"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/trail"
)

// Service hashes, proves, changes and resets passwords. It is safe for concurrent use.
type Service struct {
	Dependencies

	hasher    *hasher
	store     store
	requests  encryption.Sealer
	requested chan struct{} // signals that a link was requested
}

// Dependencies are the dependencies of the service.
type Dependencies struct {
	rbac.Core

	Accounts    *account.Service
	Revocations *revocation.Service
	Sessions    *session.Service
	Throttle    *throttle.Service
	// FrontendURL is the page of the links to reset a password. Empty: not configured.
	FrontendURL string
	// ResetLifetime is how long a reset can be used.
	ResetLifetime time.Duration
	// Secrets encrypt the addresses of requests. The first is in use, the others are former ones.
	Secrets [][]byte
	// Quick hashes with as little work as possible. For tests only.
	Quick bool
}

// New returns the service.
func New(d Dependencies) *Service {
	return &Service{
		Dependencies: d, hasher: newHasher(d.Quick),
		requests: encryption.New("password reset requests", d.Secrets...), requested: make(chan struct{}, 1),
	}
}

// Hash returns the hash of a password for an account of an e-mail address. All accounts of an
// address share a salt. Call it before a transaction, so that no connection waits for it. The error
// is [ErrBusy].
func (s *Service) Hash(ctx context.Context, email, password string) (string, error) {
	salt, err := s.salt(ctx, email)
	if err != nil {
		return "", err
	}
	return s.hasher.hash(ctx, password, salt)
}

// UnusableHash returns a hash that matches no password, for an account of the address. A comparison
// with it takes as long as with any other.
func (s *Service) UnusableHash(ctx context.Context, email string) (string, error) {
	salt, err := s.salt(ctx, email)
	if err != nil {
		return "", err
	}
	return s.hasher.unusable(salt), nil
}

// Invalidate replaces the user's hash by one of [Service.UnusableHash] and deletes their reset, in the
// transaction of the context.
func (s *Service) Invalidate(ctx context.Context, u rbac.User, unusable string) error {
	if err := s.store.invalidate(ctx, u, unusable); err != nil {
		return err
	}
	return s.store.deleteReset(ctx, u.OrganizationID, u.ID)
}

// salt returns the salt of all password hashes of an e-mail address, in any organization.
func (s *Service) salt(ctx context.Context, email string) ([]byte, error) {
	return db.Serializable(ctx, s.Database, "password-salt.get", func(ctx context.Context) ([]byte, error) {
		return s.store.salt(ctx, email, s.hasher.newSalt())
	})
}

// Matching reports for each account whether its password is the given one. It computes one hash for
// any number of accounts of an address, including none. Errors: [ErrBusy], the context's error.
func (s *Service) Matching(ctx context.Context, password string, accounts []account.Account) ([]bool, error) {
	hashes := make([]string, len(accounts))
	for i, a := range accounts {
		hashes[i] = a.Hash
	}
	return s.hasher.matching(ctx, password, hashes)
}

// Renewed returns a hash of the password that has just matched, with the current parameters; "": the
// account already has one. The error is [ErrBusy].
func (s *Service) Renewed(ctx context.Context, password string, a account.Account) (string, error) {
	return s.hasher.renew(ctx, password, a.Hash)
}

// StoreRenewed replaces the account's hash by a renewed one, in the transaction of the context.
func (s *Service) StoreRenewed(ctx context.Context, a account.Account, renewed string) error {
	return s.store.replace(ctx, a.User, a.Hash, renewed)
}

// Own returns the caller's account. The error is [identity.ErrUnauthenticated] if the caller may not
// sign in.
func (s *Service) Own(ctx context.Context, caller identity.Caller) (account.Account, error) {
	own, err := s.Accounts.Credentials(ctx, caller.UserID)
	if errors.Is(err, rbac.ErrUserNotFound) {
		err = identity.ErrUnauthenticated
	}
	return own, err
}

// CountAttempt counts an attempt of the caller to prove something about themselves, so that a caller
// with only a stolen token cannot guess endlessly. It is separate from the count of sign-ins. It
// returns the counter, to be forgotten after success. The error is [throttle.ErrSignInDelayed].
func (s *Service) CountAttempt(ctx context.Context, caller identity.Caller) (counter []byte, err error) {
	counter = s.Throttle.Proof(caller.UserID, caller.SignInID)
	return counter, s.Throttle.Attempt(ctx, counter)
}

// Matches reports whether the password is the account's. Errors: [ErrBusy], the context's error.
func (s *Service) Matches(ctx context.Context, password string, a account.Account) (bool, error) {
	if len(password) > MaxLength {
		return false, nil
	}
	return s.hasher.matches(ctx, password, a.Hash)
}

// Prove checks the caller's own password for an action. It returns the counter of the attempt, to be
// forgotten after success. Errors: [fault.ErrInvalid] for the field, [throttle.ErrSignInDelayed],
// [ErrBusy].
func (s *Service) Prove(
	ctx context.Context, caller identity.Caller, own account.Account, given, field, action string,
) (counter []byte, err error) {
	if counter, err = s.CountAttempt(ctx, caller); err != nil {
		return nil, err
	}
	matches, err := s.Matches(ctx, given, own)
	if err != nil {
		return nil, err
	}
	if matches {
		return counter, nil
	}
	err = trail.NoteBy(ctx, s.Audit, trail.Event{
		Action: action, SubjectType: "user", SubjectID: caller.UserID, OccurredAt: s.Clock.Now(),
		Outcome: trail.Denied, After: session.RefusedSignIn{Reason: "password"},
	})
	if err != nil {
		return nil, err
	}
	return nil, fault.InvalidFields(fault.Field{Field: field, Code: "wrong", Message: "is not your password"})
}
