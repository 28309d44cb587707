package rbac

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/trail"
)

// CodeExchange is the request of a page after a sign-in with an identity provider.
type CodeExchange struct {
	Code     string
	Verifier string // its SHA-256 is the challenge of [Service.BeginOpenID]
	// Password and SecondFactorCode are the account's. They confirm the first sign-in of an account
	// through the provider, and are ignored otherwise.
	Password         string
	SecondFactorCode string
}

// hasVerifier reports whether the verifier belongs to the challenge.
func (x CodeExchange) hasVerifier(challenge string) bool {
	sum := sha256.Sum256([]byte(x.Verifier))
	computed := base64.RawURLEncoding.EncodeToString(sum[:])
	return subtle.ConstantTimeCompare([]byte(computed), []byte(challenge)) == 1
}

// organization returns the organization that the code names, and the hash of the code.
func (x CodeExchange) organization() (organization uuid.UUID, hash db.Hash, ok bool) {
	const length = 22 // base64 of 16 bytes
	if len(x.Code) <= length {
		return uuid.Nil, db.Hash{}, false
	}
	raw, err := base64.RawURLEncoding.DecodeString(x.Code[:length])
	if err != nil {
		return uuid.Nil, db.Hash{}, false
	}
	organization, err = uuid.FromBytes(raw)
	return organization, sha256.Sum256([]byte(x.Code[length:])), err == nil && organization != uuid.Nil
}

// ExchangeCode exchanges a code of [Service.FinishOpenID], once, for the result of a sign-in. It
// needs no caller.
//
// The first sign-in of an existing account through the provider must be confirmed. ExchangeCode
// returns [ErrLinkUnconfirmed] and keeps the code until the request includes the account's password
// and, if the account has a second factor, its code. [Service.ConfirmLink] is the alternative.
// Errors: [ErrCodeUsed], [ErrLinkUnconfirmed], [ErrWrongCredentials], [ErrSecondFactorRequired],
// [ErrSecondFactorWrong], [ErrRecoveryCodeRequired], [ErrSignInDelayed], [ErrSignInBusy].
func (s *Service) ExchangeCode(ctx context.Context, x CodeExchange) (SignedIn, error) {
	return limited(ctx, s, failedProvider, networkSource(ctx), func() (SignedIn, error) { return s.exchangeCode(ctx, x) })
}

func (s *Service) exchangeCode(ctx context.Context, x CodeExchange) (SignedIn, error) {
	organization, hash, ok := x.organization()
	if !ok {
		return SignedIn{}, ErrCodeUsed.Because(errGuess)
	}
	ctx = identity.With(ctx, identity.System(organization))
	refresh := newRefreshToken()
	var in signIn
	var pending *LinkRequest
	user, err := db.Serializable(ctx, s.database, "user.exchange-code", func(ctx context.Context) (_ *User, err error) {
		pending = nil
		row, err := takeCode(ctx, hash)
		if err != nil {
			return nil, err
		}
		if row.Hash == nil {
			pending, err = s.linkRequestFor(ctx, x, hash)
			return nil, err
		}
		if !s.now().Before(row.ExpiresAt) || !x.hasVerifier(row.Challenge) {
			return nil, nil // the code is used up in either case
		}
		u, err := takeUser(ctx, row.UserID)
		if err != nil || u.unlinkable() != "" {
			return nil, err
		}
		in = s.beginByProvider(ctx, u)
		return &u, insertSignIn(ctx, in, refresh)
	})
	switch {
	case err != nil:
		return SignedIn{}, err
	case pending != nil:
		return s.confirmOwnLink(ctx, x, *pending, hash)
	case user == nil:
		// In no organization's trail: any stranger can name an organization.
		s.refusal(ctx, "sign_in_refused", User{}, "code").Warn("sign-in refused")
		return SignedIn{}, ErrCodeUsed.Because(errGuess)
	}
	return s.signedInByProvider(ctx, *user, in, refresh)
}

// beginByProvider begins the sign-in of a user recognized by an identity provider.
func (s *Service) beginByProvider(ctx context.Context, u User) signIn {
	in := s.begin(u, trail.Address(ctx), s.throttle.networkKey(u.Email, trail.Address(ctx)))
	in.ByProvider = true
	return in
}

func (s *Service) signedInByProvider(ctx context.Context, u User, in signIn, refresh refreshToken) (SignedIn, error) {
	if err := s.noteOpenID(ctx, u, ""); err != nil {
		return SignedIn{}, err
	}
	s.logger.WithFields(userFields("signed_in", u)).Info("user signed in")
	return s.issue(u, in, refresh)
}

// linkRequestFor returns the link request of a code, nil if there is none or the code has expired.
// A wrong verifier uses the code up.
func (s *Service) linkRequestFor(ctx context.Context, x CodeExchange, hash db.Hash) (*LinkRequest, error) {
	request, err := linkRequestWithCode(ctx, hash)
	if err != nil || request == nil || !isBefore(s.now(), request.CodeExpiresAt) {
		return nil, err
	}
	if !x.hasVerifier(*request.Challenge) {
		request.CodeHash, request.Challenge, request.CodeExpiresAt = nil, nil, nil
		return nil, saveLinkRequest(ctx, *request)
	}
	return request, nil
}

func isBefore(now time.Time, end *time.Time) bool { return end != nil && now.Before(*end) }

// confirmOwnLink signs in the owner of an account who confirms its link to the provider with the
// password and, if the account has one, the second factor. Refused attempts are counted like
// refused password changes.
func (s *Service) confirmOwnLink(ctx context.Context, x CodeExchange, request LinkRequest, hash db.Hash) (SignedIn, error) {
	ctx = byThemselves(ctx, User{ID: request.UserID, OrganizationID: request.OrganizationID})
	caller, err := identity.From(ctx)
	if err != nil {
		return SignedIn{}, err
	}
	known, err := s.ownCredentials(ctx, caller)
	if errors.Is(err, identity.ErrUnauthenticated) || err == nil && known.User.unlinkable() != "" {
		return SignedIn{}, s.refuseOpenID(ctx, known.User, "code", ErrCodeUsed)
	}
	if err != nil {
		return SignedIn{}, err
	}
	if x.Password == "" {
		return SignedIn{}, s.refuseOpenID(ctx, known.User, "unconfirmed", ErrLinkUnconfirmed)
	}
	counted, err := s.ownAttempt(ctx, caller)
	if err != nil {
		return SignedIn{}, err
	}
	matches := len(x.Password) <= maxPassword
	if matches {
		if matches, err = s.passwords.matches(ctx, x.Password, known.Hash); err != nil {
			return SignedIn{}, err
		}
	}
	if !matches {
		return SignedIn{}, s.refuseOpenID(ctx, known.User, "password", ErrWrongCredentials)
	}
	var proven proof
	if known.Factor.isOn() {
		var why verdict
		if proven, why = s.judge(known.Factor, x.SecondFactorCode); why != codeGood {
			return SignedIn{}, s.refuseCode(ctx, known, why)
		}
	}
	return s.enterLinked(ctx, known, proven, counted, hash)
}

// enterLinked links the account to the provider and begins the sign-in of its owner. The error is
// [ErrCodeUsed] if the link request no longer exists.
func (s *Service) enterLinked(
	ctx context.Context, known credentials, proven proof, counted []byte, code db.Hash,
) (SignedIn, error) {
	refresh := newRefreshToken()
	var in signIn
	user, err := db.Serializable(ctx, s.database, "user.confirm-link", func(ctx context.Context) (*User, error) {
		request, err := linkRequestWithCode(ctx, code)
		if err != nil || request == nil {
			return nil, err
		}
		u, err := takeUser(ctx, request.UserID)
		if err != nil || u.unlinkable() != "" {
			return nil, err
		}
		if known.Factor.isOn() {
			if _, err := s.spend(ctx, known.Factor, proven); err != nil {
				return nil, err
			}
		}
		if err := s.link(ctx, u, request.Issuer, request.Subject, s.now()); err != nil {
			return nil, err
		}
		if err := forgetAttempts(ctx, counted); err != nil {
			return nil, err
		}
		in = s.beginByProvider(ctx, u)
		return &u, insertSignIn(ctx, in, refresh)
	}, db.RetryConstraint("provider_subjects_once", "provider_subjects_pkey"))
	if spent := (spentError{}); errors.As(err, &spent) {
		err = s.refuseCode(ctx, known, spent.why)
	}
	if err != nil {
		return SignedIn{}, err
	}
	if user == nil {
		return SignedIn{}, s.refuseOpenID(ctx, known.User, "code", ErrCodeUsed)
	}
	return s.signedInByProvider(ctx, *user, in, refresh)
}
