package e2e

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/rbac"
)

// TestCodesCannotBeGuessedWithThePassword checks that wrong codes cause delays
// like wrong passwords. After a hundred in a row, over any number of days, only a
// recovery code is accepted.
func TestCodesCannotBeGuessedWithThePassword(t *testing.T) {
	t.Parallel()
	c := harness.OpenWithFrozenClock(t)
	phone, codes, _ := c.Enrol(t, c.As(c.Own.Tokens[rbac.Biller]))
	c.NextCode()
	for range 10 {
		c.LoginWithCode(t, rbac.Biller, phone.WrongCode()).Refused(t, http.StatusUnauthorized, "second-factor-wrong")
	}
	waits := c.LoginWithCode(t, rbac.Biller, phone.Code(0)).Refused(t, http.StatusTooManyRequests, "sign-in-delayed")
	require.Equal(t, "1", waits.Header.Get("Retry-After"))
	require.Equal(t, 10, c.Count(t, "SELECT wrong_codes FROM second_factors"))
	c.NextCode()
	c.LoginWithCode(t, rbac.Biller, phone.Code(0)).OK(t)
	require.Zero(t, c.Count(t, "SELECT wrong_codes FROM second_factors"), "a correct code resets the count")

	c.Exec(t, "UPDATE second_factors SET wrong_codes = 99")
	c.LoginWithCode(t, rbac.Biller, phone.WrongCode()).Refused(t, http.StatusUnauthorized, "second-factor-wrong")
	c.NextCode()
	c.LoginWithCode(t, rbac.Biller, phone.Code(0)).Refused(t, http.StatusUnauthorized, "recovery-code-required")
	in := c.As(c.LoginWithCode(t, rbac.Biller, codes[0]).OK(t).Text("accessToken"))
	c.LoginWithCode(t, rbac.Biller, phone.Code(0)).OK(t)

	t.Run("nor with another user's screen", func(t *testing.T) {
		c.Exec(t, "UPDATE second_factors SET wrong_codes = 99")
		for range 2 {
			in.Put(t, harness.SecondFactorPath+"/off", harness.Body{"password": harness.Password, "code": phone.WrongCode()}).
				Refused(t, http.StatusUnprocessableEntity, "validation-failed")
		}
		c.NextCode()
		locked := in.Put(t, harness.SecondFactorPath+"/off", harness.Body{
			"password": harness.Password, "code": phone.Code(0),
		}).
			Refused(t, http.StatusUnprocessableEntity, "validation-failed")
		require.Equal(t, "locked", locked.Body["errors"].([]any)[0].(map[string]any)["code"])
		for range 7 {
			in.Put(t, harness.SecondFactorPath+"/off", harness.Body{"password": "not-the-right-one", "code": phone.Code(0)}).
				Refused(t, http.StatusUnprocessableEntity, "validation-failed")
		}
		for path, b := range map[string]harness.Body{
			harness.SecondFactorPath + "/off":            {"password": harness.Password, "code": codes[1]},
			harness.SecondFactorPath + "/recovery-codes": {"password": harness.Password, "code": codes[1]},
			harness.SecondFactorPath: {
				"password": harness.Password,
			},
		} {
			in.Put(t, path, b).Refused(t, http.StatusTooManyRequests, "sign-in-delayed")
		}
		c.NextCode()
		require.Equal(t, http.StatusNoContent,
			in.Put(t, harness.SecondFactorPath+"/off", harness.Body{"password": harness.Password, "code": codes[1]}).Status)
	})
	t.Run("nor during a setup", func(t *testing.T) {
		phone := c.ScanSecret(t, in.Put(t, harness.SecondFactorPath, harness.Body{"password": harness.Password}))
		for range 10 {
			in.Put(t, harness.SecondFactorPath+"/confirmation", harness.Body{"code": phone.WrongCode()}).
				Refused(t, http.StatusUnprocessableEntity, "validation-failed")
		}
		in.Put(t, harness.SecondFactorPath+"/confirmation", harness.Body{"code": phone.Code(0)}).
			Refused(t, http.StatusTooManyRequests, "sign-in-delayed")
	})
}

func TestSecondFactorIsDisabled(t *testing.T) {
	t.Parallel()
	c := harness.OpenWithFrozenClock(t)
	biller := c.As(c.Own.Tokens[rbac.Biller])
	both := func(code string) harness.Body { return harness.Body{"password": harness.Password, "code": code} }
	for _, path := range []string{harness.SecondFactorPath + "/off", harness.SecondFactorPath + "/recovery-codes"} {
		biller.Put(t, path, both("123456")).Refused(t, http.StatusNotFound, "no-second-factor")
	}
	phone, codes, biller := c.Enrol(t, biller)
	for _, path := range []string{harness.SecondFactorPath + "/off", harness.SecondFactorPath + "/recovery-codes"} {
		for _, b := range []harness.Body{
			{"password": harness.Password},
			{"code": codes[0]},
			both(phone.Code(0)), both(phone.WrongCode()),
			{"password": "not-the-right-one", "code": codes[0]},
			both(codes[0][1:]),
		} {
			biller.Put(t, path, b).Refused(t, http.StatusUnprocessableEntity, "validation-failed")
		}
		c.Exec(t, "DELETE FROM sign_in_failures")
	}
	c.NextCode()
	renewed := harness.RecoveryCodes(t, biller.Put(t, harness.SecondFactorPath+"/recovery-codes", both(phone.Code(0))))
	require.NotContains(t, renewed, codes[0])
	c.LoginWithCode(t, rbac.Biller, codes[0]).Refused(t, http.StatusUnauthorized, "second-factor-wrong")
	require.Equal(t, 9, c.LoginWithCode(t, rbac.Biller, renewed[0]).OK(t).Number(t, "recoveryCodesLeft"))
	require.NotEmpty(t, harness.RecoveryCodes(t,
		biller.Put(t, harness.SecondFactorPath+"/recovery-codes", both(renewed[1]))),
		"a recovery code is accepted as well")

	c.NextCode()
	require.Equal(t, http.StatusNoContent, biller.Put(t, harness.SecondFactorPath+"/off", both(phone.Code(0))).Status)
	biller.Get(t, "/auth/me").OK(t)
	require.Equal(t, false, biller.Get(t, harness.SecondFactorPath).OK(t).Body["on"])
	require.Zero(t, c.Count(t, "SELECT count(*) FROM recovery_codes"))
	c.LoginWithCode(t, rbac.Biller, "").OK(t)
	trail := string(c.Admin().Get(t, "/admin/audit-events?limit=200").OK(t).Raw)
	for _, event := range []string{
		"second-factor.turn-off", "second-factor.renew-recovery-codes",
		"second-factor.use-recovery-code",
	} {
		require.Contains(t, trail, `"action":"`+event+`"`)
	}
	c.Enrol(t, biller)
	c.RequireClean(t)
}
