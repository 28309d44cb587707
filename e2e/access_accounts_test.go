package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	logtest "github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/db"
)

// requireSignedInTo checks that an answer is a sign-in to the practice.
func requireSignedInTo(t testing.TB, p harness.Practice, a harness.Answer) {
	t.Helper()
	require.Equal(t, p.ID.String(), a.OK(t).Body["user"].(map[string]any)["organizationId"])
}

// offeredOrganizations returns the organizations that the answer offers.
func offeredOrganizations(t testing.TB, a harness.Answer) (names []string) {
	t.Helper()
	for _, item := range a.Refused(t, http.StatusUnauthorized, "organization-required").Body["organizations"].([]any) {
		o := item.(map[string]any)
		names = append(names, fmt.Sprint(o["name"], " ", o["id"]))
	}
	return names
}

func TestAPersonChoosesAmongTheirAccounts(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	third := c.AddPractice(t, "third")
	const email = "rosa@example.test"
	c.AddUserWithPassword(t, c.Own, email, harness.Password, rbac.Biller)
	c.AddUserWithPassword(t, c.Other, email, harness.Password, rbac.Scheduler)
	c.AddUserWithPassword(t, third, email, harness.OtherPassword, rbac.Auditor)
	choice := func(p harness.Practice, name string) string { return name + " " + p.ID.String() }

	t.Run("a single account that matches the password is signed in to immediately", func(t *testing.T) {
		requireSignedInTo(t, third, c.Login(t, email, harness.OtherPassword, uuid.Nil))
	})
	t.Run("with several matching accounts the user chooses, and others are not mentioned", func(t *testing.T) {
		requested := c.Login(t, "Rosa@Example.test", harness.Password, uuid.Nil)
		require.Equal(t, []string{choice(c.Other, "other"), choice(c.Own, "own")}, offeredOrganizations(t, requested))
		require.NotContains(t, string(requested.Raw), third.ID.String())
		a := c.Login(t, email, harness.Password, c.Other.ID)
		requireSignedInTo(t, c.Other, a)
		require.Equal(t, []any{"SCHEDULER"}, a.Body["user"].(map[string]any)["roles"])
		requireSignedInTo(t, c.Own, c.Login(t, email, harness.Password, c.Own.ID))
	})
	t.Run("the choice of an organization without such an account is a wrong password", func(t *testing.T) {
		invalid := c.Login(t, email, harness.Password, third.ID).Refused(t, http.StatusUnauthorized, "wrong-credentials")
		nowhere := c.Login(t, email, harness.Password, uuid.New()).Refused(t, http.StatusUnauthorized, "wrong-credentials")
		unknown := c.Login(t, "nobody@example.test", harness.Password, third.ID).
			Refused(t, http.StatusUnauthorized, "wrong-credentials")
		require.Equal(t, invalid.Text("detail"), nowhere.Text("detail"))
		require.Equal(t, invalid.Text("detail"), unknown.Text("detail"))
	})
	t.Run("each account has its own second factor", func(t *testing.T) {
		own := c.As(c.Login(t, email, harness.Password, c.Own.ID).OK(t).Text("accessToken"))
		_, codes, _ := c.Enrol(t, own)
		require.Len(t, offeredOrganizations(t, c.Login(t, email, harness.Password, uuid.Nil)), 2)
		c.Login(t, email, harness.Password, c.Own.ID).Refused(t, http.StatusUnauthorized, "second-factor-required")
		requireSignedInTo(t, c.Other, c.Login(t, email, harness.Password, c.Other.ID))
		with := harness.Body{"email": email, "password": harness.Password, "organizationId": c.Own.ID, "code": codes[0]}
		requireSignedInTo(t, c.Own, c.As("").Post(t, "/auth/login", with))
	})
	t.Run("a password is changed in one organization only", func(t *testing.T) {
		other := c.As(c.Login(t, email, harness.Password, c.Other.ID).OK(t).Text("accessToken"))
		other.Put(t, "/auth/password", harness.Body{
			"currentPassword": harness.Password, "newPassword": "seven-otters-swimming",
		}).OK(t)
		c.Login(t, email, harness.Password, uuid.Nil).Refused(t, http.StatusUnauthorized, "second-factor-required")
		requireSignedInTo(t, c.Other, c.Login(t, email, "seven-otters-swimming", uuid.Nil))
		c.Exec(t, `UPDATE users SET password_hash = (
			SELECT password_hash FROM users WHERE email = $1 AND organization_id = $2) WHERE email = $1`, email, c.Own.ID)
	})
	t.Run("disabled accounts and organizations are not offered", func(t *testing.T) {
		require.Len(t, offeredOrganizations(t, c.Login(t, email, harness.Password, uuid.Nil)), 3)
		c.Exec(t, "UPDATE users SET status = 'DISABLED' WHERE email = $1 AND organization_id = $2", email, c.Own.ID)
		require.Equal(t, []string{choice(c.Other, "other"), choice(third, "third")},
			offeredOrganizations(t, c.Login(t, email, harness.Password, uuid.Nil)))
		c.Exec(t, "UPDATE organizations SET disabled = true WHERE id = $1", third.ID)
		requireSignedInTo(t, c.Other, c.Login(t, email, harness.Password, uuid.Nil))
		for _, p := range []harness.Practice{c.Own, third} {
			c.Login(t, email, harness.Password, p.ID).Refused(t, http.StatusUnauthorized, "wrong-credentials")
		}
	})
}

// TestInvitationsRevealNoAccountElsewhere lets another practice's administrator invite three
// addresses, and accepts all invitations: one of a practice's user, one of its next hire, and one
// without a user.
func TestInvitationsRevealNoAccountElsewhere(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	foreign := c.As(c.Other.Tokens[rbac.Admin])
	answers := map[string]string{}
	for _, email := range []string{"patient@own.test", "hire@own.test", "unknown@own.test"} {
		invited := foreign.Post(t, "/users/invitations",
			harness.Body{"email": email, "name": "Sam Example", "roles": []string{"BILLER"}})
		invited.Created(t)
		accepted := c.AcceptInvitation(t, invited.Text("token"), harness.Body{"password": harness.OtherPassword})
		accepted.Created(t)
		for _, a := range []harness.Answer{invited, accepted} {
			text := strings.ReplaceAll(string(a.Raw), email, "EMAIL")
			for _, member := range []string{"token", "createdAt", "updatedAt", "expiresAt"} {
				text = strings.ReplaceAll(text, fmt.Sprint(a.Body[member]), strings.ToUpper(member))
			}
			answers[email] += anyID.ReplaceAllString(text, "ID")
		}
	}
	require.Equal(t, answers["unknown@own.test"], answers["patient@own.test"])
	require.Equal(t, answers["unknown@own.test"], answers["hire@own.test"])

	t.Run("the user still signs in at home", func(t *testing.T) {
		requireSignedInTo(t, c.Own, c.Login(t, "patient@own.test", harness.Password, uuid.Nil))
		requireSignedInTo(t, c.Other, c.Login(t, "patient@own.test", harness.OtherPassword, uuid.Nil))
	})
	t.Run("the new hire is still invited, and accepts", func(t *testing.T) {
		_, token := c.Admin().Invite(t, "hire@own.test", "TECHNICIAN")
		c.AcceptInvitation(t, token).Created(t)
		requireSignedInTo(t, c.Own, c.Login(t, "hire@own.test", harness.Password, uuid.Nil))
	})
}

// TestTrailsShowNoAccountElsewhere signs in to one of two accounts, fails, and gets the choice
// between both. The other practice's trail shows only what concerns its own account.
func TestTrailsShowNoAccountElsewhere(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	const email = "rosa@example.test"
	own, other := c.AddUserWithPassword(t, c.Own, email, harness.Password,
		rbac.Biller), c.AddUserWithPassword(t, c.Other, email, harness.Password, rbac.Biller)
	signIns := func(user uuid.UUID) []string {
		return harness.QueryTexts(t, c.Owner(t), `
			SELECT concat_ws(' ', e.outcome, e.after::json ->> 'reason') FROM audit_events e
			WHERE e.action = 'user.sign-in' AND e.subject_id = $1 ORDER BY e.sequence`, user)
	}
	events := c.Count(t, "SELECT count(*) FROM audit_events")
	offeredOrganizations(t, c.Login(t, email, harness.Password, uuid.Nil))
	require.Equal(t, events, c.Count(t, "SELECT count(*) FROM audit_events"), "no trail records the choice")

	c.Login(t, email, harness.Password, c.Own.ID).OK(t)
	c.Login(t, email, "not the password", c.Own.ID).Refused(t, http.StatusUnauthorized, "wrong-credentials")
	require.Equal(t, []string{"done", "denied password"}, signIns(own))
	require.Empty(t, signIns(other))

	c.Login(t, email, "not the password", uuid.Nil).Refused(t, http.StatusUnauthorized, "wrong-credentials")
	require.Equal(t, []string{"denied password"}, signIns(other), "the attempt may have concerned this account")
	require.Zero(t,
		c.Count(t, "SELECT count(*) FROM audit_events WHERE subject_id = $1 AND organization_id <> $2", other, c.Other.ID))
}

// TestSignInCostsTheSameForAnyNumberOfAccounts compares the statements of failed sign-ins with an
// address of no account, one, two and three, and with an invalid address.
// TestOnePasswordHashIsComputedForAnyNumberOfAccounts counts hash computations.
func TestSignInCostsTheSameForAnyNumberOfAccounts(t *testing.T) {
	t.Parallel()
	first := harness.Open(t)
	third := first.AddPractice(t, "third")
	for i, p := range []harness.Practice{first.Own, first.Other, third} {
		for n := i + 1; n <= 3; n++ {
			first.AddUserWithPassword(t, p, fmt.Sprintf("in-%d@example.test", n), harness.Password, rbac.Biller)
		}
	}
	logger, log := logtest.NewNullLogger()
	c := harness.SecondInstance(t, first,
		first.Database.Open(t, func(config *db.Config) { config.SlowQuery, config.Logger = 1, logger }))
	statements := func(email string, organization uuid.UUID) (shapes []string) {
		log.Reset()
		c.Login(t, email, "not the password", organization).Refused(t, http.StatusUnauthorized, "wrong-credentials")
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
		for _, organization := range []uuid.UUID{uuid.Nil, first.Own.ID, uuid.New()} {
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
