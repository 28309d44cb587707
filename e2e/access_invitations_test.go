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

// invite creates an invitation and returns its path and its token.
func (c caller) invite(t testing.TB, email string, roles ...string) (path, token string) {
	t.Helper()
	a := c.post(t, "/users/invitations", body{"email": email, "name": "Rosa New", "roles": roles})
	return "/users/invitations/" + a.created(t).String(), a.text("token")
}

func (c *clinic) accept(t testing.TB, token string, changes ...body) answer {
	t.Helper()
	b := body{"token": token, "password": password}
	for _, change := range changes {
		for k, v := range change {
			b[k] = v
		}
	}
	return c.as("").post(t, "/auth/invitations/accept", b)
}

// states returns the states of invitations by address.
func (c *clinic) states(t testing.TB, query string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, item := range c.admin().all(t, "/users/invitations?limit=2"+query, nil) {
		require.NotContains(t, item, "token")
		found[item["email"].(string)] = item["state"].(string)
	}
	return found
}

func TestInvitationCreatesOneUser(t *testing.T) {
	t.Parallel()
	c := open(t)
	path, token := c.admin().invite(t, " Rosa@Example.test", "TECHNICIAN", "PRACTITIONER")
	require.GreaterOrEqual(t, len(token), 43, "256 bits")
	for _, table := range []string{"invitations", "audit_events", "outbox", "commands"} {
		require.Zero(t, c.count(t, "SELECT count(*) FROM "+table+" x WHERE x::text LIKE '%' || $1 || '%'", token),
			"only its hash is kept")
	}
	require.Equal(t, map[string]string{"rosa@example.test": "OPEN"}, c.states(t, ""))

	t.Run("accepting sets the password and nothing else", func(t *testing.T) {
		for field, value := range map[string]any{
			"roles": []string{"ADMIN"}, "email": "other@example.test", "organizationId": c.other.id, "name": "Other",
			"practitionerId": uuid.New(), "status": "ACTIVE",
		} {
			a := c.accept(t, token, body{field: value}).refused(t, http.StatusUnprocessableEntity, "validation-failed")
			require.Contains(t, string(a.raw), field)
		}
		for _, weak := range []string{"short", "password1234", "rosa-rosa-rosa", strings.Repeat("x", 200)} {
			a := c.accept(t, token, body{"password": weak}).refused(t, http.StatusUnprocessableEntity, "validation-failed")
			require.Contains(t, string(a.raw), `"password"`)
		}
		result := c.accept(t, token)
		result.created(t)
		require.Equal(t, []any{"PRACTITIONER", "TECHNICIAN"}, result.body["roles"])
		require.Equal(t, []string{"rosa@example.test", "Rosa New", c.own.id.String()},
			[]string{result.text("email"), result.text("name"), result.text("organizationId")})
		c.enter(t, "rosa@example.test").get(t, "/appointments").ok(t)
	})
	t.Run("once", func(t *testing.T) {
		c.accept(t, token).refused(t, http.StatusNotFound, "invitation-not-found")
		c.admin().delete(t, path).refused(t, http.StatusConflict, "invitation-accepted")
		require.Equal(t, map[string]string{"rosa@example.test": "ACCEPTED"}, c.states(t, "&state=ACCEPTED"))
	})
	t.Run("and a token that was never issued creates no user", func(t *testing.T) {
		for _, made := range []string{"x", strings.Repeat("A", 43), token + "x", token[1:]} {
			c.accept(t, made).refused(t, http.StatusNotFound, "invitation-not-found")
		}
		c.accept(t, "").refused(t, http.StatusUnprocessableEntity, "validation-failed")
	})
	t.Run("it is recorded with the new user", func(t *testing.T) {
		require.Equal(t, []string{"invitation.create ADMIN", "invitation.accept ROSA NEW", "user.create ROSA NEW"},
			texts(t, c.owner(t), `
			SELECT concat(e.action, ' ', upper(u.name)) FROM audit_events e JOIN users u ON u.id = e.actor_id
			WHERE e.subject_id = $1 OR e.subject_id = (SELECT id FROM users WHERE email = 'rosa@example.test')
			AND e.action = 'user.create' ORDER BY e.sequence`, idOf(path)))
	})
}

func TestInvitationsExpire(t *testing.T) {
	t.Parallel()
	c := open(t)
	refused := func(t *testing.T, token string) {
		t.Helper()
		c.accept(t, token).refused(t, http.StatusNotFound, "invitation-not-found")
	}
	t.Run("when it is revoked", func(t *testing.T) {
		path, token := c.admin().invite(t, "revoked@example.test", "BILLER")
		c.as(c.other.tokens[rbac.Admin]).delete(t, path).refused(t, http.StatusNotFound, "invitation-not-found")
		require.Equal(t, http.StatusNoContent, c.admin().delete(t, path).status)
		require.Equal(t, http.StatusNoContent, c.admin().delete(t, path).status)
		refused(t, token)
		require.Equal(t, map[string]string{"revoked@example.test": "REVOKED"}, c.states(t, "&state=REVOKED"))
	})
	t.Run("when another replaces it", func(t *testing.T) {
		_, first := c.admin().invite(t, "again@example.test", "BILLER")
		_, second := c.admin().invite(t, "again@example.test", "AUDITOR")
		refused(t, first)
		require.Equal(t, []any{"AUDITOR"}, c.accept(t, second).body["roles"])
	})
	t.Run("when its creator loses the permission", func(t *testing.T) {
		for change, b := range map[string]body{"": {"disabled": true}, "/roles": {"roles": []string{"SCHEDULER"}}} {
			email := "gone" + strings.TrimPrefix(change, "/") + "@own.test"
			user := c.hire(t, c.own, email, rbac.Admin)
			_, token := c.enter(t, email).invite(t, "of-"+email, "BILLER")
			method := http.MethodPatch
			if change != "" {
				method = http.MethodPut
			}
			c.admin().send(t, method, user+change, b).ok(t)
			refused(t, token)
		}
		require.Equal(t, 1,
			c.count(t,
				`SELECT count(*) FROM audit_events WHERE action = 'invitation.revoke' AND subject_id = (SELECT id FROM invitations
					WHERE email = 'of-gone@own.test')`))
	})
	t.Run("after seven days", func(t *testing.T) {
		_, token := c.admin().invite(t, "late@example.test", "BILLER")
		_, other := c.admin().invite(t, "in-time@example.test", "BILLER")
		c.clock.advance(7*24*time.Hour - time.Minute)
		c.accept(t, other).created(t)
		c.clock.advance(time.Minute)
		refused(t, token)
		c.own.tokens[rbac.Admin] = c.signIn(t, "own", rbac.Admin)
		require.Equal(t, map[string]string{"late@example.test": "EXPIRED"}, c.states(t, "&state=EXPIRED"))
		require.Empty(t, c.states(t, "&state=OPEN"))
	})
}

func TestInvitationsBeyondOwnPermissionsAreRefused(t *testing.T) {
	t.Parallel()
	c := open(t)
	a := c.admin().post(t, "/users/invitations",
		body{"email": "root@example.test", "name": "Root", "roles": []string{"BILLER", "SUPER_ADMIN"}})
	a.refused(t, http.StatusForbidden, "beyond-own-permissions")
	c.admin().post(t, "/users/invitations", body{"email": "BILLER@own.test", "name": "Bo", "roles": []string{"BILLER"}}).
		refused(t, http.StatusConflict, "email-taken")
	for _, invalid := range []body{
		{"email": "nobody", "name": "A", "roles": []string{"BILLER"}},
		{"email": "a@b.test", "name": " ", "roles": []string{"BILLER"}},
		{"email": "a@b.test", "name": "A", "roles": []string{}},
		{"email": "a@b.test", "name": "A", "roles": []string{"OWNER"}},
		{"email": "a@b.test", "name": "A", "roles": []string{"BILLER"}, "expiresAt": "2030-01-01T00:00:00Z"},
		{"email": "a@b.test", "name": "A", "roles": []string{"BILLER"}, "organizationId": c.other.id},
	} {
		c.admin().post(t, "/users/invitations", invalid).refused(t, http.StatusUnprocessableEntity, "validation-failed")
	}
	require.Empty(t, c.states(t, ""))
	t.Run("an address is taken by a user of the same organization only", func(t *testing.T) {
		_, token := c.admin().invite(t, "biller@other.test", "BILLER")
		c.accept(t, token).created(t)
		_, late := c.admin().invite(t, "late@own.test", "BILLER")
		c.hire(t, c.own, "late@own.test", rbac.Biller)
		c.accept(t, late).refused(t, http.StatusConflict, "email-taken")
	})
}

// TestConcurrentAcceptancesOfOneInvitation accepts with one token several times concurrently, on two
// instances.
func TestConcurrentAcceptancesOfOneInvitation(t *testing.T) {
	t.Parallel()
	c := open(t)
	second := secondInstance(t, c, c.database.Open(t))
	for range 5 {
		email := uuid.NewString() + "@example.test"
		_, token := c.admin().invite(t, email, "BILLER")
		answers := make([]answer, 6)
		together(len(answers), func(i int) { answers[i] = []*clinic{c, second}[i%2].accept(t, token) })
		created := 0
		for _, a := range answers {
			if a.status == http.StatusCreated {
				created++
				continue
			}
			a.refused(t, http.StatusNotFound, "invitation-not-found")
		}
		require.Equal(t, 1, created)
		require.Equal(t, 1, c.count(t, "SELECT count(*) FROM users WHERE email = $1", email))
	}
}
