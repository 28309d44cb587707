package rbac

import (
	"crypto/rand"
	"crypto/sha256"
	"hash/crc32"
	"math/big"
	"strings"

	"omnirapeutic/platform/db"
)

// An API key is its prefix, by which scanners for secrets find it in code and in
// chats, then 256 random bits, then a checksum over both, so that what only looks
// like a key is refused without asking anybody. All of it is letters, digits and
// underscores: a double click selects it, and no URL or shell changes it.
//
// For scanners: omni_key_[0-9A-Za-z]{49}
const (
	keyPrefix   = "omni_key_"
	keyBits     = 256
	keyDigits   = 43 // of base 62, for 256 bits
	keyChecksum = 6  // of base 62, for 32 bits
	keyBegins   = len(keyPrefix) + 4
)

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// newKey returns a key that nobody can guess.
func newKey() string {
	var random [keyBits / 8]byte
	_, _ = rand.Read(random[:]) // never fails
	text := keyPrefix + digits(new(big.Int).SetBytes(random[:]), keyDigits)
	return text + checksum(text)
}

// isKey reports whether the text is meant to be an API key, rather than an access
// token: those have dots and no underscore so early.
func isKey(text string) bool { return strings.HasPrefix(text, keyPrefix) }

// isWhole reports whether a key was not garbled or made up: its checksum is right.
func isWhole(key string) bool {
	const length = len(keyPrefix) + keyDigits + keyChecksum
	if len(key) != length {
		return false
	}
	body := key[:length-keyChecksum]
	return key[length-keyChecksum:] == checksum(body)
}

// hashOfKey is what is kept of a key. It needs neither salt nor work: 256 random
// bits cannot be guessed, however fast.
func hashOfKey(key string) db.Hash { return sha256.Sum256([]byte(key)) }

func checksum(text string) string {
	return digits(new(big.Int).SetUint64(uint64(crc32.ChecksumIEEE([]byte(text)))), keyChecksum)
}

// digits writes the number with so many digits of base 62.
func digits(n *big.Int, many int) string {
	base, digit := big.NewInt(int64(len(base62))), new(big.Int)
	text := make([]byte, many)
	for i := many - 1; i >= 0; i-- {
		n.DivMod(n, base, digit)
		text[i] = base62[digit.Int64()]
	}
	return string(text)
}
