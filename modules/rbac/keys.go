package rbac

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"errors"

	"github.com/golang-jwt/jwt/v5"
)

// key is one secret of the configuration, with what is made of it. Each purpose has
// a key of its own (HKDF, RFC 5869): what one gives away says nothing of another.
type key struct {
	id      string // says which it is, and nothing of what it is
	signs   []byte // access tokens
	signed  []byte // verifies access tokens of earlier programs, which did not derive a key: the secret itself
	refresh []byte // makes refresh tokens from the ones before: see successor
	places  []byte // stands for addresses of which attempts are counted
	devices []byte // signs device tokens
}

// keyring are the secrets of the configuration. The first is the one in use; the
// others were, and what they have signed still holds.
type keyring []key

func newKeyring(secrets ...[]byte) keyring {
	var ring keyring
	for _, each := range secrets {
		ring = append(ring, newSigningKey(each))
	}
	return ring
}

func newSigningKey(secret []byte) key {
	const idBytes, keyBytes = 8, sha256.Size
	derive := func(purpose string, length int) []byte {
		made, err := hkdf.Key(sha256.New, secret, nil, "omnirapeutic "+purpose, length)
		if err != nil {
			panic(err) // only of a length that is too long
		}
		return made
	}
	return key{
		id: hex.EncodeToString(derive("key id", idBytes)), signs: derive("access tokens", keyBytes), signed: secret,
		refresh: derive("refresh", keyBytes), places: derive("places", keyBytes), devices: derive("devices", keyBytes),
	}
}

var errTokenKey = errors.New("the token names no key that is known")

// verifying returns the keys named in a token's header. The parser accepts only one algorithm, so
// the token's own is not checked here.
func (k keyring) verifying(token *jwt.Token) (any, error) {
	id, _ := token.Header["kid"].(string)
	for _, each := range k {
		if each.id == id {
			return jwt.VerificationKeySet{Keys: []jwt.VerificationKey{each.signs, each.signed}}, nil
		}
	}
	return nil, errTokenKey
}
