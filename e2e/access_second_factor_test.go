package e2e

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/db/dbtest"
)

const factorPath = "/auth/second-factor"

// authenticator is an authenticator app, an independent implementation of RFC 6238.
type authenticator struct {
	secret []byte
	clock  *clock
}

// code returns the code of the current step, or of a later one.
func (a authenticator) code(later int64) string {
	mac := hmac.New(sha1.New, a.secret)
	var counter [8]byte
	binary.BigEndian.PutUint64(counter[:], uint64(a.clock.now().Unix()/30+later))
	mac.Write(counter[:])
	sum := mac.Sum(nil)
	at := sum[19] & 15
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[at:at+4])&0x7fffffff%1_000_000)
}

// wrong returns a code that is not accepted now.
func (a authenticator) wrong() string {
	for n := 271_828; ; n++ {
		if code := fmt.Sprintf("%06d", n); code != a.code(-1) && code != a.code(0) && code != a.code(1) {
			return code
		}
	}
}

// openAt starts a clinic with a frozen clock, in the middle of a step.
func openAt(t testing.TB) *clinic {
	t.Helper()
	database := dbtest.New(t)
	c := &clinic{database: database, clock: frozen(time.Now().Truncate(30 * time.Second).Add(10 * time.Second))}
	c.listen(t, database.Open(t))
	c.own, c.other = c.found(t, "own"), c.found(t, "other")
	return c
}

// scan returns an app with the secret that a user was shown.
func (c *clinic) scan(t testing.TB, started answer) authenticator {
	t.Helper()
	u, err := url.Parse(started.ok(t).text("otpauth"))
	require.NoError(t, err)
	require.Equal(t, started.text("secret"), u.Query().Get("secret"))
	secret, err := base32.StdEncoding.DecodeString(u.Query().Get("secret"))
	require.NoError(t, err)
	return authenticator{secret, c.clock}
}

// enrol sets up a second factor for the signed-in user, and returns the app, the
// recovery codes and the new caller. The current code is used up.
func (c *clinic) enrol(t testing.TB, as caller) (authenticator, []string, caller) {
	t.Helper()
	phone := c.scan(t, as.put(t, factorPath, body{"password": password}))
	confirmed := as.put(t, factorPath+"/confirmation", body{"code": phone.code(0)}).ok(t)
	return phone, recoveryCodesIn(t, confirmed), c.as(confirmed.text("accessToken"))
}

func recoveryCodesIn(t testing.TB, a answer) (codes []string) {
	t.Helper()
	for _, item := range a.ok(t).body["recoveryCodes"].([]any) {
		codes = append(codes, item.(string))
	}
	require.Len(t, codes, 10)
	return codes
}

// login signs in the own practice's user with the role.
func (c *clinic) login(t testing.TB, role rbac.Role, code string) answer {
	t.Helper()
	b := body{"email": string(role) + "@own.test", "password": password}
	if code != "" {
		b["code"] = code
	}
	return c.as("").post(t, "/auth/login", b)
}

// next moves the clock to the next step of codes.
func (c *clinic) next() { c.clock.advance(30 * time.Second) }

func TestSecondFactorLifecycle(t *testing.T) {
	t.Parallel()
	c := openAt(t)
	biller := c.as(c.own.tokens[rbac.Biller])
	elsewhere := c.login(t, rbac.Biller, "").ok(t)
	require.Nil(t, elsewhere.body["recoveryCodesLeft"])
	require.Equal(t, body{"on": false, "since": nil, "recoveryCodesLeft": 0.0, "confirmUntil": nil, "required": false},
		biller.get(t, factorPath).ok(t).body)

	started := biller.put(t, factorPath, body{"password": password})
	phone := c.scan(t, started)
	require.NotNil(t, biller.get(t, factorPath).ok(t).body["confirmUntil"])
	c.login(t, rbac.Biller, "").ok(t) // no code is required before confirmation
	confirmed := biller.put(t, factorPath+"/confirmation", body{"code": phone.code(0)}).ok(t)
	codes := recoveryCodesIn(t, confirmed)

	biller.get(t, "/auth/me").refused(t, http.StatusUnauthorized, "unauthenticated")
	c.as(elsewhere.text("accessToken")).get(t, "/auth/me").refused(t, http.StatusUnauthorized, "unauthenticated")
	c.as("").post(t, "/auth/refresh", body{"refreshToken": elsewhere.text("refreshToken")}).
		refused(t, http.StatusUnauthorized, "refresh-refused")
	biller = c.as(confirmed.text("accessToken"))
	state := biller.get(t, factorPath).ok(t).body
	require.Equal(t, []any{true, 10.0, nil}, []any{state["on"], state["recoveryCodesLeft"], state["confirmUntil"]})
	biller.put(t, factorPath, body{"password": password}).refused(t, http.StatusConflict, "second-factor-on")
	biller.put(t, factorPath+"/confirmation", body{"code": phone.code(1)}).
		refused(t, http.StatusConflict, "second-factor-not-begun")

	c.login(t, rbac.Biller, "").refused(t, http.StatusUnauthorized, "second-factor-required")
	// Used up by the confirmation.
	c.login(t, rbac.Biller, phone.code(0)).refused(t, http.StatusUnauthorized, "second-factor-wrong")
	c.login(t, rbac.Biller, phone.wrong()).refused(t, http.StatusUnauthorized, "second-factor-wrong")
	c.next()
	signed := c.login(t, rbac.Biller, phone.code(0)[:3]+" "+phone.code(0)[3:]).ok(t)
	require.Equal(t, 10, signed.number(t, "recoveryCodesLeft"))
	c.as(signed.text("accessToken")).get(t, "/authorizations").ok(t)
	c.login(t, rbac.Biller, phone.code(0)).refused(t, http.StatusUnauthorized, "second-factor-wrong")
	c.login(t, rbac.Biller, phone.code(-1)).refused(t, http.StatusUnauthorized, "second-factor-wrong")
	c.login(t, rbac.Biller, phone.code(2)).refused(t, http.StatusUnauthorized, "second-factor-wrong")
	c.login(t, rbac.Biller, phone.code(1)).ok(t) // a phone whose clock is ahead
	refreshed := c.as("").post(t, "/auth/refresh", body{"refreshToken": signed.text("refreshToken")}).ok(t)
	require.Nil(t, refreshed.body["recoveryCodesLeft"])

	require.Equal(t, 9, c.login(t, rbac.Biller, strings.ToLower(codes[3])).ok(t).number(t, "recoveryCodesLeft"))
	c.login(t, rbac.Biller, codes[3]).refused(t, http.StatusUnauthorized, "second-factor-wrong")
	require.Equal(t, 9, biller.get(t, factorPath).ok(t).number(t, "recoveryCodesLeft"))

	for _, kept := range []string{"secret", started.text("secret")} {
		require.Zero(t,
			c.count(t, "SELECT count(*) FROM second_factors WHERE position(convert_to($1, 'UTF8') IN secret) > 0", kept))
	}
	require.Zero(t,
		c.count(t, "SELECT count(*) FROM second_factors WHERE position($1::bytea IN secret) > 0", phone.secret))
	trail := string(c.admin().get(t, "/admin/audit-events?limit=200").ok(t).raw)
	for _, event := range []string{
		`"action":"second-factor.begin"`, `"action":"second-factor.turn-on"`, `"action":"second-factor.use-recovery-code"`,
		`"after":{"left":9}`,
		`"after":{"secondFactor":"code"}`, `"after":{"secondFactor":"recovery-code"}`, `"after":{"reason":"code"}`,
		`"after":{"reason":"code-used"}`,
	} {
		require.Contains(t, trail, event)
	}
	requested := c.admin().get(t, "/admin/audit-events?action=second-factor.ask").ok(t).body["data"].([]any)
	require.Len(t, requested, 1, "only if no code was sent")
	first := requested[0].(map[string]any)
	require.Equal(t, []any{"done", nil, "user", "127.0.0.1", nil},
		[]any{first["outcome"], first["actorId"], first["subjectType"], first["address"], first["after"]})
	for _, item := range c.admin().get(t, "/admin/audit-events?outcome=denied&limit=200").ok(t).body["data"].([]any) {
		require.NotEqual(t, first["requestId"], item.(map[string]any)["requestId"], "it recorded no denial")
	}
	for _, secret := range append(codes, started.text("secret"), phone.wrong(), phone.code(0)) {
		require.NotContains(t, trail, `"`+secret)
	}
	c.requireClean(t)
}

// TestSecondFactorIsRevealedAfterThePasswordOnly checks that without the password, users with a second
// factor, users without one, and unknown users get the same answer, for any code.
func TestSecondFactorIsRevealedAfterThePasswordOnly(t *testing.T) {
	t.Parallel()
	c := openAt(t)
	phone, codes, _ := c.enrol(t, c.as(c.own.tokens[rbac.Biller]))
	c.next()
	reported := map[string]bool{}
	for _, email := range []string{"BILLER@own.test", "SCHEDULER@own.test", "nobody@own.test"} {
		for _, code := range []string{"", phone.code(0), "000000", codes[0]} {
			a := c.as("").post(t, "/auth/login", body{"email": email, "password": "not-the-right-one", "code": code})
			a.refused(t, http.StatusUnauthorized, "wrong-credentials")
			reported[a.text("title")+a.text("detail")+a.header.Get("Retry-After")] = true
		}
	}
	require.Len(t, reported, 1)
	require.Equal(t, 10, c.login(t, rbac.Biller, phone.code(0)).ok(t).number(t, "recoveryCodesLeft"),
		"no code was used up")
	require.Nil(t, c.login(t, rbac.Scheduler, "000000").ok(t).body["recoveryCodesLeft"],
		"a user without one needs no code")
}

// TestSecondFactorCodeWorksOnce uses a code concurrently, on two instances.
func TestSecondFactorCodeWorksOnce(t *testing.T) {
	t.Parallel()
	c := openAt(t)
	second := secondInstance(t, c, c.database.Open(t))
	phone, codes, biller := c.enrol(t, c.as(c.own.tokens[rbac.Biller]))
	c.next()
	for name, code := range map[string]string{"of the app": phone.code(0), "for recovery": codes[0]} {
		t.Run(name, func(t *testing.T) {
			answers := make([]answer, 8) // fewer than the available slots
			together(len(answers), func(i int) { answers[i] = []*clinic{c, second}[i%2].login(t, rbac.Biller, code) })
			signedIn := 0
			for _, a := range answers {
				if a.status == http.StatusOK {
					signedIn++
					continue
				}
				a.refused(t, http.StatusUnauthorized, "second-factor-wrong")
			}
			require.Equal(t, 1, signedIn)
			c.run(t, "DELETE FROM sign_in_failures") // so that the next attempts are not delayed
		})
	}
	require.Equal(t, 9, biller.get(t, factorPath).ok(t).number(t, "recoveryCodesLeft"))
	c.requireClean(t)
}

// TestOneOfManyConfirmationsCounts checks that after concurrent confirmations the
// returned recovery codes are the valid ones.
func TestOneOfManyConfirmationsCounts(t *testing.T) {
	t.Parallel()
	c := openAt(t)
	second := secondInstance(t, c, c.database.Open(t))
	token := c.own.tokens[rbac.Biller]
	phone := c.scan(t, c.as(token).put(t, factorPath, body{"password": password}))
	answers := make([]answer, 6)
	together(len(answers), func(i int) {
		answers[i] = []*clinic{c, second}[i%2].as(token).put(t, factorPath+"/confirmation", body{"code": phone.code(0)})
	})
	var reported []answer
	for _, a := range answers {
		if a.status == http.StatusOK {
			reported = append(reported, a)
			continue
		}
		// Another request confirmed it first, or its token was revoked by the confirmation.
		require.Contains(t, []string{"second-factor-not-begun", "unauthenticated"}, a.text("code"), "%s", a.raw)
	}
	require.Len(t, reported, 1)
	c.as(reported[0].text("accessToken")).get(t, "/auth/me").ok(t)
	require.Equal(t, 9, c.login(t, rbac.Biller, recoveryCodesIn(t, reported[0])[9]).ok(t).number(t, "recoveryCodesLeft"))
	c.requireClean(t)
}

func TestEnrolmentBelongsToItsUserAndExpires(t *testing.T) {
	t.Parallel()
	c := openAt(t)
	biller := c.as(c.own.tokens[rbac.Biller])
	biller.put(t, factorPath, body{"password": "not-the-right-one"}).
		refused(t, http.StatusUnprocessableEntity, "validation-failed")
	biller.put(t, factorPath, body{}).refused(t, http.StatusUnprocessableEntity, "validation-failed")
	biller.put(t, factorPath+"/confirmation", body{"code": "123456"}).
		refused(t, http.StatusConflict, "second-factor-not-begun")
	first := c.scan(t, biller.put(t, factorPath, body{"password": password}))
	phone := c.scan(t, biller.put(t, factorPath, body{"password": password}))
	require.NotEqual(t, first.secret, phone.secret)
	for _, invalid := range []string{first.code(0), phone.code(2), "ABCDEF-ABCDEF-ABCDEF-ABCDEF"} {
		biller.put(t, factorPath+"/confirmation", body{"code": invalid}).
			refused(t, http.StatusUnprocessableEntity, "validation-failed")
	}
	c.clock.advance(15 * time.Minute)
	biller = c.as(c.signIn(t, "own", rbac.Biller))
	biller.put(t, factorPath+"/confirmation", body{"code": phone.code(0)}).
		refused(t, http.StatusConflict, "second-factor-not-begun")
	c.clock.advance(time.Second)
	_, err := c.app.Access.Sweep(t.Context())
	require.NoError(t, err)
	require.Zero(t, c.count(t, "SELECT count(*) FROM second_factors"))
	c.enrol(t, biller)

	c.clock.advance(-15*time.Minute - time.Second)
	key := c.as(c.admin().post(t, "/api-keys", body{"name": "x", "permissions": []string{"patient:read"}}).text("key"))
	for _, a := range []answer{
		key.get(t, factorPath), key.put(t, factorPath, body{"password": password}),
		key.put(t, factorPath+"/confirmation", body{"code": "1"}),
		key.put(t, factorPath+"/off", body{"password": password, "code": "1"}), key.put(t, factorPath+"/recovery-codes",
			body{"password": password, "code": "1"}),
	} {
		a.refused(t, http.StatusForbidden, "people-only")
	}
}
