package e2e

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/rbac"
)

// TestCodesCannotBeGuessedWithThePassword checks that wrong codes cause delays
// like wrong passwords. After a hundred in a row, over any number of days, only a
// recovery code is accepted.
func TestCodesCannotBeGuessedWithThePassword(t *testing.T) {
	t.Parallel()
	c := openAt(t)
	phone, codes, _ := c.enrol(t, c.as(c.own.tokens[rbac.Biller]))
	c.next()
	for range 10 {
		c.login(t, rbac.Biller, phone.wrong()).refused(t, http.StatusUnauthorized, "second-factor-wrong")
	}
	waits := c.login(t, rbac.Biller, phone.code(0)).refused(t, http.StatusTooManyRequests, "sign-in-delayed")
	require.Equal(t, "1", waits.header.Get("Retry-After"))
	require.Equal(t, 10, c.count(t, "SELECT wrong_codes FROM second_factors"))
	c.next()
	c.login(t, rbac.Biller, phone.code(0)).ok(t)
	require.Zero(t, c.count(t, "SELECT wrong_codes FROM second_factors"), "a correct code resets the count")

	c.run(t, "UPDATE second_factors SET wrong_codes = 99")
	c.login(t, rbac.Biller, phone.wrong()).refused(t, http.StatusUnauthorized, "second-factor-wrong")
	c.next()
	c.login(t, rbac.Biller, phone.code(0)).refused(t, http.StatusUnauthorized, "recovery-code-required")
	in := c.as(c.login(t, rbac.Biller, codes[0]).ok(t).text("accessToken"))
	c.login(t, rbac.Biller, phone.code(0)).ok(t)

	t.Run("nor with another user's screen", func(t *testing.T) {
		c.run(t, "UPDATE second_factors SET wrong_codes = 99")
		for range 2 {
			in.put(t, factorPath+"/off", body{"password": password, "code": phone.wrong()}).
				refused(t, http.StatusUnprocessableEntity, "validation-failed")
		}
		c.next()
		locked := in.put(t, factorPath+"/off", body{"password": password, "code": phone.code(0)}).
			refused(t, http.StatusUnprocessableEntity, "validation-failed")
		require.Equal(t, "locked", locked.body["errors"].([]any)[0].(map[string]any)["code"])
		for range 7 {
			in.put(t, factorPath+"/off", body{"password": "not-the-right-one", "code": phone.code(0)}).
				refused(t, http.StatusUnprocessableEntity, "validation-failed")
		}
		for path, b := range map[string]body{
			factorPath + "/off":            {"password": password, "code": codes[1]},
			factorPath + "/recovery-codes": {"password": password, "code": codes[1]},
			factorPath: {
				"password": password,
			},
		} {
			in.put(t, path, b).refused(t, http.StatusTooManyRequests, "sign-in-delayed")
		}
		c.next()
		require.Equal(t, http.StatusNoContent,
			in.put(t, factorPath+"/off", body{"password": password, "code": codes[1]}).status)
	})
	t.Run("nor during a setup", func(t *testing.T) {
		phone := c.scan(t, in.put(t, factorPath, body{"password": password}))
		for range 10 {
			in.put(t, factorPath+"/confirmation", body{"code": phone.wrong()}).
				refused(t, http.StatusUnprocessableEntity, "validation-failed")
		}
		in.put(t, factorPath+"/confirmation", body{"code": phone.code(0)}).
			refused(t, http.StatusTooManyRequests, "sign-in-delayed")
	})
}

func TestSecondFactorIsDisabled(t *testing.T) {
	t.Parallel()
	c := openAt(t)
	biller := c.as(c.own.tokens[rbac.Biller])
	both := func(code string) body { return body{"password": password, "code": code} }
	for _, path := range []string{factorPath + "/off", factorPath + "/recovery-codes"} {
		biller.put(t, path, both("123456")).refused(t, http.StatusNotFound, "no-second-factor")
	}
	phone, codes, biller := c.enrol(t, biller)
	for _, path := range []string{factorPath + "/off", factorPath + "/recovery-codes"} {
		for _, b := range []body{
			{"password": password},
			{"code": codes[0]},
			both(phone.code(0)), both(phone.wrong()),
			{"password": "not-the-right-one", "code": codes[0]},
			both(codes[0][1:]),
		} {
			biller.put(t, path, b).refused(t, http.StatusUnprocessableEntity, "validation-failed")
		}
		c.run(t, "DELETE FROM sign_in_failures")
	}
	c.next()
	renewed := recoveryCodesIn(t, biller.put(t, factorPath+"/recovery-codes", both(phone.code(0))))
	require.NotContains(t, renewed, codes[0])
	c.login(t, rbac.Biller, codes[0]).refused(t, http.StatusUnauthorized, "second-factor-wrong")
	require.Equal(t, 9, c.login(t, rbac.Biller, renewed[0]).ok(t).number(t, "recoveryCodesLeft"))
	require.NotEmpty(t, recoveryCodesIn(t, biller.put(t, factorPath+"/recovery-codes", both(renewed[1]))),
		"a recovery code is accepted as well")

	c.next()
	require.Equal(t, http.StatusNoContent, biller.put(t, factorPath+"/off", both(phone.code(0))).status)
	biller.get(t, "/auth/me").ok(t)
	require.Equal(t, false, biller.get(t, factorPath).ok(t).body["on"])
	require.Zero(t, c.count(t, "SELECT count(*) FROM recovery_codes"))
	c.login(t, rbac.Biller, "").ok(t)
	trail := string(c.admin().get(t, "/admin/audit-events?limit=200").ok(t).raw)
	for _, event := range []string{
		"second-factor.turn-off", "second-factor.renew-recovery-codes",
		"second-factor.use-recovery-code",
	} {
		require.Contains(t, trail, `"action":"`+event+`"`)
	}
	c.enrol(t, biller)
	c.requireClean(t)
}
