package oidc

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"github.com/sirupsen/logrus"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/account"
	"omnirapeutic/modules/rbac/oidc/openid"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/encryption"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/patch"
	"omnirapeutic/platform/permission"
	"omnirapeutic/platform/trail"
)

// The errors of identity provider settings.
var (
	// ErrNoProvider is returned if the organization has no identity provider. It does not reveal
	// whether the organization exists.
	ErrNoProvider = fault.Define(fault.NotFound, "no-identity-provider", "No identity provider is set up here.").
			Advising("Offer e-mail and password instead.")
	// ErrNoAddress is returned if the addresses of the program and its page are not configured.
	ErrNoAddress = fault.Define(fault.Conflict, "addresses-not-configured",
		"The public addresses of this server and its frontend are not configured.").
		Advising("The operator sets `OMNI_PUBLIC_URL` and `OMNI_FRONTEND_URL`.")
)

// ProviderSettings are the settings that an administrator enters.
type ProviderSettings struct {
	Match        patch.Match
	Issuer       string
	ClientID     string
	ClientSecret string
}

// Providers manages the identity providers of organizations. It is safe for concurrent use.
type Providers struct {
	Dependencies

	client  *openid.Client
	secrets encryption.Sealer // of clients
	links   *Links
	store   store
}

// Get returns the identity provider of the caller's organization. The error is
// [ErrNoProvider].
func (s *Providers) Get(ctx context.Context) (IdentityProvider, error) {
	return db.Snapshot(ctx, s.Database, "identity-provider.get", s.store.provider)
}

// Set enters or changes the identity provider of the caller's organization. It checks that
// the provider answers before it saves anything. The provider can claim that any user of the
// organization has signed in, so the caller must hold every permission of every user whom it could
// recognize. Changing the issuer or client ends the links and sessions of the former one. Errors:
// [fault.ErrInvalid], [identity.ErrBeyondOwn], [ErrNoAddress], [patch.ErrStale],
// [identity.ErrPeopleOnly].
func (s *Providers) Set(ctx context.Context, p ProviderSettings) (IdentityProvider, error) {
	caller, err := account.Person(ctx)
	if err != nil {
		return IdentityProvider{}, err
	}
	if s.PublicURL == "" || s.FrontendURL == "" {
		return IdentityProvider{}, ErrNoAddress
	}
	if err := s.check(ctx, p.Issuer); err != nil {
		return IdentityProvider{}, err
	}
	set := IdentityProvider{
		OrganizationID: caller.OrganizationID, Issuer: p.Issuer, ClientID: p.ClientID,
		sealedSecret: s.secrets.Seal([]byte(p.ClientSecret), caller.OrganizationID[:]),
	}
	return db.Serializable(ctx, s.Database, "identity-provider.set", func(ctx context.Context) (IdentityProvider, error) {
		if err := s.mayChoose(ctx); err != nil {
			return IdentityProvider{}, err
		}
		before, err := s.store.provider(ctx)
		if err := ignoreNoProvider(err); err != nil {
			return IdentityProvider{}, err
		}
		if err := p.Match.Check(before.Version); err != nil {
			return IdentityProvider{}, err
		}
		after := set
		after.Version, after.UpdatedAt = before.Version+1, s.Clock.Now()
		after.CreatedAt, after.setBy = before.CreatedAt, before.setBy
		if before.Version == 0 {
			after.CreatedAt = after.UpdatedAt
		}
		if !after.isSame(before) || after.setBy == nil {
			after.setBy = &caller.UserID
		}
		if err := s.store.putProvider(ctx, after); err != nil {
			return IdentityProvider{}, err
		}
		return after, s.replaced(ctx, "identity-provider.set", before, after)
	})
}

// mayChoose returns [identity.ErrBeyondOwn] unless the caller holds every permission of every user
// whom a provider of the organization could recognize, directly or by an open invitation.
func (s *Providers) mayChoose(ctx context.Context) error {
	held, err := s.Accounts.CallerHolds(ctx, permission.IdentityProviderManage)
	if err != nil {
		return err
	}
	roles, err := s.Accounts.RolesInUse(ctx)
	if err != nil {
		return err
	}
	invited, err := s.Invitations.RolesOfOpen(ctx)
	if err != nil {
		return err
	}
	needed, err := s.Accounts.HeldBy(ctx, append(roles, invited...))
	if err != nil {
		return err
	}
	return held.Covers(needed)
}

// replaced records and publishes a change of the provider, in the transaction of the
// context. If after is another client or nil, it ends links, link requests, codes and sessions
// of before, and every instance refuses their access tokens.
func (s *Providers) replaced(ctx context.Context, action string, before, after IdentityProvider) error {
	caller, err := identity.From(ctx)
	if err != nil {
		return err
	}
	now := s.Clock.Now()
	var ended endedLinks
	if !after.isSame(before) {
		if ended, err = s.links.end(ctx, nil, now); err != nil {
			return err
		}
	}
	err = trail.RecordBy(ctx, s.Audit, trail.Event{
		Action: action, SubjectType: "organization", SubjectID: after.OrganizationID, OccurredAt: now,
		Before: recordOf(before), After: recordOf(after),
	})
	if err != nil {
		return err
	}
	shown := after
	if after.Version == 0 {
		shown = before
	}
	return s.publish(ctx, shown, ProviderChange{
		Issuer: shown.Issuer, ClientID: shown.ClientID, ChangedBy: caller.UserID, Removed: after.Version == 0,
		EndedLinks: ended.links, EndedSignIns: ended.sessions,
	}, now)
}

// recordedProvider is an identity provider in the audit trail. It contains no personal data.
type recordedProvider struct {
	Issuer   string `json:"issuer"`
	ClientID string `json:"clientId"`
	Version  int    `json:"version"`
}

// recordOf returns the provider for the audit trail, nil if there is none.
func recordOf(p IdentityProvider) any {
	if p.Version == 0 {
		return nil
	}
	return recordedProvider{p.Issuer, p.ClientID, p.Version}
}

// ignoreNoProvider returns nil for the error of an organization without an identity provider.
func ignoreNoProvider(err error) error {
	if errors.Is(err, ErrNoProvider) {
		return nil
	}
	return err
}

// check checks that an OpenID provider answers at the issuer.
func (s *Providers) check(ctx context.Context, issuer string) error {
	err := s.client.Check(ctx, issuer)
	if err == nil {
		return nil
	}
	s.Logger.WithFields(logrus.Fields{"event": "identity_provider_not_found", "cause": err}).
		Warn("the entered identity provider does not answer as an OpenID provider")
	message := "must be an https URL of an OpenID provider that reports exactly this issuer"
	if errors.Is(err, openid.ErrUnavailable) {
		message = "is an OpenID provider that does not answer"
	}
	return fault.InvalidFields(fault.Field{Field: "issuer", Code: "provider", Message: message}).Because(err)
}

// Remove removes the identity provider: people sign in with passwords, if they have one.
// Its links and sessions end. It requires only its own permission, so that an administrator who
// distrusts a provider can stop it. Errors: [ErrNoProvider], [patch.ErrStale],
// [identity.ErrPeopleOnly].
func (s *Providers) Remove(ctx context.Context, match patch.Match) error {
	caller, err := account.Person(ctx)
	if err != nil {
		return err
	}
	_, err = db.Serializable(ctx, s.Database, "identity-provider.remove", func(ctx context.Context) (struct{}, error) {
		before, err := s.store.provider(ctx)
		if err != nil {
			return struct{}{}, err
		}
		if err := match.Check(before.Version); err != nil {
			return struct{}{}, err
		}
		if err := s.store.deleteProvider(ctx); err != nil {
			return struct{}{}, err
		}
		after := IdentityProvider{OrganizationID: caller.OrganizationID}
		return struct{}{}, s.replaced(ctx, "identity-provider.remove", before, after)
	}, db.ProvenBy(func(ctx context.Context) (bool, error) {
		_, err := s.store.provider(ctx)
		if errors.Is(err, ErrNoProvider) {
			return true, nil
		}
		return false, err
	}))
	return err
}

// settings returns the settings of the sign-in protocol. The error is for a client secret that
// was encrypted with a secret that is no longer configured.
func (s *Providers) settings(p IdentityProvider) (openid.Settings, error) {
	secret, err := s.secrets.Open(p.sealedSecret, p.OrganizationID[:])
	return openid.Settings{
		Issuer: p.Issuer, ClientID: p.ClientID, ClientSecret: string(secret), RedirectURL: s.callbackURL(),
	}, err
}

// callbackURL returns the redirect URI for providers.
func (s *Providers) callbackURL() string { return s.PublicURL + rbac.BasePath + pathCallback }

// of returns the identity provider of any organization, for a person who has not signed
// in yet.
func (s *Providers) of(ctx context.Context, organization uuid.UUID) (IdentityProvider, openid.Settings, error) {
	if organization == uuid.Nil || s.PublicURL == "" || s.FrontendURL == "" {
		return IdentityProvider{}, openid.Settings{}, ErrNoProvider
	}
	p, err := s.Get(identity.With(ctx, identity.System(organization)))
	if err != nil {
		return IdentityProvider{}, openid.Settings{}, err
	}
	settings, err := s.settings(p)
	if err != nil {
		s.logFailure(organization, err)
		return IdentityProvider{}, openid.Settings{}, ErrProviderUnavailable.Because(err)
	}
	return p, settings, nil
}

// logFailure logs why a provider could not be used.
func (s *Providers) logFailure(organization uuid.UUID, err error) {
	s.Logger.WithFields(logrus.Fields{"event": "identity_provider_failed", "organization_id": organization, "cause": err}).
		Warn("identity provider unreachable, or its answer is invalid")
}
