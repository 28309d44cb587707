// Package openidtest runs a real identity provider within a test: the OpenID provider of zitadel,
// over HTTP, with people who can sign in. Tests can alter what it signs, as an attacker would.
package openidtest

import (
	"context"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// Person is a person with an account at the provider.
type Person struct {
	Subject  string
	Email    string
	Verified bool
}

// The credentials of the program at the provider.
const (
	ClientID     = "omnirapeutic"
	ClientSecret = "known to the provider"
)

// Provider is a running provider. Safe for concurrent use.
type Provider struct {
	Issuer   string
	redirect string
	people   people
	server   *httptest.Server

	mutex   sync.Mutex
	storage *storage.Storage
	handler http.Handler
	rewrite func(claims jwt.MapClaims) string
	silent  chan struct{}
}

// people is the provider's store of users.
type people map[string]*storage.User

// GetUserByID implements storage.UserStore.
func (p people) GetUserByID(id string) *storage.User { return p[id] }

// GetUserByUsername implements storage.UserStore.
func (p people) GetUserByUsername(name string) *storage.User { return p[name] }

// ExampleClientID implements storage.UserStore.
func (people) ExampleClientID() string { return storage.ServiceUserID }

// Start starts a provider that redirects browsers to an address.
func Start(t testing.TB, redirect string, persons ...Person) *Provider {
	t.Helper()
	p := &Provider{redirect: redirect, people: people{}}
	for _, person := range persons {
		p.people[person.Subject] = &storage.User{
			ID: person.Subject, Username: person.Subject, Password: "pass", Email: person.Email, EmailVerified: person.Verified,
		}
	}
	p.server = httptest.NewServer(p)
	t.Cleanup(p.server.Close)
	p.Issuer = p.server.URL
	p.Rotate(t)
	return p
}

// Rotate replaces the provider's signing keys; the earlier keys are removed.
func (p *Provider) Rotate(t testing.TB) {
	t.Helper()
	users := storage.NewStorageWithClients(p.people,
		map[string]*storage.Client{ClientID: storage.WebClient(ClientID, ClientSecret, p.redirect)})
	provider, err := op.NewProvider(&op.Config{
		CryptoKey: sha256.Sum256([]byte("test")), CryptoKeyId: "test", CodeMethodS256: true,
	}, users, op.StaticIssuer(p.Issuer), op.WithAllowInsecure())
	require.NoError(t, err)
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.storage, p.handler = users, provider
}

// Stop stops the provider, so that connections fail.
func (p *Provider) Stop() { p.server.Close() }

// Silence makes the provider accept requests without answering them, until the test ends.
func (p *Provider) Silence(t testing.TB) {
	t.Helper()
	p.mutex.Lock()
	defer p.mutex.Unlock()
	silent := make(chan struct{})
	p.silent = silent
	t.Cleanup(func() { close(silent) })
}

// Rewrite replaces the provider's id tokens by the result of the function; nil: no longer.
func (p *Provider) Rewrite(by func(claims jwt.MapClaims) string) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.rewrite = by
}

// Sign signs any claims with the provider's key.
func (p *Provider) Sign(t testing.TB, claims jwt.MapClaims) string {
	t.Helper()
	key, err := p.storage.SigningKey(context.Background())
	require.NoError(t, err)
	token := jwt.NewWithClaims(jwt.SigningMethodRS256, claims)
	token.Header["kid"] = key.ID()
	text, err := token.SignedString(key.Key())
	require.NoError(t, err)
	return text
}

// PublicKey returns the public key for the provider's signatures.
func (p *Provider) PublicKey(t testing.TB) *rsa.PublicKey {
	t.Helper()
	key, err := p.storage.SigningKey(context.Background())
	require.NoError(t, err)
	return &key.Key().(*rsa.PrivateKey).PublicKey
}

// ServeHTTP serves the provider.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mutex.Lock()
	handler, rewrite, silent := p.handler, p.rewrite, p.silent
	p.mutex.Unlock()
	if silent != nil {
		select {
		case <-silent:
		case <-r.Context().Done():
		}
		return
	}
	if rewrite == nil || r.URL.Path != "/oauth/token" {
		handler.ServeHTTP(w, r)
		return
	}
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, r)
	var tokens map[string]any
	if json.Unmarshal(answer.Body.Bytes(), &tokens) == nil && tokens["id_token"] != nil {
		claims := jwt.MapClaims{}
		if _, _, err := jwt.NewParser().ParseUnverified(tokens["id_token"].(string), claims); err == nil {
			tokens["id_token"] = rewrite(claims)
		}
	}
	text, _ := json.Marshal(tokens)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(answer.Code)
	_, _ = w.Write(text)
}

// SignIn follows the redirects to the provider, signs the person in, and returns the final
// redirect without following it.
func (p *Provider) SignIn(t testing.TB, sentTo, subject string) *url.URL {
	t.Helper()
	browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	follow := func(address string) *url.URL {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
		require.NoError(t, err)
		response, err := browser.Do(request)
		require.NoError(t, err)
		defer response.Body.Close()
		require.Equal(t, http.StatusFound, response.StatusCode)
		to, err := response.Location()
		require.NoError(t, err)
		return to
	}
	login := follow(sentTo)
	if strings.HasPrefix(login.String(), p.redirect) {
		return login // refused immediately
	}
	id := login.Query().Get("authRequestID")
	require.NoError(t, p.storage.CheckUsernamePassword(subject, "pass", id), "the user name and password of the login form")
	return follow(p.Issuer + "/authorize/callback?id=" + id)
}
