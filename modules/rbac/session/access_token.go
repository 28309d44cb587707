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

// The issuer and audience of access tokens. A token with the same secret but another purpose is
// refused.
const (
	issuer   = "omnirapeutic"
	audience = "omnirapeutic-api"
)

// clockSkew is the tolerated difference between the clocks of two servers.
const clockSkew = 10 * time.Second

// maxToken is the maximum length of a token that is parsed, in bytes. Issued tokens have about
// 500.
const maxToken = 4096

// claims are the claims of an access token.
type claims struct {
	Organization uuid.UUID `json:"org"`
	Roles        []string  `json:"roles"`
	Epoch        int64     `json:"epoch"` // of the user: see users.token_epoch
	SignIn       uuid.UUID `json:"sid"`   // the sign-in
	EnrolOnly    bool      `json:"enrol,omitempty"`
	jwt.RegisteredClaims
}

// tokens signs and verifies access tokens. Safe for concurrent use.
type tokens struct {
	keys     keyring
	lifetime time.Duration
	clock    func() time.Time
	newID    func() uuid.UUID
	parser   *jwt.Parser
	times    *jwt.Validator // for cached claims
	known    tokenCache
}

func newTokens(keys keyring, lifetime time.Duration, clock func() time.Time, newID func() uuid.UUID) *tokens {
	options := []jwt.ParserOption{
		// The token's own header must not choose the algorithm.
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

// issue signs a token for a sign-in of the user.
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

// Authenticate returns the caller of an access token with the permissions of the roles. It needs
// no query, except to load an organization's permission sets after a change: revocations are in
// memory, see [Service.Run]. It also accepts API keys, see [Service.CreateKey]. Errors:
// [identity.ErrUnauthenticated], whose text says only whether the token is invalid, expired or
// revoked; [ErrTokenNotChecked].
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
	if err == nil && !caller.EnrolOnly { // an enrol-only sign-in has no permissions
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

// verify checks a token that is not in the cache.
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
	// The signature is checked first, so only a token that was issued here is reported as expired.
	if errors.Is(cause, jwt.ErrTokenExpired) {
		return identity.ErrUnauthenticated.With(nil, "The access token has expired. Sign in again.").Because(cause)
	}
	return identity.ErrUnauthenticated.With(nil, "The access token is invalid. Sign in again.").Because(cause)
}

func names(roles []Role) []string {
	all := make([]string, len(roles))
	for i, r := range roles {
		all[i] = string(r)
	}
	return all
}
