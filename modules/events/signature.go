package events

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"database/sql/driver"
	"encoding/base64"
	"errors"
	"strconv"
	"time"
)

// secret signs the events for a webhook. Only [secret.reveal] returns it; printed, logged or
// encoded in any other way it is hidden.
type secret struct{ bytes []byte }

// secretLength is within the 24 to 64 bytes that Standard Webhooks recommends for a symmetric
// key.
const secretLength = 32

func newSecret() secret {
	s := secret{make([]byte, secretLength)}
	_, _ = rand.Read(s.bytes) // documented never to fail
	return s
}

// reveal returns the secret in the form that receivers' libraries read.
func (s secret) reveal() string { return "whsec_" + base64.StdEncoding.EncodeToString(s.bytes) }

// sign returns the signature of a message according to Standard Webhooks.
func (s secret) sign(id string, at time.Time, body []byte) string {
	mac := hmac.New(sha256.New, s.bytes)
	mac.Write([]byte(id + "." + strconv.FormatInt(at.Unix(), 10) + "."))
	mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

const hiddenText = "(hidden)"

// String hides the secret.
func (secret) String() string { return hiddenText }

// GoString hides the secret.
func (secret) GoString() string { return hiddenText }

// MarshalText hides the secret.
func (secret) MarshalText() ([]byte, error) { return []byte(hiddenText), nil }

// Value writes the secret to the database.
func (s secret) Value() (driver.Value, error) { return s.bytes, nil }

// Scan reads the secret from the database.
func (s *secret) Scan(value any) error {
	b, ok := value.([]byte)
	if !ok {
		return errors.New("events: cannot read a secret: it is not binary data")
	}
	s.bytes = append([]byte(nil), b...)
	return nil
}
