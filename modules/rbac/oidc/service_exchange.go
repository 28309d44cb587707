package oidc

import (
	"context"
	"errors"
	"time"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/account"
	"omnirapeutic/modules/rbac/mfa"
	"omnirapeutic/modules/rbac/session"
	"omnirapeutic/modules/rbac/signin"
	"omnirapeutic/modules/rbac/throttle"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/trail"
)

// ExchangeCode exchanges a code of [SignIns.Finish], once, for the result of a sign-in. It needs no
// caller.
//
// The first sign-in of an existing account through the provider must be confirmed. ExchangeCode
// returns [ErrLinkUnconfirmed] and keeps the code until the request includes the account's password
// and, if the account has a second factor, its code. [Links.Confirm] is the alternative.
// Errors: [ErrCodeUsed], [ErrLinkUnconfirmed], [signin.ErrWrongCredentials], [mfa.ErrRequired],
// [mfa.ErrWrong], [mfa.ErrRecoveryCodeRequired], [throttle.ErrSignInDelayed], [password.ErrBusy].
func (s *SignIns) ExchangeCode(ctx context.Context, x CodeExchange) (session.SignedIn, error) {
	return throttle.Limited(ctx, s.Throttle, throttle.IdentityProvider, throttle.NetworkSource(ctx),
		func() (session.SignedIn, error) { return s.exchangeCode(ctx, x) }, failures...)
}

func (s *SignIns) exchangeCode(ctx context.Context, x CodeExchange) (session.SignedIn, error) {
	organization, hash, ok := x.organization()
	if !ok {
		return session.SignedIn{}, ErrCodeUsed.Because(throttle.ErrGuess)
	}
	ctx = identity.With(ctx, identity.System(organization))
	var pending *LinkRequest
	exchange := func(ctx context.Context) (_ *session.Started, err error) {
		pending = nil
		row, err := s.store.takeCode(ctx, hash)
		if err != nil {
			return nil, err
		}
		if row.Hash == nil {
			pending, err = s.linkRequestFor(ctx, x, hash)
			return nil, err
		}
		if !s.Clock.Now().Before(row.ExpiresAt) || !x.hasVerifier(row.Challenge) {
			return nil, nil // the code is used up in either case
		}
		u, err := s.Accounts.User(ctx, row.UserID)
		if err != nil || refusalReason(u) != "" {
			return nil, err
		}
		started := s.Sessions.Start(ctx, u, true)
		return &started, s.Sessions.Store(ctx, started)
	}
	started, err := db.Serializable(ctx, s.Database, "user.exchange-code", exchange)
	switch {
	case err != nil:
		return session.SignedIn{}, err
	case pending != nil:
		return s.confirmOwnLink(ctx, x, *pending, hash)
	case started == nil:
		// In no organization's trail: any stranger can name an organization.
		s.signIns.LogRefusal(ctx, "sign_in_refused", rbac.User{}, "code").Warn("sign-in refused")
		return session.SignedIn{}, ErrCodeUsed.Because(throttle.ErrGuess)
	}
	return s.issue(ctx, *started)
}

// issue records the sign-in of a stored session, and creates its tokens.
func (s *SignIns) issue(ctx context.Context, started session.Started) (session.SignedIn, error) {
	u := started.User()
	e := s.signIns.Event(ctx, u)
	e.ActorID, e.After = u.ID, signedInBy{Method: methodOpenID}
	if err := s.Audit.Note(ctx, []trail.Event{e}); err != nil {
		return session.SignedIn{}, err
	}
	s.Logger.WithFields(session.UserFields("signed_in", u)).Info("user signed in")
	return s.Sessions.Issue(started)
}

// linkRequestFor returns the link request of a code, nil if there is none or the code has expired.
// A wrong verifier uses the code up.
func (s *SignIns) linkRequestFor(ctx context.Context, x CodeExchange, hash db.Hash) (*LinkRequest, error) {
	request, err := s.store.requestWithCode(ctx, hash)
	if err != nil || request == nil || !isBefore(s.Clock.Now(), request.CodeExpiresAt) {
		return nil, err
	}
	if !x.hasVerifier(*request.Challenge) {
		request.CodeHash, request.Challenge, request.CodeExpiresAt = nil, nil, nil
		return nil, s.store.saveRequest(ctx, *request)
	}
	return request, nil
}

func isBefore(now time.Time, end *time.Time) bool { return end != nil && now.Before(*end) }

// confirmOwnLink signs in the owner of an account who confirms its link to the provider with the
// password and, if the account has one, the second factor. Refused attempts are counted like
// refused password changes.
func (s *SignIns) confirmOwnLink(
	ctx context.Context, x CodeExchange, request LinkRequest, hash db.Hash,
) (session.SignedIn, error) {
	ctx = account.AsUser(ctx, rbac.User{ID: request.UserID, OrganizationID: request.OrganizationID})
	caller, err := identity.From(ctx)
	if err != nil {
		return session.SignedIn{}, err
	}
	known, factor, err := s.SecondFactors.Own(ctx, caller)
	if errors.Is(err, identity.ErrUnauthenticated) || err == nil && refusalReason(known.User) != "" {
		return session.SignedIn{}, s.refuse(ctx, known.User, "code", ErrCodeUsed)
	}
	if err != nil {
		return session.SignedIn{}, err
	}
	if x.Password == "" {
		return session.SignedIn{}, s.refuse(ctx, known.User, "unconfirmed", ErrLinkUnconfirmed)
	}
	counter, err := s.Passwords.CountAttempt(ctx, caller)
	if err != nil {
		return session.SignedIn{}, err
	}
	matches, err := s.Passwords.Matches(ctx, x.Password, known)
	if err != nil {
		return session.SignedIn{}, err
	}
	if !matches {
		return session.SignedIn{}, s.refuse(ctx, known.User, "password", signin.ErrWrongCredentials)
	}
	var proof mfa.Proof
	if factor.IsOn() {
		var verdict mfa.Verdict
		if proof, verdict = s.SecondFactors.Judge(factor, x.SecondFactorCode); verdict != mfa.CodeAccepted {
			return session.SignedIn{}, s.SecondFactors.RefuseCode(ctx, known.User, factor, verdict)
		}
	}
	return s.startLinked(ctx, known, factor, proof, counter, hash)
}

// startLinked links the account to the provider and starts the session of its owner. The error is
// [ErrCodeUsed] if the link request no longer exists.
func (s *SignIns) startLinked(
	ctx context.Context, known account.Account, factor mfa.Factor, proof mfa.Proof, counter []byte, code db.Hash,
) (session.SignedIn, error) {
	store := func(ctx context.Context) (*session.Started, error) {
		request, err := s.store.requestWithCode(ctx, code)
		if err != nil || request == nil {
			return nil, err
		}
		u, err := s.Accounts.User(ctx, request.UserID)
		if err != nil || refusalReason(u) != "" {
			return nil, err
		}
		if factor.IsOn() {
			if _, err := s.SecondFactors.Spend(ctx, factor, proof); err != nil {
				return nil, err
			}
		}
		if err := s.links.link(ctx, u, request.Issuer, request.Subject, s.Clock.Now()); err != nil {
			return nil, err
		}
		if err := s.Throttle.Forget(ctx, counter); err != nil {
			return nil, err
		}
		started := s.Sessions.Start(ctx, u, true)
		return &started, s.Sessions.Store(ctx, started)
	}
	started, err := db.Serializable(ctx, s.Database, "user.confirm-link", store,
		db.RetryConstraint("provider_subjects_once", "provider_subjects_pkey"))
	if spent := (mfa.SpentError{}); errors.As(err, &spent) {
		err = s.SecondFactors.RefuseCode(ctx, known.User, factor, spent.Verdict)
	}
	if err != nil {
		return session.SignedIn{}, err
	}
	if started == nil {
		return session.SignedIn{}, s.refuse(ctx, known.User, "code", ErrCodeUsed)
	}
	return s.issue(ctx, *started)
}
