// Package openid signs people in with identity providers of their organizations, by the code flow
// of OpenID Connect Core 1.0 (section 3.1) with PKCE (RFC 7636). It implements the protocol and
// knows neither users nor a database.
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

	"omnirapeutic/platform/safehttp"
	"omnirapeutic/platform/tracing"
)

// The errors of this package. Every error wraps one of them and its cause, which is for logs and
// not for the person who signs in.
var (
	// ErrUnavailable is returned if the provider does not answer in time or reports a failure.
	ErrUnavailable = errors.New("the identity provider is not available")
	// ErrRefused is returned if the provider's answer is a refusal or invalid.
	ErrRefused = errors.New("the identity provider's answer does not prove the person's identity")
)

// Limits of requests to a provider.
const (
	timeout    = 4 * time.Second // of one request; a sign-in makes up to four
	signInTime = 12 * time.Second
	maxAnswer  = 1 << 20 // bytes
)

// Settings are the settings of an organization's provider.
type Settings struct {
	Issuer       string // the provider's exact issuer
	ClientID     string // this program's id at the provider
	ClientSecret string
	RedirectURL  string // where it redirects browsers after the sign-in
}

// Attempt is the secret state of one sign-in, which the browser carries.
type Attempt struct {
	Issuer   string // the provider to which the person was sent
	State    string // returned by the browser
	Nonce    string // returned in the signed id token
	Verifier string // proves to the provider that the code's exchange belongs to this attempt
}

// Answer holds the parameters of the provider's redirect.
type Answer struct {
	State  string
	Code   string
	Issuer string // RFC 9207; many providers omit it
	Error  string // instead of a code
}

// Person is the identity that the provider reports.
type Person struct {
	Subject  string // the provider's permanent id of the person
	Email    string // may be empty
	Verified bool   // whether the provider has verified the address
}

// Client is a client for any number of providers. Safe for concurrent use.
type Client struct {
	http      *http.Client
	clock     func() time.Time
	open      bool
	providers providers
}

// New returns a client. Without anyAddress, providers must have public addresses and use https,
// as the specification requires. Tests set anyAddress.
func New(clock func() time.Time, anyAddress bool) *Client {
	client := safehttp.NewClient(timeout, anyAddress)
	client.Transport = tracing.Transport(bounded{client.Transport}, tracing.PeerIdentity)
	return &Client{http: client, clock: clock, open: anyAddress}
}

// Check checks that a provider answers at the issuer. The error is [ErrUnavailable] or
// [ErrRefused].
func (c *Client) Check(ctx context.Context, issuer string) error {
	_, err := c.discover(ctx, issuer)
	return err
}

// Begin returns the URL for the browser and the state of the attempt. The error is
// [ErrUnavailable] or [ErrRefused].
func (c *Client) Begin(ctx context.Context, s Settings) (url string, a Attempt, err error) {
	p, err := c.provider(ctx, s.Issuer)
	if err != nil {
		return "", Attempt{}, err
	}
	a = Attempt{Issuer: s.Issuer, State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier()}
	return s.config(p).AuthCodeURL(a.State, oidc.Nonce(a.Nonce), oauth2.S256ChallengeOption(a.Verifier)), a, nil
}

// Finish returns the person whom the provider has recognized. It verifies state, issuer,
// signature, audience, times, nonce and, if there is an access token, its hash. The error is
// [ErrUnavailable] or [ErrRefused].
func (c *Client) Finish(ctx context.Context, s Settings, a Attempt, with Answer) (Person, error) {
	ctx, cancel := context.WithTimeout(ctx, signInTime)
	defer cancel()
	switch {
	case !same(a.State, with.State):
		return Person{}, refused(errors.New("the state belongs to another attempt"))
	case a.Issuer != s.Issuer || with.Issuer != "" && with.Issuer != s.Issuer:
		return Person{}, refused(errors.New("the answer is from another provider"))
	case with.Error != "":
		return Person{}, refused(fmt.Errorf("it answered %s", named(with.Error)))
	case with.Code == "":
		return Person{}, refused(errors.New("the answer has no code"))
	}
	p, err := c.provider(ctx, s.Issuer)
	if err != nil {
		return Person{}, err
	}
	ctx = oidc.ClientContext(ctx, c.http)
	tokens, err := s.config(p).Exchange(ctx, with.Code, oauth2.VerifierOption(a.Verifier))
	if err != nil {
		return Person{}, classify(err, errors.New("cannot read the answer of the token endpoint"))
	}
	return c.verify(ctx, p, s, a, tokens)
}

// verify verifies the id token according to OpenID Connect Core 1.0, section 3.1.3.7.
func (c *Client) verify(ctx context.Context, p *provider, s Settings, a Attempt, tokens *oauth2.Token) (Person, error) {
	raw, ok := tokens.Extra("id_token").(string)
	if !ok {
		return Person{}, refused(errors.New("the answer has no id token"))
	}
	keys := &checkedKeys{KeySet: p.keys}
	config := &oidc.Config{ClientID: s.ClientID, SupportedSigningAlgs: p.algorithms, Now: c.clock}
	id, err := oidc.NewVerifier(s.Issuer, keys, config).Verify(ctx, raw)
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
		return Person{}, refused(errors.New("the nonce belongs to another attempt"))
	case claims.AuthorizedParty != "" && claims.AuthorizedParty != s.ClientID,
		len(id.Audience) > 1 && claims.AuthorizedParty == "":
		return Person{}, refused(errors.New("the id token was issued to another client"))
	case id.Subject == "":
		return Person{}, refused(errors.New("the id token has no subject"))
	case claims.Subject != id.Subject:
		return Person{}, refused(errors.New("the id token has two addresses"))
	}
	if id.AccessTokenHash != "" {
		if err := id.VerifyAccessToken(tokens.AccessToken); err != nil {
			return Person{}, refused(err)
		}
	}
	person := Person{id.Subject, claims.Email, bool(claims.EmailVerified)}
	// With an access token, many providers return the address only there: section 5.4.
	if person.Email == "" && p.UserInfoEndpoint() != "" {
		return c.lookUp(ctx, p, person, tokens)
	}
	return person, nil
}

// lookUp requests the address of a recognized person from the provider.
func (c *Client) lookUp(ctx context.Context, p *provider, person Person, tokens *oauth2.Token) (Person, error) {
	info, err := p.UserInfo(ctx, oauth2.StaticTokenSource(tokens))
	if err != nil {
		return Person{}, classify(err, errors.New("cannot read the user info"))
	}
	if info.Subject != person.Subject { // section 5.3.2: it may belong to another person
		return Person{}, refused(errors.New("the user info belongs to another person"))
	}
	var claims claims
	if err := info.Claims(&claims); err != nil {
		return Person{}, refused(err)
	}
	if claims.Subject != info.Subject {
		return Person{}, refused(errors.New("the user info has two addresses"))
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

// truth is a boolean that some providers encode as a string.
type truth bool

// UnmarshalJSON reads true and "true"; anything else is not true.
func (t *truth) UnmarshalJSON(b []byte) error {
	*t = truth(slices.Contains([]string{"true", `"true"`}, strings.TrimSpace(string(b))))
	return nil
}

var errorCode = regexp.MustCompile(`^[a-z_]{1,40}$`)

// named returns the error code if it has the form of the specifications. Other texts are
// replaced, because anyone may have written them.
func named(code string) string {
	if errorCode.MatchString(code) {
		return code
	}
	return "an error of its own"
}

func same(a, b string) bool { return a != "" && subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
