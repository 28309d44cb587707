package rbac_test

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/identity"
)

var update = flag.Bool("update", false, "write docs/roles.md anew")

const document = "../../docs/roles.md"

func TestTheDocumentOfRoles(t *testing.T) {
	t.Parallel()
	want := describe()
	if *update {
		require.NoError(t, os.WriteFile(document, []byte(want), 0o600))
	}
	got, err := os.ReadFile(document)
	require.NoError(t, err)
	require.Equal(t, want, string(got), "it is out of date: go test ./modules/rbac -run TestTheDocumentOfRoles -update")
}

func describe() string {
	var b strings.Builder
	b.WriteString(`# Roles and permissions

What each role may do in its own organization, as shipped. A user may hold several
roles; permissions add up. This page is made from ` + "`modules/rbac/permissions.go`" + ` by
` + "`go test ./modules/rbac -run TestTheDocumentOfRoles -update`" + `; a test fails when they differ.

| permission |`)
	for _, role := range rbac.Roles() {
		fmt.Fprintf(&b, " %s |", role)
	}
	b.WriteString("\n| --- |" + strings.Repeat(" :-: |", len(rbac.Roles())) + "\n")
	for _, p := range rbac.Permissions() {
		fmt.Fprintf(&b, "| `%s` |", p)
		for _, role := range rbac.Roles() {
			fmt.Fprintf(&b, " %s|", letters(role.Scope(p)))
		}
		b.WriteString("\n")
	}
	b.WriteString(`
- ADMIN is an administrator of the practice, PRACTITIONER a behavior analyst (BCBA), TECHNICIAN a behavior technician (RBT), PATIENT a patient or guardian.
- PATIENT may only sign in and see who they are, until there are grants for one's own records.
- SUPER_ADMIN makes organizations and sees no health data.
- ` + "`organization:read-all`" + ` adds the other organizations to what ` + "`organization:read`" + ` shows.
- ` + "`authorization:adjust`" + ` is needed beside ` + "`authorization:change`" + ` to change the total of an authorization.
`)
	return b.String()
}

// letters shows a scope: ● the organization's, else the first letters of its members.
func letters(s identity.Scope) string {
	switch {
	case s == 0:
		return ""
	case s.Has(identity.Organization):
		return "● "
	}
	var firsts []string
	for _, name := range strings.Split(s.String(), "+") {
		firsts = append(firsts, name[:1])
	}
	return strings.Join(firsts, " ") + " "
}

func TestPermissions(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`^[a-z]+(-[a-z]+)*:[a-z]+(-[a-z]+)*$`)
	all := rbac.Permissions()
	for i, p := range all {
		require.Regexp(t, form, string(p))
		require.NotContains(t, all[:i], p, "it is listed once")
	}

	across := []identity.Permission{"organization:create", "organization:read-all"}
	for _, p := range all {
		require.Equal(t, !slices.Contains(across, p), slices.Contains(rbac.Admin.Permissions(), p),
			"an administrator holds all that stays within the organization: %s", p)
	}
	require.Empty(t, rbac.Patient.Permissions())
	require.Equal(t, []identity.Permission{"organization:read", "organization:read-all", "organization:create"}, rbac.SuperAdmin.Permissions())
	for _, p := range rbac.Auditor.Permissions() {
		require.Contains(t, []string{"read", "export", "verify", "metrics"}, strings.Split(string(p), ":")[1], "an auditor changes nothing")
	}
	require.Empty(t, rbac.Role("OWNER").Permissions())
}

func TestARoleByItsName(t *testing.T) {
	t.Parallel()
	for _, role := range rbac.Roles() {
		parsed, err := rbac.ParseRole(string(role))
		require.NoError(t, err)
		require.Equal(t, role, parsed)
	}
	for _, name := range []string{"", "admin", "OWNER"} {
		_, err := rbac.ParseRole(name)
		require.Error(t, err)
	}
}
