package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/rbac"
)

const resetPath = "/auth/password-reset"

// sessionOf returns the id of the newest session of a user.
func (c *clinic) sessionOf(t testing.TB, user string) string {
	t.Helper()
	sessions := c.admin().get(t, user+"/sessions").ok(t).body["data"].([]any)
	require.NotEmpty(t, sessions)
	return sessions[0].(map[string]any)["id"].(string)
}

// reset sets a new password with a token.
func (c *clinic) reset(t testing.TB, token, password string) answer {
	t.Helper()
	return c.as("").post(t, resetPath, body{"token": token, "password": password})
}

func TestAnAdministratorCreatesAResetLink(t *testing.T) {
	t.Parallel()
	c := open(t)
	const email = "rosa@own.test"
	user := c.hire(t, c.own, email, rbac.Biller)
	signedIn := c.enters(t, email)
	created := c.admin().post(t, user+"/password-reset", body{})
	require.Equal(t, http.StatusCreated, created.status, "%s", created.raw)
	token := created.text("token")
	require.Nil(t, created.body["link"], "no page is configured")
	require.GreaterOrEqual(t, len(token), 43, "256 bits")
	for _, table := range []string{"password_resets", "audit_events", "outbox", "commands"} {
		require.Zero(t, c.count(t, "SELECT count(*) FROM "+table+" x WHERE x::text LIKE '%' || $1 || '%'", token),
			"only its hash is stored")
	}
	t.Run("all sign-ins end at once", func(t *testing.T) {
		c.as(signedIn.token).get(t, "/auth/me").refused(t, http.StatusUnauthorized, "unauthenticated")
		c.refresh(t, signedIn.refresh).refused(t, http.StatusUnauthorized, "refresh-refused")
	})
	t.Run("a password that breaks a rule does not use up the link", func(t *testing.T) {
		c.reset(t, token, "short").refused(t, http.StatusUnprocessableEntity, "validation-failed")
	})
	t.Run("the user sets a new password, once", func(t *testing.T) {
		between := c.enters(t, email)
		require.Equal(t, http.StatusNoContent, c.reset(t, token, anotherPassword).status)
		c.as(between.token).get(t, "/auth/me").refused(t, http.StatusUnauthorized, "unauthenticated")
		c.loginTo(t, email, password, uuid.Nil).refused(t, http.StatusUnauthorized, "wrong-credentials")
		c.loginTo(t, email, anotherPassword, uuid.Nil).ok(t)
	})
	t.Run("used, expired, replaced and unknown links get the same answer", func(t *testing.T) {
		used := c.reset(t, token, anotherPassword).refused(t, http.StatusNotFound, "password-reset-not-found")
		replaced := c.admin().post(t, user+"/password-reset", body{}).text("token")
		late := c.admin().post(t, user+"/password-reset", body{}).text("token")
		c.clock.advance(time.Hour)
		for _, other := range []string{replaced, late, "never-issued"} {
			refused := c.reset(t, other, anotherPassword).refused(t, http.StatusNotFound, "password-reset-not-found")
			require.Equal(t, used.text("detail"), refused.text("detail"))
		}
	})
	t.Run("the trail records it", func(t *testing.T) {
		require.Equal(t, []string{
			"password-reset.create ADMIN", "password-reset.use Sam Example", "password-reset.create ADMIN",
			"password-reset.create ADMIN",
		}, texts(t, c.owner(t), `
			SELECT concat(e.action, ' ', u.name) FROM audit_events e JOIN users u ON u.id = e.actor_id
			WHERE e.subject_id = $1 AND e.action LIKE 'password-reset.%' ORDER BY e.sequence`, idOf(user)))
	})
}

func TestAResetLinkLeadsToTheFrontend(t *testing.T) {
	t.Parallel()
	database := twoPractices.New(t)
	c := serve(t, database, database.Open(t), "OMNI_PUBLIC_URL="+publicURL, "OMNI_FRONTEND_URL="+frontendURL)
	user := c.hire(t, c.own, "rosa@own.test", rbac.Biller)
	reset := c.admin().post(t, user+"/password-reset", body{})
	token, found := strings.CutPrefix(reset.text("link"), frontendURL+"#password-reset=")
	require.True(t, found, reset.text("link"))
	require.Equal(t, reset.text("token"), token)
}

func TestPasswordResetsNeedTheUsersPermissions(t *testing.T) {
	t.Parallel()
	c := open(t)
	root := c.hire(t, c.own, "root@own.test", rbac.SuperAdmin)
	c.admin().post(t, root+"/password-reset", body{}).refused(t, http.StatusForbidden, "beyond-own-permissions")
	c.admin().get(t, root+"/sessions").refused(t, http.StatusForbidden, "beyond-own-permissions")
	c.admin().delete(t, root+"/sessions/"+uuid.NewString()).refused(t, http.StatusForbidden, "beyond-own-permissions")
	me := "/users/" + c.admin().get(t, "/auth/me").ok(t).text("id")
	c.admin().post(t, me+"/password-reset", body{}).refused(t, http.StatusForbidden, "own-password")

	t.Run("a link is invalid once its creator could no longer create it", func(t *testing.T) {
		former := c.hire(t, c.own, "former@own.test", rbac.Admin)
		user := c.hire(t, c.own, "rosa@own.test", rbac.Biller)
		token := c.enter(t, "former@own.test").post(t, user+"/password-reset", body{}).text("token")
		c.admin().patch(t, former, body{"disabled": true}).ok(t)
		c.reset(t, token, anotherPassword).refused(t, http.StatusNotFound, "password-reset-not-found")
		c.admin().patch(t, former, body{"disabled": false}).ok(t)
		c.run(t, "INSERT INTO user_roles VALUES ($1, $2, 'SUPER_ADMIN')", c.own.id, idOf(user))
		c.reset(t, token, anotherPassword).refused(t, http.StatusNotFound, "password-reset-not-found")
	})
	t.Run("and once the user has changed the password, or is disabled", func(t *testing.T) {
		user := c.hire(t, c.own, "bea@own.test", rbac.Biller)
		token := c.admin().post(t, user+"/password-reset", body{}).text("token")
		c.enter(t, "bea@own.test").put(t, "/auth/password",
			body{"currentPassword": password, "newPassword": "seven-otters-swimming"}).ok(t)
		c.reset(t, token, anotherPassword).refused(t, http.StatusNotFound, "password-reset-not-found")
		token = c.admin().post(t, user+"/password-reset", body{}).text("token")
		c.admin().patch(t, user, body{"disabled": true}).ok(t)
		c.reset(t, token, anotherPassword).refused(t, http.StatusNotFound, "password-reset-not-found")
	})
}

func TestAnAdministratorEndsASessionOfAUser(t *testing.T) {
	t.Parallel()
	c := open(t)
	user := c.hire(t, c.own, "rosa@own.test", rbac.Biller)
	kept, ended := c.enters(t, "rosa@own.test"), c.enters(t, "rosa@own.test")
	require.Len(t, c.admin().get(t, user+"/sessions").ok(t).body["data"], 2)
	path := user + "/sessions/" + c.sessionOf(t, user)
	require.Equal(t, http.StatusNoContent, c.admin().delete(t, path).status)
	c.as(ended.token).get(t, "/auth/me").refused(t, http.StatusUnauthorized, "unauthenticated")
	c.refresh(t, ended.refresh).refused(t, http.StatusUnauthorized, "refresh-refused")
	c.as(kept.token).get(t, "/auth/me").ok(t)
	c.admin().delete(t, path).refused(t, http.StatusNotFound, "sign-in-not-found")
	c.admin().delete(t, "/users/"+uuid.NewString()+"/sessions/"+uuid.NewString()).
		refused(t, http.StatusNotFound, "user-not-found")
	require.Len(t, c.admin().get(t, user+"/sessions").ok(t).body["data"], 1)
	require.Equal(t, 1,
		c.count(t, "SELECT count(*) FROM audit_events WHERE action = 'sign-in.end' AND after->>'userId' = $1", idOf(user)))
}

// TestARepeatedRefreshIsMarkedInTheTrail repeats a refresh like a client that has lost the answer.
func TestARepeatedRefreshIsMarkedInTheTrail(t *testing.T) {
	t.Parallel()
	c := open(t)
	user := c.hire(t, c.own, "rosa@own.test", rbac.Biller)
	signed := c.enters(t, "rosa@own.test")
	c.refresh(t, signed.refresh).ok(t)
	sessions := func() map[string]any {
		return c.admin().get(t, user+"/sessions").ok(t).body["data"].([]any)[0].(map[string]any)
	}
	require.Nil(t, sessions()["repeatedAt"])
	c.refresh(t, signed.refresh).ok(t)
	require.NotNil(t, sessions()["repeatedAt"])
	require.Equal(t, []string{"", "true"}, texts(t, c.owner(t), `
		SELECT coalesce(after->>'repeated', '') FROM audit_events
		WHERE action = 'sign-in.refresh' AND actor_id = $1 ORDER BY sequence`, idOf(user)))
}
