package e2e

import (
	"net/http"

	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/directory"
	"omnirapeutic/modules/rbac"
)

// playAccounts signs in a user with accounts in two practices, who chooses one.
func (s *story) playAccounts() {
	c, t := s.c, s.t
	second, err := c.app.Directory.CreateOrganization(t.Context(),
		directory.NewOrganization{Name: "Second Example", TimeZone: "America/Chicago"})
	require.NoError(t, err)
	const email = "in.both@example.test"
	c.hireWith(t, c.own, email, password, rbac.Practitioner)
	c.hireWith(t, practice{id: second.ID}, email, password, rbac.Biller)
	s.tell(c.as(""), "signIn", "Accounts in several organizations", "/auth/login",
		body{"email": email, "password": password}).
		refused(t, http.StatusUnauthorized, "organization-required")
	s.tell(c.as(""), "signIn", "In the chosen organization", "/auth/login",
		body{"email": email, "password": password, "organizationId": second.ID}).ok(t)

	admin := c.admin()
	user := c.userWith(t, admin, rbac.Biller)
	s.tell(admin, "createPasswordReset", "A user of another organization", "/users/"+c.newID().String()+"/password-reset",
		body{})
	reset := s.tell(admin, "createPasswordReset", "Request a password reset", user+"/password-reset", body{})
	s.tell(c.as(""), "resetPassword", "A new password", "/auth/password-reset",
		body{"token": reset.text("token"), "password": anotherPassword})
	s.tell(c.as(""), "resetPassword", "A used link", "/auth/password-reset",
		body{"token": reset.text("token"), "password": anotherPassword})
	hired := "/users/" + c.hireWith(t, c.own, "on.two.devices@example.test", password, rbac.Biller).String()
	c.loginTo(t, "on.two.devices@example.test", password, c.own.id).ok(t)
	sessions := s.tell(admin, "listUserSessions", "On one device", hired+"/sessions", nil).ok(t).body["data"].([]any)
	s.tell(admin, "endUserSession", "A lost telephone", hired+"/sessions/"+sessions[0].(map[string]any)["id"].(string),
		nil)
}
