package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	logtest "github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/user"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
)

// hireWith creates a user of a practice with their own password.
func (c *clinic) hireWith(t testing.TB, p practice, email, password string, roles ...rbac.Role) uuid.UUID {
	t.Helper()
	u, err := c.app.Access.Users.Create(identity.With(t.Context(), identity.System(p.id)), p.id, user.NewUser{
		Email: email, Name: "Sam Example", Password: password, Roles: roles,
	})
	require.NoError(t, err)
	return u.ID
}

// loginTo signs in with the address to the organization; with uuid.Nil, without an organization.
func (c *clinic) loginTo(t testing.TB, email, password string, organization uuid.UUID) answer {
	t.Helper()
	b := body{"email": email, "password": password}
	if organization != uuid.Nil {
		b["organizationId"] = organization
	}
	return c.as("").post(t, "/auth/login", b)
}

// requireIn checks that an answer is a sign-in to the practice.
func requireIn(t testing.TB, p practice, a answer) {
	t.Helper()
	require.Equal(t, p.id.String(), a.ok(t).body["user"].(map[string]any)["organizationId"])
}

// choices returns the organizations that the answer offers.
func choices(t testing.TB, a answer) (names []string) {
	t.Helper()
	for _, item := range a.refused(t, http.StatusUnauthorized, "organization-required").body["organizations"].([]any) {
		o := item.(map[string]any)
		names = append(names, fmt.Sprint(o["name"], " ", o["id"]))
	}
	return names
}

const anotherPassword = "a-meadow-of-red-clover"

func TestAPersonChoosesAmongTheirAccounts(t *testing.T) {
	t.Parallel()
	c := open(t)
	third := c.found(t, "third")
	const email = "rosa@example.test"
	c.hireWith(t, c.own, email, password, rbac.Biller)
	c.hireWith(t, c.other, email, password, rbac.Scheduler)
	c.hireWith(t, third, email, anotherPassword, rbac.Auditor)
	choice := func(p practice, name string) string { return name + " " + p.id.String() }

	t.Run("a single account that matches the password is signed in to immediately", func(t *testing.T) {
		requireIn(t, third, c.loginTo(t, email, anotherPassword, uuid.Nil))
	})
	t.Run("with several matching accounts the user chooses, and others are not mentioned", func(t *testing.T) {
		requested := c.loginTo(t, "Rosa@Example.test", password, uuid.Nil)
		require.Equal(t, []string{choice(c.other, "other"), choice(c.own, "own")}, choices(t, requested))
		require.NotContains(t, string(requested.raw), third.id.String())
		a := c.loginTo(t, email, password, c.other.id)
		requireIn(t, c.other, a)
		require.Equal(t, []any{"SCHEDULER"}, a.body["user"].(map[string]any)["roles"])
		requireIn(t, c.own, c.loginTo(t, email, password, c.own.id))
	})
	t.Run("the choice of an organization without such an account is a wrong password", func(t *testing.T) {
		invalid := c.loginTo(t, email, password, third.id).refused(t, http.StatusUnauthorized, "wrong-credentials")
		nowhere := c.loginTo(t, email, password, uuid.New()).refused(t, http.StatusUnauthorized, "wrong-credentials")
		unknown := c.loginTo(t, "nobody@example.test", password, third.id).
			refused(t, http.StatusUnauthorized, "wrong-credentials")
		require.Equal(t, invalid.text("detail"), nowhere.text("detail"))
		require.Equal(t, invalid.text("detail"), unknown.text("detail"))
	})
	t.Run("each account has its own second factor", func(t *testing.T) {
		own := c.as(c.loginTo(t, email, password, c.own.id).ok(t).text("accessToken"))
		_, codes, _ := c.enrol(t, own)
		require.Len(t, choices(t, c.loginTo(t, email, password, uuid.Nil)), 2)
		c.loginTo(t, email, password, c.own.id).refused(t, http.StatusUnauthorized, "second-factor-required")
		requireIn(t, c.other, c.loginTo(t, email, password, c.other.id))
		with := body{"email": email, "password": password, "organizationId": c.own.id, "code": codes[0]}
		requireIn(t, c.own, c.as("").post(t, "/auth/login", with))
	})
	t.Run("a password is changed in one organization only", func(t *testing.T) {
		other := c.as(c.loginTo(t, email, password, c.other.id).ok(t).text("accessToken"))
		other.put(t, "/auth/password", body{"currentPassword": password, "newPassword": "seven-otters-swimming"}).ok(t)
		c.loginTo(t, email, password, uuid.Nil).refused(t, http.StatusUnauthorized, "second-factor-required")
		requireIn(t, c.other, c.loginTo(t, email, "seven-otters-swimming", uuid.Nil))
		c.run(t, `UPDATE users SET password_hash = (
			SELECT password_hash FROM users WHERE email = $1 AND organization_id = $2) WHERE email = $1`, email, c.own.id)
	})
	t.Run("disabled accounts and organizations are not offered", func(t *testing.T) {
		require.Len(t, choices(t, c.loginTo(t, email, password, uuid.Nil)), 3)
		c.run(t, "UPDATE users SET status = 'DISABLED' WHERE email = $1 AND organization_id = $2", email, c.own.id)
		require.Equal(t, []string{choice(c.other, "other"), choice(third, "third")},
			choices(t, c.loginTo(t, email, password, uuid.Nil)))
		c.run(t, "UPDATE organizations SET disabled = true WHERE id = $1", third.id)
		requireIn(t, c.other, c.loginTo(t, email, password, uuid.Nil))
		for _, p := range []practice{c.own, third} {
			c.loginTo(t, email, password, p.id).refused(t, http.StatusUnauthorized, "wrong-credentials")
		}
	})
}

// TestInvitationsRevealNoAccountElsewhere lets another practice's administrator invite three
// addresses, and accepts all invitations: one of a practice's user, one of its next hire, and one
// without a user.
func TestInvitationsRevealNoAccountElsewhere(t *testing.T) {
	t.Parallel()
	c := open(t)
	foreign := c.as(c.other.tokens[rbac.Admin])
	answers := map[string]string{}
	for _, email := range []string{"patient@own.test", "hire@own.test", "nobody@own.test"} {
		invited := foreign.post(t, "/users/invitations",
			body{"email": email, "name": "Sam Example", "roles": []string{"BILLER"}})
		invited.created(t)
		accepted := c.accept(t, invited.text("token"), body{"password": anotherPassword})
		accepted.created(t)
		for _, a := range []answer{invited, accepted} {
			text := strings.ReplaceAll(string(a.raw), email, "EMAIL")
			for _, member := range []string{"token", "createdAt", "updatedAt", "expiresAt"} {
				text = strings.ReplaceAll(text, fmt.Sprint(a.body[member]), strings.ToUpper(member))
			}
			answers[email] += anyID.ReplaceAllString(text, "ID")
		}
	}
	require.Equal(t, answers["nobody@own.test"], answers["patient@own.test"])
	require.Equal(t, answers["nobody@own.test"], answers["hire@own.test"])

	t.Run("the user still signs in at home", func(t *testing.T) {
		requireIn(t, c.own, c.loginTo(t, "patient@own.test", password, uuid.Nil))
		requireIn(t, c.other, c.loginTo(t, "patient@own.test", anotherPassword, uuid.Nil))
	})
	t.Run("the new hire is still invited, and accepts", func(t *testing.T) {
		_, token := c.admin().invite(t, "hire@own.test", "TECHNICIAN")
		c.accept(t, token).created(t)
		requireIn(t, c.own, c.loginTo(t, "hire@own.test", password, uuid.Nil))
	})
}

// TestTrailsShowNoAccountElsewhere signs in to one of two accounts, fails, and gets the choice
// between both. The other practice's trail shows only what concerns its own account.
func TestTrailsShowNoAccountElsewhere(t *testing.T) {
	t.Parallel()
	c := open(t)
	const email = "rosa@example.test"
	own, other := c.hireWith(t, c.own, email, password, rbac.Biller), c.hireWith(t, c.other, email, password, rbac.Biller)
	signIns := func(user uuid.UUID) []string {
		return texts(t, c.owner(t), `
			SELECT concat_ws(' ', e.outcome, e.after->>'reason') FROM audit_events e
			WHERE e.action = 'user.sign-in' AND e.subject_id = $1 ORDER BY e.sequence`, user)
	}
	events := c.count(t, "SELECT count(*) FROM audit_events")
	choices(t, c.loginTo(t, email, password, uuid.Nil))
	require.Equal(t, events, c.count(t, "SELECT count(*) FROM audit_events"), "no trail records the choice")

	c.loginTo(t, email, password, c.own.id).ok(t)
	c.loginTo(t, email, "not the password", c.own.id).refused(t, http.StatusUnauthorized, "wrong-credentials")
	require.Equal(t, []string{"done", "denied password"}, signIns(own))
	require.Empty(t, signIns(other))

	c.loginTo(t, email, "not the password", uuid.Nil).refused(t, http.StatusUnauthorized, "wrong-credentials")
	require.Equal(t, []string{"denied password"}, signIns(other), "the attempt may have concerned this account")
	require.Zero(t,
		c.count(t, "SELECT count(*) FROM audit_events WHERE subject_id = $1 AND organization_id <> $2", other, c.other.id))
}

// TestSignInCostsTheSameForAnyNumberOfAccounts compares the statements of failed sign-ins with an
// address of no account, one, two and three, and with an invalid address.
// TestOnePasswordHashIsComputedForAnyNumberOfAccounts counts hash computations.
func TestSignInCostsTheSameForAnyNumberOfAccounts(t *testing.T) {
	t.Parallel()
	first := open(t)
	third := first.found(t, "third")
	for i, p := range []practice{first.own, first.other, third} {
		for n := i + 1; n <= 3; n++ {
			first.hireWith(t, p, fmt.Sprintf("in-%d@example.test", n), password, rbac.Biller)
		}
	}
	logger, log := logtest.NewNullLogger()
	c := secondInstance(t, first,
		first.database.Open(t, func(config *db.Config) { config.SlowQuery, config.Logger = 1, logger }))
	statements := func(email string, organization uuid.UUID) (shapes []string) {
		log.Reset()
		c.loginTo(t, email, "not the password", organization).refused(t, http.StatusUnauthorized, "wrong-credentials")
		for _, entry := range log.AllEntries() {
			if entry.Data["event"] == "slow_statement" && entry.Data["count"] == nil { // not a summary of repeats
				shapes = append(shapes, statementOf(entry.Data["sql"].(string)))
			}
		}
		return shapes
	}
	of := statements("nobody@example.test", uuid.Nil)
	require.NotEmpty(t, of)
	for _, email := range []string{
		"in-1@example.test", "in-2@example.test", "in-3@example.test", "no address",
		uuid.NewString(),
	} {
		for _, organization := range []uuid.UUID{uuid.Nil, first.own.id, uuid.New()} {
			require.Equal(t, of, statements(email, organization), "%s in %s", email, organization)
		}
	}
}

// statementOf returns a statement's verb and table. One statement records the refusal: in a trail,
// or as an anonymous attempt.
func statementOf(sql string) string {
	if strings.Contains(sql, "audit_events") || strings.Contains(sql, "anonymous_attempts") {
		return "record the refusal"
	}
	words := strings.Fields(sql)
	for i, word := range words {
		if word == "FROM" || word == "INTO" || word == "UPDATE" {
			return words[0] + " " + words[min(i+1, len(words)-1)]
		}
	}
	return words[0]
}
