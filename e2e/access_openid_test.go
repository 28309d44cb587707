package e2e

import (
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/oidc/openid/openidtest"
	"omnirapeutic/platform/db/dbtest"
)

const (
	publicURL   = "https://api.omni.test"
	frontendURL = "https://app.omni.test/signed-in"
	redirectURI = publicURL + "/api/v1/auth/oidc/callback"
	provider    = "/identity-provider"
)

// page is the sign-in page of the frontend, which alone holds the verifier.
const verifier = "a-verifier-that-only-one-page-of-the-frontend-knows"

func challengeOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// openWithProvider starts a clinic whose own practice has an identity provider with
// these people.
func openWithProvider(t testing.TB, known ...openidtest.Person) (*clinic, *openidtest.Provider) {
	t.Helper()
	return openWithProviderOn(t, twoPractices.New(t), known...)
}

func openWithProviderOn(
	t testing.TB, database dbtest.Database, known ...openidtest.Person,
) (*clinic, *openidtest.Provider) {
	t.Helper()
	c := serve(t, database, database.Open(t), "OMNI_PUBLIC_URL="+publicURL, "OMNI_FRONTEND_URL="+frontendURL)
	p := openidtest.Start(t, redirectURI, known...)
	c.admin().send(t, http.MethodPut, provider,
		body{"issuer": p.Issuer, "clientId": openidtest.ClientID, "clientSecret": openidtest.ClientSecret}).ok(t)
	return c, p
}

// journey is a browser on its way to a provider and back.
type journey struct {
	sentTo string // URL of the provider
	cookie *http.Cookie
}

// begin sends a browser to the own practice's provider.
func (c *clinic) begin(t testing.TB) journey {
	t.Helper()
	a := c.as("").get(t, "/auth/oidc/"+c.own.id.String()+"/start?challenge="+challengeOf(verifier))
	require.Equal(t, http.StatusFound, a.status, "%s", a.raw)
	cookies := (&http.Response{Header: a.header}).Cookies()
	require.Len(t, cookies, 1)
	return journey{a.header.Get("Location"), cookies[0]}
}

// back returns a browser from the provider to the API.
func (c *clinic) back(t testing.TB, j journey, with *url.URL) answer {
	t.Helper()
	require.True(t, strings.HasPrefix(with.String(), redirectURI), with)
	return c.as("").with("Cookie", j.cookie.Name+"="+j.cookie.Value).get(t, "/auth/oidc/callback?"+with.RawQuery)
}

// codeIn returns the code with which the frontend's page is opened.
func codeIn(t testing.TB, a answer) string {
	t.Helper()
	require.Equal(t, http.StatusFound, a.status, "%s", a.raw)
	code, ok := strings.CutPrefix(a.header.Get("Location"), frontendURL+"#code=")
	require.True(t, ok, a.header.Get("Location"))
	gone := (&http.Response{Header: a.header}).Cookies()
	require.Len(t, gone, 1)
	require.Negative(t, gone[0].MaxAge, "the browser no longer needs it")
	return code
}

// landed checks that the browser is redirected to the frontend's page with the error
// code only.
func (a answer) landed(t testing.TB, code string) answer {
	t.Helper()
	require.Equal(t, http.StatusFound, a.status, "%s", a.raw)
	require.Equal(t, frontendURL+"#error="+code, a.header.Get("Location"))
	gone := (&http.Response{Header: a.header}).Cookies()
	require.Len(t, gone, 1)
	require.Negative(t, gone[0].MaxAge, "the browser no longer needs it")
	return a
}

func (c *clinic) exchange(t testing.TB, code, verifier string) answer {
	t.Helper()
	return c.as("").post(t, "/auth/oidc/token", body{"code": code, "verifier": verifier})
}

// confirm exchanges the code of an account's first sign-in through the provider, with the account's
// password.
func (c *clinic) confirm(t testing.TB, code string, changes ...body) answer {
	t.Helper()
	b := body{"code": code, "verifier": verifier, "password": password}
	for _, change := range changes {
		maps.Copy(b, change)
	}
	return c.as("").post(t, "/auth/oidc/token", b)
}

// connect confirms the link of an account to the provider as its owner, and returns the sign-in.
func (c *clinic) connect(t testing.TB, p *openidtest.Provider, subject string) answer {
	t.Helper()
	return c.confirm(t, codeIn(t, c.signInAs(t, p, subject))).ok(t)
}

func (c *clinic) signInAs(t testing.TB, p *openidtest.Provider, subject string) answer {
	t.Helper()
	j := c.begin(t)
	return c.back(t, j, p.SignIn(t, j.sentTo, subject))
}

var (
	scheduler = openidtest.Person{Subject: "s-1", Email: "Scheduler@Own.test", Verified: true}
	stranger  = openidtest.Person{Subject: "x-1", Email: "nobody@own.test", Verified: true}
)

func TestSignInWithAnIdentityProvider(t *testing.T) {
	t.Parallel()
	c, p := openWithProvider(t, scheduler)
	j := c.begin(t)
	require.True(t, j.cookie.HttpOnly && j.cookie.Secure && j.cookie.SameSite == http.SameSiteLaxMode, j.cookie)
	require.Equal(t, "/api/v1/auth/oidc", j.cookie.Path)
	code := codeIn(t, c.back(t, j, p.SignIn(t, j.sentTo, scheduler.Subject)))
	signed := c.confirm(t, code).ok(t)
	require.Equal(t, "scheduler@own.test", signed.body["user"].(map[string]any)["email"])
	require.Equal(t, []any{"SCHEDULER"}, signed.body["user"].(map[string]any)["roles"],
		"roles come from the program, not from the provider")
	c.as(signed.text("accessToken")).get(t, "/patients").ok(t)
	require.NotContains(t, j.sentTo+code, signed.text("accessToken"), "no token is in a URL")

	c.exchange(t, code, verifier).refused(t, http.StatusUnauthorized, "sign-in-code")
	c.run(t, "UPDATE users SET email = 'another@own.test' WHERE email = 'scheduler@own.test'")
	again := c.exchange(t, codeIn(t, c.signInAs(t, p, scheduler.Subject)), verifier).ok(t)
	require.Equal(t, "another@own.test", again.body["user"].(map[string]any)["email"], "recognized by the subject")

	events := c.admin().get(t, "/admin/audit-events?action=user.sign-in&limit=200").ok(t)
	require.Contains(t, string(events.raw), `"after":{"method":"oidc"}`)
	require.Len(t, c.admin().get(t, "/admin/audit-events?action=user.link-provider").ok(t).body["data"], 1)
	require.Len(t, c.admin().get(t, "/admin/audit-events?action=identity-provider.set").ok(t).body["data"], 1)
	require.Zero(t, c.count(t, "SELECT count(*) FROM identity_providers WHERE position($1::bytea IN "+
		"client_secret) > 0", []byte(openidtest.ClientSecret)))
	require.Zero(t, c.count(t, "SELECT count(*) FROM sign_in_codes"), "used requests are removed")
	c.requireClean(t)
}

func TestRefusedProviderSignIns(t *testing.T) {
	t.Parallel()
	email := func(of string, verified bool) openidtest.Person {
		return openidtest.Person{Subject: of, Email: of, Verified: verified}
	}
	c, p := openWithProvider(t, scheduler, stranger,
		email("BILLER@own.test", false), email("SCHEDULER@other.test", true),
		email("SUPER_ADMIN@own.test", true), email("AUDITOR@own.test", true),
		email("", true), openidtest.Person{Subject: "s-2", Email: scheduler.Email, Verified: true})
	c.run(t, "UPDATE users SET status = 'DISABLED' WHERE email = 'auditor@own.test'")
	c.connect(t, p, scheduler.Subject)
	reported := map[string]bool{}
	for subject, reason := range map[string]string{
		stranger.Subject:       "unknown",
		"BILLER@own.test":      "unverified",
		"SCHEDULER@other.test": "unknown", // a user of another organization
		"SUPER_ADMIN@own.test": "super-admin",
		"AUDITOR@own.test":     "disabled",
		"":                     "unknown",
		"s-2":                  "unknown", // another subject with an address that was recognized before
	} {
		if subject == "" {
			continue // the provider requires a name itself
		}
		refused := c.signInAs(t, p, subject).landed(t, "not-recognized")
		reported[refused.header.Get("Location")+string(refused.raw)] = true
		last := c.admin().get(t, "/admin/audit-events?action=user.sign-in&outcome=denied&limit=1").ok(t)
		require.Contains(t, string(last.raw), `"after":{"method":"oidc","reason":"`+reason+`"}`, subject)
	}
	require.Len(t, reported, 1, "it does not reveal which users exist")

	code := codeIn(t, c.signInAs(t, p, scheduler.Subject))
	c.run(t, "UPDATE users SET status = 'DISABLED' WHERE email = 'scheduler@own.test'")
	c.exchange(t, code, verifier).refused(t, http.StatusUnauthorized, "sign-in-code")
	c.signInAs(t, p, scheduler.Subject).landed(t, "not-recognized")
	require.Equal(t, 1, c.count(t, "SELECT count(*) FROM provider_subjects"))
	require.Equal(t, 2*len(rbac.Roles()), c.count(t, "SELECT count(*) FROM users"), "no user is created")
}

func TestAttacksOnASignIn(t *testing.T) {
	t.Parallel()
	c, p := openWithProvider(t, scheduler)
	second := secondInstance(t, c, c.database.Open(t), "OMNI_PUBLIC_URL="+publicURL, "OMNI_FRONTEND_URL="+frontendURL)
	c.connect(t, p, scheduler.Subject)
	mine, theirs := c.begin(t), c.begin(t)
	back := p.SignIn(t, theirs.sentTo, scheduler.Subject)

	t.Run("a callback with a foreign state, and with none", func(t *testing.T) {
		c.back(t, mine, back).landed(t, "sign-in-lost")
		for _, cookie := range []string{"", "x", theirs.cookie.Value + "A", strings.Repeat("A", len(theirs.cookie.Value))} {
			c.back(t, journey{cookie: &http.Cookie{Name: theirs.cookie.Name, Value: cookie}}, back).landed(t, "sign-in-lost")
		}
		c.as("").get(t, "/auth/oidc/callback?"+back.RawQuery).landed(t, "sign-in-lost")
	})
	t.Run("the provider refuses, with extra parameters", func(t *testing.T) {
		j := c.begin(t)
		sent, err := url.Parse(j.sentTo)
		require.NoError(t, err)
		no, err := url.Parse(redirectURI + "?error=access_denied&session_state=1&hd=own.test&state=" +
			sent.Query().Get("state"))
		require.NoError(t, err)
		c.back(t, j, no).landed(t, "sign-in-cancelled")
		last := c.admin().get(t, "/admin/audit-events?action=user.sign-in&outcome=denied&limit=1").ok(t)
		require.Contains(t, string(last.raw), `"after":{"method":"oidc","reason":"cancelled"}`)
		other := c.begin(t)
		odd, err := url.Parse(strings.Replace(no.String(), "access_denied", "Ada%20Example%20%3Cscript%3E", 1))
		require.NoError(t, err)
		c.back(t, other, odd).landed(t, "sign-in-lost")
		sent, err = url.Parse(other.sentTo)
		require.NoError(t, err)
		odd, err = url.Parse(redirectURI + "?error=Ada%20Example&error_description=Ada&state=" + sent.Query().Get("state"))
		require.NoError(t, err)
		c.back(t, other, odd).landed(t, "not-recognized")
	})
	t.Run("another page, and too late", func(t *testing.T) {
		code := codeIn(t, second.back(t, theirs, back)) // any instance can finish it
		c.exchange(t, code, "what-another-page-of-the-frontend-thinks-it-is").
			refused(t, http.StatusUnauthorized, "sign-in-code")
		c.exchange(t, code, verifier).refused(t, http.StatusUnauthorized, "sign-in-code")
		c.back(t, theirs, back).landed(t, "not-recognized")
		for _, invented := range []string{
			"x", strings.Repeat("A", 60),
			base64.RawURLEncoding.EncodeToString(c.own.id[:]) + "made-up",
		} {
			c.exchange(t, invented, verifier).refused(t, http.StatusUnauthorized, "sign-in-code")
		}
		late := codeIn(t, c.signInAs(t, p, scheduler.Subject))
		slow := c.begin(t)
		c.clock.advance(time.Minute)
		c.exchange(t, late, verifier).refused(t, http.StatusUnauthorized, "sign-in-code")
		c.clock.advance(9 * time.Minute)
		c.back(t, slow, p.SignIn(t, slow.sentTo, scheduler.Subject)).landed(t, "sign-in-lost")
	})
	t.Run("a code that is exchanged concurrently is exchanged once", func(t *testing.T) {
		code := codeIn(t, c.signInAs(t, p, scheduler.Subject))
		answers := make([]answer, 8)
		together(len(answers), func(i int) { answers[i] = []*clinic{c, second}[i%2].exchange(t, code, verifier) })
		signedIn := 0
		for _, a := range answers {
			if a.status == http.StatusOK {
				signedIn++
				continue
			}
			a.refused(t, http.StatusUnauthorized, "sign-in-code")
		}
		require.Equal(t, 1, signedIn)
	})
	t.Run("the provider's token is modified on its way", func(t *testing.T) {
		j := c.begin(t)
		back := p.SignIn(t, j.sentTo, scheduler.Subject)
		p.Rewrite(func(claims jwt.MapClaims) string {
			claims["aud"], claims["azp"] = "somebody-else", "somebody-else"
			return p.Sign(t, claims)
		})
		c.back(t, j, back).landed(t, "not-recognized")
		p.Rewrite(nil)
	})
	t.Run("the organization changes its provider meanwhile", func(t *testing.T) {
		j := c.begin(t)
		back := p.SignIn(t, j.sentTo, scheduler.Subject)
		other := openidtest.Start(t, redirectURI,
			openidtest.Person{Subject: scheduler.Subject, Email: "x@x.test", Verified: true})
		c.signedInAdmin(t).send(t, http.MethodPut, provider,
			body{"issuer": other.Issuer, "clientId": openidtest.ClientID, "clientSecret": openidtest.ClientSecret}).ok(t)
		c.back(t, j, back).landed(t, "not-recognized")
		c.signInAs(t, other, scheduler.Subject).landed(t, "not-recognized")
		require.Equal(t, http.StatusNoContent, c.signedInAdmin(t).delete(t, provider).status)
		c.back(t, j, back).landed(t, "no-identity-provider")
	})
}

// signedInAdmin signs the administrator in after the clock was moved.
func (c *clinic) signedInAdmin(t testing.TB) caller {
	t.Helper()
	return c.as(c.signIn(t, "own", rbac.Admin))
}

func TestAProviderThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	c, p := openWithProvider(t, scheduler)
	j := c.begin(t)
	back := p.SignIn(t, j.sentTo, scheduler.Subject)
	p.Stop()
	c.back(t, j, back).landed(t, "identity-provider-unavailable")
	fresh := secondInstance(t, c, c.database.Open(t), "OMNI_PUBLIC_URL="+publicURL, "OMNI_FRONTEND_URL="+frontendURL)
	fresh.as("").get(t, "/auth/oidc/"+c.own.id.String()+"/start?challenge="+challengeOf(verifier)).
		refused(t, http.StatusServiceUnavailable, "identity-provider-unavailable")
	c.admin().send(t, http.MethodPut, provider, body{"issuer": p.Issuer, "clientId": "x", "clientSecret": "x"}).
		refused(t, http.StatusUnprocessableEntity, "validation-failed")
	require.Equal(t, openidtest.ClientID, c.admin().get(t, provider).ok(t).body["clientId"], "nothing was changed")
}

// TestInternalErrorsRedirectToTheErrorPage checks that a browser from a provider ends on the
// frontend's page after any error, and never on a problem document.
func TestInternalErrorsRedirectToTheErrorPage(t *testing.T) {
	t.Parallel()
	server := dbtest.Server(t, true)
	c, p := openWithProviderOn(t, dbtest.Of(server), scheduler)
	j := c.begin(t)
	back := p.SignIn(t, j.sentTo, scheduler.Subject)

	odd := c.as("").get(t, "/auth/oidc/callback?state="+strings.Repeat("x", 300))
	require.Equal(t, []any{http.StatusFound, frontendURL + "#error=validation-failed"},
		[]any{odd.status, odd.header.Get("Location")})
	require.Equal(t, "no-store", odd.header.Get("Cache-Control"))

	_, err := c.owner(t).ExecContext(t.Context(),
		`ALTER TABLE audit_events ADD CONSTRAINT full_up CHECK (false) NOT VALID`)
	require.NoError(t, err)
	cancelled := *back
	cancelled.RawQuery = strings.Replace(back.RawQuery, "code=", "error=access_denied&was=", 1)
	c.back(t, j, &cancelled).landed(t, "not-recorded")

	require.NoError(t, server.Stop(t.Context()))
	c.back(t, j, back).landed(t, "database-unavailable")
}

func TestIdentityProvidersAreManaged(t *testing.T) {
	t.Parallel()
	c, p := openWithProvider(t)
	read := c.admin().get(t, provider).ok(t)
	require.Equal(t, []any{p.Issuer, openidtest.ClientID, redirectURI, float64(1)},
		[]any{read.body["issuer"], read.body["clientId"], read.body["callbackUrl"], read.body["version"]})
	require.NotContains(t, string(read.raw), openidtest.ClientSecret)
	settings := body{"issuer": p.Issuer, "clientId": "other", "clientSecret": "other"}
	changed := c.admin().with("If-Match", `"1"`).send(t, http.MethodPut, provider, settings).ok(t)
	require.Equal(t, `"2"`, changed.header.Get("ETag"))
	c.admin().with("If-Match", `"1"`).send(t, http.MethodPut, provider, settings).
		refused(t, http.StatusPreconditionFailed, "stale-version")
	c.admin().with("If-Match", `"1"`).delete(t, provider).refused(t, http.StatusPreconditionFailed, "stale-version")

	for _, role := range rbac.Roles() {
		if role != rbac.Admin {
			for _, a := range []answer{
				c.as(c.own.tokens[role]).get(t, provider),
				c.as(c.own.tokens[role]).send(t, http.MethodPut,
					provider, settings), c.as(c.own.tokens[role]).delete(t, provider),
			} {
				a.refused(t, http.StatusForbidden, "forbidden")
			}
		}
	}
	c.admin().post(t, "/api-keys", body{"name": "x", "permissions": []string{"identity-provider:manage"}}).
		refused(t, http.StatusUnprocessableEntity, "validation-failed")
	for _, invalid := range []body{
		{},
		{"issuer": p.Issuer + "/", "clientId": "x", "clientSecret": "x"},
		{"issuer": "nonsense", "clientId": "x", "clientSecret": "x"},
		{"issuer": p.Issuer, "clientId": "x"},
		{"issuer": p.Issuer, "clientId": "x", "clientSecret": "x", "organizationId": c.other.id},
	} {
		c.admin().send(t, http.MethodPut, provider, invalid).refused(t, http.StatusUnprocessableEntity, "validation-failed")
	}

	other := c.as(c.other.tokens[rbac.Admin])
	other.get(t, provider).refused(t, http.StatusNotFound, "no-identity-provider")
	other.delete(t, provider).refused(t, http.StatusNotFound, "no-identity-provider")
	unknown := c.as("").get(t, "/auth/oidc/"+uuid.NewString()+"/start?challenge="+challengeOf(verifier)).
		refused(t, http.StatusNotFound, "no-identity-provider")
	without := c.as("").get(t, "/auth/oidc/"+c.other.id.String()+"/start?challenge="+challengeOf(verifier)).
		refused(t, http.StatusNotFound, "no-identity-provider")
	require.Equal(t, unknown.text("detail"), without.text("detail"), "the answer does not reveal whether it exists")
	for _, wrong := range []string{"", "?challenge=x", "?challenge=" + strings.Repeat("x", 44)} {
		c.as("").get(t, "/auth/oidc/"+c.own.id.String()+"/start"+wrong).
			refused(t, http.StatusUnprocessableEntity, "validation-failed")
	}
	bare := open(t)
	bare.as("").get(t, "/auth/oidc/callback?state=x").refused(t, http.StatusUnauthorized, "sign-in-lost")
	bare.admin().send(t, http.MethodPut, provider, settings).refused(t, http.StatusConflict, "addresses-not-configured")
	bare.as("").get(t, "/auth/oidc/"+bare.own.id.String()+"/start?challenge="+challengeOf(verifier)).
		refused(t, http.StatusNotFound, "no-identity-provider")
	require.Equal(t, http.StatusNoContent, c.admin().delete(t, provider).status)
	c.admin().get(t, provider).refused(t, http.StatusNotFound, "no-identity-provider")
}
