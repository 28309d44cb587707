package rbac

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/sirupsen/logrus"

	"omnirapeutic/modules/rbac/openid"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/patch"
	"omnirapeutic/platform/permission"
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

// IdentityProvider is the OpenID Connect provider through which people of an organization sign
// in.
type IdentityProvider struct {
	OrganizationID uuid.UUID
	Issuer         string // its exact issuer, an https URL
	ClientID       string // its id for this program
	Version        int    // counts every change, starting with 1
	CreatedAt      time.Time
	UpdatedAt      time.Time

	sealedSecret []byte
	setBy        *uuid.UUID // user who chose issuer and client; nil: unknown
}

// isSame reports whether the other has the same issuer and client; then links and sign-ins
// continue.
func (p IdentityProvider) isSame(other IdentityProvider) bool {
	return p.Issuer == other.Issuer && p.ClientID == other.ClientID
}

// Revision returns the version, which the API returns as ETag.
func (p IdentityProvider) Revision() int { return p.Version }

// ProviderSettings are the settings that an administrator enters.
type ProviderSettings struct {
	Match        patch.Match
	Issuer       string
	ClientID     string
	ClientSecret string
}

// Provider returns the identity provider of the caller's organization. The error is
// [ErrNoProvider].
func (s *Service) Provider(ctx context.Context) (IdentityProvider, error) {
	return db.Snapshot(ctx, s.database, "identity-provider.get", takeProvider)
}

// SetProvider enters or changes the identity provider of the caller's organization. It checks that
// the provider answers before it saves anything. The provider can claim that any user of the
// organization has signed in, so the caller must hold every permission of every user whom it could
// recognize. Changing the issuer or client ends the links and sign-ins of the former one. Errors:
// [fault.ErrInvalid], [ErrBeyondOwn], [ErrNoAddress], [patch.ErrStale], [identity.ErrPeopleOnly].
func (s *Service) SetProvider(ctx context.Context, p ProviderSettings) (IdentityProvider, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return IdentityProvider{}, err
	}
	if err := caller.RequirePerson(); err != nil {
		return IdentityProvider{}, err
	}
	if s.publicURL == "" || s.frontendURL == "" {
		return IdentityProvider{}, ErrNoAddress
	}
	if err := s.checkProvider(ctx, p.Issuer); err != nil {
		return IdentityProvider{}, err
	}
	set := IdentityProvider{
		OrganizationID: caller.OrganizationID, Issuer: p.Issuer, ClientID: p.ClientID,
		sealedSecret: s.providerSecrets.Seal([]byte(p.ClientSecret), caller.OrganizationID[:]),
	}
	return db.Serializable(ctx, s.database, "identity-provider.set", func(ctx context.Context) (IdentityProvider, error) {
		if err := s.mayChooseProvider(ctx); err != nil {
			return IdentityProvider{}, err
		}
		before, err := takeProvider(ctx)
		if err := ignoreNoProvider(err); err != nil {
			return IdentityProvider{}, err
		}
		if err := p.Match.Check(before.Version); err != nil {
			return IdentityProvider{}, err
		}
		after := set
		after.Version, after.UpdatedAt = before.Version+1, s.now()
		after.CreatedAt, after.setBy = before.CreatedAt, before.setBy
		if before.Version == 0 {
			after.CreatedAt = after.UpdatedAt
		}
		if !after.isSame(before) || after.setBy == nil {
			after.setBy = &caller.UserID
		}
		if err := putProvider(ctx, after); err != nil {
			return IdentityProvider{}, err
		}
		return after, s.replaceProvider(ctx, "identity-provider.set", before, after)
	})
}

// mayChooseProvider returns [ErrBeyondOwn] unless the caller holds every permission of every user
// whom a provider of the organization could recognize, directly or by an open invitation.
func (s *Service) mayChooseProvider(ctx context.Context) error {
	mine, err := s.callerHolds(ctx, permission.IdentityProviderManage)
	if err != nil {
		return err
	}
	roles, err := recognizableRoles(ctx, s.now())
	if err != nil {
		return err
	}
	theirs, err := heldBy(ctx, roles)
	if err != nil {
		return err
	}
	return mine.covers(theirs)
}

// replaceProvider records and publishes a change of the provider, in the transaction of the
// context. If after is another client or nil, it ends links, link requests, codes and sign-ins of
// before, and every instance refuses their access tokens.
func (s *Service) replaceProvider(ctx context.Context, action string, before, after IdentityProvider) error {
	caller, err := identity.From(ctx)
	if err != nil {
		return err
	}
	now := s.now()
	var ended providerTraces
	if !after.isSame(before) {
		if ended, err = deleteProviderTraces(ctx, nil, now); err != nil {
			return err
		}
		if err := s.announceEnded(ctx, caller.OrganizationID, ended.signIns, now); err != nil {
			return err
		}
	}
	if err := s.recordProvider(ctx, action, before, after); err != nil {
		return err
	}
	shown := after
	if after.Version == 0 {
		shown = before
	}
	return s.publishProvider(ctx, shown, ProviderChange{
		Issuer: shown.Issuer, ClientID: shown.ClientID, ChangedBy: caller.UserID, Removed: after.Version == 0,
		EndedLinks: ended.links, EndedSignIns: len(ended.signIns),
	}, now)
}

// ignoreNoProvider returns nil for the error of an organization without an identity provider.
func ignoreNoProvider(err error) error {
	if errors.Is(err, ErrNoProvider) {
		return nil
	}
	return err
}

// checkProvider checks that an OpenID provider answers at the issuer.
func (s *Service) checkProvider(ctx context.Context, issuer string) error {
	err := s.openid.Check(ctx, issuer)
	if err == nil {
		return nil
	}
	s.logger.WithFields(logrus.Fields{"event": "identity_provider_not_found", "cause": err}).
		Warn("the entered identity provider does not answer as an OpenID provider")
	message := "must be an https URL of an OpenID provider that reports exactly this issuer"
	if errors.Is(err, openid.ErrUnavailable) {
		message = "is an OpenID provider that does not answer"
	}
	return fault.InvalidFields(fault.Field{Field: "issuer", Code: "provider", Message: message}).Because(err)
}

// RemoveProvider removes the identity provider: people sign in with passwords, if they have one.
// Its links and sign-ins end. It requires only its own permission, so that an administrator who
// distrusts a provider can stop it. Errors: [ErrNoProvider], [patch.ErrStale],
// [identity.ErrPeopleOnly].
func (s *Service) RemoveProvider(ctx context.Context, match patch.Match) error {
	caller, err := identity.From(ctx)
	if err != nil {
		return err
	}
	if err := caller.RequirePerson(); err != nil {
		return err
	}
	_, err = db.Serializable(ctx, s.database, "identity-provider.remove", func(ctx context.Context) (struct{}, error) {
		before, err := takeProvider(ctx)
		if err != nil {
			return struct{}{}, err
		}
		if err := match.Check(before.Version); err != nil {
			return struct{}{}, err
		}
		if err := deleteProvider(ctx); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, s.replaceProvider(ctx, "identity-provider.remove", before, IdentityProvider{OrganizationID: caller.OrganizationID})
	}, db.ProvenBy(func(ctx context.Context) (bool, error) {
		_, err := takeProvider(ctx)
		if errors.Is(err, ErrNoProvider) {
			return true, nil
		}
		return false, err
	}))
	return err
}

// settings returns the settings of the sign-in protocol. The error is for a client secret that
// was encrypted with a secret that is no longer configured.
func (s *Service) settings(p IdentityProvider) (openid.Settings, error) {
	secret, err := s.providerSecrets.Open(p.sealedSecret, p.OrganizationID[:])
	return openid.Settings{Issuer: p.Issuer, ClientID: p.ClientID, ClientSecret: string(secret), RedirectURL: s.callbackURL()}, err
}

// callbackURL returns the redirect URI for providers.
func (s *Service) callbackURL() string { return s.publicURL + base + pathCallback }
