package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/rbac"
)

// strict starts a clinic behind a proxy that allows three failures per source.
func strict(t testing.TB) *clinic {
	t.Helper()
	database := twoPractices.New(t)
	return serve(t, database, database.Open(t),
		"OMNI_FAILURE_RATE_LIMIT=0.01", "OMNI_FAILURE_RATE_BURST=3", "OMNI_TRUSTED_PROXIES=127.0.0.0/8")
}

// from returns a caller at a network address, without or with a token.
func (c *clinic) from(address, token string) caller {
	return c.as(token).with("X-Forwarded-For", address)
}

// TestFailuresOfOneNetworkAddressAreLimited: three attempts of each kind are checked, and further
// ones refused. Other networks and signed-in users are not affected.
func TestFailuresOfOneNetworkAddressAreLimited(t *testing.T) {
	t.Parallel()
	c := strict(t)
	const hostile, office = "192.0.2.66", "198.51.100.7"
	signIn := func(from caller, email, secret string) answer {
		return from.post(t, "/auth/login", body{"email": email, "password": secret})
	}
	_, invitation := c.admin().invite(t, "rosa@example.test", "TECHNICIAN")
	reset := c.admin().post(t, c.hire(t, c.own, "forgetful@own.test", rbac.Biller)+"/password-reset", body{}).text("token")
	_, key := c.key(t, "patient:read")
	gone, unknownKey := c.key(t, "patient:read")
	c.run(t, "DELETE FROM api_keys WHERE id = $1", strings.TrimPrefix(gone, "/api-keys/"))
	for name, kind := range map[string]struct {
		guess  func(from caller) answer
		status int
		good   func(from caller) answer
	}{
		"sign-ins with wrong passwords": {
			func(from caller) answer { return signIn(from, "biller@own.test", "not-the-right-one") }, http.StatusUnauthorized,
			func(from caller) answer { return signIn(from, "biller@own.test", password) },
		},
		"refresh tokens": {
			func(from caller) answer {
				return from.post(t, "/auth/refresh", body{"refreshToken": "omr_" + strings.Repeat("A", 43)})
			}, http.StatusUnauthorized,
			func(from caller) answer {
				return from.post(t, "/auth/refresh", body{"refreshToken": c.enters(t, "scheduler@own.test").refresh})
			},
		},
		"invitations": {
			func(from caller) answer {
				return from.post(t, "/auth/invitations/accept", body{"token": strings.Repeat("x", 43), "password": password})
			}, http.StatusNotFound,
			func(from caller) answer {
				return from.post(t, "/auth/invitations/accept", body{"token": invitation, "password": "a-meadow-of-red-clover"})
			},
		},
		"links to set a new password": {
			func(from caller) answer {
				return from.post(t, "/auth/password-reset", body{"token": strings.Repeat("x", 43), "password": password})
			}, http.StatusNotFound,
			func(from caller) answer {
				return from.post(t, "/auth/password-reset", body{"token": reset, "password": "a-meadow-of-red-clover"})
			},
		},
		"codes of identity providers": {
			func(from caller) answer {
				return from.post(t, "/auth/oidc/token", body{"code": strings.Repeat("x", 60), "verifier": verifier})
			}, http.StatusUnauthorized, nil,
		},
		"access tokens and API keys": {
			func(from caller) answer { return caller{from.url, unknownKey, from.headers}.get(t, "/auth/me") },
			http.StatusUnauthorized,
			func(from caller) answer {
				return caller{from.url, key, from.headers}.get(t, "/patients/"+c.own.patient.String())
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			for range 3 {
				require.Equal(t, kind.status, kind.guess(c.from(hostile, "")).status)
			}
			limited := kind.guess(c.from(hostile, "")).refused(t, http.StatusTooManyRequests, "rate-limited")
			require.Equal(t, "failures", limited.body["policy"])
			require.Equal(t, "100", limited.header.Get("Retry-After"))
			require.Equal(t, kind.status, kind.guess(c.from("192.0.2.67", "")).status, "the neighbour's attempts are checked")
			if kind.good != nil {
				require.Less(t, kind.good(c.from(office, "")).status, http.StatusBadRequest)
			}
			c.from(hostile, c.own.tokens[rbac.Biller]).get(t, "/auth/me").ok(t)
		})
	}
	t.Run("forged access tokens and broken keys", func(t *testing.T) {
		for _, forged := range []string{"nonsense", "omni_key_x", c.own.tokens[rbac.Biller] + "x"} {
			c.from(hostile, forged).get(t, "/auth/me").refused(t, http.StatusTooManyRequests, "rate-limited")
		}
	})
	t.Run("addresses without an account are refused likewise", func(t *testing.T) {
		signIn(c.from(hostile, ""), "nobody@own.test", password).refused(t, http.StatusTooManyRequests, "rate-limited")
		for range 3 {
			signIn(c.from("192.0.2.68", ""), "nobody@own.test", password).
				refused(t, http.StatusUnauthorized, "wrong-credentials")
		}
		signIn(c.from("192.0.2.68", ""), "admin@own.test", password).refused(t, http.StatusTooManyRequests, "rate-limited")
	})
	t.Run("an IPv6 /64 is one source", func(t *testing.T) {
		for _, address := range []string{"2001:db8::1", "2001:db8::2", "2001:db8::ffff:3"} {
			signIn(c.from(address, ""), "nobody@own.test", password).refused(t, http.StatusUnauthorized, "wrong-credentials")
		}
		signIn(c.from("2001:db8::4", ""), "nobody@own.test", password).refused(t, http.StatusTooManyRequests, "rate-limited")
		signIn(c.from("2001:db8:0:1::1", ""), "nobody@own.test", password).
			refused(t, http.StatusUnauthorized, "wrong-credentials")
	})
	t.Run("a device that has signed in before is not limited by its network", func(t *testing.T) {
		device := signIn(c.from(office, ""), "biller@own.test", password).ok(t).text("deviceToken")
		known := body{"email": "biller@own.test", "password": password, "deviceToken": device}
		signIn(c.from(hostile, ""), "biller@own.test", password).refused(t, http.StatusTooManyRequests, "rate-limited")
		c.from(hostile, "").post(t, "/auth/login", known).ok(t)
		for range 3 {
			c.from(hostile, "").post(t, "/auth/login",
				body{"email": "biller@own.test", "password": "wrong", "deviceToken": device}).
				refused(t, http.StatusUnauthorized, "wrong-credentials")
		}
		c.from(office, "").post(t, "/auth/login", known).refused(t, http.StatusTooManyRequests, "rate-limited")
		c.from(hostile, "").post(t, "/auth/login",
			body{"email": "admin@own.test", "password": password, "deviceToken": device}).
			refused(t, http.StatusTooManyRequests, "rate-limited")
	})
	t.Run("until the time has passed", func(t *testing.T) {
		c.clock.advance(101 * time.Second)
		signIn(c.from(hostile, ""), "biller@own.test", password).ok(t)
	})
	c.requireClean(t)
}

// TestExpiredTokensAreNotCountedAsFailures: a page with an outdated token, or a program with a revoked key, does
// not use up the failures of its network.
func TestExpiredTokensAreNotCountedAsFailures(t *testing.T) {
	t.Parallel()
	c := strict(t)
	in := c.enters(t, "biller@own.test")
	path, key := c.key(t, "patient:read")
	require.Equal(t, http.StatusNoContent, c.admin().delete(t, path).status)
	c.clock.advance(2 * time.Hour)
	for range 5 {
		c.as(in.token).get(t, "/auth/me").refused(t, http.StatusUnauthorized, "unauthenticated")
		c.as(key).get(t, "/auth/me").refused(t, http.StatusUnauthorized, "unauthenticated")
		c.refresh(t, in.refresh).refused(t, http.StatusUnauthorized, "refresh-refused")
	}
	c.enters(t, "biller@own.test")
}

// TestSuccessfulSignInsAreNotCountedAsFailures: a whole practice signs in at once, from one address.
func TestSuccessfulSignInsAreNotCountedAsFailures(t *testing.T) {
	t.Parallel()
	c := strict(t)
	for range 10 {
		c.enters(t, "biller@own.test")
	}
}

// TestAnAdministratorUnlocksAUser unlocks over HTTP; the trail records it.
func TestAnAdministratorUnlocksAUser(t *testing.T) {
	t.Parallel()
	c := open(t)
	biller := c.userWith(t, c.admin(), rbac.Biller)
	signIn := func(secret string) answer {
		return c.as("").post(t, "/auth/login", body{"email": "biller@own.test", "password": secret})
	}
	for range 10 {
		signIn("not-the-right-one").refused(t, http.StatusUnauthorized, "wrong-credentials")
	}
	signIn(password).refused(t, http.StatusTooManyRequests, "sign-in-delayed")
	c.as(c.own.tokens[rbac.Scheduler]).post(t, biller+"/unlock", nil).refused(t, http.StatusForbidden, "forbidden")
	c.as(c.other.tokens[rbac.Admin]).post(t, biller+"/unlock", nil).refused(t, http.StatusNotFound, "user-not-found")
	require.Equal(t, http.StatusNoContent, c.admin().post(t, biller+"/unlock", nil).status)
	signIn(password).ok(t)
	c.permit(t, rbac.Scheduler, map[string][]string{"payer:change": nil})
	beyond := c.as(c.signIn(t, "own", rbac.Scheduler)).post(t, c.userWith(t, c.admin(), rbac.Admin)+"/unlock", nil)
	require.Equal(t, "payer:change", beyond.refused(t, http.StatusForbidden, "beyond-own-permissions").text("exceeds"))
	require.Contains(t, string(c.admin().get(t, "/admin/audit-events?action=user.unlock").ok(t).raw),
		strings.TrimPrefix(biller, "/users/"))
	c.requireClean(t)
}
