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

// openWithFailureLimit starts a clinic behind a proxy that allows three failures per source.
func openWithFailureLimit(t testing.TB) *harness.Clinic {
	t.Helper()
	database := harness.TwoPractices.New(t)
	return harness.Serve(t, database, database.Open(t),
		"OMNI_FAILURE_RATE_LIMIT=0.01", "OMNI_FAILURE_RATE_BURST=3", "OMNI_TRUSTED_PROXIES=127.0.0.0/8")
}

// callerAt returns a caller at a network address, without or with a token.
func callerAt(c *harness.Clinic, address, token string) harness.Caller {
	return c.As(token).WithHeader("X-Forwarded-For", address)
}

// TestFailuresOfOneNetworkAddressAreLimited: three attempts of each kind are checked, and further
// ones refused. Other networks and signed-in users are not affected.
func TestFailuresOfOneNetworkAddressAreLimited(t *testing.T) {
	t.Parallel()
	c := openWithFailureLimit(t)
	const hostile, office = "192.0.2.66", "198.51.100.7"
	signIn := func(from harness.Caller, email, secret string) harness.Answer {
		return from.Post(t, "/auth/login", harness.Body{"email": email, "password": secret})
	}
	_, invitation := c.Admin().Invite(t, "rosa@example.test", "TECHNICIAN")
	reset := c.Admin().Post(t, c.AddUser(t, c.Own, "forgetful@own.test", rbac.Biller)+"/password-reset", harness.Body{}).
		Text("token")
	_, key := c.AddAPIKey(t, "patient:read")
	gone, unknownKey := c.AddAPIKey(t, "patient:read")
	c.Exec(t, "DELETE FROM api_keys WHERE id = $1", strings.TrimPrefix(gone, "/api-keys/"))
	for name, kind := range map[string]struct {
		guess  func(from harness.Caller) harness.Answer
		status int
		good   func(from harness.Caller) harness.Answer
	}{
		"sign-ins with wrong passwords": {
			func(from harness.Caller) harness.Answer {
				return signIn(from, "biller@own.test",
					"not-the-right-one")
			}, http.StatusUnauthorized,
			func(from harness.Caller) harness.Answer { return signIn(from, "biller@own.test", harness.Password) },
		},
		"refresh tokens": {
			func(from harness.Caller) harness.Answer {
				return from.Post(t, "/auth/refresh", harness.Body{"refreshToken": "omr_" + strings.Repeat("A", 43)})
			}, http.StatusUnauthorized,
			func(from harness.Caller) harness.Answer {
				return from.Post(t, "/auth/refresh", harness.Body{"refreshToken": c.SignInTokens(t, "scheduler@own.test").Refresh})
			},
		},
		"invitations": {
			func(from harness.Caller) harness.Answer {
				return from.Post(t, "/auth/invitations/accept", harness.Body{
					"token": strings.Repeat("x", 43), "password": harness.Password,
				})
			}, http.StatusNotFound,
			func(from harness.Caller) harness.Answer {
				return from.Post(t, "/auth/invitations/accept", harness.Body{
					"token": invitation, "password": "a-meadow-of-red-clover",
				})
			},
		},
		"links to set a new password": {
			func(from harness.Caller) harness.Answer {
				return from.Post(t, "/auth/password-reset/confirm", harness.Body{
					"token": strings.Repeat("x", 43), "password": harness.Password,
				})
			}, http.StatusNotFound,
			func(from harness.Caller) harness.Answer {
				return from.Post(t, "/auth/password-reset/confirm", harness.Body{"token": reset, "password": "a-meadow-of-red-clover"})
			},
		},
		"codes of identity providers": {
			func(from harness.Caller) harness.Answer {
				return from.Post(t, "/auth/oidc/token", harness.Body{"code": strings.Repeat("x", 60), "verifier": harness.Verifier})
			}, http.StatusUnauthorized, nil,
		},
		"access tokens and API keys": {
			func(from harness.Caller) harness.Answer {
				return harness.Caller{URL: from.URL, Token: unknownKey, Headers: from.Headers}.Get(t, "/auth/me")
			},
			http.StatusUnauthorized,
			func(from harness.Caller) harness.Answer {
				return harness.Caller{URL: from.URL, Token: key, Headers: from.Headers}.Get(t, "/patients/"+c.Own.Patient.String())
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			for range 3 {
				require.Equal(t, kind.status, kind.guess(callerAt(c, hostile, "")).Status)
			}
			limited := kind.guess(callerAt(c, hostile, "")).Refused(t, http.StatusTooManyRequests, "rate-limited")
			require.Equal(t, "failures", limited.Body["policy"])
			require.Equal(t, "100", limited.Header.Get("Retry-After"))
			require.Equal(t, kind.status, kind.guess(callerAt(c, "192.0.2.67", "")).Status,
				"the neighbour's attempts are checked")
			if kind.good != nil {
				require.Less(t, kind.good(callerAt(c, office, "")).Status, http.StatusBadRequest)
			}
			callerAt(c, hostile, c.Own.Tokens[rbac.Biller]).Get(t, "/auth/me").OK(t)
		})
	}
	t.Run("forged access tokens and broken keys", func(t *testing.T) {
		for _, forged := range []string{"nonsense", "omni_key_x", c.Own.Tokens[rbac.Biller] + "x"} {
			callerAt(c, hostile, forged).Get(t, "/auth/me").Refused(t, http.StatusTooManyRequests, "rate-limited")
		}
	})
	t.Run("addresses without an account are refused likewise", func(t *testing.T) {
		signIn(callerAt(c, hostile, ""), "unknown@own.test", harness.Password).
			Refused(t, http.StatusTooManyRequests, "rate-limited")
		for range 3 {
			signIn(callerAt(c, "192.0.2.68", ""), "unknown@own.test", harness.Password).
				Refused(t, http.StatusUnauthorized, "wrong-credentials")
		}
		signIn(callerAt(c, "192.0.2.68", ""), "admin@own.test", harness.Password).
			Refused(t, http.StatusTooManyRequests, "rate-limited")
	})
	t.Run("an IPv6 /64 is one source", func(t *testing.T) {
		for _, address := range []string{"2001:db8::1", "2001:db8::2", "2001:db8::ffff:3"} {
			signIn(callerAt(c, address, ""), "unknown@own.test", harness.Password).
				Refused(t, http.StatusUnauthorized, "wrong-credentials")
		}
		signIn(callerAt(c, "2001:db8::4", ""), "unknown@own.test", harness.Password).
			Refused(t, http.StatusTooManyRequests, "rate-limited")
		signIn(callerAt(c, "2001:db8:0:1::1", ""), "unknown@own.test", harness.Password).
			Refused(t, http.StatusUnauthorized, "wrong-credentials")
	})
	t.Run("a device that has signed in before is not limited by its network", func(t *testing.T) {
		device := signIn(callerAt(c, office, ""), "biller@own.test", harness.Password).OK(t).Text("deviceToken")
		known := harness.Body{"email": "biller@own.test", "password": harness.Password, "deviceToken": device}
		signIn(callerAt(c, hostile, ""), "biller@own.test", harness.Password).
			Refused(t, http.StatusTooManyRequests, "rate-limited")
		callerAt(c, hostile, "").Post(t, "/auth/login", known).OK(t)
		for range 3 {
			callerAt(c, hostile, "").Post(t, "/auth/login",
				harness.Body{"email": "biller@own.test", "password": "wrong", "deviceToken": device}).
				Refused(t, http.StatusUnauthorized, "wrong-credentials")
		}
		callerAt(c, office, "").Post(t, "/auth/login", known).Refused(t, http.StatusTooManyRequests, "rate-limited")
		callerAt(c, hostile, "").Post(t, "/auth/login",
			harness.Body{"email": "admin@own.test", "password": harness.Password, "deviceToken": device}).
			Refused(t, http.StatusTooManyRequests, "rate-limited")
	})
	t.Run("until the time has passed", func(t *testing.T) {
		c.Clock.Advance(101 * time.Second)
		signIn(callerAt(c, hostile, ""), "biller@own.test", harness.Password).OK(t)
	})
	c.RequireClean(t)
}

// TestExpiredTokensAreNotCountedAsFailures: a page with an outdated token, or a program with a revoked key, does
// not use up the failures of its network.
func TestExpiredTokensAreNotCountedAsFailures(t *testing.T) {
	t.Parallel()
	c := openWithFailureLimit(t)
	in := c.SignInTokens(t, "biller@own.test")
	path, key := c.AddAPIKey(t, "patient:read")
	require.Equal(t, http.StatusNoContent, c.Admin().Delete(t, path).Status)
	c.Clock.Advance(2 * time.Hour)
	for range 5 {
		c.As(in.Access).Get(t, "/auth/me").Refused(t, http.StatusUnauthorized, "unauthenticated")
		c.As(key).Get(t, "/auth/me").Refused(t, http.StatusUnauthorized, "unauthenticated")
		c.Refresh(t, in.Refresh).Refused(t, http.StatusUnauthorized, "refresh-refused")
	}
	c.SignInTokens(t, "biller@own.test")
}

// TestSuccessfulSignInsAreNotCountedAsFailures: a whole practice signs in at once, from one address.
func TestSuccessfulSignInsAreNotCountedAsFailures(t *testing.T) {
	t.Parallel()
	c := openWithFailureLimit(t)
	for range 10 {
		c.SignInTokens(t, "biller@own.test")
	}
}

// TestAnAdministratorUnlocksAUser unlocks over HTTP; the trail records it.
func TestAnAdministratorUnlocksAUser(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	biller := c.UserWithRole(t, c.Admin(), rbac.Biller)
	signIn := func(secret string) harness.Answer {
		return c.As("").Post(t, "/auth/login", harness.Body{"email": "biller@own.test", "password": secret})
	}
	for range 10 {
		signIn("not-the-right-one").Refused(t, http.StatusUnauthorized, "wrong-credentials")
	}
	signIn(harness.Password).Refused(t, http.StatusTooManyRequests, "sign-in-delayed")
	c.As(c.Own.Tokens[rbac.Scheduler]).Post(t, biller+"/unlock", nil).Refused(t, http.StatusForbidden, "forbidden")
	c.As(c.Other.Tokens[rbac.Admin]).Post(t, biller+"/unlock", nil).Refused(t, http.StatusNotFound, "user-not-found")
	require.Equal(t, http.StatusNoContent, c.Admin().Post(t, biller+"/unlock", nil).Status)
	signIn(harness.Password).OK(t)
	permit(t, c, rbac.Scheduler, map[string][]string{"payer:change": nil})
	beyond := c.As(c.SignIn(t, "own", rbac.Scheduler)).Post(t, c.UserWithRole(t, c.Admin(), rbac.Admin)+"/unlock", nil)
	require.Equal(t, "payer:change", beyond.Refused(t, http.StatusForbidden, "beyond-own-permissions").Text("exceeds"))
	require.Contains(t, string(c.Admin().Get(t, "/admin/audit-events?action=user.unlock").OK(t).Raw),
		strings.TrimPrefix(biller, "/users/"))
	c.RequireClean(t)
}
