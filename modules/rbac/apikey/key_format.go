package apikey

import (
	"crypto/rand"
	"crypto/sha256"
	"hash/crc32"
	"math/big"
	"strings"

	"omnirapeutic/platform/db"
)

// An API key is a prefix, 256 random bits and a checksum over both. Secret scanners find keys by
// the prefix. The checksum lets malformed keys be refused without a database query. A key has
// only letters, digits and underscores, so a double click selects it and URLs and shells need no
// escaping.
//
// For scanners: omni_key_[0-9A-Za-z]{49}
const (
	keyPrefix   = "omni_key_"
	keyBits     = 256
	keyDigits   = 43 // base-62 digits for 256 bits
	keyChecksum = 6  // base-62 digits for 32 bits
	keyShown    = len(keyPrefix) + 4
)

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// newKey returns a new random key.
func newKey() string {
	var random [keyBits / 8]byte
	_, _ = rand.Read(random[:]) // never fails
	text := keyPrefix + digits(new(big.Int).SetBytes(random[:]), keyDigits)
	return text + checksum(text)
}

// IsKey reports whether the text has the prefix of an API key, which no access token has.
func IsKey(text string) bool { return strings.HasPrefix(text, keyPrefix) }

// isWhole reports whether the checksum of a key is right.
func isWhole(key string) bool {
	const length = len(keyPrefix) + keyDigits + keyChecksum
	if len(key) != length {
		return false
	}
	body := key[:length-keyChecksum]
	return key[length-keyChecksum:] == checksum(body)
}

// hashOfKey returns the stored hash of a key. It needs neither salt nor a slow hash, because 256
// random bits cannot be guessed.
func hashOfKey(key string) db.Hash { return sha256.Sum256([]byte(key)) }

func checksum(text string) string {
	return digits(new(big.Int).SetUint64(uint64(crc32.ChecksumIEEE([]byte(text)))), keyChecksum)
}

// digits returns the number in base 62 with the given number of digits.
func digits(n *big.Int, count int) string {
	base, digit := big.NewInt(int64(len(base62))), new(big.Int)
	text := make([]byte, count)
	for i := count - 1; i >= 0; i-- {
		n.DivMod(n, base, digit)
		text[i] = base62[digit.Int64()]
	}
	return string(text)
}
