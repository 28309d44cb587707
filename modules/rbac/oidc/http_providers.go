package oidc

import (
	"context"
	"net/http"
	"slices"
	"time"

	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/patch"
	"omnirapeutic/platform/permission"
)

const pathProvider = "/identity-provider"

// Routes returns the operations of identity providers.
func (s *Service) Routes() []httpx.Route {
	return slices.Concat(s.SignIns.routes(), s.Providers.routes(), s.Links.routes())
}

func (s *Providers) routes() []httpx.Route {
	return []httpx.Route{
		{
			Method: http.MethodGet, Path: pathProvider, Permission: permission.IdentityProviderManage,
			Name: "getIdentityProvider", Summary: "Get the identity provider",
			Description: "The identity provider with which people of the organization can sign in, without the client secret.",
			Refusals:    []*fault.Error{ErrNoProvider}, Endpoint: httpx.Handle(http.StatusOK, s.handleGet),
		},
		{
			Method: http.MethodPut, Path: pathProvider, Permission: permission.IdentityProviderManage,
			Name: "setIdentityProvider", Summary: "Set the identity provider",
			Description: "The server checks that the provider answers before it saves anything. The client's secret is stored " +
				"encrypted and never returned. The provider's operator can sign in as any user whom it recognizes, so this " +
				"requires every permission that any enabled user or open invitation of the organization has. Changing `issuer` " +
				"or `clientId` ends all links and sessions of the former provider. Administrators receive an " +
				"`identity-provider.changed` event.",
			Refusals: []*fault.Error{ErrNoAddress, identity.ErrBeyondOwn}, Endpoint: httpx.Handle(http.StatusOK, s.handleSet),
		},
		{
			Method: http.MethodDelete, Path: pathProvider, Permission: permission.IdentityProviderManage,
			Name: "removeIdentityProvider", Summary: "Remove the identity provider",
			Description: "From now on people sign in with e-mail and password, if they have one. All links to the provider " +
				"and its sessions end.",
			Refusals: []*fault.Error{ErrNoProvider}, Endpoint: httpx.Handle(http.StatusNoContent, s.handleRemove),
		},
	}
}

// providerBody is an identity provider.
type providerBody struct {
	Issuer      string    `json:"issuer"`      // The provider's exact issuer, an https URL.
	ClientID    string    `json:"clientId"`    // The id of this program at the provider.
	CallbackURL string    `json:"callbackUrl"` // The redirect URI to register with the provider.
	Version     int       `json:"version"`     // The number of changes, starting with 1.
	CreatedAt   time.Time `json:"createdAt"`   // The time at which the provider was entered.
	UpdatedAt   time.Time `json:"updatedAt"`   // The time of the last change.
}

// Revision returns the version, which the API returns as ETag.
func (b providerBody) Revision() int { return b.Version }

func (s *Providers) body(p IdentityProvider) providerBody {
	return providerBody{p.Issuer, p.ClientID, s.callbackURL(), p.Version, p.CreatedAt.UTC(), p.UpdatedAt.UTC()}
}

func (s *Providers) handleGet(ctx context.Context, _ httpx.None) (providerBody, error) {
	p, err := s.Get(ctx)
	return s.body(p), err
}

type providerRequest struct {
	Match patch.Match `header:"If-Match"`
	// The provider's exact issuer, an https URL.
	Issuer string `json:"issuer" validate:"required,max=500"`
	// The id of this program at the provider.
	ClientID string `json:"clientId" validate:"required,max=500,text"`
	// The secret of this program at the provider.
	ClientSecret string `json:"clientSecret" validate:"required,max=1000"`
}

func (s *Providers) handleSet(ctx context.Context, in providerRequest) (providerBody, error) {
	p, err := s.Set(ctx, ProviderSettings(in))
	return s.body(p), err
}

func (s *Providers) handleRemove(ctx context.Context, in struct {
	Match patch.Match `header:"If-Match"`
},
) (httpx.None, error) {
	return httpx.None{}, s.Remove(ctx, in.Match)
}
