package session

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/revocation"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
)

const testSecret = "a secret of exactly 32 bytes, ok"

// testTokens returns tokens and their clock, which tests set.
func testTokens(secret string) (*accessTokens, *time.Time) {
	now := time.Date(2026, time.March, 2, 15, 0, 0, 500_000_000, time.UTC)
	return newAccessTokens([][]byte{[]byte(secret)}, 15*time.Minute, func() time.Time { return now }, uuid.New), &now
}

func testUser(roles ...rbac.Role) rbac.User {
	return rbac.User{ID: uuid.New(), OrganizationID: uuid.New(), Roles: roles}
}

// claimsOf returns the claims of a valid token, to be altered.
func claimsOf(u rbac.User, now time.Time) jwt.MapClaims {
	return jwt.MapClaims{
		"iss": issuer, "aud": audience, "sub": u.ID.String(), "org": u.OrganizationID.String(), "roles": []string{"ADMIN"},
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(15 * time.Minute).Unix(), "jti": uuid.NewString(),
	}
}

// signed signs claims with the key of the given id.
func signed(t *testing.T, method jwt.SigningMethod, key any, c jwt.MapClaims, id any) string {
	t.Helper()
	token := jwt.NewWithClaims(method, c)
	token.Header["kid"] = id
	text, err := token.SignedString(key)
	require.NoError(t, err)
	return text
}

func requireRefused(t *testing.T, tokens *accessTokens, token string) *fault.Error {
	t.Helper()
	caller, err := tokens.check(token)
	require.ErrorIs(t, err, identity.ErrUnauthenticated)
	require.Equal(t, identity.Caller{}, caller)
	f, ok := fault.From(err)
	require.True(t, ok)
	require.Contains(t, []string{
		"The access token is invalid. Sign in again.", "The access token has expired. Sign in again.",
	}, f.Error())
	require.Nil(t, f.Details())
	return f
}

func TestTokensIdentifyTheirUser(t *testing.T) {
	t.Parallel()
	tokens, _ := testTokens(testSecret)
	u := testUser(rbac.Scheduler, rbac.Auditor)
	u.Email, u.Name = "olu@example.test", "Olu" // no id contains these letters
	token, err := tokens.issue(u, Session{}, false)
	require.NoError(t, err)
	caller, err := tokens.check(token)
	require.NoError(t, err)
	require.Equal(t, u.ID, caller.UserID)
	require.Equal(t, u.OrganizationID, caller.OrganizationID)
	require.Equal(t, []string{"SCHEDULER", "AUDITOR"}, caller.Roles)
	require.Empty(t, caller.Permissions, "organizations define the permissions of roles")

	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	require.NoError(t, err)
	var says map[string]any
	require.NoError(t, json.Unmarshal(payload, &says))
	require.Len(t, says, 11, "no personal data: %s", payload)
	require.NotContains(t, strings.ToLower(string(payload)), "olu")
}

func TestATokenIsValidForItsLifetime(t *testing.T) {
	t.Parallel()
	tokens, now := testTokens(testSecret)
	issued := *now
	token, err := tokens.issue(testUser(rbac.Admin), Session{}, false)
	require.NoError(t, err)
	for _, c := range []struct {
		after   time.Duration
		message string // none: valid
	}{
		{-time.Minute, "invalid"}, // issued by a server whose clock is far ahead
		{-9 * time.Second, ""},
		{0, ""},
		{15*time.Minute + 9*time.Second, ""},
		{15*time.Minute + 10*time.Second, "expired"},
		{24 * time.Hour, "expired"},
	} {
		*now = issued.Add(c.after)
		if c.message == "" {
			_, err := tokens.check(token)
			require.NoError(t, err, c.after)
			continue
		}
		require.Contains(t, requireRefused(t, tokens, token).Error(), c.message)
	}
}

func TestATokenIsRefused(t *testing.T) {
	t.Parallel()
	tokens, now := testTokens(testSecret)
	u := testUser(rbac.Admin)
	sign := func(method jwt.SigningMethod, key any, change func(jwt.MapClaims)) string {
		c := claimsOf(u, *now)
		change(c)
		return signed(t, method, key, c, tokens.keys[0].id)
	}
	hs256 := func(change func(jwt.MapClaims)) string {
		return sign(jwt.SigningMethodHS256, []byte(testSecret), change)
	}
	same := func(jwt.MapClaims) {}
	set := func(name string, value any) string { return hs256(func(c jwt.MapClaims) { c[name] = value }) }
	without := func(name string) string { return hs256(func(c jwt.MapClaims) { delete(c, name) }) }
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	good := hs256(same)
	_, err = tokens.check(good)
	require.NoError(t, err, "the unaltered token is valid")
	parts := strings.Split(good, ".")
	encode := base64.RawURLEncoding.EncodeToString
	tampered := encode([]byte(`{"iss":"omnirapeutic","aud":"omnirapeutic-api","sub":"` + uuid.NewString() + `"}`))

	for name, token := range map[string]string{
		"when it is empty":                         "",
		"when it is not a token":                   "nonsense",
		"when it has two parts":                    parts[0] + "." + parts[1],
		"when it is not signed":                    sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, same),
		"when its signature is removed":            parts[0] + "." + parts[1] + ".",
		"when its header says none":                encode([]byte(`{"alg":"none"}`)) + "." + parts[1] + ".",
		"when its header says nOnE":                encode([]byte(`{"alg":"nOnE"}`)) + "." + parts[1] + ".",
		"when it is signed with another algorithm": sign(jwt.SigningMethodHS512, []byte(testSecret), same),
		"when it is signed with RS256":             sign(jwt.SigningMethodRS256, key, same),
		"when RS256 is signed with the secret":     confused(t, parts[1]),
		"when it is signed with another secret":    sign(jwt.SigningMethodHS256, []byte("another secret of 32 bytes, yes!"), same),
		"when its payload was changed":             parts[0] + "." + tampered + "." + parts[2],
		"when its signature was changed":           parts[0] + "." + parts[1] + "." + encode(make([]byte, 32)),
		"when something follows it":                good + ".x",
		"when it names no key":                     signed(t, jwt.SigningMethodHS256, []byte(testSecret), claimsOf(u, *now), nil),
		"when it names an unknown key":             signed(t, jwt.SigningMethodHS256, []byte(testSecret), claimsOf(u, *now), "0011223344556677"),
		"when its key id is not a string":          signed(t, jwt.SigningMethodHS256, []byte(testSecret), claimsOf(u, *now), 7),
		"when its encoding is loose":               loosened(good),
		"when it is from another issuer":           set("iss", "another-issuer"),
		"when it has no issuer":                    without("iss"),
		"when it is for another audience":          set("aud", "another-api"),
		"when it has no audience":                  without("aud"),
		"when it never expires":                    without("exp"),
		"when it has no start":                     without("nbf"),
		"when it begins in the future":             set("nbf", now.Add(time.Minute).Unix()),
		"when it was issued in the future":         set("iat", now.Add(time.Minute).Unix()),
		"when it names no user":                    without("sub"),
		"when its user is not an id":               set("sub", "admin"),
		"when its user is the zero id":             set("sub", uuid.Nil.String()),
		"when it names no organization":            without("org"),
		"when its organization is not an id":       set("org", "all"),
		"when its organization is the zero id":     set("org", uuid.Nil.String()),
		"when its roles are not a list":            set("roles", "ADMIN"),
		"when it is very long":                     set("pad", strings.Repeat("x", maxToken)),
	} {
		t.Run("it is refused "+name, func(t *testing.T) {
			t.Parallel()
			_ = requireRefused(t, tokens, token)
		})
	}
}

// confused signs a token whose header says RS256 with HMAC, with the public key as the secret.
func confused(t *testing.T, payload string) string {
	t.Helper()
	text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + payload
	hs256 := jwt.SigningMethodHMAC{Name: "RS256", Hash: crypto.SHA256}
	signature, err := hs256.Sign(text, []byte(testSecret))
	require.NoError(t, err)
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// loosened changes the unused bits of the last character: the same signature with another text.
func loosened(token string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, token[len(token)-1])
	return token[:len(token)-1] + string(alphabet[last^1])
}

func FuzzToken(f *testing.F) {
	tokens, _ := testTokens(testSecret)
	id := uuid.MustParse("01960000-0000-7000-8000-000000000001")
	tokens.newID = func() uuid.UUID { return id } // all fuzzing processes use the same token
	good, err := tokens.issue(rbac.User{ID: id, OrganizationID: id, Roles: []rbac.Role{rbac.Admin}}, Session{ID: id}, false)
	require.NoError(f, err)
	f.Add(good)
	f.Add("..")
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, token string) {
		if _, err := tokens.check(token); err == nil {
			require.Equal(t, good, token)
		}
	})
}

// FuzzAuthenticate alters a valid token. Only the token itself is accepted, and refusals reveal
// no details.
func FuzzAuthenticate(f *testing.F) {
	tokens, now := testTokens(testSecret)
	u := rbac.User{
		ID: uuid.MustParse("0198f0de-0000-7000-8000-00000000000a"), Roles: []rbac.Role{rbac.Scheduler},
		OrganizationID: uuid.MustParse("0198f0de-0000-7000-8000-00000000000b"),
	}
	tokens.newID = func() uuid.UUID { return u.ID } // the same token in every process
	good, err := tokens.issue(u, Session{}, true)   // without permissions, which are in the database
	require.NoError(f, err)
	header, rest, _ := strings.Cut(good, ".")
	claims, signature, _ := strings.Cut(rest, ".")
	unsigned := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`))
	for _, seed := range [][3]string{
		{header, claims, signature},
		{unsigned, claims, ""},
		{unsigned, claims, signature},
		{header, claims, signature + "="},
		{header, claims, ""},
		{"", "", ""},
		{header, "e30", signature},
		{header, claims + "." + claims, signature},
		{strings.Repeat("A", 5000), claims, signature},
		{"bnVsbA", "bnVsbA", "bnVsbA"},
		{"\xff", claims, signature},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	service := &Service{tokens: tokens, Dependencies: Dependencies{Revocations: revocation.New(nil, time.Now, nil)}}
	f.Fuzz(func(t *testing.T, header, claims, signature string) {
		token := header + "." + claims + "." + signature
		if token != good {
			_ = requireRefused(t, tokens, token)
			return
		}
		caller, err := service.Authenticate(t.Context(), token)
		require.NoError(t, err)
		require.Equal(t, u.ID, caller.UserID)
		require.Equal(t, now.Add(15*time.Minute).Truncate(time.Second), caller.Until.UTC())
	})
}
