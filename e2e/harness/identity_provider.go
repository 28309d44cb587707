package harness

import (
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/rbac/oidc/openid/openidtest"
	"omnirapeutic/platform/db/dbtest"
)

// The addresses of a clinic with an identity provider.
const (
	PublicURL    = "https://api.omni.test"
	FrontendURL  = "https://app.omni.test/signed-in"
	RedirectURI  = PublicURL + "/api/v1/auth/oidc/callback"
	ProviderPath = "/identity-provider"
)

// Verifier is the verifier of the frontend's sign-in page.
const Verifier = "a-verifier-that-only-one-page-of-the-frontend-knows"

// Challenge returns the challenge of a verifier.
func Challenge(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// OpenWithProvider starts a clinic whose own practice has an identity provider with
// these people.
func OpenWithProvider(t testing.TB, known ...openidtest.Person) (*Clinic, *openidtest.Provider) {
	t.Helper()
	return OpenWithProviderOn(t, TwoPractices.New(t), known...)
}

// OpenWithProviderOn is like [OpenWithProvider], on a database.
func OpenWithProviderOn(
	t testing.TB, database dbtest.Database, known ...openidtest.Person,
) (*Clinic, *openidtest.Provider) {
	t.Helper()
	c := Serve(t, database, database.Open(t), "OMNI_PUBLIC_URL="+PublicURL, "OMNI_FRONTEND_URL="+FrontendURL)
	p := openidtest.Start(t, RedirectURI, known...)
	c.Admin().Send(t, http.MethodPut, ProviderPath,
		Body{"issuer": p.Issuer, "clientId": openidtest.ClientID, "clientSecret": openidtest.ClientSecret}).OK(t)
	return c, p
}

// Journey is a browser on its way to a provider and back.
type Journey struct {
	ProviderURL string
	Cookie      *http.Cookie
}

// BeginProviderSignIn sends a browser to the provider of the clinic's own practice.
func (c *Clinic) BeginProviderSignIn(t testing.TB) Journey {
	t.Helper()
	a := c.As("").Get(t, "/auth/oidc/"+c.Own.ID.String()+"/start?challenge="+Challenge(Verifier))
	require.Equal(t, http.StatusFound, a.Status, "%s", a.Raw)
	cookies := (&http.Response{Header: a.Header}).Cookies()
	require.Len(t, cookies, 1)
	return Journey{a.Header.Get("Location"), cookies[0]}
}

// ReturnFromProvider returns a browser from the provider to the API.
func (c *Clinic) ReturnFromProvider(t testing.TB, j Journey, with *url.URL) Answer {
	t.Helper()
	require.True(t, strings.HasPrefix(with.String(), RedirectURI), with)
	return c.As("").WithHeader("Cookie", j.Cookie.Name+"="+j.Cookie.Value).Get(t, "/auth/oidc/callback?"+with.RawQuery)
}

// SignInCode returns the code with which the frontend's page is opened.
func SignInCode(t testing.TB, a Answer) string {
	t.Helper()
	require.Equal(t, http.StatusFound, a.Status, "%s", a.Raw)
	code, ok := strings.CutPrefix(a.Header.Get("Location"), FrontendURL+"#code=")
	require.True(t, ok, a.Header.Get("Location"))
	gone := (&http.Response{Header: a.Header}).Cookies()
	require.Len(t, gone, 1)
	require.Negative(t, gone[0].MaxAge, "the browser no longer needs it")
	return code
}

// RedirectedWithError checks that the browser is redirected to the frontend's page with the error
// code only.
func (a Answer) RedirectedWithError(t testing.TB, code string) Answer {
	t.Helper()
	require.Equal(t, http.StatusFound, a.Status, "%s", a.Raw)
	require.Equal(t, FrontendURL+"#error="+code, a.Header.Get("Location"))
	gone := (&http.Response{Header: a.Header}).Cookies()
	require.Len(t, gone, 1)
	require.Negative(t, gone[0].MaxAge, "the browser no longer needs it")
	return a
}

// ExchangeCode exchanges the code of a sign-in for tokens.
func (c *Clinic) ExchangeCode(t testing.TB, code, verifier string) Answer {
	t.Helper()
	return c.As("").Post(t, "/auth/oidc/token", Body{"code": code, "verifier": verifier})
}

// ConfirmLink exchanges the code of an account's first sign-in through the provider, with the
// account's password.
func (c *Clinic) ConfirmLink(t testing.TB, code string, changes ...Body) Answer {
	t.Helper()
	b := Body{"code": code, "verifier": Verifier, "password": Password}
	for _, change := range changes {
		maps.Copy(b, change)
	}
	return c.As("").Post(t, "/auth/oidc/token", b)
}

// LinkProvider confirms the link of an account to the provider as its owner, and returns the
// sign-in.
func (c *Clinic) LinkProvider(t testing.TB, p *openidtest.Provider, subject string) Answer {
	t.Helper()
	return c.ConfirmLink(t, SignInCode(t, c.SignInWithProvider(t, p, subject))).OK(t)
}

// SignInWithProvider sends a browser to the provider and back, and returns the redirect to
// the frontend.
func (c *Clinic) SignInWithProvider(t testing.TB, p *openidtest.Provider, subject string) Answer {
	t.Helper()
	j := c.BeginProviderSignIn(t)
	return c.ReturnFromProvider(t, j, p.SignIn(t, j.ProviderURL, subject))
}

// LinkRequestsPath is the path of requests to link accounts to the provider.
const LinkRequestsPath = ProviderPath + "/link-requests"

// LinkRequest returns the id of the open link request of a subject.
func (c *Clinic) LinkRequest(t testing.TB, as Caller, subject string) string {
	t.Helper()
	for _, item := range as.All(t, LinkRequestsPath+"?limit=1", nil) {
		if item["subject"] == subject {
			return item["id"].(string)
		}
	}
	t.Fatalf("no link request of %s", subject)
	return ""
}
