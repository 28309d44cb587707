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
)

const (
	pathOpenID   = "/auth/oidc"
	pathCallback = pathOpenID + "/callback"
	cookieName   = "omni_sign_in"
)

func (s *SignIns) routes() []httpx.Route {
	return []httpx.Route{
		{
			Method: http.MethodGet, Path: pathOpenID + "/:organizationId/start", Permission: httpx.Public,
			Name: "startProviderSignIn", Summary: "Start a sign-in with an identity provider",
			Description: "For browsers: send the person to this address. The browser is redirected to the organization's " +
				"identity provider, back to this server, and then to the configured page of the frontend with `#code=…` or " +
				"`#error=…`. The page exchanges the code with `POST /auth/oidc/token`. Beforehand the page creates a random " +
				"`verifier`, keeps it in its session storage, and sends its SHA-256 in base64url as `challenge` (RFC 7636, " +
				"S256). So the code is useless to anyone else.",
			Refusals: []*fault.Error{ErrNoProvider, ErrProviderUnavailable}, Endpoint: httpx.HandleRedirect(s.handleStart),
		},
		{
			Method: http.MethodGet, Path: pathCallback, Permission: httpx.Public,
			Name: "finishProviderSignIn", Summary: "Return from an identity provider",
			Description: "The identity provider redirects browsers to this address. Register it with the provider as the " +
				"redirect URI. The browser continues to the configured page with `#code=…`, or with `#error=` and the error's " +
				"code: `sign-in-cancelled`, `sign-in-lost`, `not-recognized`, `no-identity-provider`, " +
				"`identity-provider-unavailable`, or the code of a server error such as `database-unavailable`. If no page is " +
				"configured, the answer is the error itself.",
			Refusals: []*fault.Error{ErrSignInLost}, ErrorPage: s.FrontendURL, Endpoint: httpx.HandleRedirect(s.handleCallback),
		},
		{
			Method: http.MethodPost, Path: pathOpenID + "/token", Permission: httpx.Public,
			Name: "exchangeSignInCode", Summary: "Sign in with a code",
			Description: "Exchanges the code of a sign-in with an identity provider, once and within a minute, for the " +
				"answer of `POST /auth/login`. The owner must confirm the first sign-in of an existing account through the " +
				"provider: the answer is 401 `link-confirmation-required`, and the same request with the account's `password`, " +
				"and `secondFactorCode` if the account has a second factor, signs in. The code stays valid for ten minutes for " +
				"that. Alternatively, another administrator confirms it with `POST " +
				"/identity-provider/link-requests/{id}/confirm`, and the person signs in again.",
			Refusals: []*fault.Error{
				ErrCodeUsed, ErrLinkUnconfirmed, signin.ErrWrongCredentials, mfa.ErrRequired, mfa.ErrWrong,
				mfa.ErrRecoveryCodeRequired, throttle.ErrSignInDelayed, password.ErrBusy,
			},
			ReadOnly: true, Endpoint: httpx.Handle(http.StatusOK, s.handleExchange),
		},
	}
}

type startRequest struct {
	OrganizationID uuid.UUID `param:"organizationId"`
	// The SHA-256 of the page's verifier, in base64url.
	Challenge string `query:"challenge" validate:"required,min=43,max=43,printascii"`
}

func (s *SignIns) handleStart(ctx context.Context, in startRequest) (httpx.Redirect, error) {
	to, carried, err := s.Begin(ctx, in.OrganizationID, in.Challenge)
	if err != nil {
		return httpx.Redirect{}, err
	}
	return httpx.Redirect{URL: to, Cookie: s.cookie(carried, attemptTime)}, nil
}

// cookie carries an unfinished sign-in. It is Lax, because the browser returns with it from
// another site, by following a link.
func (s *SignIns) cookie(value string, life time.Duration) *http.Cookie {
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

func (s *SignIns) handleCallback(ctx context.Context, in callbackRequest) (httpx.Redirect, error) {
	answer := httpx.Redirect{Cookie: s.cookie("", 0)} // also after a failure
	with := openid.Answer{State: in.State, Code: in.Code, Issuer: in.Issuer, Error: in.Error}
	code, err := s.Finish(ctx, in.Carried, with)
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

func (s *SignIns) handleExchange(ctx context.Context, in exchangeRequest) (session.SignInBody, error) {
	signed, err := s.ExchangeCode(ctx, CodeExchange(in))
	if err != nil {
		return session.SignInBody{}, err
	}
	return s.Sessions.Body(ctx, signed)
}
