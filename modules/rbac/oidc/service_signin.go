package oidc

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

	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/account"
	"omnirapeutic/modules/rbac/invitation"
	"omnirapeutic/modules/rbac/oidc/openid"
	"omnirapeutic/modules/rbac/session"
	"omnirapeutic/modules/rbac/signin"
	"omnirapeutic/modules/rbac/throttle"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/encryption"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/trail"
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
	ErrSignInCancelled = fault.Define(fault.Unauthenticated, "sign-in-cancelled",
		"The sign-in was cancelled at the identity provider.").
		Advising("Show the sign-in page again; this is not a failure.")
	// ErrCodeUsed is returned if the code is unknown, used or expired, or belongs to another page.
	ErrCodeUsed = fault.Define(fault.Unauthenticated, "sign-in-code", "The sign-in code is invalid or expired.").
			Advising("Start the sign-in again.")
)

// SignIns signs users in with identity providers. It is safe for concurrent use.
type SignIns struct {
	Dependencies

	client    *openid.Client
	cookies   encryption.Sealer // of unfinished sign-ins
	providers *Providers
	links     *Links
	signIns   session.SignInTrail
	store     store
}

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

// Begin starts a sign-in with the identity provider of an organization. It returns the URL
// for the browser and the state that the browser must carry. The challenge is the SHA-256, in
// base64url, of the verifier that the code's exchange requires (RFC 7636, S256). It needs no
// caller. Errors: [ErrNoProvider], [ErrProviderUnavailable].
//
// The browser carries the state, so an unauthenticated request writes nothing to the database,
// every instance can finish the sign-in, and nothing needs to be cleaned up.
func (s *SignIns) Begin(
	ctx context.Context, organization uuid.UUID, challenge string,
) (url, carried string, err error) {
	_, settings, err := s.providers.of(ctx, organization)
	if err != nil {
		return "", "", err
	}
	url, attempt, err := s.client.Begin(ctx, settings)
	if err != nil {
		s.providers.logFailure(organization, err)
		return "", "", ErrProviderUnavailable.Because(err)
	}
	text, err := json.Marshal(pendingSignIn{organization, attempt, challenge, s.Clock.Now().Add(attemptTime)})
	if err != nil {
		return "", "", fmt.Errorf("encode a sign-in: %w", err)
	}
	return url, base64.RawURLEncoding.EncodeToString(s.cookies.Seal(text, cookiePurpose)), nil
}

// Finish receives a browser that returns from the identity provider, and returns a code for
// [SignIns.ExchangeCode]. It needs no caller. The user is the one linked to the provider's subject,
// or, at the first time, the one with the verified address in the same organization. At the first
// time the code is for a link request, see [SignIns.ExchangeCode]. A new user is created only from
// an open invitation to that address, with its roles. Errors: [ErrSignInLost],
// [ErrSignInCancelled], [ErrNotRecognized], [ErrNoProvider], [ErrProviderUnavailable].
func (s *SignIns) Finish(ctx context.Context, carried string, with openid.Answer) (code string, err error) {
	return throttle.Limited(ctx, s.Throttle, throttle.IdentityProvider, throttle.NetworkSource(ctx),
		func() (string, error) { return s.finish(ctx, carried, with) }, failures...)
}

func (s *SignIns) finish(ctx context.Context, carried string, with openid.Answer) (code string, err error) {
	pending, ok := s.readPending(carried)
	if !ok || !s.Clock.Now().Before(pending.Until) ||
		subtle.ConstantTimeCompare([]byte(pending.Attempt.State), []byte(with.State)) != 1 {
		return "", ErrSignInLost.Because(throttle.ErrGuess)
	}
	provider, settings, err := s.providers.of(ctx, pending.Organization)
	if err != nil {
		return "", err
	}
	const cancelled = "access_denied" // RFC 6749, section 4.1.2.1
	if with.Error == cancelled {
		return "", s.refuse(ctx, rbac.User{OrganizationID: pending.Organization}, "cancelled", ErrSignInCancelled)
	}
	person, err := s.client.Finish(ctx, settings, pending.Attempt, with)
	switch {
	case errors.Is(err, openid.ErrUnavailable):
		s.providers.logFailure(pending.Organization, err)
		return "", ErrProviderUnavailable.Because(err)
	case err != nil:
		s.providers.logFailure(pending.Organization, err)
		return "", s.refuse(ctx, rbac.User{OrganizationID: pending.Organization}, "provider", ErrNotRecognized)
	}
	user, reason, code, err := s.recognize(ctx, provider, person, pending.Challenge)
	if err != nil {
		return "", err
	}
	if reason != "" {
		user.OrganizationID = pending.Organization // also without a user
		return "", s.refuse(ctx, user, reason, ErrNotRecognized)
	}
	return code, nil
}

// signedInBy is the After value of a sign-in.
type signedInBy struct {
	Method string `json:"method"`
	Reason string `json:"reason,omitempty"` // the reason for a refusal
}

const methodOpenID = "oidc"

// failures are the refusals that count as failures of their source.
var failures = append([]error{ErrNotRecognized, ErrSignInCancelled, ErrSignInLost, ErrCodeUsed}, signin.Failures...)

// refuse records that a sign-in was refused, and returns the refusal.
func (s *SignIns) refuse(ctx context.Context, u rbac.User, reason string, refusal error) error {
	s.signIns.LogRefusal(ctx, "sign_in_refused", u, reason).Warn("sign-in refused")
	e := s.signIns.RefusalEvent(ctx, u, reason)
	e.After = signedInBy{methodOpenID, reason}
	if err := s.Audit.Note(ctx, []trail.Event{e}); err != nil {
		return err
	}
	return refusal
}

func (s *SignIns) readPending(carried string) (pending pendingSignIn, ok bool) {
	sealed, err := base64.RawURLEncoding.DecodeString(carried)
	if err != nil {
		return pendingSignIn{}, false
	}
	text, err := s.cookies.Open(sealed, cookiePurpose)
	return pending, err == nil && json.Unmarshal(text, &pending) == nil
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

// recognize finds the user and creates a code, or returns a reason for refusing the sign-in.
func (s *SignIns) recognize(
	ctx context.Context, p IdentityProvider, person openid.Person, challenge string,
) (u rbac.User, reason, code string, err error) {
	ctx = identity.With(ctx, identity.System(p.OrganizationID))
	random := rand.Text()
	r := recognition{p, person, challenge, sha256.Sum256([]byte(random)), s.NewID(), s.Clock.Now()}
	reason, err = db.Serializable(ctx, s.Database, "user.open-id", func(ctx context.Context) (reason string, err error) {
		u, reason, err = s.admit(ctx, r)
		return reason, err
	}, db.RetryConstraint("users_email_once")) // another request has just created the user
	return u, reason, base64.RawURLEncoding.EncodeToString(p.OrganizationID[:]) + random, err
}

// admit stores the code of a recognized person, in the transaction of the context. The code is for
// a sign-in if the account is linked to the provider or was just created from an invitation,
// otherwise for a link request.
func (s *SignIns) admit(ctx context.Context, r recognition) (u rbac.User, reason string, err error) {
	current, err := s.store.provider(ctx)
	if ignoreNoProvider(err) != nil {
		return rbac.User{}, "", err
	}
	if current.Version == 0 || !current.isSame(r.provider) {
		return rbac.User{}, "provider-changed", nil
	}
	linked, err := s.store.linkedUser(ctx, r.provider.Issuer, r.person.Subject)
	if err != nil {
		return rbac.User{}, "", err
	}
	if linked == uuid.Nil {
		return s.admitUnlinked(ctx, r)
	}
	if u, err = s.Accounts.User(ctx, linked); err != nil {
		return rbac.User{}, "", err
	}
	if reason := refusalReason(u); reason != "" {
		return u, reason, nil
	}
	return u, "", s.insertCode(ctx, r, u)
}

// admitUnlinked is admit for a subject without a linked account.
func (s *SignIns) admitUnlinked(ctx context.Context, r recognition) (rbac.User, string, error) {
	if !r.person.Verified {
		return rbac.User{}, "unverified", nil
	}
	email, ok := rbac.ParseEmail(r.person.Email)
	if !ok {
		return rbac.User{}, "address", nil
	}
	u, err := s.Accounts.UserWithEmail(ctx, email)
	if errors.Is(err, rbac.ErrUserNotFound) {
		return s.admitInvited(ctx, r, email)
	}
	if err != nil {
		return rbac.User{}, "", err
	}
	// A user who is linked to another subject of the provider is another person to the provider.
	if isLinked, err := s.store.isLinked(ctx, u.ID, r.provider.Issuer); err != nil {
		return rbac.User{}, "", err
	} else if isLinked {
		return rbac.User{}, "unknown", nil
	}
	if reason := refusalReason(u); reason != "" {
		return u, reason, nil
	}
	until := r.now.Add(attemptTime)
	return u, "", s.links.request(account.AsUser(ctx, u), LinkRequest{
		OrganizationID: u.OrganizationID, ID: r.id, Issuer: r.provider.Issuer, Subject: r.person.Subject, UserID: u.ID,
		RequestedAt: r.now, ExpiresAt: r.now.Add(linkRequestTime),
		CodeHash: r.code[:], Challenge: &r.challenge, CodeExpiresAt: &until,
	}, u)
}

// admitInvited is admit for the address of an open invitation. It needs no confirmation, because
// the account is new.
func (s *SignIns) admitInvited(ctx context.Context, r recognition, email string) (rbac.User, string, error) {
	u, err := s.Invitations.AcceptVerified(ctx, r.provider.setBy, r.id, email, r.now)
	if errors.Is(err, invitation.ErrNotFound) {
		return rbac.User{}, "unknown", nil
	}
	if err != nil {
		return rbac.User{}, "", err
	}
	if err := s.links.link(account.AsUser(ctx, u), u, r.provider.Issuer, r.person.Subject, r.now); err != nil {
		return rbac.User{}, "", err
	}
	return u, "", s.insertCode(ctx, r, u)
}

func (s *SignIns) insertCode(ctx context.Context, r recognition, u rbac.User) error {
	return s.store.insertCode(ctx, codeRow{u.OrganizationID, r.code[:], u.ID, r.challenge, r.now.Add(codeTime)}, r.now)
}
