package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/oidc/openid/openidtest"
	"omnirapeutic/platform/httpx"
)

const policyPath = "/sign-in-policy"

// TestOrganizationRequiresASecondFactor checks that a user without a second factor gets
// a sign-in that only permits setting one up, from the next sign-in or refresh on.
func TestOrganizationRequiresASecondFactor(t *testing.T) {
	t.Parallel()
	c := harness.OpenWithFrozenClock(t)
	second := harness.SecondInstance(t, c, c.Database.Open(t))
	live := c.LoginWithCode(t, rbac.Biller, "").OK(t)
	key := c.As(c.Admin().Post(t, "/api-keys", harness.Body{"name": "x", "permissions": []string{"patient:read"}}).
		Text("key"))
	before := c.Admin().Get(t, policyPath).OK(t)
	require.Equal(t, []any{false, 0.0, nil},
		[]any{before.Body["secondFactorRequired"], before.Body["version"], before.Body["updatedAt"]})
	c.Admin().WithHeader("If-Match", `"1"`).Put(t, policyPath, harness.Body{"secondFactorRequired": true}).
		Refused(t, http.StatusPreconditionFailed, "stale-version")
	c.Admin().Put(t, policyPath, harness.Body{}).Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	set := c.Admin().WithHeader("If-Match", `"0"`).Put(t, policyPath, harness.Body{"secondFactorRequired": true}).OK(t)
	require.Equal(t, `"1"`, set.Header.Get("ETag"))
	require.Equal(t, 1, c.Admin().Put(t, policyPath, harness.Body{"secondFactorRequired": true}).OK(t).
		Number(t, "version"),
		"an unchanged value has no effect")
	require.Equal(t, false, c.As(c.Other.Tokens[rbac.Admin]).Get(t, policyPath).OK(t).Body["secondFactorRequired"])

	biller := c.As(live.Text("accessToken"))
	biller.Get(t, "/patients").OK(t) // current work continues until the token expires
	require.Equal(t, true, biller.Get(t, harness.SecondFactorPath).OK(t).Body["required"])
	for name, signed := range map[string]harness.Answer{
		"the next refresh": second.As("").Post(t, "/auth/refresh", harness.Body{"refreshToken": live.Text("refreshToken")}).
			OK(t),
		"the next sign-in": second.LoginWithCode(t, rbac.Biller, "").OK(t),
	} {
		t.Run(name, func(t *testing.T) {
			user := signed.Body["user"].(map[string]any)
			require.Equal(t, []any{true, []any{}}, []any{user["enrolOnly"], user["permissions"]})
			requireEnrolOnly(t, c, signed.Text("accessToken"))
		})
	}
	changed := biller.Put(t, "/auth/password",
		harness.Body{"currentPassword": harness.Password, "newPassword": "a-meadow-of-red-clover"}).OK(t)
	requireEnrolOnly(t, c, changed.Text("accessToken")) // another password does not bypass it
	biller = c.As(changed.Text("accessToken"))
	back := biller.Put(t, harness.SecondFactorPath, harness.Body{"password": "a-meadow-of-red-clover"})
	phone := c.ScanSecret(t, back)
	biller = c.As(biller.Put(t, harness.SecondFactorPath+"/confirmation", harness.Body{"code": phone.Code(0)}).OK(t).
		Text("accessToken"))
	biller.Get(t, "/patients").OK(t)
	require.Equal(t, false, biller.Get(t, "/auth/me").OK(t).Body["enrolOnly"])

	key.Get(t, "/patients").OK(t)
	second.As("").Post(t, "/auth/login", harness.Body{"email": "BILLER@other.test", "password": harness.Password}).OK(t)
	require.Equal(t, false, second.As("").Post(t, "/auth/login",
		harness.Body{"email": "BILLER@other.test", "password": harness.Password}).
		OK(t).Body["user"].(map[string]any)["enrolOnly"])

	t.Run("the user who turns it on is not locked out", func(t *testing.T) {
		admin := c.LoginWithCode(t, rbac.Admin, "").OK(t)
		requireEnrolOnly(t, c, admin.Text("accessToken"))
		_, _, again := c.Enrol(t, c.As(admin.Text("accessToken")))
		again.Put(t, policyPath, harness.Body{"secondFactorRequired": false}).OK(t)
		c.Own.Tokens[rbac.Admin] = again.Token
	})
	t.Run("and once it is no longer required", func(t *testing.T) {
		require.Equal(t, false, c.LoginWithCode(t, rbac.Scheduler, "").OK(t).Body["user"].(map[string]any)["enrolOnly"])
		// A user with a second factor is not affected.
		c.LoginWithCode(t, rbac.Admin, "").Refused(t, http.StatusUnauthorized, "second-factor-required")
	})
	requireNotified(t, c, "sign-in-policy.set", 2)
	require.Contains(t, string(c.Admin().Get(t, "/admin/audit-events?action=user.sign-in&limit=200").OK(t).Raw),
		`"after":{"enrolOnly":true}`)
	c.RequireClean(t)
}

// requireNotified checks the number of events of the action in the clinic's own practice's trail.
func requireNotified(t testing.TB, c *harness.Clinic, action string, want int) {
	t.Helper()
	require.Equal(t, want, c.Count(t, "SELECT count(*) FROM audit_events WHERE organization_id = $1 AND action = $2 AND "+
		"outcome = 'done'", c.Own.ID, action))
}

// requireEnrolOnly calls every operation of the API with a token. Only those for
// setting up a second factor and signing out are permitted.
func requireEnrolOnly(t testing.TB, c *harness.Clinic, token string) {
	t.Helper()
	as, allowed := c.As(token), 0
	for _, r := range c.App.Routes() {
		if r.Permission == httpx.Public {
			continue
		}
		if r.Enrolling {
			allowed++
			continue
		}
		a := as.SendRaw(t, r.Method, anyParameter.ReplaceAllString(r.Path, uuid.NewString()), strings.NewReader("{"))
		a.Refused(t, http.StatusForbidden, "second-factor-missing")
	}
	require.Equal(t, 6, allowed)
	require.Equal(t, true, as.Get(t, "/auth/me").OK(t).Body["enrolOnly"])
	require.Equal(t, false, as.Get(t, harness.SecondFactorPath).OK(t).Body["on"])
}

// TestProviderSignInNeedsNoSecondFactor checks sign-ins through a provider, which has
// its own requirements.
func TestProviderSignInNeedsNoSecondFactor(t *testing.T) {
	t.Parallel()
	c, p := harness.OpenWithProvider(t, openidtest.Person{Subject: "s-1", Email: "scheduler@own.test", Verified: true})
	c.Admin().Put(t, policyPath, harness.Body{"secondFactorRequired": true}).OK(t)
	signed := c.LinkProvider(t, p, "s-1")
	c.As(signed.Text("accessToken")).Get(t, "/patients").OK(t)
	refreshed := c.As("").Post(t, "/auth/refresh", harness.Body{"refreshToken": signed.Text("refreshToken")}).OK(t)
	require.Equal(t, false, refreshed.Body["user"].(map[string]any)["enrolOnly"])
	c.As(refreshed.Text("accessToken")).Get(t, "/patients").OK(t)
	require.Equal(t, true, c.LoginWithCode(t, rbac.Scheduler, "").OK(t).Body["user"].(map[string]any)["enrolOnly"],
		"with the password they are")
}

func TestAdministratorRemovesASecondFactor(t *testing.T) {
	t.Parallel()
	c := harness.OpenWithFrozenClock(t)
	second := harness.SecondInstance(t, c, c.Database.Open(t)).FollowRevocations(t)
	admin := c.Admin()
	user, root, self := c.UserWithRole(t, admin,
		rbac.Biller), c.UserWithRole(t, admin, rbac.SuperAdmin), c.UserWithRole(t, admin,
		rbac.Admin)
	require.Equal(t, false, admin.Get(t, user).OK(t).Body["secondFactor"])
	admin.Delete(t, user+"/second-factor").Refused(t, http.StatusNotFound, "no-second-factor")
	_, codes, biller := c.Enrol(t, c.As(c.Own.Tokens[rbac.Biller]))
	c.Enrol(t, c.As(c.Own.Tokens[rbac.SuperAdmin]))
	phone, _, admin := c.Enrol(t, admin)
	c.Own.Tokens[rbac.Admin] = admin.Token
	require.Equal(t, true, admin.Get(t, user).OK(t).Body["secondFactor"])
	with := map[string]bool{}
	for _, item := range admin.All(t, "/users?limit=100", nil) {
		if item["secondFactor"].(bool) {
			with[item["email"].(string)] = true
		}
	}
	require.Equal(t, map[string]bool{"biller@own.test": true, "super_admin@own.test": true, "admin@own.test": true}, with)
	second.As(biller.Token).Get(t, "/auth/me").OK(t)

	beyond := admin.Delete(t, root+"/second-factor").Refused(t, http.StatusForbidden, "beyond-own-permissions")
	require.Equal(t, "organization:read-all", beyond.Text("exceeds"))
	admin.Delete(t, self+"/second-factor").Refused(t, http.StatusForbidden, "own-second-factor")
	admin.Delete(t, "/users/"+uuid.NewString()+"/second-factor").Refused(t, http.StatusNotFound, "user-not-found")
	c.As(c.Other.Tokens[rbac.Admin]).Delete(t, user+"/second-factor").Refused(t, http.StatusNotFound, "user-not-found")
	c.As(c.Own.Tokens[rbac.Scheduler]).Delete(t, user+"/second-factor").Refused(t, http.StatusForbidden, "forbidden")
	require.Equal(t, http.StatusNoContent, admin.Delete(t, user+"/second-factor").Status)
	biller.Get(t, "/auth/me").Refused(t, http.StatusUnauthorized, "unauthenticated")
	require.Eventually(t, func() bool {
		return second.As(biller.Token).Get(t, "/auth/me").Status == http.StatusUnauthorized
	}, harness.Soon, time.Millisecond, "on every instance")
	c.LoginWithCode(t, rbac.Biller, "").OK(t)
	require.Equal(t, false, admin.Get(t, user).OK(t).Body["secondFactor"])
	require.Zero(t, c.Count(t, "SELECT count(*) FROM recovery_codes WHERE user_id = $1", harness.IDOf(user)))
	c.NextCode()
	c.LoginWithCode(t, rbac.Admin, phone.Code(0)).OK(t) // another user's is unchanged
	c.LoginWithCode(t, rbac.Biller, codes[0]).OK(t)     // the code is ignored
	requireNotified(t, c, "second-factor.take-away", 1)
	c.RequireClean(t)
}
