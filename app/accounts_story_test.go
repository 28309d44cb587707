package app_test

import (
	"net/http"

	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/directory"
	"omnirapeutic/modules/rbac"
)

// playAccounts has a person with accounts in two practices choose one of them.
func (s *story) playAccounts() {
	c, t := s.c, s.t
	second, err := c.app.Directory.CreateOrganization(t.Context(), directory.NewOrganization{Name: "Second Example", TimeZone: "America/Chicago"})
	require.NoError(t, err)
	const email = "in.both@example.test"
	c.hireWith(t, c.own, email, password, rbac.Practitioner)
	c.hireWith(t, practice{id: second.ID}, email, password, rbac.Biller)
	s.tell(c.as(""), "signIn", "Accounts in several organizations", "/auth/login", body{"email": email, "password": password}).
		refused(t, http.StatusUnauthorized, "organization-required")
	s.tell(c.as(""), "signIn", "In the chosen organization", "/auth/login", body{"email": email, "password": password, "organizationId": second.ID}).ok(t)
}
