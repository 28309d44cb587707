package rbac

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"omnirapeutic/platform/identity"
)

// Who makes access tokens, and for whom: a token made for something else with
// the same secret is refused.
const (
	issuer   = "omnirapeutic"
	audience = "omnirapeutic-api"
)

// clockSkew is how far the clocks of two servers may differ.
const clockSkew = 10 * time.Second

// maxToken bounds what is parsed at all, in bytes. Ours have about 500.
const maxToken = 4096

// claims are what an access token says.
type claims struct {
	Organization uuid.UUID `json:"org"`
	Roles        []string  `json:"roles"`
	Epoch        int64     `json:"epoch"` // of the user's tokens: see users.token_epoch
	SignIn       uuid.UUID `json:"sid"`   // of which it is
	EnrolOnly    bool      `json:"enrol,omitempty"`
	jwt.RegisteredClaims
}

// tokens signs and checks access tokens. Safe for concurrent use.
type tokens struct {
	keys     keyring
	lifetime time.Duration
	clock    func() time.Time
	newID    func() uuid.UUID
	parser   *jwt.Parser
	times    *jwt.Validator // of claims that were read before
	known    memory
}

func newTokens(keys keyring, lifetime time.Duration, clock func() time.Time, newID func() uuid.UUID) *tokens {
	options := []jwt.ParserOption{
		// The token's own header must not choose how it is checked.
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}),
		jwt.WithIssuer(issuer),
		jwt.WithAudience(audience),
		jwt.WithExpirationRequired(),
		jwt.WithNotBeforeRequired(),
		jwt.WithIssuedAt(),
		jwt.WithLeeway(clockSkew),
		jwt.WithTimeFunc(clock),
		jwt.WithStrictDecoding(),
	}
	return &tokens{
		keys: keys, lifetime: lifetime, clock: clock, newID: newID,
		parser: jwt.NewParser(options...),
		times:  jwt.NewValidator(options...),
	}
}

// issue signs a token for the user, of a sign-in.
func (t *tokens) issue(u User, signIn uuid.UUID) (string, error) {
	now := t.clock()
	c := claims{
		Organization: u.OrganizationID,
		Roles:        names(u.Roles),
		Epoch:        u.epoch,
		SignIn:       signIn,
		EnrolOnly:    u.enrolOnly,
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer:    issuer,
			Subject:   u.ID.String(),
			Audience:  jwt.ClaimStrings{audience},
			ExpiresAt: jwt.NewNumericDate(now.Add(t.lifetime)),
			NotBefore: jwt.NewNumericDate(now),
			IssuedAt:  jwt.NewNumericDate(now),
			ID:        t.newID().String(),
		},
	}
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, c)
	token.Header["kid"] = t.keys[0].id
	return token.SignedString(t.keys[0].signs)
}

var (
	errTokenLong    = errors.New("the token is too long")
	errTokenSubject = errors.New("the token names no user and organization")
)

// Authenticate returns who an access token was issued to, with the permissions
// of the roles. It asks no database, but for the permission sets of an
// organization once after each change: what was revoked is known, see [Service.Run].
// An API key stands in the place of a token: see [Service.CreateKey]. Errors:
// [identity.ErrUnauthenticated], whose text says only whether the token has
// expired or was revoked; [ErrTokenNotChecked].
func (s *Service) Authenticate(ctx context.Context, token string) (identity.Caller, error) {
	if isKey(token) {
		return s.authenticateKey(ctx, token)
	}
	caller, err := s.tokens.check(token)
	if err != nil && !errors.Is(err, jwt.ErrTokenExpired) {
		err = s.failed(ctx, failedToken, err)
	}
	if err == nil {
		err = s.standing.check(caller)
	}
	if err == nil && !caller.EnrolOnly { // who may nothing but enrol holds nothing
		caller.Permissions, err = s.sets.of(ctx, caller.OrganizationID, combine(caller.Roles))
	}
	if err != nil {
		return identity.Caller{}, err
	}
	return caller, nil
}

func (t *tokens) check(token string) (identity.Caller, error) {
	if len(token) > maxToken {
		return identity.Caller{}, invalidToken(errTokenLong)
	}
	sum := sha256.Sum256([]byte(token))
	if v := t.known.find(sum); v != nil {
		if err := t.times.Validate(&v.claims); err != nil {
			return identity.Caller{}, invalidToken(err)
		}
		return v.caller, nil
	}
	v, err := t.verify(token)
	if err != nil {
		return identity.Caller{}, invalidToken(err)
	}
	t.known.keep(sum, v)
	return v.caller, nil
}

// verify checks a token that is not remembered.
func (t *tokens) verify(token string) (*verified, error) {
	var c claims
	if _, err := t.parser.ParseWithClaims(token, &c, t.keys.verifying); err != nil {
		return nil, err
	}
	user, err := uuid.Parse(c.Subject)
	if err != nil || user == uuid.Nil || c.Organization == uuid.Nil {
		return nil, errTokenSubject
	}
	return &verified{claims: c, caller: identity.Caller{
		UserID:         user,
		OrganizationID: c.Organization,
		SignInID:       c.SignIn,
		Epoch:          c.Epoch,
		Roles:          c.Roles,
		EnrolOnly:      c.EnrolOnly,
		Until:          c.ExpiresAt.Time,
	}}, nil
}

func invalidToken(cause error) error {
	// Expired is told only of a token that is ours: the signature is checked first.
	if errors.Is(cause, jwt.ErrTokenExpired) {
		return identity.ErrUnauthenticated.With(nil, "The access token has expired. Sign in again.").Because(cause)
	}
	return identity.ErrUnauthenticated.With(nil, "The access token is not valid. Sign in again.").Because(cause)
}

func names(roles []Role) []string {
	all := make([]string, len(roles))
	for i, r := range roles {
		all[i] = string(r)
	}
	return all
}
