package rbac

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // what authenticator apps compute with; an HMAC does not need it free of collisions
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"net/url"
	"strconv"
	"time"
)

// What codes are made by: what every authenticator app takes for granted, some of
// them whatever the URI says (RFC 6238, section 4, and RFC 4226, section 5.3).
const (
	codeDigits  = 6
	stepSeconds = 30
	// stepsAside is how many steps before and after the present one are accepted: RFC
	// 6238, section 5.2, wants at most one for the time that a code is under way, and a
	// telephone's clock may be some seconds off in either direction.
	stepsAside = 1
	// secretBytes is what RFC 4226, section 4, recommends: the length of the hash.
	secretBytes = 20
)

var base32Text = base32.StdEncoding.WithPadding(base32.NoPadding)

// totpSecret is what a user's app and this program share. It says nothing of itself.
type totpSecret []byte

func newTOTPSecret() totpSecret {
	s := make(totpSecret, secretBytes)
	_, _ = rand.Read(s) // never fails: see crypto/rand
	return s
}

// Format keeps the secret out of logs.
func (s totpSecret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("***")) }

// text is the secret as people type it, where they cannot scan it.
func (s totpSecret) text() string { return base32Text.EncodeToString(s) }

// uri is what a page shows as a QR code for the app to scan (Key Uri Format).
func (s totpSecret) uri(email string) string {
	const name = "Omnirapeutic"
	return "otpauth://totp/" + name + ":" + url.PathEscape(email) + "?secret=" + s.text() + "&issuer=" + name +
		"&algorithm=SHA1&digits=" + strconv.Itoa(codeDigits) + "&period=" + strconv.Itoa(stepSeconds)
}

// stepAt is the number of the step that a moment is in: the counter of RFC 6238.
func stepAt(t time.Time) int64 { return t.Unix() / stepSeconds }

// code is that of a step: HOTP, RFC 4226, section 5.3.
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

// match returns the step whose code is given, of those that are accepted at the
// moment; 0 where it is that of none. It takes the same time wherever they differ.
func (s totpSecret) match(given string, now time.Time) (step int64) {
	present := stepAt(now)
	for each := present - stepsAside; each <= present+stepsAside; each++ {
		if subtle.ConstantTimeCompare([]byte(s.code(each, codeDigits)), []byte(given)) == 1 {
			step = each
		}
	}
	return step
}
