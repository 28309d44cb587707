package rbac

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/sirupsen/logrus"

	"omnirapeutic/modules/rbac/openid"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
)

// The errors of a sign-in with an identity provider.
var (
	// ErrProviderUnavailable is returned if the identity provider does not answer.
	ErrProviderUnavailable = fault.Define(fault.Unavailable, "identity-provider-unavailable",
		"The identity provider does not answer. Try again shortly.").
		Advising("Wait a moment, then start the sign-in again.")
	// ErrSignInLost is returned if the browser does not carry the started sign-in, or returns too
	// late.
	ErrSignInLost = fault.Define(fault.Unauthenticated, "sign-in-lost",
		"This sign-in was started in another browser or tab, or too long ago.").
		Advising("Start the sign-in again.")
	// ErrNotRecognized is returned if the provider's answer is invalid or the person has no account
	// here. The audit trail has the reason.
	ErrNotRecognized = fault.Define(fault.Unauthenticated, "not-recognized",
		"The identity provider did not confirm your identity, or you have no account here.").
		Advising("Let the person try again, or ask an administrator for an invitation.")
	// ErrSignInCancelled is returned if the person has cancelled the sign-in at the provider.
	ErrSignInCancelled = fault.Define(fault.Unauthenticated, "sign-in-cancelled", "The sign-in was cancelled at the identity provider.").
				Advising("Show the sign-in page again; this is not a failure.")
	// ErrCodeUsed is returned if the code is unknown, used or expired, or belongs to another page.
	ErrCodeUsed = fault.Define(fault.Unauthenticated, "sign-in-code", "The sign-in code is invalid or expired.").
			Advising("Start the sign-in again.")
)

const (
	attemptTime = 10 * time.Minute // for the person at the provider
	codeTime    = time.Minute      // for the page to exchange its code
)

// pendingSignIn is the encrypted state of a sign-in, which the browser carries while the person is at the
// provider.
type pendingSignIn struct {
	Organization uuid.UUID
	Attempt      openid.Attempt
	Challenge    string
	Until        time.Time
}

// cookiePurpose is the additional data of an encrypted cookie.
var cookiePurpose = []byte("sign-in")

// BeginOpenID starts a sign-in with the identity provider of an organization. It returns the URL
// for the browser and the state that the browser must carry. The challenge is the SHA-256, in
// base64url, of the verifier that the code's exchange requires (RFC 7636, S256). It needs no
// caller. Errors: [ErrNoProvider], [ErrProviderUnavailable].
//
// The browser carries the state, so an unauthenticated request writes nothing to the database,
// every instance can finish the sign-in, and nothing needs to be cleaned up.
func (s *Service) BeginOpenID(ctx context.Context, organization uuid.UUID, challenge string) (url, carried string, err error) {
	_, settings, err := s.providerOf(ctx, organization)
	if err != nil {
		return "", "", err
	}
	url, attempt, err := s.openid.Begin(ctx, settings)
	if err != nil {
		s.logProvider(organization, err)
		return "", "", ErrProviderUnavailable.Because(err)
	}
	text, err := json.Marshal(pendingSignIn{organization, attempt, challenge, s.now().Add(attemptTime)})
	if err != nil {
		return "", "", fmt.Errorf("encode a sign-in: %w", err)
	}
	return url, base64.RawURLEncoding.EncodeToString(s.cookies.Seal(text, cookiePurpose)), nil
}

// FinishOpenID receives a browser that returns from the identity provider, and returns a code for
// [Service.ExchangeCode]. It needs no caller. The user is the one linked to the provider's subject,
// or, at the first time, the one with the verified address in the same organization. At the first
// time the code is for a link request, see [Service.ExchangeCode]. A new user is created only from
// an open invitation to that address, with its roles. Errors: [ErrSignInLost],
// [ErrSignInCancelled], [ErrNotRecognized], [ErrNoProvider], [ErrProviderUnavailable].
func (s *Service) FinishOpenID(ctx context.Context, carried string, with openid.Answer) (code string, err error) {
	return limited(ctx, s, failedProvider, networkSource(ctx), func() (string, error) { return s.finishOpenID(ctx, carried, with) })
}

func (s *Service) finishOpenID(ctx context.Context, carried string, with openid.Answer) (code string, err error) {
	b, ok := s.readPending(carried)
	if !ok || !s.now().Before(b.Until) || subtle.ConstantTimeCompare([]byte(b.Attempt.State), []byte(with.State)) != 1 {
		return "", ErrSignInLost.Because(errGuess)
	}
	provider, settings, err := s.providerOf(ctx, b.Organization)
	if err != nil {
		return "", err
	}
	const cancelled = "access_denied" // RFC 6749, section 4.1.2.1
	if with.Error == cancelled {
		return "", s.refuseOpenID(ctx, User{OrganizationID: b.Organization}, "cancelled", ErrSignInCancelled)
	}
	person, err := s.openid.Finish(ctx, settings, b.Attempt, with)
	switch {
	case errors.Is(err, openid.ErrUnavailable):
		s.logProvider(b.Organization, err)
		return "", ErrProviderUnavailable.Because(err)
	case err != nil:
		s.logProvider(b.Organization, err)
		return "", s.refuseOpenID(ctx, User{OrganizationID: b.Organization}, "provider", ErrNotRecognized)
	}
	user, reason, code, err := s.recognize(ctx, provider, person, b.Challenge)
	if err != nil {
		return "", err
	}
	if reason != "" {
		user.OrganizationID = b.Organization // also without a user
		return "", s.refuseOpenID(ctx, user, reason, ErrNotRecognized)
	}
	return code, nil
}

// refuseOpenID records that a sign-in was refused, and returns the refusal.
func (s *Service) refuseOpenID(ctx context.Context, u User, reason string, refusal error) error {
	s.refusal(ctx, "sign_in_refused", u, reason).Warn("sign-in refused")
	if err := s.noteOpenID(ctx, u, reason); err != nil {
		return err
	}
	return refusal
}

func (s *Service) readPending(carried string) (b pendingSignIn, ok bool) {
	sealed, err := base64.RawURLEncoding.DecodeString(carried)
	if err != nil {
		return pendingSignIn{}, false
	}
	text, err := s.cookies.Open(sealed, cookiePurpose)
	return b, err == nil && json.Unmarshal(text, &b) == nil
}

// providerOf returns the identity provider of any organization, for a person who has not signed
// in yet.
func (s *Service) providerOf(ctx context.Context, organization uuid.UUID) (IdentityProvider, openid.Settings, error) {
	if organization == uuid.Nil || s.publicURL == "" || s.frontendURL == "" {
		return IdentityProvider{}, openid.Settings{}, ErrNoProvider
	}
	p, err := s.Provider(identity.With(ctx, identity.System(organization)))
	if err != nil {
		return IdentityProvider{}, openid.Settings{}, err
	}
	settings, err := s.settings(p)
	if err != nil {
		s.logProvider(organization, err)
		return IdentityProvider{}, openid.Settings{}, ErrProviderUnavailable.Because(err)
	}
	return p, settings, nil
}

// recognition is a person recognized by an identity provider, with the code that their page
// exchanges.
type recognition struct {
	provider  IdentityProvider
	person    openid.Person
	challenge string
	code      [sha256.Size]byte // the hash of the code
	id        uuid.UUID         // of the new code or link request
	now       time.Time
}

// recognize finds the user and makes a code, or returns a reason for refusing the sign-in.
func (s *Service) recognize(
	ctx context.Context, p IdentityProvider, person openid.Person, challenge string,
) (u User, reason, code string, err error) {
	ctx = identity.With(ctx, identity.System(p.OrganizationID))
	random := rand.Text()
	r := recognition{p, person, challenge, sha256.Sum256([]byte(random)), s.newID(), s.now()}
	reason, err = db.Serializable(ctx, s.database, "user.open-id", func(ctx context.Context) (why string, err error) {
		u, why, err = s.admit(ctx, r)
		return why, err
	})
	if errors.Is(err, ErrEmailTaken) { // the organization already has a user with the invited address
		u, reason, err = User{}, "email-taken", nil
	}
	return u, reason, base64.RawURLEncoding.EncodeToString(p.OrganizationID[:]) + random, err
}

// admit stores the code of a recognized person, in the transaction of the context. The code is for
// a sign-in if the account is linked to the provider or was just created from an invitation,
// otherwise for a link request.
func (s *Service) admit(ctx context.Context, r recognition) (u User, reason string, err error) {
	current, err := takeProvider(ctx)
	if ignoreNoProvider(err) != nil {
		return User{}, "", err
	}
	if current.Version == 0 || !current.isSame(r.provider) {
		return User{}, "provider-changed", nil
	}
	u, err = userOfSubject(ctx, r.provider.Issuer, r.person.Subject)
	if db.IsNotFound(err) {
		return s.admitUnlinked(ctx, r)
	}
	if err != nil {
		return User{}, "", err
	}
	if reason := u.unlinkable(); reason != "" {
		return u, reason, nil
	}
	return u, "", s.insertCode(ctx, r, u)
}

// admitUnlinked is admit for a subject without a linked account.
func (s *Service) admitUnlinked(ctx context.Context, r recognition) (User, string, error) {
	if !r.person.Verified {
		return User{}, "unverified", nil
	}
	email, ok := parseEmail(r.person.Email)
	if !ok {
		return User{}, "address", nil
	}
	u, err := userOfAddress(ctx, r.provider.Issuer, email)
	if db.IsNotFound(err) {
		return s.admitInvited(ctx, r, email)
	}
	if err != nil {
		return User{}, "", err
	}
	if reason := u.unlinkable(); reason != "" {
		return u, reason, nil
	}
	until := r.now.Add(attemptTime)
	return u, "", s.requestLink(byThemselves(ctx, u), LinkRequest{
		OrganizationID: u.OrganizationID, ID: r.id, Issuer: r.provider.Issuer, Subject: r.person.Subject, UserID: u.ID,
		RequestedAt: r.now, ExpiresAt: r.now.Add(linkRequestTime),
		CodeHash: r.code[:], Challenge: &r.challenge, CodeExpiresAt: &until,
	}, u)
}

// admitInvited is admit for the address of an open invitation. It needs no confirmation, because
// the account is new.
func (s *Service) admitInvited(ctx context.Context, r recognition, email string) (User, string, error) {
	u, err := s.acceptVerified(ctx, r.provider, r.id, email, r.now)
	if errors.Is(err, ErrInvitationNotFound) {
		return User{}, "unknown", nil
	}
	if err != nil {
		return User{}, "", err
	}
	if err := s.link(byThemselves(ctx, u), u, r.provider.Issuer, r.person.Subject, r.now); err != nil {
		return User{}, "", err
	}
	return u, "", s.insertCode(ctx, r, u)
}

func (s *Service) insertCode(ctx context.Context, r recognition, u User) error {
	return insertCode(ctx, codeRow{u.OrganizationID, r.code[:], u.ID, r.challenge, r.now.Add(codeTime)}, r.now)
}

func (s *Service) logProvider(organization uuid.UUID, err error) {
	s.logger.WithFields(logrus.Fields{"event": "identity_provider_failed", "organization_id": organization, "cause": err}).
		Warn("identity provider unreachable, or its answer is invalid")
}
