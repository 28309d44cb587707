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

// A device that has signed in once gets a device token, and sends it with the next
// sign-in. Its failed attempts are then counted apart from those of its network, so an
// attacker in the same network, or anywhere else, cannot lock the user out of it. The
// token proves nothing else: it replaces neither the password nor a second factor.
const (
	devicePrefix = "omd_" // so that a token that lies somewhere can be recognized
	// deviceLifetime is how long a device is recognized after its last sign-in.
	deviceLifetime = 180 * 24 * time.Hour

	deviceIDLength  = 16
	deviceAgeLength = 8
	deviceLength    = deviceIDLength + deviceAgeLength + sha256.Size
)

// deviceID names a device. It says nothing about the device or its user.
type deviceID [deviceIDLength]byte

func newDeviceID() (id deviceID) {
	_, _ = rand.Read(id[:]) // never fails: see crypto/rand
	return id
}

// deviceToken returns the signed token by which the device is recognized when it signs in
// with the same e-mail address again.
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

// device returns the device that a token was issued to. ok is false for a token that is
// forged, expired, or of another e-mail address.
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

// source is where attempts come from, and what they are counted by: a device that has
// signed in with the same e-mail address before, or else a network.
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

// networkSource is the source of what no device token comes with.
func networkSource(ctx context.Context) string { return "network " + trail.Network(trail.Address(ctx)) }
