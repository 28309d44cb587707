package e2e

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/identity"
)

// possibleScopes returns the scopes of each permission in the API.
func possibleScopes(t testing.TB, c *harness.Clinic) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	for p, names := range c.Admin().Get(t, "/permission-sets").OK(t).Body["possible"].(map[string]any) {
		for _, name := range names.([]any) {
			found[p] = append(found[p], name.(string))
		}
	}
	return found
}

// TestUnsupportedScopesAreRefused puts every permission into a set with every
// scope. Possible ones are accepted, and all others refused with their position.
func TestUnsupportedScopesAreRefused(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	possible := possibleScopes(t, c)
	require.Equal(t, []string{"ORGANIZATION"}, possible["user:invite"])
	require.Equal(t, []string{"ORGANIZATION", "CASELOAD", "CHILD"}, possible["patient:read"])
	require.Equal(t, []string{"ORGANIZATION", "CASELOAD", "SELF", "CHILD"}, possible["session:read-narrative"])
	require.Equal(t, []string{"ORGANIZATION", "SELF"}, possible["emergency:read"])
	for _, p := range rbac.Permissions() {
		require.Contains(t, possible, string(p))
		for _, role := range rbac.Roles() {
			require.Subset(t, possible[string(p)], role.Scope(p).Names(), "the default scope of %s is possible: %s", role, p)
		}
		if strings.HasPrefix(string(p), "organization:") || p == "anonymous-attempt:read" {
			continue // some exceed the organization, and one is the first entry
		}
		for _, scope := range identity.Scopes() {
			// The first entry is valid, so that the error names the second.
			b := harness.Body{"permissions": []any{
				harness.Body{"permission": "organization:read", "scopes": []string{"ORGANIZATION"}},
				harness.Body{"permission": p, "scopes": []string{scope.String()}},
			}}
			a := c.Admin().Put(t, "/permission-sets/BILLER", b)
			if slices.Contains(possible[string(p)], scope.String()) {
				a.OK(t)
				continue
			}
			a.Refused(t, http.StatusUnprocessableEntity, "validation-failed")
			invalid := a.Body["errors"].([]any)[0].(map[string]any)
			require.Equal(t, "permissions[1].scopes[0]", invalid["field"])
			require.Equal(t, "must be one of "+strings.Join(possible[string(p)], ", ")+" for this permission",
				invalid["message"],
				p)
		}
	}
}

const scopesFile = "../docs/scopes.md"

// TestScopesPage compares the page of possible scopes with the routes.
func TestScopesPage(t *testing.T) {
	t.Parallel()
	possible := possibleScopes(t, harness.Open(t))
	var b strings.Builder
	b.WriteString("# Scopes of permissions\n\n" +
		"Each organization decides with which record scopes a [role](roles.md) holds a permission. A scope is possible if an " +
		"operation with the permission limits its records to it, or shows fields by it. `PUT /permission-sets/{role}` " +
		"refuses " +
		"other scopes (422), and `possible` in `GET /permission-sets` lists the possible ones. An [API " +
		"key](api.md#api-keys) " +
		"holds its permissions for the whole organization; permissions without ● in its column are for users only. " +
		"Generated " +
		"from the routes by `go test ./e2e -run TestScopesPage -update`; a test fails if the page is out of date.\n" + `
| permission | ORGANIZATION | CASELOAD | SELF | CHILD | API key |
| --- | :-: | :-: | :-: | :-: | :-: |
`)
	for _, p := range rbac.Permissions() {
		fmt.Fprintf(&b, "| `%s` |", p)
		columns := []bool{}
		for _, scope := range identity.Scopes() {
			columns = append(columns, slices.Contains(possible[string(p)], scope.String()))
		}
		for _, can := range append(columns, keysHold[p]) {
			if can {
				b.WriteString(" ● |")
			} else {
				b.WriteString(" |")
			}
		}
		b.WriteString("\n")
	}
	if *harness.Update {
		require.NoError(t, os.WriteFile(scopesFile, []byte(b.String()), 0o600))
	}
	got, err := os.ReadFile(scopesFile)
	require.NoError(t, err)
	require.Equal(t, b.String(), string(got), "it is out of date: go test ./e2e -run TestScopesPage -update")
}
