package openid_test

import (
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/rbac/oidc/openid"
	"omnirapeutic/modules/rbac/oidc/openid/openidtest"
)

const redirect = "https://omni.test/callback"

var (
	ada = openidtest.Person{Subject: "ada-at-provider", Email: "Ada@example.test", Verified: true}
	bob = openidtest.Person{Subject: "bob-at-provider", Email: "bob@example.test"}
)

func settings(p *openidtest.Provider) openid.Settings {
	return openid.Settings{Issuer: p.Issuer, ClientID: openidtest.ClientID, ClientSecret: openidtest.ClientSecret, RedirectURL: redirect}
}

// trip begins an attempt and signs a person in at the provider.
func trip(t testing.TB, c *openid.Client, p *openidtest.Provider, subject string) (openid.Attempt, openid.Answer) {
	t.Helper()
	sentTo, attempt, err := c.Begin(t.Context(), settings(p))
	require.NoError(t, err)
	back := p.SignIn(t, sentTo, subject).Query()
	return attempt, openid.Answer{State: back.Get("state"), Code: back.Get("code"), Issuer: back.Get("iss"), Error: back.Get("error")}
}

func TestSignInAtARealProvider(t *testing.T) {
	t.Parallel()
	p := openidtest.Start(t, redirect, ada, bob)
	c := openid.New(time.Now, true)
	for _, who := range []openidtest.Person{ada, bob} {
		attempt, answer := trip(t, c, p, who.Subject)
		person, err := c.Finish(t.Context(), settings(p), attempt, answer)
		require.NoError(t, err)
		require.Equal(t, openid.Person{Subject: who.Subject, Email: who.Email, Verified: who.Verified}, person)

		_, err = c.Finish(t.Context(), settings(p), attempt, answer)
		require.ErrorIs(t, err, openid.ErrRefused, "a code works once")
	}
	p.Rotate(t)
	attempt, answer := trip(t, c, p, ada.Subject)
	_, err := c.Finish(t.Context(), settings(p), attempt, answer)
	require.NoError(t, err, "the provider signs with new keys")
}

func TestAuthorizationRequest(t *testing.T) {
	t.Parallel()
	p := openidtest.Start(t, redirect, ada)
	c := openid.New(time.Now, true)
	seen := map[string]bool{}
	for range 3 {
		sentTo, attempt, err := c.Begin(t.Context(), settings(p))
		require.NoError(t, err)
		u, err := url.Parse(sentTo)
		require.NoError(t, err)
		q := u.Query()
		require.Equal(t, []string{"code", "openid email", openidtest.ClientID, redirect, "S256"},
			[]string{q.Get("response_type"), q.Get("scope"), q.Get("client_id"), q.Get("redirect_uri"), q.Get("code_challenge_method")})
		for _, secret := range []string{q.Get("state"), q.Get("nonce"), q.Get("code_challenge")} {
			require.GreaterOrEqual(t, len(secret), 26, "at least 128 bits")
			require.False(t, seen[secret])
			seen[secret] = true
		}
		require.NotContains(t, sentTo, attempt.Verifier)
		require.NotContains(t, sentTo, openidtest.ClientSecret)
	}
}

func TestAnswersOfOtherAttemptsAreRefused(t *testing.T) {
	t.Parallel()
	p := openidtest.Start(t, redirect, ada)
	c := openid.New(time.Now, true)
	other, _ := trip(t, c, p, ada.Subject)
	for name, change := range map[string]func(s *openid.Settings, a *openid.Attempt, w *openid.Answer){
		"another state":                 func(_ *openid.Settings, _ *openid.Attempt, w *openid.Answer) { w.State = other.State },
		"no state":                      func(_ *openid.Settings, a *openid.Attempt, w *openid.Answer) { a.State, w.State = "", "" },
		"another nonce":                 func(_ *openid.Settings, a *openid.Attempt, _ *openid.Answer) { a.Nonce = other.Nonce },
		"no nonce":                      func(_ *openid.Settings, a *openid.Attempt, _ *openid.Answer) { a.Nonce = "" },
		"another verifier":              func(_ *openid.Settings, a *openid.Attempt, _ *openid.Answer) { a.Verifier = other.Verifier },
		"no verifier":                   func(_ *openid.Settings, a *openid.Attempt, _ *openid.Answer) { a.Verifier = "" },
		"another provider":              func(_ *openid.Settings, _ *openid.Attempt, w *openid.Answer) { w.Issuer = "https://evil.test" },
		"started with another provider": func(_ *openid.Settings, a *openid.Attempt, _ *openid.Answer) { a.Issuer = "https://evil.test" },
		"an error":                      func(_ *openid.Settings, _ *openid.Attempt, w *openid.Answer) { w.Error = "access_denied" },
		"no code":                       func(_ *openid.Settings, _ *openid.Attempt, w *openid.Answer) { w.Code = "" },
		"an invented code":              func(_ *openid.Settings, _ *openid.Attempt, w *openid.Answer) { w.Code = "made-up" },
		"another secret":                func(s *openid.Settings, _ *openid.Attempt, _ *openid.Answer) { s.ClientSecret = "guessed" },
		"another client":                func(s *openid.Settings, _ *openid.Attempt, _ *openid.Answer) { s.ClientID = "another-client" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := settings(p)
			attempt, answer := trip(t, c, p, ada.Subject)
			change(&s, &attempt, &answer)
			_, err := c.Finish(t.Context(), s, attempt, answer)
			require.ErrorIs(t, err, openid.ErrRefused)
			require.NotContains(t, err.Error(), "access_denied&")
			for _, secret := range []string{attempt.Verifier, openidtest.ClientSecret, answer.Code, "Ada@"} {
				if secret != "" {
					require.NotContains(t, err.Error(), secret, "it is logged")
				}
			}
		})
	}
}

// TestForgedIDTokens rewrites the id token between the provider and the client.
func TestForgedIDTokens(t *testing.T) {
	t.Parallel()
	for name, forge := range map[string]func(t *testing.T, p *openidtest.Provider, claims jwt.MapClaims) string{
		"another issuer": func(t *testing.T, p *openidtest.Provider, claims jwt.MapClaims) string {
			claims["iss"] = "https://evil.test"
			return p.Sign(t, claims)
		},
		"another audience": func(t *testing.T, p *openidtest.Provider, claims jwt.MapClaims) string {
			claims["aud"], claims["azp"] = []string{"another-client"}, "another-client"
			return p.Sign(t, claims)
		},
		"several audiences, issued to another": func(t *testing.T, p *openidtest.Provider, claims jwt.MapClaims) string {
			claims["aud"], claims["azp"] = []string{openidtest.ClientID, "another-client"}, "another-client"
			return p.Sign(t, claims)
		},
		"several audiences, no authorized party": func(t *testing.T, p *openidtest.Provider, claims jwt.MapClaims) string {
			claims["aud"] = []string{openidtest.ClientID, "another-client"}
			delete(claims, "azp")
			return p.Sign(t, claims)
		},
		"expired": func(t *testing.T, p *openidtest.Provider, claims jwt.MapClaims) string {
			claims["exp"] = time.Now().Add(-time.Minute).Unix()
			return p.Sign(t, claims)
		},
		"no nonce": func(t *testing.T, p *openidtest.Provider, claims jwt.MapClaims) string {
			delete(claims, "nonce")
			return p.Sign(t, claims)
		},
		"another access token": func(t *testing.T, p *openidtest.Provider, claims jwt.MapClaims) string {
			claims["at_hash"] = "dGhlIGhhc2ggb2Ygb3RoZXI"
			return p.Sign(t, claims)
		},
		"no subject": func(t *testing.T, p *openidtest.Provider, claims jwt.MapClaims) string {
			delete(claims, "sub")
			return p.Sign(t, claims)
		},
		"a subject other than that of the user info": func(t *testing.T, p *openidtest.Provider, claims jwt.MapClaims) string {
			claims["sub"] = "bob-at-provider"
			return p.Sign(t, claims)
		},
		"unsigned": func(t *testing.T, _ *openidtest.Provider, claims jwt.MapClaims) string {
			text, err := jwt.NewWithClaims(jwt.SigningMethodNone, claims).SignedString(jwt.UnsafeAllowNoneSignatureType)
			require.NoError(t, err)
			return text
		},
		"signed with the client's secret": func(t *testing.T, _ *openidtest.Provider, claims jwt.MapClaims) string {
			text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(openidtest.ClientSecret))
			require.NoError(t, err)
			return text
		},
		"signed with the public key as a secret": func(t *testing.T, p *openidtest.Provider, claims jwt.MapClaims) string {
			key, err := x509.MarshalPKIXPublicKey(p.PublicKey(t))
			require.NoError(t, err)
			text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).
				SignedString(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: key}))
			require.NoError(t, err)
			return text
		},
		"changed after it was signed": func(t *testing.T, p *openidtest.Provider, claims jwt.MapClaims) string {
			was := strings.Split(p.Sign(t, claims), ".")
			claims["email"], claims["email_verified"] = "admin@example.test", true
			is := strings.Split(p.Sign(t, claims), ".")
			return is[0] + "." + is[1] + "." + was[2]
		},
		"not a token": func(*testing.T, *openidtest.Provider, jwt.MapClaims) string { return "e30" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := openidtest.Start(t, redirect, ada, bob)
			c := openid.New(time.Now, true)
			attempt, answer := trip(t, c, p, ada.Subject)
			p.Rewrite(func(claims jwt.MapClaims) string { return forge(t, p, claims) })
			_, err := c.Finish(t.Context(), settings(p), attempt, answer)
			require.ErrorIs(t, err, openid.ErrRefused)
		})
	}
	t.Run("an unchanged token that is signed again is accepted", func(t *testing.T) {
		t.Parallel()
		p := openidtest.Start(t, redirect, ada)
		c := openid.New(time.Now, true)
		for _, verified := range []any{true, "true", false, "false", 1} {
			attempt, answer := trip(t, c, p, ada.Subject)
			p.Rewrite(func(claims jwt.MapClaims) string {
				claims["email"], claims["email_verified"] = "new@example.test", verified
				return p.Sign(t, claims)
			})
			person, err := c.Finish(t.Context(), settings(p), attempt, answer)
			require.NoError(t, err)
			want := openid.Person{Subject: ada.Subject, Email: "new@example.test", Verified: verified == true || verified == "true"}
			require.Equal(t, want, person)
		}
	})
}

func TestUnavailableProviders(t *testing.T) {
	t.Parallel()
	t.Run("it does not answer in time", func(t *testing.T) {
		t.Parallel()
		p := openidtest.Start(t, redirect, ada)
		c := openid.New(time.Now, true)
		attempt, answer := trip(t, c, p, ada.Subject)
		p.Silence(t)
		began := time.Now()
		_, err := c.Finish(t.Context(), settings(p), attempt, answer)
		require.ErrorIs(t, err, openid.ErrUnavailable)
		_, _, err = openid.New(time.Now, true).Begin(t.Context(), settings(p))
		require.ErrorIs(t, err, openid.ErrUnavailable)
		require.Less(t, time.Since(began), 12*time.Second)
	})
	t.Run("it refuses connections", func(t *testing.T) {
		t.Parallel()
		p := openidtest.Start(t, redirect, ada)
		c := openid.New(time.Now, true)
		attempt, answer := trip(t, c, p, ada.Subject)
		p.Stop()
		_, err := c.Finish(t.Context(), settings(p), attempt, answer)
		require.ErrorIs(t, err, openid.ErrUnavailable)
		require.ErrorIs(t, c.Check(t.Context(), p.Issuer), openid.ErrUnavailable)
	})
	t.Run("it is not a provider, or another one, or uses http", func(t *testing.T) {
		t.Parallel()
		var document string
		other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(document))
		}))
		defer other.Close()
		c := openid.New(time.Now, true)
		for _, document = range []string{
			"", "<html>", "{}", `{"issuer": "https://evil.test"}`, `{"issuer": "` + other.URL + `/"}`,
			`{"issuer": "` + other.URL + `"}`,
			`{"issuer": "` + other.URL + `", "authorization_endpoint": "javascript:alert(1)",
				"token_endpoint": "` + other.URL + `", "jwks_uri": "` + other.URL + `"}`,
			strings.Repeat(" ", 2<<20) + `{"issuer": "` + other.URL + `"}`,
		} {
			require.Error(t, c.Check(t.Context(), other.URL))
		}
	})
}

// TestProductionCallsPublicProvidersOnly starts a provider that is not public.
func TestProductionCallsPublicProvidersOnly(t *testing.T) {
	t.Parallel()
	p := openidtest.Start(t, redirect, ada)
	production := openid.New(time.Now, false)
	for _, issuer := range []string{
		p.Issuer, "http://accounts.example.test", "ftp://accounts.example.test", "accounts.example.test", "https://",
		"https://user@accounts.example.test", "https://accounts.example.test/#a", "",
	} {
		require.ErrorIs(t, production.Check(t.Context(), issuer), openid.ErrRefused, issuer)
	}
	inside := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the server was reached") }))
	defer inside.Close()
	for _, issuer := range []string{
		inside.URL, "https://169.254.169.254", "https://localhost:" + strings.Split(inside.URL, ":")[2], "https://[::1]",
	} {
		require.ErrorIs(t, production.Check(t.Context(), issuer), openid.ErrUnavailable, issuer)
	}
}

// TestClaimsAreReadByTheirExactNames: some providers let people add claims about themselves, such
// as "EMAIL".
func TestClaimsAreReadByTheirExactNames(t *testing.T) {
	t.Parallel()
	p := openidtest.Start(t, redirect, ada, bob)
	c := openid.New(time.Now, true)
	finish := func(change func(claims jwt.MapClaims)) (openid.Person, error) {
		attempt, answer := trip(t, c, p, ada.Subject)
		p.Rewrite(func(claims jwt.MapClaims) string {
			change(claims)
			return p.Sign(t, claims)
		})
		return c.Finish(t.Context(), settings(p), attempt, answer)
	}
	person, err := finish(func(claims jwt.MapClaims) {
		claims["email"], claims["email_verified"] = "ada@example.test", false
		claims["eMAIL"], claims["emaIl_verified"], claims["eMail_verified"] = "admin@example.test", true, true
	})
	require.NoError(t, err)
	require.Equal(t, openid.Person{Subject: ada.Subject, Email: "ada@example.test"}, person)
	_, err = finish(func(claims jwt.MapClaims) { claims["\u017Fub"] = bob.Subject })
	require.ErrorIs(t, err, openid.ErrRefused)
	person, err = finish(func(claims jwt.MapClaims) { claims["SUB"] = bob.Subject }) // comes before "sub"
	require.NoError(t, err)
	require.Equal(t, ada.Subject, person.Subject)
}
