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

// invitationStates returns the states of invitations by address.
func invitationStates(t testing.TB, c *harness.Clinic, query string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, item := range c.Admin().All(t, "/users/invitations?limit=2"+query, nil) {
		require.NotContains(t, item, "token")
		found[item["email"].(string)] = item["state"].(string)
	}
	return found
}

func TestInvitationCreatesOneUser(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path, token := c.Admin().Invite(t, " Rosa@Example.test", "TECHNICIAN", "PRACTITIONER")
	require.GreaterOrEqual(t, len(token), 43, "256 bits")
	for _, table := range []string{"invitations", "audit_events", "outbox", "commands"} {
		require.Zero(t, c.Count(t, "SELECT count(*) FROM "+table+" x WHERE x::text LIKE '%' || $1 || '%'", token),
			"only its hash is kept")
	}
	require.Equal(t, map[string]string{"rosa@example.test": "OPEN"}, invitationStates(t, c, ""))

	t.Run("accepting sets the password and nothing else", func(t *testing.T) {
		for field, value := range map[string]any{
			"roles": []string{"ADMIN"}, "email": "other@example.test", "organizationId": c.Other.ID, "name": "Other",
			"practitionerId": uuid.New(), "status": "ACTIVE",
		} {
			a := c.AcceptInvitation(t, token, harness.Body{field: value}).
				Refused(t, http.StatusUnprocessableEntity, "validation-failed")
			require.Contains(t, string(a.Raw), field)
		}
		for _, weak := range []string{"short", "password1234", "rosa-rosa-rosa", strings.Repeat("x", 200)} {
			a := c.AcceptInvitation(t, token, harness.Body{"password": weak}).
				Refused(t, http.StatusUnprocessableEntity, "validation-failed")
			require.Contains(t, string(a.Raw), `"password"`)
		}
		result := c.AcceptInvitation(t, token)
		result.Created(t)
		require.Equal(t, []any{"PRACTITIONER", "TECHNICIAN"}, result.Body["roles"])
		require.Equal(t, []string{"rosa@example.test", "Rosa New", c.Own.ID.String()},
			[]string{result.Text("email"), result.Text("name"), result.Text("organizationId")})
		c.SignInByEmail(t, "rosa@example.test").Get(t, "/appointments").OK(t)
	})
	t.Run("once", func(t *testing.T) {
		c.AcceptInvitation(t, token).Refused(t, http.StatusNotFound, "invitation-not-found")
		c.Admin().Delete(t, path).Refused(t, http.StatusConflict, "invitation-accepted")
		require.Equal(t, map[string]string{"rosa@example.test": "ACCEPTED"}, invitationStates(t, c, "&state=ACCEPTED"))
	})
	t.Run("and a token that was never issued creates no user", func(t *testing.T) {
		for _, invalid := range []string{"x", strings.Repeat("A", 43), token + "x", token[1:]} {
			c.AcceptInvitation(t, invalid).Refused(t, http.StatusNotFound, "invitation-not-found")
		}
		c.AcceptInvitation(t, "").Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	})
	t.Run("it is recorded with the new user", func(t *testing.T) {
		require.Equal(t, []string{"invitation.create ADMIN", "invitation.accept ROSA NEW", "user.create ROSA NEW"},
			harness.QueryTexts(t, c.Owner(t), `
			SELECT concat(e.action, ' ', upper(u.name)) FROM audit_events e JOIN users u ON u.id = e.actor_id
			WHERE e.subject_id = $1 OR e.subject_id = (SELECT id FROM users WHERE email = 'rosa@example.test')
			AND e.action = 'user.create' ORDER BY e.sequence`, harness.IDOf(path)))
	})
}

func TestInvitationsExpire(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	refused := func(t *testing.T, token string) {
		t.Helper()
		c.AcceptInvitation(t, token).Refused(t, http.StatusNotFound, "invitation-not-found")
	}
	t.Run("when it is revoked", func(t *testing.T) {
		path, token := c.Admin().Invite(t, "revoked@example.test", "BILLER")
		c.As(c.Other.Tokens[rbac.Admin]).Delete(t, path).Refused(t, http.StatusNotFound, "invitation-not-found")
		require.Equal(t, http.StatusNoContent, c.Admin().Delete(t, path).Status)
		require.Equal(t, http.StatusNoContent, c.Admin().Delete(t, path).Status)
		refused(t, token)
		require.Equal(t, map[string]string{"revoked@example.test": "REVOKED"}, invitationStates(t, c, "&state=REVOKED"))
	})
	t.Run("when another replaces it", func(t *testing.T) {
		_, first := c.Admin().Invite(t, "again@example.test", "BILLER")
		_, second := c.Admin().Invite(t, "again@example.test", "AUDITOR")
		refused(t, first)
		require.Equal(t, []any{"AUDITOR"}, c.AcceptInvitation(t, second).Body["roles"])
	})
	t.Run("when its creator loses the permission", func(t *testing.T) {
		for change, b := range map[string]harness.Body{"": {"disabled": true}, "/roles": {"roles": []string{"SCHEDULER"}}} {
			email := "gone" + strings.TrimPrefix(change, "/") + "@own.test"
			user := c.AddUser(t, c.Own, email, rbac.Admin)
			_, token := c.SignInByEmail(t, email).Invite(t, "of-"+email, "BILLER")
			method := http.MethodPatch
			if change != "" {
				method = http.MethodPut
			}
			c.Admin().Send(t, method, user+change, b).OK(t)
			refused(t, token)
		}
		require.Equal(t, 1,
			c.Count(t,
				`SELECT count(*) FROM audit_events WHERE action = 'invitation.revoke' AND subject_id = (SELECT id FROM invitations
					WHERE email = 'of-gone@own.test')`))
	})
	t.Run("after seven days", func(t *testing.T) {
		_, token := c.Admin().Invite(t, "late@example.test", "BILLER")
		_, other := c.Admin().Invite(t, "in-time@example.test", "BILLER")
		c.Clock.Advance(7*24*time.Hour - time.Minute)
		c.AcceptInvitation(t, other).Created(t)
		c.Clock.Advance(time.Minute)
		refused(t, token)
		c.Own.Tokens[rbac.Admin] = c.SignIn(t, "own", rbac.Admin)
		require.Equal(t, map[string]string{"late@example.test": "EXPIRED"}, invitationStates(t, c, "&state=EXPIRED"))
		require.Empty(t, invitationStates(t, c, "&state=OPEN"))
	})
}

func TestInvitationsBeyondOwnPermissionsAreRefused(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	a := c.Admin().Post(t, "/users/invitations",
		harness.Body{"email": "root@example.test", "name": "Root", "roles": []string{"BILLER", "SUPER_ADMIN"}})
	a.Refused(t, http.StatusForbidden, "beyond-own-permissions")
	c.Admin().Post(t, "/users/invitations", harness.Body{
		"email": "BILLER@own.test", "name": "Bo", "roles": []string{"BILLER"},
	}).
		Refused(t, http.StatusConflict, "email-taken")
	for _, invalid := range []harness.Body{
		{"email": "nobody", "name": "A", "roles": []string{"BILLER"}},
		{"email": "a@b.test", "name": " ", "roles": []string{"BILLER"}},
		{"email": "a@b.test", "name": "A", "roles": []string{}},
		{"email": "a@b.test", "name": "A", "roles": []string{"OWNER"}},
		{"email": "a@b.test", "name": "A", "roles": []string{"BILLER"}, "expiresAt": "2030-01-01T00:00:00Z"},
		{"email": "a@b.test", "name": "A", "roles": []string{"BILLER"}, "organizationId": c.Other.ID},
	} {
		c.Admin().Post(t, "/users/invitations", invalid).Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	}
	require.Empty(t, invitationStates(t, c, ""))
	t.Run("an address is taken by a user of the same organization only", func(t *testing.T) {
		_, token := c.Admin().Invite(t, "biller@other.test", "BILLER")
		c.AcceptInvitation(t, token).Created(t)
		_, late := c.Admin().Invite(t, "late@own.test", "BILLER")
		c.AddUser(t, c.Own, "late@own.test", rbac.Biller)
		c.AcceptInvitation(t, late).Refused(t, http.StatusConflict, "email-taken")
	})
}

// TestConcurrentAcceptancesOfOneInvitation accepts with one token several times concurrently, on two
// instances.
func TestConcurrentAcceptancesOfOneInvitation(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	second := harness.SecondInstance(t, c, c.Database.Open(t))
	for range 5 {
		email := uuid.NewString() + "@example.test"
		_, token := c.Admin().Invite(t, email, "BILLER")
		answers := make([]harness.Answer, 6)
		harness.Concurrently(len(answers), func(i int) {
			answers[i] = []*harness.Clinic{c, second}[i%2].AcceptInvitation(t,
				token)
		})
		created := 0
		for _, a := range answers {
			if a.Status == http.StatusCreated {
				created++
				continue
			}
			a.Refused(t, http.StatusNotFound, "invitation-not-found")
		}
		require.Equal(t, 1, created)
		require.Equal(t, 1, c.Count(t, "SELECT count(*) FROM users WHERE email = $1", email))
	}
}
