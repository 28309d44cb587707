package e2e

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/oidc/openid/openidtest"
)

// TestAnInvitationIsAcceptedByAProvider signs an invited person in through the
// provider, by two browsers and instances concurrently. One user is created with the
// roles of the invitation, and both browsers are signed in.
func TestAnInvitationIsAcceptedByAProvider(t *testing.T) {
	t.Parallel()
	rosa := openidtest.Person{Subject: "r-1", Email: "Rosa@Example.test", Verified: true}
	c, p := harness.OpenWithProvider(t, rosa)
	second := harness.SecondInstance(t, c, c.Database.Open(t), "OMNI_PUBLIC_URL="+harness.PublicURL,
		"OMNI_FRONTEND_URL="+harness.FrontendURL)
	instances := []*harness.Clinic{c, second}
	_, token := c.Admin().Invite(t, "rosa@example.test", "TECHNICIAN", "BILLER")
	before := c.Count(t, "SELECT count(*) FROM users")

	journeys := []harness.Journey{c.BeginProviderSignIn(t), second.BeginProviderSignIn(t)}
	ways := []*url.URL{
		p.SignIn(t, journeys[0].ProviderURL, rosa.Subject), p.SignIn(t, journeys[1].ProviderURL, rosa.Subject),
	}
	answers := make([]harness.Answer, len(journeys))
	harness.Concurrently(len(journeys), func(i int) {
		answers[i] = instances[i].ReturnFromProvider(t, journeys[i],
			ways[i])
	})
	ids := map[string]bool{}
	for _, a := range answers {
		signed := c.ExchangeCode(t, harness.SignInCode(t, a), harness.Verifier).OK(t).Body["user"].(map[string]any)
		require.Equal(t, []any{"TECHNICIAN", "BILLER"}, signed["roles"])
		require.Equal(t, "Rosa New", signed["name"])
		ids[signed["id"].(string)] = true
	}
	require.Len(t, ids, 1)
	require.Equal(t, before+1, c.Count(t, "SELECT count(*) FROM users"))
	require.Equal(t, map[string]string{"rosa@example.test": "ACCEPTED"}, invitationStates(t, c, ""))
	c.AcceptInvitation(t, token).Refused(t, http.StatusNotFound, "invitation-not-found")
	c.As("").Post(t, "/auth/login", harness.Body{"email": "rosa@example.test", "password": harness.Password}).
		Refused(t, http.StatusUnauthorized, "wrong-credentials")
	for id := range ids {
		for _, action := range []string{"invitation.accept", "user.create", "user.link-provider"} {
			require.Len(t, c.Admin().Get(t, "/admin/audit-events?actorId="+id+"&action="+action).OK(t).Body["data"], 1, action)
		}
	}
	c.RequireClean(t)
}

// TestInvitationsThatAProviderCannotAccept covers unverified addresses, other
// organizations, expired invitations, and invitations beyond the provider's
// permissions.
func TestInvitationsThatAProviderCannotAccept(t *testing.T) {
	t.Parallel()
	person := func(email string, verified bool) openidtest.Person {
		return openidtest.Person{Subject: email, Email: email, Verified: verified}
	}
	c, p := harness.OpenWithProvider(t, person("unverified@x.test", false), person("elsewhere@x.test", true),
		person("revoked@x.test", true),
		person("root@x.test", true), person("late@x.test", true),
		person("\u212aim@x.test", true), person(" padded@x.test", true), person("adm\u0130n@own.test", true))
	c.Admin().Invite(t, "kim@x.test", "ADMIN")
	c.Admin().Invite(t, "padded@x.test", "ADMIN")
	c.Admin().Invite(t, "unverified@x.test", "ADMIN")
	c.As(c.Other.Tokens[rbac.Admin]).Invite(t, "elsewhere@x.test", "ADMIN")
	revoked, _ := c.Admin().Invite(t, "revoked@x.test", "ADMIN")
	require.Equal(t, http.StatusNoContent, c.Admin().Delete(t, revoked).Status)
	c.Admin().Invite(t, "root@x.test", "ADMIN")
	c.Exec(t, "UPDATE invitations SET roles = '{SUPER_ADMIN}' WHERE email = 'root@x.test'")
	c.Admin().Invite(t, "late@x.test", "ADMIN")
	before := c.Count(t, "SELECT count(*) FROM users")
	for email, reason := range map[string]string{
		"unverified@x.test":   "unverified",
		"elsewhere@x.test":    "unknown",
		"revoked@x.test":      "unknown",
		"root@x.test":         "unknown",
		"\u212aim@x.test":     "address",
		" padded@x.test":      "address",
		"adm\u0130n@own.test": "address",
	} {
		c.SignInWithProvider(t, p, email).RedirectedWithError(t, "not-recognized")
		last := c.Admin().Get(t, "/admin/audit-events?action=user.sign-in&outcome=denied&limit=1").OK(t)
		require.Contains(t, string(last.Raw), `"reason":"`+reason+`"`, email)
	}
	c.Clock.Advance(7*24*time.Hour + time.Second)
	c.SignInWithProvider(t, p, "late@x.test").RedirectedWithError(t, "not-recognized")
	require.Equal(t, before, c.Count(t, "SELECT count(*) FROM users"), "no user is created")
	require.Zero(t, c.Count(t, "SELECT count(*) FROM invitations WHERE accepted_at IS NOT NULL"))
}

// TestAProviderAcceptsNoInvitationBeyondItsSettersPermissions invites an administrator after a user with
// fewer permissions has set the provider.
func TestAProviderAcceptsNoInvitationBeyondItsSettersPermissions(t *testing.T) {
	t.Parallel()
	rosa := openidtest.Person{Subject: "r-1", Email: "rosa@example.test", Verified: true}
	c, p := harness.OpenWithProvider(t, rosa)
	c.Admin().Invite(t, rosa.Email, "ADMIN")
	administrator := strings.TrimPrefix(c.UserWithRole(t, c.Admin(), rbac.Admin), "/users/")
	setBy := func(user string) { c.Exec(t, "UPDATE identity_providers SET set_by = $1", user) }
	refused := func() {
		t.Helper()
		c.SignInWithProvider(t, p, rosa.Subject).RedirectedWithError(t, "not-recognized")
		require.Equal(t, map[string]string{rosa.Email: "OPEN"}, invitationStates(t, c, ""),
			"the link of the invitation is still valid")
	}
	setBy(strings.TrimPrefix(c.UserWithRole(t, c.Admin(), rbac.Scheduler), "/users/"))
	refused()
	former := c.AddUser(t, c.Own, "former@own.test", rbac.Admin)
	setBy(strings.TrimPrefix(former, "/users/"))
	c.Exec(t, "UPDATE users SET status = 'DISABLED' WHERE email = 'former@own.test'")
	refused()
	setBy(administrator)
	c.ExchangeCode(t, harness.SignInCode(t, c.SignInWithProvider(t, p, rosa.Subject)), harness.Verifier).OK(t)
}
