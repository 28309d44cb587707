package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/rbac"
)

func TestSecondFactorLifecycle(t *testing.T) {
	t.Parallel()
	c := harness.OpenWithFrozenClock(t)
	biller := c.As(c.Own.Tokens[rbac.Biller])
	elsewhere := c.LoginWithCode(t, rbac.Biller, "").OK(t)
	require.Nil(t, elsewhere.Body["recoveryCodesLeft"])
	require.Equal(t, harness.Body{
		"on": false, "since": nil, "recoveryCodesLeft": 0.0, "confirmUntil": nil, "required": false,
	},
		biller.Get(t, harness.SecondFactorPath).OK(t).Body)

	started := biller.Put(t, harness.SecondFactorPath, harness.Body{"password": harness.Password})
	phone := c.ScanSecret(t, started)
	require.NotNil(t, biller.Get(t, harness.SecondFactorPath).OK(t).Body["confirmUntil"])
	c.LoginWithCode(t, rbac.Biller, "").OK(t) // no code is required before confirmation
	confirmed := biller.Put(t, harness.SecondFactorPath+"/confirmation", harness.Body{"code": phone.Code(0)}).OK(t)
	codes := harness.RecoveryCodes(t, confirmed)

	biller.Get(t, "/auth/me").Refused(t, http.StatusUnauthorized, "unauthenticated")
	c.As(elsewhere.Text("accessToken")).Get(t, "/auth/me").Refused(t, http.StatusUnauthorized, "unauthenticated")
	c.As("").Post(t, "/auth/refresh", harness.Body{"refreshToken": elsewhere.Text("refreshToken")}).
		Refused(t, http.StatusUnauthorized, "refresh-refused")
	biller = c.As(confirmed.Text("accessToken"))
	state := biller.Get(t, harness.SecondFactorPath).OK(t).Body
	require.Equal(t, []any{true, 10.0, nil}, []any{state["on"], state["recoveryCodesLeft"], state["confirmUntil"]})
	biller.Put(t, harness.SecondFactorPath, harness.Body{"password": harness.Password}).
		Refused(t, http.StatusConflict, "second-factor-on")
	biller.Put(t, harness.SecondFactorPath+"/confirmation", harness.Body{"code": phone.Code(1)}).
		Refused(t, http.StatusConflict, "second-factor-not-begun")

	c.LoginWithCode(t, rbac.Biller, "").Refused(t, http.StatusUnauthorized, "second-factor-required")
	// Used up by the confirmation.
	c.LoginWithCode(t, rbac.Biller, phone.Code(0)).Refused(t, http.StatusUnauthorized, "second-factor-wrong")
	c.LoginWithCode(t, rbac.Biller, phone.WrongCode()).Refused(t, http.StatusUnauthorized, "second-factor-wrong")
	c.NextCode()
	signed := c.LoginWithCode(t, rbac.Biller, phone.Code(0)[:3]+" "+phone.Code(0)[3:]).OK(t)
	require.Equal(t, 10, signed.Number(t, "recoveryCodesLeft"))
	c.As(signed.Text("accessToken")).Get(t, "/authorizations").OK(t)
	c.LoginWithCode(t, rbac.Biller, phone.Code(0)).Refused(t, http.StatusUnauthorized, "second-factor-wrong")
	c.LoginWithCode(t, rbac.Biller, phone.Code(-1)).Refused(t, http.StatusUnauthorized, "second-factor-wrong")
	c.LoginWithCode(t, rbac.Biller, phone.Code(2)).Refused(t, http.StatusUnauthorized, "second-factor-wrong")
	c.LoginWithCode(t, rbac.Biller, phone.Code(1)).OK(t) // a phone whose clock is ahead
	refreshed := c.As("").Post(t, "/auth/refresh", harness.Body{"refreshToken": signed.Text("refreshToken")}).OK(t)
	require.Nil(t, refreshed.Body["recoveryCodesLeft"])

	require.Equal(t, 9, c.LoginWithCode(t, rbac.Biller, strings.ToLower(codes[3])).OK(t).Number(t, "recoveryCodesLeft"))
	c.LoginWithCode(t, rbac.Biller, codes[3]).Refused(t, http.StatusUnauthorized, "second-factor-wrong")
	require.Equal(t, 9, biller.Get(t, harness.SecondFactorPath).OK(t).Number(t, "recoveryCodesLeft"))

	for _, kept := range []string{"secret", started.Text("secret")} {
		require.Zero(t,
			c.Count(t, "SELECT count(*) FROM second_factors WHERE position(convert_to($1, 'UTF8') IN secret) > 0", kept))
	}
	require.Zero(t,
		c.Count(t, "SELECT count(*) FROM second_factors WHERE position($1::bytea IN secret) > 0", phone.Secret))
	trail := string(c.Admin().Get(t, "/admin/audit-events?limit=200").OK(t).Raw)
	for _, event := range []string{
		`"action":"second-factor.begin"`, `"action":"second-factor.turn-on"`, `"action":"second-factor.use-recovery-code"`,
		`"after":{"left":9}`,
		`"after":{"secondFactor":"code"}`, `"after":{"secondFactor":"recovery-code"}`, `"after":{"reason":"code"}`,
		`"after":{"reason":"code-used"}`,
	} {
		require.Contains(t, trail, event)
	}
	requested := c.Admin().Get(t, "/admin/audit-events?action=second-factor.ask").OK(t).Body["data"].([]any)
	require.Len(t, requested, 1, "only if no code was sent")
	first := requested[0].(map[string]any)
	require.Equal(t, []any{"done", nil, "user", "127.0.0.1", nil},
		[]any{first["outcome"], first["actorId"], first["subjectType"], first["address"], first["after"]})
	for _, item := range c.Admin().Get(t, "/admin/audit-events?outcome=denied&limit=200").OK(t).Body["data"].([]any) {
		require.NotEqual(t, first["requestId"], item.(map[string]any)["requestId"], "it recorded no denial")
	}
	for _, secret := range append(codes, started.Text("secret"), phone.WrongCode(), phone.Code(0)) {
		require.NotContains(t, trail, `"`+secret)
	}
	c.RequireClean(t)
}

// TestSecondFactorIsRevealedAfterThePasswordOnly checks that without the password, users with a second
// factor, users without one, and unknown users get the same answer, for any code.
func TestSecondFactorIsRevealedAfterThePasswordOnly(t *testing.T) {
	t.Parallel()
	c := harness.OpenWithFrozenClock(t)
	phone, codes, _ := c.Enrol(t, c.As(c.Own.Tokens[rbac.Biller]))
	c.NextCode()
	reported := map[string]bool{}
	for _, email := range []string{"BILLER@own.test", "SCHEDULER@own.test", "unknown@own.test"} {
		for _, code := range []string{"", phone.Code(0), "000000", codes[0]} {
			a := c.As("").Post(t, "/auth/login", harness.Body{"email": email, "password": "not-the-right-one", "code": code})
			a.Refused(t, http.StatusUnauthorized, "wrong-credentials")
			reported[a.Text("title")+a.Text("detail")+a.Header.Get("Retry-After")] = true
		}
	}
	require.Len(t, reported, 1)
	require.Equal(t, 10, c.LoginWithCode(t, rbac.Biller, phone.Code(0)).OK(t).Number(t, "recoveryCodesLeft"),
		"no code was used up")
	require.Nil(t, c.LoginWithCode(t, rbac.Scheduler, "000000").OK(t).Body["recoveryCodesLeft"],
		"a user without one needs no code")
}

// TestSecondFactorCodeWorksOnce uses a code concurrently, on two instances.
func TestSecondFactorCodeWorksOnce(t *testing.T) {
	t.Parallel()
	c := harness.OpenWithFrozenClock(t)
	second := harness.SecondInstance(t, c, c.Database.Open(t))
	phone, codes, biller := c.Enrol(t, c.As(c.Own.Tokens[rbac.Biller]))
	c.NextCode()
	for name, code := range map[string]string{"of the app": phone.Code(0), "for recovery": codes[0]} {
		t.Run(name, func(t *testing.T) {
			answers := make([]harness.Answer, 8) // fewer than the available slots
			harness.Concurrently(len(answers), func(i int) {
				answers[i] = []*harness.Clinic{c, second}[i%2].LoginWithCode(t,
					rbac.Biller, code)
			})
			signedIn := 0
			for _, a := range answers {
				if a.Status == http.StatusOK {
					signedIn++
					continue
				}
				a.Refused(t, http.StatusUnauthorized, "second-factor-wrong")
			}
			require.Equal(t, 1, signedIn)
			c.Exec(t, "DELETE FROM sign_in_failures") // so that the next attempts are not delayed
		})
	}
	require.Equal(t, 9, biller.Get(t, harness.SecondFactorPath).OK(t).Number(t, "recoveryCodesLeft"))
	c.RequireClean(t)
}

// TestOneOfManyConfirmationsCounts checks that after concurrent confirmations the
// returned recovery codes are the valid ones.
func TestOneOfManyConfirmationsCounts(t *testing.T) {
	t.Parallel()
	c := harness.OpenWithFrozenClock(t)
	second := harness.SecondInstance(t, c, c.Database.Open(t))
	token := c.Own.Tokens[rbac.Biller]
	phone := c.ScanSecret(t, c.As(token).Put(t, harness.SecondFactorPath, harness.Body{"password": harness.Password}))
	answers := make([]harness.Answer, 6)
	harness.Concurrently(len(answers), func(i int) {
		answers[i] = []*harness.Clinic{c, second}[i%2].As(token).Put(t, harness.SecondFactorPath+"/confirmation",
			harness.Body{"code": phone.Code(0)})
	})
	var reported []harness.Answer
	for _, a := range answers {
		if a.Status == http.StatusOK {
			reported = append(reported, a)
			continue
		}
		// Another request confirmed it first, or its token was revoked by the confirmation.
		require.Contains(t, []string{"second-factor-not-begun", "unauthenticated"}, a.Text("code"), "%s", a.Raw)
	}
	require.Len(t, reported, 1)
	c.As(reported[0].Text("accessToken")).Get(t, "/auth/me").OK(t)
	require.Equal(t, 9, c.LoginWithCode(t, rbac.Biller, harness.RecoveryCodes(t, reported[0])[9]).OK(t).
		Number(t, "recoveryCodesLeft"))
	c.RequireClean(t)
}

func TestEnrolmentBelongsToItsUserAndExpires(t *testing.T) {
	t.Parallel()
	c := harness.OpenWithFrozenClock(t)
	biller := c.As(c.Own.Tokens[rbac.Biller])
	biller.Put(t, harness.SecondFactorPath, harness.Body{"password": "not-the-right-one"}).
		Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	biller.Put(t, harness.SecondFactorPath, harness.Body{}).Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	biller.Put(t, harness.SecondFactorPath+"/confirmation", harness.Body{"code": "123456"}).
		Refused(t, http.StatusConflict, "second-factor-not-begun")
	first := c.ScanSecret(t, biller.Put(t, harness.SecondFactorPath, harness.Body{"password": harness.Password}))
	phone := c.ScanSecret(t, biller.Put(t, harness.SecondFactorPath, harness.Body{"password": harness.Password}))
	require.NotEqual(t, first.Secret, phone.Secret)
	for _, invalid := range []string{first.Code(0), phone.Code(2), "ABCDEF-ABCDEF-ABCDEF-ABCDEF"} {
		biller.Put(t, harness.SecondFactorPath+"/confirmation", harness.Body{"code": invalid}).
			Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	}
	c.Clock.Advance(15 * time.Minute)
	biller = c.As(c.SignIn(t, "own", rbac.Biller))
	biller.Put(t, harness.SecondFactorPath+"/confirmation", harness.Body{"code": phone.Code(0)}).
		Refused(t, http.StatusConflict, "second-factor-not-begun")
	c.Clock.Advance(time.Second)
	_, err := c.App.Access.Sweep(t.Context())
	require.NoError(t, err)
	require.Zero(t, c.Count(t, "SELECT count(*) FROM second_factors"))
	c.Enrol(t, biller)

	c.Clock.Advance(-15*time.Minute - time.Second)
	key := c.As(c.Admin().Post(t, "/api-keys", harness.Body{"name": "x", "permissions": []string{"patient:read"}}).
		Text("key"))
	for _, a := range []harness.Answer{
		key.Get(t, harness.SecondFactorPath), key.Put(t, harness.SecondFactorPath,
			harness.Body{"password": harness.Password}),
		key.Put(t, harness.SecondFactorPath+"/confirmation", harness.Body{"code": "1"}),
		key.Put(t, harness.SecondFactorPath+"/off", harness.Body{
			"password": harness.Password, "code": "1",
		}), key.Put(t, harness.SecondFactorPath+"/recovery-codes",
			harness.Body{"password": harness.Password, "code": "1"}),
	} {
		a.Refused(t, http.StatusForbidden, "people-only")
	}
}
