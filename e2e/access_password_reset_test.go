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
)

const resetPath = "/auth/password-reset/confirm"

// sessionOf returns the id of the newest session of a user.
func sessionOf(t testing.TB, c *harness.Clinic, user string) string {
	t.Helper()
	sessions := c.Admin().Get(t, user+"/sessions").OK(t).Body["data"].([]any)
	require.NotEmpty(t, sessions)
	return sessions[0].(map[string]any)["id"].(string)
}

// resetPassword sets a new password with a token.
func resetPassword(t testing.TB, c *harness.Clinic, token, password string) harness.Answer {
	t.Helper()
	return c.As("").Post(t, resetPath, harness.Body{"token": token, "password": password})
}

func TestAnAdministratorCreatesAResetLink(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	const email = "rosa@own.test"
	user := c.AddUser(t, c.Own, email, rbac.Biller)
	signedIn := c.SignInTokens(t, email)
	created := c.Admin().Post(t, user+"/password-reset", harness.Body{})
	require.Equal(t, http.StatusCreated, created.Status, "%s", created.Raw)
	token := created.Text("token")
	require.Nil(t, created.Body["link"], "no page is configured")
	require.GreaterOrEqual(t, len(token), 43, "256 bits")
	for _, table := range []string{"password_resets", "audit_events", "outbox", "commands"} {
		require.Zero(t, c.Count(t, "SELECT count(*) FROM "+table+" x WHERE x::text LIKE '%' || $1 || '%'", token),
			"only its hash is stored")
	}
	t.Run("all sign-ins end at once", func(t *testing.T) {
		c.As(signedIn.Access).Get(t, "/auth/me").Refused(t, http.StatusUnauthorized, "unauthenticated")
		c.Refresh(t, signedIn.Refresh).Refused(t, http.StatusUnauthorized, "refresh-refused")
	})
	t.Run("a password that breaks a rule does not use up the link", func(t *testing.T) {
		resetPassword(t, c, token, "short").Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	})
	t.Run("the user sets a new password, once", func(t *testing.T) {
		between := c.SignInTokens(t, email)
		require.Equal(t, http.StatusNoContent, resetPassword(t, c, token, harness.OtherPassword).Status)
		c.As(between.Access).Get(t, "/auth/me").Refused(t, http.StatusUnauthorized, "unauthenticated")
		c.Login(t, email, harness.Password, uuid.Nil).Refused(t, http.StatusUnauthorized, "wrong-credentials")
		c.Login(t, email, harness.OtherPassword, uuid.Nil).OK(t)
	})
	t.Run("used, expired, replaced and unknown links get the same answer", func(t *testing.T) {
		used := resetPassword(t, c, token, harness.OtherPassword).Refused(t, http.StatusNotFound, "password-reset-not-found")
		replaced := c.Admin().Post(t, user+"/password-reset", harness.Body{}).Text("token")
		late := c.Admin().Post(t, user+"/password-reset", harness.Body{}).Text("token")
		c.Clock.Advance(time.Hour)
		for _, other := range []string{replaced, late, "never-issued"} {
			refused := resetPassword(t, c, other, harness.OtherPassword).
				Refused(t, http.StatusNotFound, "password-reset-not-found")
			require.Equal(t, used.Text("detail"), refused.Text("detail"))
		}
	})
	t.Run("the trail records it", func(t *testing.T) {
		require.Equal(t, []string{
			"password-reset.create ADMIN", "password-reset.use Sam Example", "password-reset.create ADMIN",
			"password-reset.create ADMIN",
		}, harness.QueryTexts(t, c.Owner(t), `
			SELECT concat(e.action, ' ', u.name) FROM audit_events e JOIN users u ON u.id = e.actor_id
			WHERE e.subject_id = $1 AND e.action LIKE 'password-reset.%' ORDER BY e.sequence`, harness.IDOf(user)))
	})
}

func TestAResetLinkLeadsToTheFrontend(t *testing.T) {
	t.Parallel()
	database := harness.TwoPractices.New(t)
	c := harness.Serve(t, database, database.Open(t), "OMNI_PUBLIC_URL="+harness.PublicURL,
		"OMNI_FRONTEND_URL="+harness.FrontendURL)
	user := c.AddUser(t, c.Own, "rosa@own.test", rbac.Biller)
	reset := c.Admin().Post(t, user+"/password-reset", harness.Body{})
	token, found := strings.CutPrefix(reset.Text("link"), harness.FrontendURL+"#password-reset=")
	require.True(t, found, reset.Text("link"))
	require.Equal(t, reset.Text("token"), token)
}

func TestPasswordResetsNeedTheUsersPermissions(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	root := c.AddUser(t, c.Own, "root@own.test", rbac.SuperAdmin)
	c.Admin().Post(t, root+"/password-reset", harness.Body{}).Refused(t, http.StatusForbidden, "beyond-own-permissions")
	c.Admin().Get(t, root+"/sessions").Refused(t, http.StatusForbidden, "beyond-own-permissions")
	c.Admin().Delete(t, root+"/sessions/"+uuid.NewString()).Refused(t, http.StatusForbidden, "beyond-own-permissions")
	me := "/users/" + c.Admin().Get(t, "/auth/me").OK(t).Text("id")
	c.Admin().Post(t, me+"/password-reset", harness.Body{}).Refused(t, http.StatusForbidden, "own-password")

	t.Run("a link is invalid once its creator could no longer create it", func(t *testing.T) {
		former := c.AddUser(t, c.Own, "former@own.test", rbac.Admin)
		user := c.AddUser(t, c.Own, "rosa@own.test", rbac.Biller)
		token := c.SignInByEmail(t, "former@own.test").Post(t, user+"/password-reset", harness.Body{}).Text("token")
		c.Admin().Patch(t, former, harness.Body{"disabled": true}).OK(t)
		resetPassword(t, c, token, harness.OtherPassword).Refused(t, http.StatusNotFound, "password-reset-not-found")
		c.Admin().Patch(t, former, harness.Body{"disabled": false}).OK(t)
		c.Exec(t, "INSERT INTO user_roles VALUES ($1, $2, 'SUPER_ADMIN')", c.Own.ID, harness.IDOf(user))
		resetPassword(t, c, token, harness.OtherPassword).Refused(t, http.StatusNotFound, "password-reset-not-found")
	})
	t.Run("and once the user has changed the password, or is disabled", func(t *testing.T) {
		user := c.AddUser(t, c.Own, "bea@own.test", rbac.Biller)
		token := c.Admin().Post(t, user+"/password-reset", harness.Body{}).Text("token")
		c.SignInByEmail(t, "bea@own.test").Put(t, "/auth/password",
			harness.Body{"currentPassword": harness.Password, "newPassword": "seven-otters-swimming"}).OK(t)
		resetPassword(t, c, token, harness.OtherPassword).Refused(t, http.StatusNotFound, "password-reset-not-found")
		token = c.Admin().Post(t, user+"/password-reset", harness.Body{}).Text("token")
		c.Admin().Patch(t, user, harness.Body{"disabled": true}).OK(t)
		resetPassword(t, c, token, harness.OtherPassword).Refused(t, http.StatusNotFound, "password-reset-not-found")
	})
}

func TestAnAdministratorEndsASessionOfAUser(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	user := c.AddUser(t, c.Own, "rosa@own.test", rbac.Biller)
	kept, ended := c.SignInTokens(t, "rosa@own.test"), c.SignInTokens(t, "rosa@own.test")
	require.Len(t, c.Admin().Get(t, user+"/sessions").OK(t).Body["data"], 2)
	path := user + "/sessions/" + sessionOf(t, c, user)
	require.Equal(t, http.StatusNoContent, c.Admin().Delete(t, path).Status)
	c.As(ended.Access).Get(t, "/auth/me").Refused(t, http.StatusUnauthorized, "unauthenticated")
	c.Refresh(t, ended.Refresh).Refused(t, http.StatusUnauthorized, "refresh-refused")
	c.As(kept.Access).Get(t, "/auth/me").OK(t)
	c.Admin().Delete(t, path).Refused(t, http.StatusNotFound, "sign-in-not-found")
	c.Admin().Delete(t, "/users/"+uuid.NewString()+"/sessions/"+uuid.NewString()).
		Refused(t, http.StatusNotFound, "user-not-found")
	require.Len(t, c.Admin().Get(t, user+"/sessions").OK(t).Body["data"], 1)
	require.Equal(t, 1,
		c.Count(t, "SELECT count(*) FROM audit_events WHERE action = 'sign-in.end' AND after::json ->> 'userId' = $1",
			harness.IDOf(user)))
}

// TestARepeatedRefreshIsMarkedInTheTrail repeats a refresh like a client that has lost the answer.
func TestARepeatedRefreshIsMarkedInTheTrail(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	user := c.AddUser(t, c.Own, "rosa@own.test", rbac.Biller)
	signed := c.SignInTokens(t, "rosa@own.test")
	c.Refresh(t, signed.Refresh).OK(t)
	sessions := func() map[string]any {
		return c.Admin().Get(t, user+"/sessions").OK(t).Body["data"].([]any)[0].(map[string]any)
	}
	require.Nil(t, sessions()["repeatedAt"])
	c.Refresh(t, signed.Refresh).OK(t)
	require.NotNil(t, sessions()["repeatedAt"])
	require.Equal(t, []string{"", "true"}, harness.QueryTexts(t, c.Owner(t), `
		SELECT coalesce(after::json ->> 'repeated', '') FROM audit_events
		WHERE action = 'sign-in.refresh' AND actor_id = $1 ORDER BY sequence`, harness.IDOf(user)))
}
