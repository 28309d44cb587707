package oidc

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/mfa"
	"omnirapeutic/modules/rbac/oidc/openid"
	"omnirapeutic/modules/rbac/password"
	"omnirapeutic/modules/rbac/session"
	"omnirapeutic/modules/rbac/signin"
	"omnirapeutic/modules/rbac/throttle"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/patch"
	"omnirapeutic/platform/permission"
)

const (
	pathOpenID   = "/auth/oidc"
	pathCallback = pathOpenID + "/callback"
	pathProvider = "/identity-provider"
	cookieName   = "omni_sign_in"
)

// Routes returns the operations of identity providers.
func (s *Service) Routes() []httpx.Route {
	return append(s.linkRoutes(), []httpx.Route{
		{
			Method: http.MethodGet, Path: pathOpenID + "/:organizationId/start", Permission: httpx.Public,
			Name: "startProviderSignIn", Summary: "Start a sign-in with an identity provider",
			Description: "For browsers: send the person to this address. The browser is redirected to the organization's identity " +
				"provider, back to this server, and then to the configured page of the frontend with `#code=…` or `#error=…`. The " +
				"page exchanges the code with `POST /auth/oidc/token`. Beforehand the page creates a random `verifier`, keeps it " +
				"in its session storage, and sends its SHA-256 in base64url as `challenge` (RFC 7636, S256). So the code is " +
				"useless to anyone else.",
			Refusals: []*fault.Error{ErrNoProvider, ErrProviderUnavailable}, Endpoint: httpx.HandleRedirect(s.handleStart),
		},
		{
			Method: http.MethodGet, Path: pathCallback, Permission: httpx.Public,
			Name: "finishProviderSignIn", Summary: "Return from an identity provider",
			Description: "The identity provider redirects browsers to this address. Register it with the provider as the redirect URI. The " +
				"browser continues to the configured page with `#code=…`, or with `#error=` and the error's code: " +
				"`sign-in-cancelled`, `sign-in-lost`, `not-recognized`, `no-identity-provider`, `identity-provider-unavailable`, " +
				"or the code of a server error such as `database-unavailable`. If no page is configured, the answer is the error " +
				"itself.",
			Refusals: []*fault.Error{ErrSignInLost}, ErrorPage: s.FrontendURL, Endpoint: httpx.HandleRedirect(s.handleCallback),
		},
		{
			Method: http.MethodPost, Path: pathOpenID + "/token", Permission: httpx.Public,
			Name: "exchangeSignInCode", Summary: "Sign in with a code",
			Description: "Exchanges the code of a sign-in with an identity provider, once and within a minute, for the answer of " +
				"`POST /auth/login`. The owner must confirm the first sign-in of an existing account through the provider: the " +
				"answer is 401 `link-confirmation-required`, and the same request with the account's `password`, and " +
				"`secondFactorCode` if the account has a second factor, signs in. The code stays valid for ten minutes for that. " +
				"Alternatively, another administrator confirms it with `POST /identity-provider/link-requests/{id}/confirm`, and " +
				"the person signs in again.",
			Refusals: []*fault.Error{
				ErrCodeUsed, ErrLinkUnconfirmed, signin.ErrWrongCredentials, mfa.ErrRequired, mfa.ErrWrong,
				mfa.ErrRecoveryCodeRequired, throttle.ErrSignInDelayed, password.ErrBusy,
			},
			ReadOnly: true, Endpoint: httpx.Handle(http.StatusOK, s.handleExchange),
		},
		{
			Method: http.MethodGet, Path: pathProvider, Permission: permission.IdentityProviderManage,
			Name: "getIdentityProvider", Summary: "Get the identity provider",
			Description: "The identity provider with which people of the organization can sign in, without the client secret.",
			Refusals:    []*fault.Error{ErrNoProvider}, Endpoint: httpx.Handle(http.StatusOK, s.handleProvider),
		},
		{
			Method: http.MethodPut, Path: pathProvider, Permission: permission.IdentityProviderManage,
			Name: "setIdentityProvider", Summary: "Set the identity provider",
			Description: "The server checks that the provider answers before it saves anything. The client's secret is stored " +
				"encrypted and never returned. The provider's operator can sign in as any user whom it recognizes, so this " +
				"requires every permission that any enabled user or open invitation of the organization has. Changing `issuer` " +
				"or `clientId` ends all links and sessions of the former provider. Administrators receive an " +
				"`identity-provider.changed` event.",
			Refusals: []*fault.Error{ErrNoAddress, identity.ErrBeyondOwn}, Endpoint: httpx.Handle(http.StatusOK, s.handleSetProvider),
		},
		{
			Method: http.MethodDelete, Path: pathProvider, Permission: permission.IdentityProviderManage,
			Name: "removeIdentityProvider", Summary: "Remove the identity provider",
			Description: "From now on people sign in with e-mail and password, if they have one. All links to the provider and its " +
				"sessions end.",
			Refusals: []*fault.Error{ErrNoProvider}, Endpoint: httpx.Handle(http.StatusNoContent, s.handleRemoveProvider),
		},
	}...)
}

type startRequest struct {
	OrganizationID uuid.UUID `param:"organizationId"`
	// The SHA-256 of the page's verifier, in base64url.
	Challenge string `query:"challenge" validate:"required,min=43,max=43,printascii"`
}

func (s *Service) handleStart(ctx context.Context, in startRequest) (httpx.Redirect, error) {
	to, carried, err := s.Begin(ctx, in.OrganizationID, in.Challenge)
	if err != nil {
		return httpx.Redirect{}, err
	}
	return httpx.Redirect{URL: to, Cookie: s.cookie(carried, attemptTime)}, nil
}

// cookie carries an unfinished sign-in. It is Lax, because the browser returns with it from
// another site, by following a link.
func (s *Service) cookie(value string, life time.Duration) *http.Cookie {
	age := int(life / time.Second)
	if age == 0 {
		age = -1 // delete the cookie
	}
	return &http.Cookie{ //nolint:gosec // secure whenever the program is reached by https, which production requires
		Name: cookieName, Value: value, Path: rbac.BasePath + pathOpenID, MaxAge: age,
		HttpOnly: true, Secure: strings.HasPrefix(s.PublicURL, "https://"), SameSite: http.SameSiteLaxMode,
	}
}

// callbackRequest holds the parameters of a provider's redirect. Others are ignored.
type callbackRequest struct {
	httpx.AnyQuery
	State   string `query:"state" validate:"max=200"`          // The state of the started sign-in.
	Code    string `query:"code" validate:"max=4000"`          // The code of the provider.
	Issuer  string `query:"iss" validate:"max=2000"`           // The issuer of the provider.
	Error   string `query:"error" validate:"max=200"`          // The error code of the provider, instead of a code.
	Carried string `cookie:"omni_sign_in" validate:"max=4000"` // The started sign-in, which the browser carries.
}

func (s *Service) handleCallback(ctx context.Context, in callbackRequest) (httpx.Redirect, error) {
	answer := httpx.Redirect{Cookie: s.cookie("", 0)} // also after a failure
	code, err := s.Finish(ctx, in.Carried, openid.Answer{State: in.State, Code: in.Code, Issuer: in.Issuer, Error: in.Error})
	if err != nil {
		return answer, err
	}
	// The fragment reaches neither the page's server nor its logs.
	answer.URL = s.FrontendURL + "#code=" + url.QueryEscape(code)
	return answer, nil
}

type exchangeRequest struct {
	Code string `json:"code" validate:"required,max=200"` // The code that the page has received.
	// The verifier whose SHA-256 was the challenge (RFC 7636, section 4.1).
	Verifier string `json:"verifier" validate:"required,min=43,max=128"`
	// The password of the account. It confirms the first sign-in with the identity provider.
	Password string `json:"password"`
	// The code of the account's second factor, with the password.
	SecondFactorCode string `json:"secondFactorCode" validate:"max=40"`
}

func (s *Service) handleExchange(ctx context.Context, in exchangeRequest) (session.SignInBody, error) {
	signed, err := s.ExchangeCode(ctx, CodeExchange(in))
	if err != nil {
		return session.SignInBody{}, err
	}
	return s.Sessions.Body(ctx, signed)
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

func (s *Service) providerBodyOf(p IdentityProvider) providerBody {
	return providerBody{p.Issuer, p.ClientID, s.callbackURL(), p.Version, p.CreatedAt.UTC(), p.UpdatedAt.UTC()}
}

func (s *Service) handleProvider(ctx context.Context, _ httpx.None) (providerBody, error) {
	p, err := s.Provider(ctx)
	return s.providerBodyOf(p), err
}

type providerRequest struct {
	Match        patch.Match `header:"If-Match"`
	Issuer       string      `json:"issuer" validate:"required,max=500"`        // The provider's exact issuer, an https URL.
	ClientID     string      `json:"clientId" validate:"required,max=500,text"` // The id of this program at the provider.
	ClientSecret string      `json:"clientSecret" validate:"required,max=1000"` // The secret of this program at the provider.
}

func (s *Service) handleSetProvider(ctx context.Context, in providerRequest) (providerBody, error) {
	p, err := s.SetProvider(ctx, ProviderSettings(in))
	return s.providerBodyOf(p), err
}

func (s *Service) handleRemoveProvider(ctx context.Context, in struct {
	Match patch.Match `header:"If-Match"`
},
) (httpx.None, error) {
	return httpx.None{}, s.RemoveProvider(ctx, in.Match)
}
