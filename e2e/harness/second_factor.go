package harness

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/db/dbtest"
)

// SecondFactorPath is the path of the caller's second factor.
const SecondFactorPath = "/auth/second-factor"

// Authenticator is an authenticator app, an independent implementation of RFC 6238.
type Authenticator struct {
	Secret []byte
	clock  *Clock
}

// Code returns the code of the current step, or of a later one.
func (a Authenticator) Code(later int64) string {
	mac := hmac.New(sha1.New, a.Secret)
	var counter [8]byte
	binary.BigEndian.PutUint64(counter[:], uint64(a.clock.Now().Unix()/30+later))
	mac.Write(counter[:])
	sum := mac.Sum(nil)
	at := sum[19] & 15
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[at:at+4])&0x7fffffff%1_000_000)
}

// WrongCode returns a code that is not accepted now.
func (a Authenticator) WrongCode() string {
	for n := 271_828; ; n++ {
		if code := fmt.Sprintf("%06d", n); code != a.Code(-1) && code != a.Code(0) && code != a.Code(1) {
			return code
		}
	}
}

// OpenWithFrozenClock starts a clinic whose clock is frozen in the middle of the period of a code.
func OpenWithFrozenClock(t testing.TB) *Clinic {
	t.Helper()
	database := dbtest.New(t)
	c := &Clinic{Database: database, Clock: FrozenClock(time.Now().Truncate(30 * time.Second).Add(10 * time.Second))}
	c.Start(t, database.Open(t))
	c.Own, c.Other = c.AddPractice(t, "own"), c.AddPractice(t, "other")
	return c
}

// ScanSecret returns an app with the secret that a user was shown.
func (c *Clinic) ScanSecret(t testing.TB, started Answer) Authenticator {
	t.Helper()
	u, err := url.Parse(started.OK(t).Text("otpauth"))
	require.NoError(t, err)
	require.Equal(t, started.Text("secret"), u.Query().Get("secret"))
	secret, err := base32.StdEncoding.DecodeString(u.Query().Get("secret"))
	require.NoError(t, err)
	return Authenticator{secret, c.Clock}
}

// Enrol sets up a second factor for the signed-in user, and returns the app, the
// recovery codes and the new caller. The current code is used up.
func (c *Clinic) Enrol(t testing.TB, as Caller) (Authenticator, []string, Caller) {
	t.Helper()
	phone := c.ScanSecret(t, as.Put(t, SecondFactorPath, Body{"password": Password}))
	confirmed := as.Put(t, SecondFactorPath+"/confirmation", Body{"code": phone.Code(0)}).OK(t)
	return phone, RecoveryCodes(t, confirmed), c.As(confirmed.Text("accessToken"))
}

// RecoveryCodes returns the recovery codes of an answer.
func RecoveryCodes(t testing.TB, a Answer) (codes []string) {
	t.Helper()
	for _, item := range a.OK(t).Body["recoveryCodes"].([]any) {
		codes = append(codes, item.(string))
	}
	require.Len(t, codes, 10)
	return codes
}

// LoginWithCode signs in the user of the clinic's own practice with the role.
func (c *Clinic) LoginWithCode(t testing.TB, role rbac.Role, code string) Answer {
	t.Helper()
	b := Body{"email": string(role) + "@own.test", "password": Password}
	if code != "" {
		b["code"] = code
	}
	return c.As("").Post(t, "/auth/login", b)
}

// NextCode moves the clock to the next step of codes.
func (c *Clinic) NextCode() { c.Clock.Advance(30 * time.Second) }
