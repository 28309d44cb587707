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

var update = flag.Bool("update", false, "update docs/roles.md")

const document = "../../docs/roles.md"

func TestTheDocumentOfRoles(t *testing.T) {
	t.Parallel()
	want := describe()
	if *update {
		require.NoError(t, os.WriteFile(document, []byte(want), 0o600))
	}
	got, err := os.ReadFile(document)
	require.NoError(t, err)
	require.Equal(t, want, string(got), "docs/roles.md is out of date: go test ./modules/rbac -run TestTheDocumentOfRoles -update")
}

func describe() string {
	var b strings.Builder
	b.WriteString(`# Roles and permissions

The default permissions of each role in its own organization. A user may hold several
roles; their permissions and scopes add up. This page is generated from
` + "`modules/rbac/permissions.go`" + ` by
` + "`go test ./modules/rbac -run TestTheDocumentOfRoles -update`" + `; a test fails when they differ.

● all records of the organization · C (**c**aseload): records of the patients who are
assigned to the user's practitioner · S (**s**elf): appointments that the user's
practitioner delivers, and emergency grants that the user took · F (**f**amily): records
of the patients whose guardian the user is, or of the user as a patient. A user without a
practitioner or patient has no access through C, S or F.
[Scopes](scopes.md) lists the scopes that each permission can have.

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
- ADMIN is an administrator of the practice, PRACTITIONER a behavior analyst (BCBA), TECHNICIAN a
  behavior technician (RBT), PATIENT a patient or guardian.
- PATIENT sees the family's records without texts: patients, authorizations with their units, appointments. Other
  members of a group are hidden.
- PRACTITIONER holds its permissions for the whole organization: analysts of a small practice substitute for each other
  and plan for technicians. A larger practice can restrict them to the caseload.
- ` + "`emergency:take`" + ` is for clinicians. Administrators hold it too, because users can give only roles whose permissions they hold.
- SUPER_ADMIN creates and disables organizations and sees no health data.
- ` + "`organization:read-all`" + ` adds the other organizations to what ` + "`organization:read`" + ` shows.
- ` + "`authorization:read-notes`, `appointment:read-notes` and `session:read-narrative`" + ` show and
  change single fields of records that the caller may read. Without them these fields are null.
- ` + "`authorization:adjust`" + ` is needed in addition to ` + "`authorization:change`" + ` to change the total of an authorization.
`)
	return b.String()
}

// letters shows a scope.
func letters(s identity.Scope) string {
	switch {
	case s == 0:
		return ""
	case s.Has(identity.Organization):
		return "● "
	}
	var letters []string
	for letter, scope := range map[string]identity.Scope{"C": identity.Caseload, "S": identity.Self, "F": identity.Child} {
		if s.Has(scope) {
			letters = append(letters, letter)
		}
	}
	slices.Sort(letters)
	return strings.Join(letters, " ") + " "
}

func TestPermissions(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`^[a-z]+(-[a-z]+)*:[a-z]+(-[a-z]+)*$`)
	all := rbac.Permissions()
	for i, p := range all {
		require.Regexp(t, form, string(p))
		require.NotContains(t, all[:i], p, "it is listed once")
	}

	across := []identity.Permission{"organization:create", "organization:disable", "organization:read-all", "anonymous-attempt:read"}
	for _, p := range all {
		require.Equal(t, !slices.Contains(across, p), slices.Contains(rbac.Admin.Permissions(), p),
			"an administrator holds all that stays within the organization: %s", p)
	}
	require.Equal(t, []identity.Permission{"patient:read", "authorization:read", "appointment:read"}, rbac.Patient.Permissions())
	for _, p := range rbac.Patient.Permissions() {
		require.Equal(t, identity.Child, rbac.Patient.Scope(p), "only the user's own records")
	}
	for _, p := range all {
		require.Equal(t, rbac.Admin.Scope(p) != 0, rbac.Admin.Scope(p).Has(identity.Organization), "%s", p)
	}
	require.Equal(t, []identity.Permission{
		"organization:read", "organization:read-all", "organization:create",
		"organization:disable", "anonymous-attempt:read",
	}, rbac.SuperAdmin.Permissions())
	for _, p := range rbac.Auditor.Permissions() {
		require.Contains(t, []string{"read", "export", "verify", "metrics"},
			strings.Split(strings.Split(string(p), ":")[1], "-")[0], "an auditor changes nothing")
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
