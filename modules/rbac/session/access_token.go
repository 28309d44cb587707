package session

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/encryption"
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
	Session      uuid.UUID `json:"sid"`
	EnrolOnly    bool      `json:"enrol,omitempty"`
	jwt.RegisteredClaims
}

// verifiedToken is a token with a valid signature and its claims.
type verifiedToken struct {
	claims claims
	caller identity.Caller
}

// signingKey is one secret of the configuration, with the keys derived from it.
type signingKey struct {
	id     string // identifies the secret without revealing it
	signs  []byte // signs access tokens
	signed []byte // verifies access tokens of earlier programs, which used the secret itself
}

func newSigningKey(secret []byte) signingKey {
	const idBytes = 8
	return signingKey{
		id:     hex.EncodeToString(encryption.DeriveKey(secret, "key id", idBytes)),
		signs:  encryption.DeriveKey(secret, "access tokens", sha256.Size),
		signed: secret,
	}
}

// accessTokens signs and verifies access tokens. Safe for concurrent use.
type accessTokens struct {
	keys     []signingKey // the first one signs; tokens of the others are still accepted
	lifetime time.Duration
	clock    rbac.Clock
	newID    func() uuid.UUID
	parser   *jwt.Parser
	times    *jwt.Validator // for cached claims
	cache    TokenCache[verifiedToken]
}

func newAccessTokens(secrets [][]byte, lifetime time.Duration, clock rbac.Clock, newID func() uuid.UUID) *accessTokens {
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
	t := &accessTokens{
		lifetime: lifetime, clock: clock, newID: newID,
		parser: jwt.NewParser(options...), times: jwt.NewValidator(options...),
	}
	for _, secret := range secrets {
		t.keys = append(t.keys, newSigningKey(secret))
	}
	return t
}

// issue signs a token for a session of the user.
func (t *accessTokens) issue(u rbac.User, in Session, enrolOnly bool) (string, error) {
	now := t.clock()
	c := claims{
		Organization: u.OrganizationID,
		Roles:        rbac.RoleNames(u.Roles),
		Epoch:        in.Epoch, // tokens of an ended session must not get the user's current epoch
		Session:      in.ID,
		EnrolOnly:    enrolOnly,
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
	errTokenKey     = errors.New("the token names an unknown key")
)

// check returns the caller of a token. The error is [identity.ErrUnauthenticated].
func (t *accessTokens) check(token string) (identity.Caller, error) {
	if len(token) > maxToken {
		return identity.Caller{}, invalidToken(errTokenLong)
	}
	hash := sha256.Sum256([]byte(token))
	if v := t.cache.Find(hash); v != nil {
		if err := t.times.Validate(&v.claims); err != nil {
			return identity.Caller{}, invalidToken(err)
		}
		return v.caller, nil
	}
	v, err := t.verify(token)
	if err != nil {
		return identity.Caller{}, invalidToken(err)
	}
	t.cache.Keep(hash, v)
	return v.caller, nil
}

// verify checks a token that is not in the cache.
func (t *accessTokens) verify(token string) (*verifiedToken, error) {
	var c claims
	if _, err := t.parser.ParseWithClaims(token, &c, t.keysOf); err != nil {
		return nil, err
	}
	user, err := uuid.Parse(c.Subject)
	if err != nil || user == uuid.Nil || c.Organization == uuid.Nil {
		return nil, errTokenSubject
	}
	return &verifiedToken{claims: c, caller: identity.Caller{
		UserID:         user,
		OrganizationID: c.Organization,
		SignInID:       c.Session,
		Epoch:          c.Epoch,
		Roles:          c.Roles,
		EnrolOnly:      c.EnrolOnly,
		Until:          c.ExpiresAt.Time,
	}}, nil
}

// keysOf returns the keys named in a token's header. The parser accepts only one algorithm, so the
// token's own is not checked here.
func (t *accessTokens) keysOf(token *jwt.Token) (any, error) {
	id, _ := token.Header["kid"].(string)
	for _, k := range t.keys {
		if k.id == id {
			return jwt.VerificationKeySet{Keys: []jwt.VerificationKey{k.signs, k.signed}}, nil
		}
	}
	return nil, errTokenKey
}

func invalidToken(cause error) error {
	// The signature is checked first, so only a token that was issued here is reported as expired.
	if errors.Is(cause, jwt.ErrTokenExpired) {
		return identity.ErrUnauthenticated.With(nil, "The access token has expired. Sign in again.").Because(cause)
	}
	return identity.ErrUnauthenticated.With(nil, "The access token is invalid. Sign in again.").Because(cause)
}

// isExpired reports whether a token was issued here and has expired.
func isExpired(err error) bool { return errors.Is(err, jwt.ErrTokenExpired) }
