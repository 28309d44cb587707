package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/oidc/openid/openidtest"
	"omnirapeutic/platform/httpx"
)

const policyPath = "/sign-in-policy"

// TestOrganizationRequiresASecondFactor checks that a user without a second factor gets
// a sign-in that only permits setting one up, from the next sign-in or refresh on.
func TestOrganizationRequiresASecondFactor(t *testing.T) {
	t.Parallel()
	c := openAt(t)
	second := secondInstance(t, c, c.database.Open(t))
	live := c.login(t, rbac.Biller, "").ok(t)
	key := c.as(c.admin().post(t, "/api-keys", body{"name": "x", "permissions": []string{"patient:read"}}).text("key"))
	before := c.admin().get(t, policyPath).ok(t)
	require.Equal(t, []any{false, 0.0, nil},
		[]any{before.body["secondFactorRequired"], before.body["version"], before.body["updatedAt"]})
	c.admin().with("If-Match", `"1"`).put(t, policyPath, body{"secondFactorRequired": true}).
		refused(t, http.StatusPreconditionFailed, "stale-version")
	c.admin().put(t, policyPath, body{}).refused(t, http.StatusUnprocessableEntity, "validation-failed")
	set := c.admin().with("If-Match", `"0"`).put(t, policyPath, body{"secondFactorRequired": true}).ok(t)
	require.Equal(t, `"1"`, set.header.Get("ETag"))
	require.Equal(t, 1, c.admin().put(t, policyPath, body{"secondFactorRequired": true}).ok(t).number(t, "version"),
		"an unchanged value has no effect")
	require.Equal(t, false, c.as(c.other.tokens[rbac.Admin]).get(t, policyPath).ok(t).body["secondFactorRequired"])

	biller := c.as(live.text("accessToken"))
	biller.get(t, "/patients").ok(t) // current work continues until the token expires
	require.Equal(t, true, biller.get(t, factorPath).ok(t).body["required"])
	for name, signed := range map[string]answer{
		"the next refresh": second.as("").post(t, "/auth/refresh", body{"refreshToken": live.text("refreshToken")}).ok(t),
		"the next sign-in": second.login(t, rbac.Biller, "").ok(t),
	} {
		t.Run(name, func(t *testing.T) {
			user := signed.body["user"].(map[string]any)
			require.Equal(t, []any{true, []any{}}, []any{user["enrolOnly"], user["permissions"]})
			c.requireEnrolOnly(t, signed.text("accessToken"))
		})
	}
	changed := biller.put(t, "/auth/password", body{"currentPassword": password, "newPassword": "a-meadow-of-red-clover"}).ok(t)
	c.requireEnrolOnly(t, changed.text("accessToken")) // another password does not bypass it
	biller = c.as(changed.text("accessToken"))
	back := biller.put(t, factorPath, body{"password": "a-meadow-of-red-clover"})
	phone := c.scan(t, back)
	biller = c.as(biller.put(t, factorPath+"/confirmation", body{"code": phone.code(0)}).ok(t).text("accessToken"))
	biller.get(t, "/patients").ok(t)
	require.Equal(t, false, biller.get(t, "/auth/me").ok(t).body["enrolOnly"])

	key.get(t, "/patients").ok(t)
	second.as("").post(t, "/auth/login", body{"email": "BILLER@other.test", "password": password}).ok(t)
	require.Equal(t, false, second.as("").post(t, "/auth/login",
		body{"email": "BILLER@other.test", "password": password}).ok(t).body["user"].(map[string]any)["enrolOnly"])

	t.Run("the user who turns it on is not locked out", func(t *testing.T) {
		admin := c.login(t, rbac.Admin, "").ok(t)
		c.requireEnrolOnly(t, admin.text("accessToken"))
		_, _, again := c.enrol(t, c.as(admin.text("accessToken")))
		again.put(t, policyPath, body{"secondFactorRequired": false}).ok(t)
		c.own.tokens[rbac.Admin] = again.token
	})
	t.Run("and once it is no longer required", func(t *testing.T) {
		require.Equal(t, false, c.login(t, rbac.Scheduler, "").ok(t).body["user"].(map[string]any)["enrolOnly"])
		// A user with a second factor is not affected.
		c.login(t, rbac.Admin, "").refused(t, http.StatusUnauthorized, "second-factor-required")
	})
	c.requireNotified(t, "sign-in-policy.set", 2)
	require.Contains(t, string(c.admin().get(t, "/admin/audit-events?action=user.sign-in&limit=200").ok(t).raw),
		`"after":{"enrolOnly":true}`)
	c.requireClean(t)
}

// requireNotified checks the number of events of the action in the own practice's trail.
func (c *clinic) requireNotified(t testing.TB, action string, want int) {
	t.Helper()
	require.Equal(t, want, c.count(t, "SELECT count(*) FROM audit_events WHERE organization_id = $1 AND action = $2 AND "+
		"outcome = 'done'", c.own.id, action))
}

// requireEnrolOnly calls every operation of the API with a token. Only those for
// setting up a second factor and signing out are permitted.
func (c *clinic) requireEnrolOnly(t testing.TB, token string) {
	t.Helper()
	as, allowed := c.as(token), 0
	for _, r := range c.app.Routes() {
		if r.Permission == httpx.Public {
			continue
		}
		if r.Enrolling {
			allowed++
			continue
		}
		a := as.sendRaw(t, r.Method, anyParameter.ReplaceAllString(r.Path, uuid.NewString()), strings.NewReader("{"))
		a.refused(t, http.StatusForbidden, "second-factor-missing")
	}
	require.Equal(t, 6, allowed)
	require.Equal(t, true, as.get(t, "/auth/me").ok(t).body["enrolOnly"])
	require.Equal(t, false, as.get(t, factorPath).ok(t).body["on"])
}

// TestProviderSignInNeedsNoSecondFactor checks sign-ins through a provider, which has
// its own requirements.
func TestProviderSignInNeedsNoSecondFactor(t *testing.T) {
	t.Parallel()
	c, p := openWithProvider(t, openidtest.Person{Subject: "s-1", Email: "scheduler@own.test", Verified: true})
	c.admin().put(t, policyPath, body{"secondFactorRequired": true}).ok(t)
	signed := c.connect(t, p, "s-1")
	c.as(signed.text("accessToken")).get(t, "/patients").ok(t)
	refreshed := c.as("").post(t, "/auth/refresh", body{"refreshToken": signed.text("refreshToken")}).ok(t)
	require.Equal(t, false, refreshed.body["user"].(map[string]any)["enrolOnly"])
	c.as(refreshed.text("accessToken")).get(t, "/patients").ok(t)
	require.Equal(t, true, c.login(t, rbac.Scheduler, "").ok(t).body["user"].(map[string]any)["enrolOnly"],
		"with the password they are")
}

func TestAdministratorRemovesASecondFactor(t *testing.T) {
	t.Parallel()
	c := openAt(t)
	second := secondInstance(t, c, c.database.Open(t)).following(t)
	admin := c.admin()
	user, root, self := c.userWith(t, admin, rbac.Biller), c.userWith(t, admin, rbac.SuperAdmin), c.userWith(t, admin,
		rbac.Admin)
	require.Equal(t, false, admin.get(t, user).ok(t).body["secondFactor"])
	admin.delete(t, user+"/second-factor").refused(t, http.StatusNotFound, "no-second-factor")
	_, codes, biller := c.enrol(t, c.as(c.own.tokens[rbac.Biller]))
	c.enrol(t, c.as(c.own.tokens[rbac.SuperAdmin]))
	phone, _, admin := c.enrol(t, admin)
	c.own.tokens[rbac.Admin] = admin.token
	require.Equal(t, true, admin.get(t, user).ok(t).body["secondFactor"])
	with := map[string]bool{}
	for _, item := range admin.all(t, "/users?limit=100", nil) {
		if item["secondFactor"].(bool) {
			with[item["email"].(string)] = true
		}
	}
	require.Equal(t, map[string]bool{"biller@own.test": true, "super_admin@own.test": true, "admin@own.test": true}, with)
	second.as(biller.token).get(t, "/auth/me").ok(t)

	beyond := admin.delete(t, root+"/second-factor").refused(t, http.StatusForbidden, "beyond-own-permissions")
	require.Equal(t, "organization:read-all", beyond.text("exceeds"))
	admin.delete(t, self+"/second-factor").refused(t, http.StatusForbidden, "own-second-factor")
	admin.delete(t, "/users/"+uuid.NewString()+"/second-factor").refused(t, http.StatusNotFound, "user-not-found")
	c.as(c.other.tokens[rbac.Admin]).delete(t, user+"/second-factor").refused(t, http.StatusNotFound, "user-not-found")
	c.as(c.own.tokens[rbac.Scheduler]).delete(t, user+"/second-factor").refused(t, http.StatusForbidden, "forbidden")
	require.Equal(t, http.StatusNoContent, admin.delete(t, user+"/second-factor").status)
	biller.get(t, "/auth/me").refused(t, http.StatusUnauthorized, "unauthenticated")
	require.Eventually(t, func() bool {
		return second.as(biller.token).get(t, "/auth/me").status == http.StatusUnauthorized
	}, soon, time.Millisecond, "on every instance")
	c.login(t, rbac.Biller, "").ok(t)
	require.Equal(t, false, admin.get(t, user).ok(t).body["secondFactor"])
	require.Zero(t, c.count(t, "SELECT count(*) FROM recovery_codes WHERE user_id = $1", idOf(user)))
	c.next()
	c.login(t, rbac.Admin, phone.code(0)).ok(t) // another user's is unchanged
	c.login(t, rbac.Biller, codes[0]).ok(t)     // the code is ignored
	c.requireNotified(t, "second-factor.take-away", 1)
	c.requireClean(t)
}
