package e2e

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/platform/httpx"
)

// TestNoPublicRouteMakesUsersOrRoles calls all routes without sign-in with members that
// would create an administrator. Each refuses them by name, and no user is created. Only
// accepting an invitation creates a user, with exactly its roles.
func TestNoPublicRouteMakesUsersOrRoles(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	_, token := c.Admin().Invite(t, "rosa@example.test", "TECHNICIAN", "BILLER")
	people := func() []int {
		return []int{
			c.Count(t, "SELECT count(*) FROM users"), c.Count(t, "SELECT count(*) FROM user_roles"),
			c.Count(t, "SELECT count(*) FROM organizations"),
			c.Count(t, "SELECT count(*) FROM invitations WHERE accepted_at IS NULL"),
			c.Count(t, "SELECT count(*) FROM permission_sets"),
		}
	}
	wanted := harness.Body{
		"role":           "ADMIN",
		"roles":          []string{"ADMIN", "SUPER_ADMIN"},
		"organizationId": c.Own.ID,
		"status":         "ACTIVE",
		"disabled":       false,
		"permissions":    []string{"user:grant"},
		"scopes":         []string{"ORGANIZATION"},
		"practitionerId": uuid.New(),
		"name":           "Eve",
		"userId":         uuid.New(),
	}
	// A valid body for each route, as far as possible without credentials, so that only
	// the member in question is refused.
	right := map[string]harness.Body{
		"/auth/login":                  {"email": "biller@own.test", "password": harness.Password},
		"/auth/refresh":                {"refreshToken": c.SignInTokens(t, "biller@own.test").Refresh},
		"/auth/invitations/accept":     {"token": token, "password": harness.Password},
		"/auth/password-reset":         {"email": "biller@own.test"},
		"/auth/password-reset/confirm": {"token": strings.Repeat("x", 60), "password": harness.Password},
		"/auth/oidc/token":             {"code": strings.Repeat("x", 60), "verifier": harness.Verifier},
	}
	before, walked := people(), 0
	for _, r := range c.App.Routes() {
		if r.Permission != httpx.Public {
			continue
		}
		walked++
		path := strings.NewReplacer(":organizationId", c.Own.ID.String(), ":file", "x.ics").Replace(r.Path)
		require.NotContains(t, path, ":", "%s has a parameter that this test does not know", r.Path)
		if r.Method == http.MethodGet {
			require.GreaterOrEqual(t, c.As("").Get(t, path+"?roles=ADMIN").Status, http.StatusBadRequest, path)
			continue
		}
		require.Contains(t, right, r.Path, "add the body of %s %s", r.Method, r.Path)
		for member, value := range wanted {
			b := harness.Body{member: value}
			for k, v := range right[r.Path] {
				b[k] = v
			}
			if r.Path == "/auth/login" && member == "organizationId" {
				continue // chooses among the caller's own accounts
			}
			a := c.As("").Send(t, r.Method, path, b).Refused(t, http.StatusUnprocessableEntity, "validation-failed")
			require.Contains(t, string(a.Raw), `"field":"`+member+`"`, "%s %s", r.Method, r.Path)
		}
	}
	require.Greater(t, walked, len(right))
	require.Equal(t, before, people(), "no user was created, and no roles have changed")

	require.Equal(t, http.StatusCreated, c.AcceptInvitation(t, token).Status)
	after := people()
	require.Equal(t, []int{before[0] + 1, before[1] + 2, before[2], before[3] - 1, before[4]}, after)
	require.Equal(t, []any{"TECHNICIAN", "BILLER"},
		c.SignInByEmail(t, "rosa@example.test").Get(t, "/auth/me").OK(t).Body["roles"])
	c.AcceptInvitation(t, token).Refused(t, http.StatusNotFound, "invitation-not-found")
	require.Equal(t, after, people(), "once")
}
