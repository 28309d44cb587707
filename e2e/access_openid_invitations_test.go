package e2e

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/oidc/openid/openidtest"
)

// TestAnInvitationIsAcceptedByAProvider signs an invited person in through the
// provider, by two browsers and instances concurrently. One user is created with the
// roles of the invitation, and both browsers are signed in.
func TestAnInvitationIsAcceptedByAProvider(t *testing.T) {
	t.Parallel()
	rosa := openidtest.Person{Subject: "r-1", Email: "Rosa@Example.test", Verified: true}
	c, p := openWithProvider(t, rosa)
	second := secondInstance(t, c, c.database.Open(t), "OMNI_PUBLIC_URL="+publicURL, "OMNI_FRONTEND_URL="+frontendURL)
	instances := []*clinic{c, second}
	_, token := c.admin().invite(t, "rosa@example.test", "TECHNICIAN", "BILLER")
	before := c.count(t, "SELECT count(*) FROM users")

	journeys := []journey{c.begin(t), second.begin(t)}
	ways := []*url.URL{p.SignIn(t, journeys[0].sentTo, rosa.Subject), p.SignIn(t, journeys[1].sentTo, rosa.Subject)}
	answers := make([]answer, len(journeys))
	together(len(journeys), func(i int) { answers[i] = instances[i].back(t, journeys[i], ways[i]) })
	ids := map[string]bool{}
	for _, a := range answers {
		signed := c.exchange(t, codeIn(t, a), verifier).ok(t).body["user"].(map[string]any)
		require.Equal(t, []any{"TECHNICIAN", "BILLER"}, signed["roles"])
		require.Equal(t, "Rosa New", signed["name"])
		ids[signed["id"].(string)] = true
	}
	require.Len(t, ids, 1)
	require.Equal(t, before+1, c.count(t, "SELECT count(*) FROM users"))
	require.Equal(t, map[string]string{"rosa@example.test": "ACCEPTED"}, c.states(t, ""))
	c.accept(t, token).refused(t, http.StatusNotFound, "invitation-not-found")
	c.as("").post(t, "/auth/login", body{"email": "rosa@example.test", "password": password}).
		refused(t, http.StatusUnauthorized, "wrong-credentials")
	for id := range ids {
		for _, action := range []string{"invitation.accept", "user.create", "user.link-provider"} {
			require.Len(t, c.admin().get(t, "/admin/audit-events?actorId="+id+"&action="+action).ok(t).body["data"], 1, action)
		}
	}
	c.requireClean(t)
}

// TestInvitationsThatAProviderCannotAccept covers unverified addresses, other
// organizations, expired invitations, and invitations beyond the provider's
// permissions.
func TestInvitationsThatAProviderCannotAccept(t *testing.T) {
	t.Parallel()
	person := func(email string, verified bool) openidtest.Person {
		return openidtest.Person{Subject: email, Email: email, Verified: verified}
	}
	c, p := openWithProvider(t, person("unverified@x.test", false), person("elsewhere@x.test", true),
		person("revoked@x.test", true),
		person("root@x.test", true), person("late@x.test", true),
		person("\u212aim@x.test", true), person(" padded@x.test", true), person("adm\u0130n@own.test", true))
	c.admin().invite(t, "kim@x.test", "ADMIN")
	c.admin().invite(t, "padded@x.test", "ADMIN")
	c.admin().invite(t, "unverified@x.test", "ADMIN")
	c.as(c.other.tokens[rbac.Admin]).invite(t, "elsewhere@x.test", "ADMIN")
	revoked, _ := c.admin().invite(t, "revoked@x.test", "ADMIN")
	require.Equal(t, http.StatusNoContent, c.admin().delete(t, revoked).status)
	c.admin().invite(t, "root@x.test", "ADMIN")
	c.run(t, "UPDATE invitations SET roles = '{SUPER_ADMIN}' WHERE email = 'root@x.test'")
	c.admin().invite(t, "late@x.test", "ADMIN")
	before := c.count(t, "SELECT count(*) FROM users")
	for email, reason := range map[string]string{
		"unverified@x.test":   "unverified",
		"elsewhere@x.test":    "unknown",
		"revoked@x.test":      "unknown",
		"root@x.test":         "unknown",
		"\u212aim@x.test":     "address",
		" padded@x.test":      "address",
		"adm\u0130n@own.test": "address",
	} {
		c.signInAs(t, p, email).landed(t, "not-recognized")
		last := c.admin().get(t, "/admin/audit-events?action=user.sign-in&outcome=denied&limit=1").ok(t)
		require.Contains(t, string(last.raw), `"reason":"`+reason+`"`, email)
	}
	c.clock.advance(7*24*time.Hour + time.Second)
	c.signInAs(t, p, "late@x.test").landed(t, "not-recognized")
	require.Equal(t, before, c.count(t, "SELECT count(*) FROM users"), "no user is created")
	require.Zero(t, c.count(t, "SELECT count(*) FROM invitations WHERE accepted_at IS NOT NULL"))
}

// TestAProviderAcceptsNoInvitationBeyondItsSettersPermissions invites an administrator after a user with
// fewer permissions has set the provider.
func TestAProviderAcceptsNoInvitationBeyondItsSettersPermissions(t *testing.T) {
	t.Parallel()
	rosa := openidtest.Person{Subject: "r-1", Email: "rosa@example.test", Verified: true}
	c, p := openWithProvider(t, rosa)
	c.admin().invite(t, rosa.Email, "ADMIN")
	administrator := strings.TrimPrefix(c.userWith(t, c.admin(), rbac.Admin), "/users/")
	setBy := func(user string) { c.run(t, "UPDATE identity_providers SET set_by = $1", user) }
	refused := func() {
		t.Helper()
		c.signInAs(t, p, rosa.Subject).landed(t, "not-recognized")
		require.Equal(t, map[string]string{rosa.Email: "OPEN"}, c.states(t, ""), "the link of the invitation is still valid")
	}
	setBy(strings.TrimPrefix(c.userWith(t, c.admin(), rbac.Scheduler), "/users/"))
	refused()
	former := c.hire(t, c.own, "former@own.test", rbac.Admin)
	setBy(strings.TrimPrefix(former, "/users/"))
	c.run(t, "UPDATE users SET status = 'DISABLED' WHERE email = 'former@own.test'")
	refused()
	setBy(administrator)
	c.exchange(t, codeIn(t, c.signInAs(t, p, rosa.Subject)), verifier).ok(t)
}
