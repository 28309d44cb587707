// Package openid signs people in with identity providers of their organizations, by
// the code flow of OpenID Connect Core 1.0 (section 3.1) with PKCE (RFC 7636). It
// knows the protocol, and neither users nor a database.
package openid

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"omnirapeutic/platform/outbound"
)

// What can go wrong with a provider. Errors of this package are one of them, and
// tell the cause, which is for logs and not for whoever signs in.
var (
	// ErrUnavailable: the provider does not answer, or not in time, or is broken.
	ErrUnavailable = errors.New("the identity provider is not available")
	// ErrRefused: the provider does not say who it is, or what it says is not valid.
	ErrRefused = errors.New("the identity provider's answer does not prove who it is")
)

// Bounds of what is asked of a provider.
const (
	timeout    = 4 * time.Second // of one request; a sign-in makes up to four of them
	signInTime = 12 * time.Second
	maxAnswer  = 1 << 20 // bytes
)

// Settings are what an organization and its provider have agreed on.
type Settings struct {
	Issuer       string // the provider's name for itself, to the letter
	ClientID     string // its name for this program
	ClientSecret string
	RedirectURL  string // where it sends people back to
}

// Attempt is one person's way to the provider and back. It is a secret of the
// browser that is on the way.
type Attempt struct {
	Issuer   string // where the person was sent
	State    string // comes back with the person
	Nonce    string // comes back in what the provider signs
	Verifier string // shows the provider that who was sent and who comes are the same
}

// Answer is what a person comes back with.
type Answer struct {
	State  string
	Code   string
	Issuer string // RFC 9207; many providers do not say it
	Error  string // in the place of a code
}

// Person is who the provider says it is.
type Person struct {
	Subject  string // the provider's name for the person, which never changes
	Email    string // may be empty
	Verified bool   // the provider knows that the address is the person's
}

// Client speaks with any number of providers. Safe for concurrent use.
type Client struct {
	http      *http.Client
	clock     func() time.Time
	open      bool
	providers providers
}

// New returns a client. Unless any address will do, providers must have public
// addresses and speak https, as the specification wants; tests have them at hand.
func New(clock func() time.Time, anyAddress bool) *Client {
	client := outbound.NewClient(timeout, anyAddress)
	client.Transport = bounded{client.Transport}
	return &Client{http: client, clock: clock, open: anyAddress}
}

// Check asks whether there is a provider of the name. The error is [ErrUnavailable]
// or [ErrRefused].
func (c *Client) Check(ctx context.Context, issuer string) error {
	_, err := c.discover(ctx, issuer)
	return err
}

// Begin returns where to send a person, and what to remember until they come back.
// The error is [ErrUnavailable] or [ErrRefused].
func (c *Client) Begin(ctx context.Context, s Settings) (url string, a Attempt, err error) {
	p, err := c.provider(ctx, s.Issuer)
	if err != nil {
		return "", Attempt{}, err
	}
	a = Attempt{Issuer: s.Issuer, State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier()}
	return s.config(p).AuthCodeURL(a.State, oidc.Nonce(a.Nonce), oauth2.S256ChallengeOption(a.Verifier)), a, nil
}

// Finish returns whom the provider has recognized, once all that it says was
// verified: state, issuer, signature, audience, times, nonce, and the hash of the
// access token where there is one. The error is [ErrUnavailable] or [ErrRefused].
func (c *Client) Finish(ctx context.Context, s Settings, a Attempt, with Answer) (Person, error) {
	ctx, cancel := context.WithTimeout(ctx, signInTime)
	defer cancel()
	switch {
	case !same(a.State, with.State):
		return Person{}, refused(errors.New("the state is of another attempt"))
	case a.Issuer != s.Issuer || with.Issuer != "" && with.Issuer != s.Issuer:
		return Person{}, refused(errors.New("the answer is of another provider"))
	case with.Error != "":
		return Person{}, refused(fmt.Errorf("it answered %s", named(with.Error)))
	case with.Code == "":
		return Person{}, refused(errors.New("there is no code"))
	}
	p, err := c.provider(ctx, s.Issuer)
	if err != nil {
		return Person{}, err
	}
	ctx = oidc.ClientContext(ctx, c.http)
	tokens, err := s.config(p).Exchange(ctx, with.Code, oauth2.VerifierOption(a.Verifier))
	if err != nil {
		return Person{}, told(err, errors.New("the token endpoint's answer cannot be read"))
	}
	return c.verify(ctx, p, s, a, tokens)
}

// verify reads what the provider has signed, as OpenID Connect Core 1.0, section
// 3.1.3.7 wants it.
func (c *Client) verify(ctx context.Context, p *provider, s Settings, a Attempt, tokens *oauth2.Token) (Person, error) {
	raw, ok := tokens.Extra("id_token").(string)
	if !ok {
		return Person{}, refused(errors.New("there is no id token"))
	}
	keys := &asked{KeySet: p.keys}
	id, err := oidc.NewVerifier(s.Issuer, keys, &oidc.Config{ClientID: s.ClientID, SupportedSigningAlgs: p.algorithms, Now: c.clock}).Verify(ctx, raw)
	if keys.failed != nil {
		return Person{}, keys.failed
	}
	if err != nil {
		return Person{}, refused(err)
	}
	var claims claims
	if err := id.Claims(&claims); err != nil {
		return Person{}, refused(err)
	}
	switch {
	case !same(a.Nonce, id.Nonce):
		return Person{}, refused(errors.New("the nonce is of another attempt"))
	case claims.AuthorizedParty != "" && claims.AuthorizedParty != s.ClientID, len(id.Audience) > 1 && claims.AuthorizedParty == "":
		return Person{}, refused(errors.New("the id token was issued to somebody else"))
	case id.Subject == "":
		return Person{}, refused(errors.New("the id token names nobody"))
	case claims.Subject != id.Subject:
		return Person{}, refused(errors.New("the id token names two people"))
	}
	if id.AccessTokenHash != "" {
		if err := id.VerifyAccessToken(tokens.AccessToken); err != nil {
			return Person{}, refused(err)
		}
	}
	person := Person{id.Subject, claims.Email, bool(claims.EmailVerified)}
	if person.Email == "" && p.UserInfoEndpoint() != "" { // with an access token, many providers tell it only there: section 5.4
		return c.lookUp(ctx, p, person, tokens)
	}
	return person, nil
}

// lookUp asks the provider for the address of a person whom it has recognized.
func (c *Client) lookUp(ctx context.Context, p *provider, person Person, tokens *oauth2.Token) (Person, error) {
	info, err := p.UserInfo(ctx, oauth2.StaticTokenSource(tokens))
	if err != nil {
		return Person{}, told(err, errors.New("the user info cannot be read"))
	}
	if info.Subject != person.Subject { // section 5.3.2: it may be somebody else's
		return Person{}, refused(errors.New("the user info is of somebody else"))
	}
	var claims claims
	if err := info.Claims(&claims); err != nil {
		return Person{}, refused(err)
	}
	if claims.Subject != info.Subject {
		return Person{}, refused(errors.New("the user info names two people"))
	}
	person.Email, person.Verified = claims.Email, bool(claims.EmailVerified)
	return person, nil
}

// claims are the claims about a person that the program reads.
type claims struct {
	Subject         string
	AuthorizedParty string
	Email           string
	EmailVerified   truth
}

// UnmarshalJSON reads members by their exact names. encoding/json would also accept "EMAIL" for
// "email", and some providers let people choose the names of further claims.
func (c *claims) UnmarshalJSON(b []byte) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(b, &members); err != nil {
		return err
	}
	for name, into := range map[string]any{
		"sub": &c.Subject, "azp": &c.AuthorizedParty, "email": &c.Email, "email_verified": &c.EmailVerified,
	} {
		if value, ok := members[name]; ok {
			if err := json.Unmarshal(value, into); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s Settings) config(p *provider) *oauth2.Config {
	return &oauth2.Config{
		ClientID: s.ClientID, ClientSecret: s.ClientSecret, RedirectURL: s.RedirectURL,
		Endpoint: p.endpoint(), Scopes: []string{oidc.ScopeOpenID, oidc.ScopeEmail},
	}
}

// truth is a boolean that some providers write as a text.
type truth bool

// UnmarshalJSON reads true and "true"; anything else is not true.
func (t *truth) UnmarshalJSON(b []byte) error {
	*t = truth(slices.Contains([]string{"true", `"true"`}, strings.TrimSpace(string(b))))
	return nil
}

var errorCode = regexp.MustCompile(`^[a-z_]{1,40}$`)

// named returns an error code as the specifications have them, and of another text,
// which anybody can have written, that it is one.
func named(code string) string {
	if errorCode.MatchString(code) {
		return code
	}
	return "an error of its own"
}

func same(a, b string) bool { return a != "" && subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
