// Package oidc signs users in with the OpenID Connect provider of their organization, and manages
// providers and the links of accounts to them. Package openid, below it, speaks the protocol.
package oidc

import (
	"time"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/account"
	"omnirapeutic/modules/rbac/invitation"
	"omnirapeutic/modules/rbac/mfa"
	"omnirapeutic/modules/rbac/oidc/openid"
	"omnirapeutic/modules/rbac/password"
	"omnirapeutic/modules/rbac/session"
	"omnirapeutic/modules/rbac/throttle"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/encryption"
	"omnirapeutic/platform/outbox"
)

// Service holds the services of identity providers.
type Service struct {
	Providers *Providers
	Links     *Links
	SignIns   *SignIns
}

// Dependencies are the dependencies of the service.
type Dependencies struct {
	rbac.Core

	Events        outbox.Publisher
	Accounts      *account.Service
	Invitations   *invitation.Service
	Passwords     *password.Service
	Sessions      *session.Service
	SecondFactors *mfa.Service
	Throttle      *throttle.Service
	// Secrets encrypt unfinished sign-ins and secrets of clients. The first is in use, the others are
	// former ones.
	Secrets [][]byte
	// PublicURL is the origin under which browsers reach the program. FrontendURL is the page to
	// which they return from an identity provider. Empty: not configured.
	PublicURL, FrontendURL string
	// AnyAddress allows identity providers with private addresses and http.
	AnyAddress bool
}

// New returns the services.
func New(d Dependencies) *Service {
	client := openid.New(d.Clock, d.AnyAddress)
	links := &Links{Dependencies: d}
	providers := &Providers{
		Dependencies: d, client: client, links: links,
		secrets: encryption.New("secrets at identity providers", d.Secrets...),
	}
	return &Service{providers, links, &SignIns{
		Dependencies: d, client: client, providers: providers, links: links,
		cookies: encryption.New("sign-ins under way", d.Secrets...),
		signIns: session.NewSignInTrail(d.Core),
	}}
}

// Outdated selects expired link requests.
func (s *Service) Outdated(now time.Time) []db.Removal {
	return []db.Removal{{
		Table: "provider_link_requests", Key: []string{"organization_id", "id"}, Time: "expires_at", Before: now,
	}}
}
