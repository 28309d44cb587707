package e2e

import (
	"net/http"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/directory"
	"omnirapeutic/modules/rbac"
)

// recordAccounts signs in a user with accounts in two practices, who chooses one.
func (s *recording) recordAccounts() {
	c, t := s.c, s.t
	second, err := c.App.Directory.CreateOrganization(t.Context(),
		directory.NewOrganization{Name: "Second Example", TimeZone: "America/Chicago"})
	require.NoError(t, err)
	const email = "in.both@example.test"
	c.AddUserWithPassword(t, c.Own, email, harness.Password, rbac.Practitioner)
	c.AddUserWithPassword(t, harness.Practice{ID: second.ID}, email, harness.Password, rbac.Biller)
	s.record(c.As(""), "signIn", "Accounts in several organizations", "/auth/login",
		harness.Body{"email": email, "password": harness.Password}).
		Refused(t, http.StatusUnauthorized, "organization-required")
	s.record(c.As(""), "signIn", "In the chosen organization", "/auth/login",
		harness.Body{"email": email, "password": harness.Password, "organizationId": second.ID}).OK(t)

	admin := c.Admin()
	user := c.UserWithRole(t, admin, rbac.Biller)
	s.record(admin, "createPasswordReset", "A user of another organization",
		"/users/"+c.NewID().String()+"/password-reset",
		harness.Body{})
	reset := s.record(admin, "createPasswordReset", "Request a password reset", user+"/password-reset", harness.Body{})
	s.record(c.As(""), "resetPassword", "A new password", "/auth/password-reset/confirm",
		harness.Body{"token": reset.Text("token"), "password": harness.OtherPassword})
	s.record(c.As(""), "resetPassword", "A used link", "/auth/password-reset/confirm",
		harness.Body{"token": reset.Text("token"), "password": harness.OtherPassword})
	withMail := harness.SecondInstance(t, c, c.Database.Open(t), "OMNI_SMTP_URL=smtp://mail.example.test",
		"OMNI_MAIL_FROM=no-reply@example.test", "OMNI_FRONTEND_URL="+harness.FrontendURL)
	s.record(withMail.As(""), "requestPasswordReset", "A forgotten password", "/auth/password-reset",
		harness.Body{"email": "biller@example.test"})
	s.record(c.As(""), "requestPasswordReset", "Without mail", "/auth/password-reset",
		harness.Body{"email": "biller@example.test"})
	hired := "/users/" + c.AddUserWithPassword(t, c.Own, "on.two.devices@example.test", harness.Password,
		rbac.Biller).String()
	c.Login(t, "on.two.devices@example.test", harness.Password, c.Own.ID).OK(t)
	sessions := s.record(admin, "listUserSessions", "On one device", hired+"/sessions", nil).OK(t).Body["data"].([]any)
	s.record(admin, "endUserSession", "A lost telephone", hired+"/sessions/"+sessions[0].(map[string]any)["id"].(string),
		nil)
}
