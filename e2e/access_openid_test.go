package e2e

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/oidc/openid/openidtest"
	"omnirapeutic/platform/db/dbtest"
)

var (
	scheduler = openidtest.Person{Subject: "s-1", Email: "Scheduler@Own.test", Verified: true}
	stranger  = openidtest.Person{Subject: "x-1", Email: "unknown@own.test", Verified: true}
)

func TestSignInWithAnIdentityProvider(t *testing.T) {
	t.Parallel()
	c, p := harness.OpenWithProvider(t, scheduler)
	j := c.BeginProviderSignIn(t)
	require.True(t, j.Cookie.HttpOnly && j.Cookie.Secure && j.Cookie.SameSite == http.SameSiteLaxMode, j.Cookie)
	require.Equal(t, "/api/v1/auth/oidc", j.Cookie.Path)
	code := harness.SignInCode(t, c.ReturnFromProvider(t, j, p.SignIn(t, j.ProviderURL, scheduler.Subject)))
	signed := c.ConfirmLink(t, code).OK(t)
	require.Equal(t, "scheduler@own.test", signed.Body["user"].(map[string]any)["email"])
	require.Equal(t, []any{"SCHEDULER"}, signed.Body["user"].(map[string]any)["roles"],
		"roles come from the program, not from the provider")
	c.As(signed.Text("accessToken")).Get(t, "/patients").OK(t)
	require.NotContains(t, j.ProviderURL+code, signed.Text("accessToken"), "no token is in a URL")

	c.ExchangeCode(t, code, harness.Verifier).Refused(t, http.StatusUnauthorized, "sign-in-code")
	c.Exec(t, "UPDATE users SET email = 'another@own.test' WHERE email = 'scheduler@own.test'")
	again := c.ExchangeCode(t, harness.SignInCode(t, c.SignInWithProvider(t, p, scheduler.Subject)), harness.Verifier).
		OK(t)
	require.Equal(t, "another@own.test", again.Body["user"].(map[string]any)["email"], "recognized by the subject")

	events := c.Admin().Get(t, "/admin/audit-events?action=user.sign-in&limit=200").OK(t)
	require.Contains(t, string(events.Raw), `"after":{"method":"oidc"}`)
	require.Len(t, c.Admin().Get(t, "/admin/audit-events?action=user.link-provider").OK(t).Body["data"], 1)
	require.Len(t, c.Admin().Get(t, "/admin/audit-events?action=identity-provider.set").OK(t).Body["data"], 1)
	require.Zero(t, c.Count(t, "SELECT count(*) FROM identity_providers WHERE position($1::bytea IN "+
		"client_secret) > 0", []byte(openidtest.ClientSecret)))
	require.Zero(t, c.Count(t, "SELECT count(*) FROM sign_in_codes"), "used requests are removed")
	c.RequireClean(t)
}

func TestRefusedProviderSignIns(t *testing.T) {
	t.Parallel()
	email := func(of string, verified bool) openidtest.Person {
		return openidtest.Person{Subject: of, Email: of, Verified: verified}
	}
	c, p := harness.OpenWithProvider(t, scheduler, stranger,
		email("BILLER@own.test", false), email("SCHEDULER@other.test", true),
		email("SUPER_ADMIN@own.test", true), email("AUDITOR@own.test", true),
		email("", true), openidtest.Person{Subject: "s-2", Email: scheduler.Email, Verified: true})
	c.Exec(t, "UPDATE users SET status = 'DISABLED' WHERE email = 'auditor@own.test'")
	c.LinkProvider(t, p, scheduler.Subject)
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
		refused := c.SignInWithProvider(t, p, subject).RedirectedWithError(t, "not-recognized")
		reported[refused.Header.Get("Location")+string(refused.Raw)] = true
		last := c.Admin().Get(t, "/admin/audit-events?action=user.sign-in&outcome=denied&limit=1").OK(t)
		require.Contains(t, string(last.Raw), `"after":{"method":"oidc","reason":"`+reason+`"}`, subject)
	}
	require.Len(t, reported, 1, "it does not reveal which users exist")

	code := harness.SignInCode(t, c.SignInWithProvider(t, p, scheduler.Subject))
	c.Exec(t, "UPDATE users SET status = 'DISABLED' WHERE email = 'scheduler@own.test'")
	c.ExchangeCode(t, code, harness.Verifier).Refused(t, http.StatusUnauthorized, "sign-in-code")
	c.SignInWithProvider(t, p, scheduler.Subject).RedirectedWithError(t, "not-recognized")
	require.Equal(t, 1, c.Count(t, "SELECT count(*) FROM provider_subjects"))
	require.Equal(t, 2*len(rbac.Roles()), c.Count(t, "SELECT count(*) FROM users"), "no user is created")
}

func TestAttacksOnASignIn(t *testing.T) {
	t.Parallel()
	c, p := harness.OpenWithProvider(t, scheduler)
	second := harness.SecondInstance(t, c, c.Database.Open(t), "OMNI_PUBLIC_URL="+harness.PublicURL,
		"OMNI_FRONTEND_URL="+harness.FrontendURL)
	c.LinkProvider(t, p, scheduler.Subject)
	mine, theirs := c.BeginProviderSignIn(t), c.BeginProviderSignIn(t)
	back := p.SignIn(t, theirs.ProviderURL, scheduler.Subject)

	t.Run("a callback with a foreign state, and with none", func(t *testing.T) {
		c.ReturnFromProvider(t, mine, back).RedirectedWithError(t, "sign-in-lost")
		for _, cookie := range []string{"", "x", theirs.Cookie.Value + "A", strings.Repeat("A", len(theirs.Cookie.Value))} {
			c.ReturnFromProvider(t, harness.Journey{Cookie: &http.Cookie{Name: theirs.Cookie.Name, Value: cookie}}, back).
				RedirectedWithError(t, "sign-in-lost")
		}
		c.As("").Get(t, "/auth/oidc/callback?"+back.RawQuery).RedirectedWithError(t, "sign-in-lost")
	})
	t.Run("the provider refuses, with extra parameters", func(t *testing.T) {
		j := c.BeginProviderSignIn(t)
		sent, err := url.Parse(j.ProviderURL)
		require.NoError(t, err)
		no, err := url.Parse(harness.RedirectURI + "?error=access_denied&session_state=1&hd=own.test&state=" +
			sent.Query().Get("state"))
		require.NoError(t, err)
		c.ReturnFromProvider(t, j, no).RedirectedWithError(t, "sign-in-cancelled")
		last := c.Admin().Get(t, "/admin/audit-events?action=user.sign-in&outcome=denied&limit=1").OK(t)
		require.Contains(t, string(last.Raw), `"after":{"method":"oidc","reason":"cancelled"}`)
		other := c.BeginProviderSignIn(t)
		odd, err := url.Parse(strings.Replace(no.String(), "access_denied", "Ada%20Example%20%3Cscript%3E", 1))
		require.NoError(t, err)
		c.ReturnFromProvider(t, other, odd).RedirectedWithError(t, "sign-in-lost")
		sent, err = url.Parse(other.ProviderURL)
		require.NoError(t, err)
		odd, err = url.Parse(harness.RedirectURI + "?error=Ada%20Example&error_description=Ada&state=" + sent.Query().
			Get("state"))
		require.NoError(t, err)
		c.ReturnFromProvider(t, other, odd).RedirectedWithError(t, "not-recognized")
	})
	t.Run("another page, and too late", func(t *testing.T) {
		code := harness.SignInCode(t, second.ReturnFromProvider(t, theirs, back)) // any instance can finish it
		c.ExchangeCode(t, code, "what-another-page-of-the-frontend-thinks-it-is").
			Refused(t, http.StatusUnauthorized, "sign-in-code")
		c.ExchangeCode(t, code, harness.Verifier).Refused(t, http.StatusUnauthorized, "sign-in-code")
		c.ReturnFromProvider(t, theirs, back).RedirectedWithError(t, "not-recognized")
		for _, invented := range []string{
			"x", strings.Repeat("A", 60),
			base64.RawURLEncoding.EncodeToString(c.Own.ID[:]) + "made-up",
		} {
			c.ExchangeCode(t, invented, harness.Verifier).Refused(t, http.StatusUnauthorized, "sign-in-code")
		}
		late := harness.SignInCode(t, c.SignInWithProvider(t, p, scheduler.Subject))
		slow := c.BeginProviderSignIn(t)
		c.Clock.Advance(time.Minute)
		c.ExchangeCode(t, late, harness.Verifier).Refused(t, http.StatusUnauthorized, "sign-in-code")
		c.Clock.Advance(9 * time.Minute)
		c.ReturnFromProvider(t, slow, p.SignIn(t, slow.ProviderURL, scheduler.Subject)).RedirectedWithError(t, "sign-in-lost")
	})
	t.Run("a code that is exchanged concurrently is exchanged once", func(t *testing.T) {
		code := harness.SignInCode(t, c.SignInWithProvider(t, p, scheduler.Subject))
		answers := make([]harness.Answer, 8)
		harness.Concurrently(len(answers), func(i int) {
			answers[i] = []*harness.Clinic{c, second}[i%2].ExchangeCode(t, code,
				harness.Verifier)
		})
		signedIn := 0
		for _, a := range answers {
			if a.Status == http.StatusOK {
				signedIn++
				continue
			}
			a.Refused(t, http.StatusUnauthorized, "sign-in-code")
		}
		require.Equal(t, 1, signedIn)
	})
	t.Run("the provider's token is modified on its way", func(t *testing.T) {
		j := c.BeginProviderSignIn(t)
		back := p.SignIn(t, j.ProviderURL, scheduler.Subject)
		p.Rewrite(func(claims jwt.MapClaims) string {
			claims["aud"], claims["azp"] = "another-client", "another-client"
			return p.Sign(t, claims)
		})
		c.ReturnFromProvider(t, j, back).RedirectedWithError(t, "not-recognized")
		p.Rewrite(nil)
	})
	t.Run("the organization changes its provider meanwhile", func(t *testing.T) {
		j := c.BeginProviderSignIn(t)
		back := p.SignIn(t, j.ProviderURL, scheduler.Subject)
		other := openidtest.Start(t, harness.RedirectURI,
			openidtest.Person{Subject: scheduler.Subject, Email: "x@x.test", Verified: true})
		signInAdmin(t, c).Send(t, http.MethodPut, harness.ProviderPath,
			harness.Body{"issuer": other.Issuer, "clientId": openidtest.ClientID, "clientSecret": openidtest.ClientSecret}).OK(t)
		c.ReturnFromProvider(t, j, back).RedirectedWithError(t, "not-recognized")
		c.SignInWithProvider(t, other, scheduler.Subject).RedirectedWithError(t, "not-recognized")
		require.Equal(t, http.StatusNoContent, signInAdmin(t, c).Delete(t, harness.ProviderPath).Status)
		c.ReturnFromProvider(t, j, back).RedirectedWithError(t, "no-identity-provider")
	})
}

// signInAdmin signs the administrator in after the clock was moved.
func signInAdmin(t testing.TB, c *harness.Clinic) harness.Caller {
	t.Helper()
	return c.As(c.SignIn(t, "own", rbac.Admin))
}

func TestAProviderThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	c, p := harness.OpenWithProvider(t, scheduler)
	j := c.BeginProviderSignIn(t)
	back := p.SignIn(t, j.ProviderURL, scheduler.Subject)
	p.Stop()
	c.ReturnFromProvider(t, j, back).RedirectedWithError(t, "identity-provider-unavailable")
	fresh := harness.SecondInstance(t, c, c.Database.Open(t), "OMNI_PUBLIC_URL="+harness.PublicURL,
		"OMNI_FRONTEND_URL="+harness.FrontendURL)
	fresh.As("").Get(t, "/auth/oidc/"+c.Own.ID.String()+"/start?challenge="+harness.Challenge(harness.Verifier)).
		Refused(t, http.StatusServiceUnavailable, "identity-provider-unavailable")
	c.Admin().Send(t, http.MethodPut, harness.ProviderPath, harness.Body{
		"issuer": p.Issuer, "clientId": "x", "clientSecret": "x",
	}).
		Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	require.Equal(t, openidtest.ClientID, c.Admin().Get(t, harness.ProviderPath).OK(t).Body["clientId"],
		"nothing was changed")
}

// TestInternalErrorsRedirectToTheErrorPage checks that a browser from a provider ends on the
// frontend's page after any error, and never on a problem document.
func TestInternalErrorsRedirectToTheErrorPage(t *testing.T) {
	t.Parallel()
	server := dbtest.Server(t, true)
	c, p := harness.OpenWithProviderOn(t, dbtest.Of(server), scheduler)
	j := c.BeginProviderSignIn(t)
	back := p.SignIn(t, j.ProviderURL, scheduler.Subject)

	odd := c.As("").Get(t, "/auth/oidc/callback?state="+strings.Repeat("x", 300))
	require.Equal(t, []any{http.StatusFound, harness.FrontendURL + "#error=validation-failed"},
		[]any{odd.Status, odd.Header.Get("Location")})
	require.Equal(t, "no-store", odd.Header.Get("Cache-Control"))

	_, err := c.Owner(t).ExecContext(t.Context(),
		`ALTER TABLE audit_events ADD CONSTRAINT full_up CHECK (false) NOT VALID`)
	require.NoError(t, err)
	cancelled := *back
	cancelled.RawQuery = strings.Replace(back.RawQuery, "code=", "error=access_denied&was=", 1)
	c.ReturnFromProvider(t, j, &cancelled).RedirectedWithError(t, "not-recorded")

	require.NoError(t, server.Stop(t.Context()))
	c.ReturnFromProvider(t, j, back).RedirectedWithError(t, "database-unavailable")
}

func TestIdentityProvidersAreManaged(t *testing.T) {
	t.Parallel()
	c, p := harness.OpenWithProvider(t)
	read := c.Admin().Get(t, harness.ProviderPath).OK(t)
	require.Equal(t, []any{p.Issuer, openidtest.ClientID, harness.RedirectURI, float64(1)},
		[]any{read.Body["issuer"], read.Body["clientId"], read.Body["callbackUrl"], read.Body["version"]})
	require.NotContains(t, string(read.Raw), openidtest.ClientSecret)
	settings := harness.Body{"issuer": p.Issuer, "clientId": "other", "clientSecret": "other"}
	changed := c.Admin().WithHeader("If-Match", `"1"`).Send(t, http.MethodPut, harness.ProviderPath, settings).OK(t)
	require.Equal(t, `"2"`, changed.Header.Get("ETag"))
	c.Admin().WithHeader("If-Match", `"1"`).Send(t, http.MethodPut, harness.ProviderPath, settings).
		Refused(t, http.StatusPreconditionFailed, "stale-version")
	c.Admin().WithHeader("If-Match", `"1"`).Delete(t, harness.ProviderPath).
		Refused(t, http.StatusPreconditionFailed, "stale-version")

	for _, role := range rbac.Roles() {
		if role != rbac.Admin {
			for _, a := range []harness.Answer{
				c.As(c.Own.Tokens[role]).Get(t, harness.ProviderPath),
				c.As(c.Own.Tokens[role]).Send(t, http.MethodPut,
					harness.ProviderPath, settings), c.As(c.Own.Tokens[role]).Delete(t, harness.ProviderPath),
			} {
				a.Refused(t, http.StatusForbidden, "forbidden")
			}
		}
	}
	c.Admin().Post(t, "/api-keys", harness.Body{"name": "x", "permissions": []string{"identity-provider:manage"}}).
		Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	for _, invalid := range []harness.Body{
		{},
		{"issuer": p.Issuer + "/", "clientId": "x", "clientSecret": "x"},
		{"issuer": "nonsense", "clientId": "x", "clientSecret": "x"},
		{"issuer": p.Issuer, "clientId": "x"},
		{"issuer": p.Issuer, "clientId": "x", "clientSecret": "x", "organizationId": c.Other.ID},
	} {
		c.Admin().Send(t, http.MethodPut, harness.ProviderPath, invalid).
			Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	}

	other := c.As(c.Other.Tokens[rbac.Admin])
	other.Get(t, harness.ProviderPath).Refused(t, http.StatusNotFound, "no-identity-provider")
	other.Delete(t, harness.ProviderPath).Refused(t, http.StatusNotFound, "no-identity-provider")
	unknown := c.As("").Get(t, "/auth/oidc/"+uuid.NewString()+"/start?challenge="+harness.Challenge(harness.Verifier)).
		Refused(t, http.StatusNotFound, "no-identity-provider")
	without := c.As("").Get(t, "/auth/oidc/"+c.Other.ID.String()+"/start?challenge="+harness.Challenge(harness.Verifier)).
		Refused(t, http.StatusNotFound, "no-identity-provider")
	require.Equal(t, unknown.Text("detail"), without.Text("detail"), "the answer does not reveal whether it exists")
	for _, query := range []string{"", "?challenge=x", "?challenge=" + strings.Repeat("x", 44)} {
		c.As("").Get(t, "/auth/oidc/"+c.Own.ID.String()+"/start"+query).
			Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	}
	bare := harness.Open(t)
	bare.As("").Get(t, "/auth/oidc/callback?state=x").Refused(t, http.StatusUnauthorized, "sign-in-lost")
	bare.Admin().Send(t, http.MethodPut, harness.ProviderPath, settings).
		Refused(t, http.StatusConflict, "addresses-not-configured")
	bare.As("").Get(t, "/auth/oidc/"+bare.Own.ID.String()+"/start?challenge="+harness.Challenge(harness.Verifier)).
		Refused(t, http.StatusNotFound, "no-identity-provider")
	require.Equal(t, http.StatusNoContent, c.Admin().Delete(t, harness.ProviderPath).Status)
	c.Admin().Get(t, harness.ProviderPath).Refused(t, http.StatusNotFound, "no-identity-provider")
}
