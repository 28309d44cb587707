package rbac

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strings"
	"time"

	"omnirapeutic/platform/trail"
)

// A device gets a device token at its first sign-in and sends it with the next one. Its failed
// attempts then have their own count, separate from its network's, so an attacker cannot lock the
// user out of the device. The token grants nothing else: it replaces neither the password nor a
// second factor.
const (
	devicePrefix = "omd_" // makes a leaked token recognizable
	// deviceLifetime is how long a device is recognized after its last sign-in.
	deviceLifetime = 180 * 24 * time.Hour

	deviceIDLength  = 16
	deviceAgeLength = 8
	deviceLength    = deviceIDLength + deviceAgeLength + sha256.Size
)

// deviceID identifies a device. It reveals nothing about the device or its user.
type deviceID [deviceIDLength]byte

func newDeviceID() (id deviceID) {
	_, _ = rand.Read(id[:]) // never fails: see crypto/rand
	return id
}

// deviceToken returns the signed token that identifies the device at its next sign-in with the same
// e-mail address.
func (k key) deviceToken(id deviceID, email string, now time.Time) string {
	raw := binary.BigEndian.AppendUint64(id[:], uint64(now.Unix())) //nolint:gosec // no time before 1970
	return devicePrefix + base64.RawURLEncoding.EncodeToString(append(raw, k.deviceMAC(raw, email)...))
}

func (k key) deviceMAC(raw []byte, email string) []byte {
	mac := hmac.New(sha256.New, k.devices)
	mac.Write(raw)
	mac.Write([]byte(email))
	return mac.Sum(nil)
}

// device returns the device of a token. ok is false if the token is forged, expired, or issued for
// another e-mail address.
func (k keyring) device(token, email string, now time.Time) (id deviceID, ok bool) {
	text, found := strings.CutPrefix(token, devicePrefix)
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if !found || err != nil || len(raw) != deviceLength {
		return id, false
	}
	signed, mac := raw[:deviceIDLength+deviceAgeLength], raw[deviceIDLength+deviceAgeLength:]
	issued := time.Unix(int64(binary.BigEndian.Uint64(signed[deviceIDLength:])), 0) //nolint:gosec // compared below
	if !now.Before(issued.Add(deviceLifetime)) {
		return id, false
	}
	for _, each := range k {
		if hmac.Equal(mac, each.deviceMAC(signed, email)) {
			return deviceID(signed[:deviceIDLength]), true
		}
	}
	return id, false
}

// source identifies the origin of attempts for counting: a device that has signed in with the same
// e-mail address before, or else a network.
type source struct {
	device  deviceID // of the token for a successful sign-in
	counted string
}

// sourceOf returns the source of an attempt to sign in with an e-mail address.
func (s *Service) sourceOf(ctx context.Context, token, email string) source {
	if id, ok := s.devices.device(token, email, s.now()); ok {
		return source{id, "device " + base64.RawURLEncoding.EncodeToString(id[:])}
	}
	return source{newDeviceID(), networkSource(ctx)}
}

// networkSource is the source of attempts without a device token.
func networkSource(ctx context.Context) string { return "network " + trail.Network(trail.Address(ctx)) }
