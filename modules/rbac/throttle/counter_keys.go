package throttle

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"

	"github.com/google/uuid"

	"omnirapeutic/platform/encryption"
	"omnirapeutic/platform/trail"
)

// Counters returns the keys of attempt counts: by purpose, subject and source. Keys can be compared
// and reveal nothing, because people sometimes type a password into the e-mail field.
type Counters struct{ key []byte }

// NewCounters returns counters whose keys are derived from the secret.
func NewCounters(secret []byte) Counters {
	return Counters{encryption.DeriveKey(secret, "throttle keys", sha256.Size)}
}

// keyOf returns the key of a count. Each part is written with its length, so two different lists of
// parts never share a key.
func (c Counters) keyOf(purpose string, parts ...string) []byte {
	mac := hmac.New(sha256.New, c.key)
	for _, part := range append([]string{purpose}, parts...) {
		_ = binary.Write(mac, binary.BigEndian, uint64(len(part))) // never fails: hashes take all bytes
		mac.Write([]byte(part))
	}
	return mac.Sum(nil)
}

// Network identifies an e-mail address and the network of a sign-in.
func (c Counters) Network(email, address string) []byte {
	return c.keyOf("network", email, trail.Network(address))
}

// Address counts attempts to sign in with the typed e-mail address, from a source, since the
// administrators' unlocks; "" if there are none.
func (c Counters) Address(typed, source, unlocks string) []byte {
	return c.keyOf("sign-in", typed, source, unlocks)
}

// Account counts attempts to sign in to an account, likewise.
func (c Counters) Account(user uuid.UUID, source, unlock string) []byte {
	return c.keyOf("account", user.String(), source, unlock)
}

// NoAccount replaces Account for text that is no account's address.
func (c Counters) NoAccount(typed, source string) []byte {
	return c.keyOf("no account", typed, source)
}

// ResetRequest counts requests for a link to set a new password, for the typed address from a source.
func (c Counters) ResetRequest(typed, source string) []byte {
	return c.keyOf("reset request", typed, source)
}

// Proof counts attempts of a signed-in user to prove something, such as the current password. Each
// session has its own count, so guesses with a stolen token do not block the user's other devices.
func (c Counters) Proof(user, session uuid.UUID) []byte {
	return c.keyOf("proof", user.String(), session.String())
}

// NetworkSource is the source of attempts without a device token: the caller's network.
func NetworkSource(ctx context.Context) string { return "network " + trail.Network(trail.Address(ctx)) }
