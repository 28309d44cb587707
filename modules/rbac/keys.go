package rbac

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"errors"

	"github.com/golang-jwt/jwt/v5"
)

// key is one secret of the configuration, with the keys derived from it. Each purpose has its own
// key (HKDF, RFC 5869), so one key reveals nothing about another.
type key struct {
	id       string // identifies the secret without revealing it
	signs    []byte // signs access tokens
	signed   []byte // verifies access tokens of earlier programs, which used the secret itself
	refresh  []byte // derives the next refresh token: see successor
	counters []byte // hashes the keys of attempt counts
	devices  []byte // signs device tokens
}

// keyring holds the secrets of the configuration. The first one is in use. Tokens of the others
// are still accepted.
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
		derived, err := hkdf.Key(sha256.New, secret, nil, "omnirapeutic "+purpose, length)
		if err != nil {
			panic(err) // only for an excessive length
		}
		return derived
	}
	return key{
		id: hex.EncodeToString(derive("key id", idBytes)), signs: derive("access tokens", keyBytes), signed: secret,
		refresh: derive("refresh", keyBytes), counters: derive("places", keyBytes), devices: derive("devices", keyBytes),
	}
}

var errTokenKey = errors.New("the token names an unknown key")

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
