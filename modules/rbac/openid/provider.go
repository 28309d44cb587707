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

// fresh is for how long what a provider says of itself is not asked again. Its keys
// are read anew whenever it signs with one that is not known.
const fresh = time.Hour

// maxProviders bounds how many providers are remembered.
const maxProviders = 1000

// provider is a provider with what it says of itself.
type provider struct {
	*oidc.Provider
	style      oauth2.AuthStyle // how it wants to be shown the client's secret
	algorithms []string         // that it may sign with
	keys       oidc.KeySet      // that it signs with
	until      time.Time
}

// endpoint returns where to send people, and where codes are exchanged.
func (p *provider) endpoint() oauth2.Endpoint {
	e := p.Endpoint()
	e.AuthStyle = p.style
	return e
}

// providers remembers what providers have said. The zero value is empty.
type providers struct {
	mutex sync.Mutex
	known map[string]*provider // by issuer
}

func (c *Client) provider(ctx context.Context, issuer string) (*provider, error) {
	now := c.clock()
	c.providers.mutex.Lock()
	known := c.providers.known[issuer]
	c.providers.mutex.Unlock()
	if known != nil && now.Before(known.until) {
		return known, nil
	}
	found, err := c.discover(ctx, issuer)
	if err != nil {
		return nil, err
	}
	found.until = now.Add(fresh)
	c.providers.mutex.Lock()
	defer c.providers.mutex.Unlock()
	if c.providers.known == nil || len(c.providers.known) >= maxProviders {
		c.providers.known = map[string]*provider{}
	}
	c.providers.known[issuer] = found
	return found, nil
}

// discover reads what a provider says of itself (OpenID Connect Discovery 1.0), and
// that it says it of the issuer.
func (c *Client) discover(ctx context.Context, issuer string) (*provider, error) {
	if !c.isAllowed(issuer) {
		return nil, refused(errors.New("the issuer is no https URL"))
	}
	found, err := oidc.NewProvider(oidc.ClientContext(ctx, c.http), issuer)
	if mismatch, ok := errors.AsType[*oidc.IssuerMismatchError](err); ok {
		return nil, refused(mismatch)
	}
	if err != nil {
		if err = told(err, errDiscovery); errors.Is(err, errDiscovery) {
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
			return nil, refused(errors.New("one of its endpoints is no https URL"))
		}
	}
	p := &provider{
		Provider: found, style: oauth2.AuthStyleInHeader, // the default of Discovery 1.0, section 3
		algorithms: slices.DeleteFunc(more.Algorithms, func(a string) bool { return !slices.Contains(publicKey, a) }),
		keys:       oidc.NewRemoteKeySet(oidc.ClientContext(context.WithoutCancel(ctx), c.http), more.Keys),
	}
	if len(p.algorithms) == 0 {
		p.algorithms = []string{oidc.RS256} // which all must know
	}
	if len(more.Methods) > 0 && !slices.Contains(more.Methods, "client_secret_basic") {
		p.style = oauth2.AuthStyleInParams
	}
	return p, nil
}

// isAllowed reports whether the address may be that of a provider.
func (c *Client) isAllowed(address string) bool {
	u, err := url.Parse(address)
	return err == nil && u.Hostname() != "" && u.User == nil && u.Fragment == "" && (u.Scheme == "https" || c.open && u.Scheme == "http")
}

func refused(cause error) error { return fmt.Errorf("%w: %w", ErrRefused, cause) }

// told says whether the provider has refused, or could not be asked. Of an error
// that is neither it tells the other one: its own text may repeat what was sent.
func told(err, other error) error {
	if answer, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		// Neither its text nor its body: they may repeat what was sent.
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

// publicKey are the algorithms of signatures that are believed: those with a public
// key. Not none, nor HS256, whose key is the client's secret, whatever a provider or
// the header of a token says.
var publicKey = []string{
	oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.EdDSA,
}

// errDiscovery says that what was read is not what a provider says of itself.
var errDiscovery = errors.New("what it says of itself cannot be read")

// asked are the keys of a provider, and whether they could not be had: the verifier
// does not tell that from a wrong signature.
type asked struct {
	oidc.KeySet
	failed error
}

// VerifySignature implements [oidc.KeySet].
func (a *asked) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	payload, err := a.KeySet.VerifySignature(ctx, token)
	if err != nil {
		if cause := told(err, ErrRefused); errors.Is(cause, ErrUnavailable) {
			a.failed = cause
		}
	}
	return payload, err
}

// bounded reads no more of an answer than there should be.
type bounded struct{ http.RoundTripper }

// RoundTrip sends a request.
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
