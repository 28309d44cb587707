package rbac

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
)

// errSeal says that something was not sealed here, for this purpose, about this.
var errSeal = errors.New("rbac: the seal is broken")

// sealer encrypts what must be kept or carried by others and not be read or changed
// by them: AES-256-GCM with a key of its own for each purpose, which the
// configuration's secret gives by HKDF (RFC 5869). The first key seals; what former
// ones have sealed can still be opened. Safe for concurrent use.
type sealer []cipher.AEAD

func newSealer(purpose string, secret []byte, former ...[]byte) sealer {
	s := sealer{aeadOf(secret, purpose)}
	for _, each := range former {
		s = append(s, aeadOf(each, purpose))
	}
	return s
}

func aeadOf(secret []byte, purpose string) cipher.AEAD {
	const bits256 = 32
	key, err := hkdf.Key(sha256.New, secret, nil, "omnirapeutic "+purpose, bits256)
	if err != nil {
		panic(err) // only for keys of more than 8160 bytes
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // only for keys of another length
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err) // only for blocks of another size
	}
	return aead
}

// seal encrypts the text. It can be opened only together with what it is about: a
// row of one organization cannot be made another's.
func (s sealer) seal(text, about []byte) []byte { return s[0].Seal(nil, nil, text, about) } //nolint:gosec // it makes its own nonce

// open returns the text. The error is errSeal.
func (s sealer) open(sealed, about []byte) ([]byte, error) {
	text, _, err := s.openStale(sealed, about)
	return text, err
}

// openStale is [sealer.open], and tells whether a former key has sealed it: then it is
// to be sealed anew, before that key is forgotten.
func (s sealer) openStale(sealed, about []byte) (text []byte, stale bool, err error) {
	for i, each := range s {
		if text, err := each.Open(nil, nil, sealed, about); err == nil {
			return text, i > 0, nil
		}
	}
	return nil, false, errSeal
}
