package signin

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/throttle"
	"omnirapeutic/platform/encryption"
)

// A device gets a device token at its first sign-in to an account and sends it with the next one. Its
// failed attempts then have their own count, separate from its network's, so an attacker cannot lock the
// user out of the device. The token grants nothing else: it replaces neither the password nor a
// second factor.
const (
	devicePrefix = "omd_" // makes a leaked token recognizable
	// deviceLifetime is how long a device is recognized after its last sign-in.
	deviceLifetime = 180 * 24 * time.Hour

	deviceIDLength     = 16
	deviceTimeOffset   = deviceIDLength + 2*len(uuid.UUID{}) // after the organization and the user
	deviceSignedLength = deviceTimeOffset + 8
	deviceLength       = deviceSignedLength + sha256.Size
)

// deviceID identifies a device. It reveals nothing about the device or its user.
type deviceID [deviceIDLength]byte

func newDeviceID() (id deviceID) {
	_, _ = rand.Read(id[:]) // never fails: see crypto/rand
	return id
}

// device is a device that has signed in to an account.
type device struct {
	id                 deviceID
	organization, user uuid.UUID
}

// deviceKeys sign device tokens. The first is in use; tokens of the others are still accepted.
type deviceKeys [][]byte

func newDeviceKeys(secrets [][]byte) deviceKeys {
	keys := make(deviceKeys, len(secrets))
	for i, secret := range secrets {
		keys[i] = encryption.DeriveKey(secret, "devices", sha256.Size)
	}
	return keys
}

// token returns the signed token that identifies the device at its next sign-in to the same account
// with the same e-mail address.
func (k deviceKeys) token(d device, email string, now time.Time) string {
	raw := slices.Concat(d.id[:], d.organization[:], d.user[:])
	raw = binary.BigEndian.AppendUint64(raw, uint64(now.Unix())) //nolint:gosec // no time before 1970
	return devicePrefix + base64.RawURLEncoding.EncodeToString(append(raw, deviceMAC(k[0], raw, email)...))
}

func deviceMAC(key, raw []byte, email string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write(raw)
	mac.Write([]byte(email))
	return mac.Sum(nil)
}

// device returns the device of a token. ok is false if the token is forged, expired, or issued for
// another e-mail address.
func (k deviceKeys) device(token, email string, now time.Time) (d device, ok bool) {
	text, found := strings.CutPrefix(token, devicePrefix)
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if !found || err != nil || len(raw) != deviceLength {
		return d, false
	}
	signed, mac := raw[:deviceSignedLength], raw[deviceSignedLength:]
	issued := time.Unix(int64(binary.BigEndian.Uint64(signed[deviceTimeOffset:])), 0) //nolint:gosec // compared below
	if !now.Before(issued.Add(deviceLifetime)) {
		return d, false
	}
	for _, key := range k {
		if hmac.Equal(mac, deviceMAC(key, signed, email)) {
			n := copy(d.id[:], signed)
			n += copy(d.organization[:], signed[n:])
			copy(d.user[:], signed[n:])
			return d, true
		}
	}
	return d, false
}

// source identifies the origin of attempts for counting: a device that has signed in with the same
// e-mail address before, or else a network.
//
// A device has its own count only at the account that it has signed in to. A person may have an
// account of their own with the address of another user's account, and so any number of device
// tokens: their guesses at the other account count for their network.
type source struct {
	device  device // that the attempt has proven, or the zero value
	counted string
	network string
}

// sourceOf returns the source of an attempt to sign in with an e-mail address, to an account of the
// organization, or of any if it is nil.
func (k deviceKeys) sourceOf(ctx context.Context, token, email string, organization *uuid.UUID, now time.Time) source {
	network := throttle.NetworkSource(ctx)
	d, ok := k.device(token, email, now)
	if !ok || organization != nil && *organization != d.organization {
		return source{counted: network, network: network}
	}
	return source{d, "device " + base64.RawURLEncoding.EncodeToString(d.id[:]), network}
}

// countedAt returns the source that counts for attempts at a user's account.
func (f source) countedAt(user uuid.UUID) string {
	if user == f.device.user {
		return f.counted
	}
	return f.network
}

// deviceOf returns the device for the token that a user's sign-in issues.
func (f source) deviceOf(u rbac.User) device {
	if u.ID == f.device.user {
		return f.device
	}
	return device{newDeviceID(), u.OrganizationID, u.ID}
}
