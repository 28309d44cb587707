package openid

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// fresh is how long a provider's configuration is cached. Its keys are also loaded again when a
// signature names an unknown one.
const fresh = time.Hour

// maxProviders is the maximum number of cached providers.
const maxProviders = 1000

// provider is a provider with its configuration.
type provider struct {
	*oidc.Provider
	style      oauth2.AuthStyle // how it expects the client secret
	algorithms []string         // signature algorithms that it may use
	keys       oidc.KeySet      // its public keys
	until      time.Time
}

// endpoint returns the authorization and token endpoints.
func (p *provider) endpoint() oauth2.Endpoint {
	e := p.Endpoint()
	e.AuthStyle = p.style
	return e
}

// providers caches configurations of providers. The zero value is empty.
type providers struct {
	mutex    sync.Mutex
	byIssuer map[string]*provider
}

func (c *Client) provider(ctx context.Context, issuer string) (*provider, error) {
	now := c.clock()
	c.providers.mutex.Lock()
	cached := c.providers.byIssuer[issuer]
	c.providers.mutex.Unlock()
	if cached != nil && now.Before(cached.until) {
		return cached, nil
	}
	found, err := c.discover(ctx, issuer)
	if err != nil {
		return nil, err
	}
	found.until = now.Add(fresh)
	c.providers.mutex.Lock()
	defer c.providers.mutex.Unlock()
	if c.providers.byIssuer == nil || len(c.providers.byIssuer) >= maxProviders {
		c.providers.byIssuer = map[string]*provider{}
	}
	c.providers.byIssuer[issuer] = found
	return found, nil
}

// discover loads a provider's configuration (OpenID Connect Discovery 1.0), and verifies that it
// belongs to the issuer.
func (c *Client) discover(ctx context.Context, issuer string) (*provider, error) {
	if !c.isAllowed(issuer) {
		return nil, refused(errors.New("the issuer is not an https URL"))
	}
	found, err := oidc.NewProvider(oidc.ClientContext(ctx, c.http), issuer)
	if mismatch, ok := errors.AsType[*oidc.IssuerMismatchError](err); ok {
		return nil, refused(mismatch)
	}
	if err != nil {
		if err = classify(err, errDiscovery); errors.Is(err, errDiscovery) {
			err = fmt.Errorf("%w: %w", ErrUnavailable, errDiscovery)
		}
		return nil, err
	}
	var more struct {
		Keys       string   `json:"jwks_uri"`
		Methods    []string `json:"token_endpoint_auth_methods_supported"`
		Algorithms []string `json:"id_token_signing_alg_values_supported"`
	}
	if err := found.Claims(&more); err != nil {
		return nil, refused(err)
	}
	needed := []string{found.Endpoint().AuthURL, found.Endpoint().TokenURL, more.Keys}
	if info := found.UserInfoEndpoint(); info != "" {
		needed = append(needed, info)
	}
	for _, address := range needed {
		if !c.isAllowed(address) {
			return nil, refused(errors.New("an endpoint is not an https URL"))
		}
	}
	p := &provider{
		Provider: found, style: oauth2.AuthStyleInHeader, // the default of Discovery 1.0, section 3
		algorithms: slices.DeleteFunc(more.Algorithms, func(a string) bool { return !slices.Contains(publicKey, a) }),
		keys:       oidc.NewRemoteKeySet(oidc.ClientContext(context.WithoutCancel(ctx), c.http), more.Keys),
	}
	if len(p.algorithms) == 0 {
		p.algorithms = []string{oidc.RS256} // mandatory for all providers
	}
	if len(more.Methods) > 0 && !slices.Contains(more.Methods, "client_secret_basic") {
		p.style = oauth2.AuthStyleInParams
	}
	return p, nil
}

// isAllowed reports whether a provider may have the address.
func (c *Client) isAllowed(address string) bool {
	u, err := url.Parse(address)
	isWeb := err == nil && u.Hostname() != "" && u.User == nil && u.Fragment == ""
	return isWeb && (u.Scheme == "https" || c.open && u.Scheme == "http")
}

func refused(cause error) error { return fmt.Errorf("%w: %w", ErrRefused, cause) }

// classify classifies an error as a refusal or as an unavailable provider. It replaces the text of
// any other error by other, because the text may contain sent secrets.
func classify(err, other error) error {
	if answer, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		// The text and the body may contain sent secrets.
		cause := fmt.Errorf("the token endpoint answered %d %q", answer.Response.StatusCode, answer.ErrorCode)
		if answer.Response.StatusCode >= http.StatusInternalServerError {
			return fmt.Errorf("%w: %w", ErrUnavailable, cause)
		}
		return refused(cause)
	}
	if unreached, ok := errors.AsType[*url.Error](err); ok {
		return fmt.Errorf("%w: %w", ErrUnavailable, unreached.Err) // without the URL
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return refused(other)
}

// publicKey are the accepted signature algorithms: those with a public key. They exclude "none"
// and HS256, whose key is the client secret, even if a provider or a token's header names them.
var publicKey = []string{
	oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.EdDSA,
}

// errDiscovery is returned for an invalid configuration of a provider.
var errDiscovery = errors.New("cannot read the provider's configuration")

// checkedKeys are the keys of a provider. It records whether loading them failed, which the verifier
// does not distinguish from a wrong signature.
type checkedKeys struct {
	oidc.KeySet
	failed error
}

// VerifySignature implements [oidc.KeySet].
func (a *checkedKeys) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	payload, err := a.KeySet.VerifySignature(ctx, token)
	if err != nil {
		if cause := classify(err, ErrRefused); errors.Is(cause, ErrUnavailable) {
			a.failed = cause
		}
	}
	return payload, err
}

// bounded limits the size of responses.
type bounded struct{ http.RoundTripper }

// RoundTrip implements [http.RoundTripper].
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		response.Body = limited{io.LimitReader(response.Body, maxAnswer), response.Body}
	}
	return response, err
}

type limited struct {
	io.Reader
	io.Closer
}
