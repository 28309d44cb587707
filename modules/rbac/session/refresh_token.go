package session

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
)

// refreshToken refreshes a session, once: 256 random bits.
type refreshToken [32]byte

func newRefreshToken() (t refreshToken) {
	_, _ = rand.Read(t[:]) // never fails: see crypto/rand
	return t
}

const refreshPrefix = "omr_" // makes a leaked token recognizable

// String returns the token in the form that clients receive.
func (t refreshToken) String() string {
	return refreshPrefix + base64.RawURLEncoding.EncodeToString(t[:])
}

// Format keeps the token out of logs.
func (t refreshToken) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("***")) }

func parseRefreshToken(text string) (t refreshToken, ok bool) {
	encoded, ok := strings.CutPrefix(text, refreshPrefix)
	raw, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if !ok || err != nil || len(raw) != len(t) {
		return t, false
	}
	copy(t[:], raw)
	return t, true
}

// hash returns the stored hash of the token. It needs no salt, because the token cannot be
// guessed.
func (t refreshToken) hash() []byte {
	sum := sha256.Sum256(t[:])
	return sum[:]
}

// successor returns the token that replaces this one. It is derived with a key of the program, so a
// repeated exchange returns the same token without storing it.
func (t refreshToken) successor(key []byte) (next refreshToken) {
	mac := hmac.New(sha256.New, key)
	mac.Write(t[:])
	copy(next[:], mac.Sum(nil))
	return next
}
