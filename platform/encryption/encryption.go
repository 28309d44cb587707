// Package encryption encrypts stored data and data that clients carry, so that it can be neither
// read nor changed outside the program.
package encryption

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
)

// ErrSeal is returned if the text was not sealed with the same secret, purpose and subject.
var ErrSeal = errors.New("encryption: the sealed text is invalid")

// Sealer encrypts with AES-256-GCM. Each purpose has its own key, derived from the configured
// secret by HKDF (RFC 5869). The first secret seals; all secrets can open. Safe for concurrent use.
type Sealer []cipher.AEAD

// New returns the sealer of a purpose. The first secret is the one in use.
func New(purpose string, secrets ...[]byte) Sealer {
	s := make(Sealer, len(secrets))
	for i, each := range secrets {
		s[i] = aeadOf(each, purpose)
	}
	return s
}

func aeadOf(secret []byte, purpose string) cipher.AEAD {
	const bits256 = 32
	block, err := aes.NewCipher(DeriveKey(secret, purpose, bits256))
	if err != nil {
		panic(err) // only for keys of another length
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err) // only for blocks of another size
	}
	return aead
}

// DeriveKey returns the key of a purpose, of the given length in bytes, by HKDF (RFC 5869). Keys of
// different purposes reveal nothing about each other or about the secret.
func DeriveKey(secret []byte, purpose string, length int) []byte {
	key, err := hkdf.Key(sha256.New, secret, nil, "omnirapeutic "+purpose, length)
	if err != nil {
		panic(err) // only for keys of more than 8160 bytes
	}
	return key
}

// Seal encrypts the text. Open needs the same subject (about), so a row of one organization cannot
// be moved to another.
//
//nolint:gosec // Seal generates the nonce
func (s Sealer) Seal(text, about []byte) []byte { return s[0].Seal(nil, nil, text, about) }

// Open returns the text. The error is [ErrSeal].
func (s Sealer) Open(sealed, about []byte) ([]byte, error) {
	text, _, err := s.OpenStale(sealed, about)
	return text, err
}

// OpenStale is like [Sealer.Open] and also reports whether the text was sealed with a former
// secret. Such a text must be sealed again before that secret is removed.
func (s Sealer) OpenStale(sealed, about []byte) (text []byte, stale bool, err error) {
	for i, each := range s {
		if text, err := each.Open(nil, nil, sealed, about); err == nil {
			return text, i > 0, nil
		}
	}
	return nil, false, ErrSeal
}
