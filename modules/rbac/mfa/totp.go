package mfa

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // required by authenticator apps; an HMAC does not need collision resistance
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"net/url"
	"strconv"
	"time"
)

// The parameters of codes. They are the defaults of authenticator apps, some of which ignore
// the parameters of the URI (RFC 6238, section 4, and RFC 4226, section 5.3).
const (
	codeDigits  = 6
	stepSeconds = 30
	// stepTolerance is the number of earlier and later steps that are accepted. RFC 6238, section 5.2,
	// allows at most one for the transmission delay, and a phone's clock may be some seconds off.
	stepTolerance = 1
	// secretBytes is the length that RFC 4226, section 4, recommends: the length of the hash.
	secretBytes = 20
)

var base32Text = base32.StdEncoding.WithPadding(base32.NoPadding)

// totpSecret is the secret that the user's app and this program share. It is never logged.
type totpSecret []byte

func newTOTPSecret() totpSecret {
	s := make(totpSecret, secretBytes)
	_, _ = rand.Read(s) // never fails: see crypto/rand
	return s
}

// Format keeps the secret out of logs.
func (s totpSecret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("***")) }

// text returns the secret in base32, for people who cannot scan the QR code.
func (s totpSecret) text() string { return base32Text.EncodeToString(s) }

// uri returns the content of the QR code (Key Uri Format).
func (s totpSecret) uri(email string) string {
	const name = "Omnirapeutic"
	return "otpauth://totp/" + name + ":" + url.PathEscape(email) + "?secret=" + s.text() + "&issuer=" + name +
		"&algorithm=SHA1&digits=" + strconv.Itoa(codeDigits) + "&period=" + strconv.Itoa(stepSeconds)
}

// stepAt returns the number of the step at the given time: the counter of RFC 6238.
func stepAt(t time.Time) int64 { return t.Unix() / stepSeconds }

// code returns the code of a step: HOTP, RFC 4226, section 5.3.
func (s totpSecret) code(step int64, digits int) string {
	mac := hmac.New(sha1.New, s)
	var counter [8]byte
	binary.BigEndian.PutUint64(counter[:], uint64(step)) //nolint:gosec // steps since 1970
	mac.Write(counter[:])
	sum := mac.Sum(nil)
	const lowBits, noSign = 0xf, 0x7fffffff
	from := sum[len(sum)-1] & lowBits
	number := binary.BigEndian.Uint32(sum[from:]) & noSign
	text := fmt.Sprintf("%0*d", digits, number)
	return text[len(text)-digits:]
}

// match returns the step of the given code among the accepted steps, or 0. Its duration does not
// depend on the code.
func (s totpSecret) match(given string, now time.Time) (step int64) {
	current := stepAt(now)
	for candidate := current - stepTolerance; candidate <= current+stepTolerance; candidate++ {
		if subtle.ConstantTimeCompare([]byte(s.code(candidate, codeDigits)), []byte(given)) == 1 {
			step = candidate
		}
	}
	return step
}
