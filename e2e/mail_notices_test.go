package e2e

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/smtp/smtptest"
)

// subjects sends the queue, and returns the subjects of the mail, which all went to the address.
func subjects(t testing.TB, c *harness.Clinic, to string) (all []string) {
	t.Helper()
	for _, m := range c.SendMail(t) {
		require.Equal(t, to, m.To)
		require.NotContains(t, m.Text, "http", "notices have no links, so that people do not learn to follow them")
		all = append(all, m.Subject)
	}
	return all
}

func TestASignInOnANewDeviceIsNotified(t *testing.T) {
	t.Parallel()
	c := harness.OpenWithMail(t)
	const email = "rosa@own.test"
	c.AddUser(t, c.Own, email, rbac.Biller)
	login := func(device string) harness.Answer {
		b := harness.Body{"email": email, "password": harness.Password}
		if device != "" {
			b["deviceToken"] = device
		}
		return c.As("").Post(t, "/auth/login", b).OK(t)
	}
	device := login("").Text("deviceToken")
	mails := c.SendMail(t)
	require.Len(t, mails, 1)
	require.Equal(t, "New sign-in to own", mails[0].Subject)
	require.Contains(t, mails[0].Text, "from the network address 127.0.0.1")
	require.Regexp(t, `on \w+, \w+ \d+, 2\d+ at \d+:\d+ [AP]M E[SD]T, from`, mails[0].Text, "the practice's zone")
	login(device)
	require.Empty(t, c.SendMail(t), "the device is known")
	login("")
	require.Equal(t, []string{"New sign-in to own"}, subjects(t, c, email))
	c.Login(t, email, "not-the-right-one", uuid.Nil).Refused(t, http.StatusUnauthorized, "wrong-credentials")
	require.Empty(t, c.SendMail(t))
}

func TestChangesOfTheSignInAreNotified(t *testing.T) {
	t.Parallel()
	database := harness.TwoPractices.New(t)
	c := &harness.Clinic{
		Database: database, Mail: smtptest.Start(t, smtptest.Options{}), Clock: harness.FrozenClock(time.Now()),
	}
	c.Start(t, database.Open(t))
	c.AddPractices(t)
	const biller, admin = "biller@own.test", "admin@own.test"

	app, _, as := c.Enrol(t, c.As(c.Own.Tokens[rbac.Biller]))
	require.Equal(t, []string{"A second factor was set up for your sign-in (own)"}, subjects(t, c, biller))
	c.NextCode()
	as.Put(t, "/auth/second-factor/recovery-codes", harness.Body{"password": harness.Password, "code": app.Code(0)}).OK(t)
	require.Equal(t, []string{"New recovery codes were created for your sign-in (own)"}, subjects(t, c, biller))
	c.NextCode()
	require.Less(t, as.Put(t, "/auth/second-factor/off",
		harness.Body{"password": harness.Password, "code": app.Code(0)}).Status, http.StatusBadRequest)
	require.Equal(t, []string{"The second factor of your sign-in was turned off (own)"}, subjects(t, c, biller))
	as.Put(t, "/auth/password",
		harness.Body{"currentPassword": harness.Password, "newPassword": harness.OtherPassword}).OK(t)
	require.Equal(t, []string{"Your password was changed (own)"}, subjects(t, c, biller))
	c.AddAPIKey(t, "patient:read")
	require.Equal(t, []string{"An API key was created in your name (own)"}, subjects(t, c, admin))

	token := requestedToken(t, c, biller)
	require.Equal(t, http.StatusNoContent, resetPassword(t, c, token, "another-meadow-of-clover").Status)
	require.Equal(t, []string{"Your password was changed (own)"}, subjects(t, c, biller))
}

func TestAnAdministratorCorrectsTheAddressOfAUser(t *testing.T) {
	t.Parallel()
	c := harness.OpenWithMail(t)
	const wrong, right = "roza@own.test", "rosa@own.test"
	user := c.AddUser(t, c.Own, wrong, rbac.Biller)
	signedIn := c.SignInTokens(t, wrong)
	c.Mail.ReplyTo(wrong, 550, [3]int{5, 1, 1})
	require.Empty(t, c.SendMail(t))
	listed := c.Admin().Get(t, "/mail/refused-addresses").OK(t).Body["data"].([]any)
	require.Len(t, listed, 1)
	require.Equal(t, harness.IDOf(user), listed[0].(map[string]any)["userId"])

	c.Admin().Patch(t, user, harness.Body{"email": "biller@own.test"}).Refused(t, http.StatusConflict, "email-taken")
	c.Admin().Patch(t, user, harness.Body{"email": "a@b.test\r\nBcc: c@d.test"}).
		Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	me := "/users/" + c.Admin().Get(t, "/auth/me").OK(t).Text("id")
	c.Admin().Patch(t, me, harness.Body{"email": "other@own.test"}).Refused(t, http.StatusForbidden, "own-email")
	root := c.AddUser(t, c.Own, "root@own.test", rbac.SuperAdmin)
	c.Admin().Patch(t, root, harness.Body{"email": "eve@own.test"}).
		Refused(t, http.StatusForbidden, "beyond-own-permissions")

	changed := c.Admin().Patch(t, user, harness.Body{"email": " Rosa@own.test"}).OK(t)
	require.Equal(t, right, changed.Text("email"))
	require.Empty(t, c.Admin().Get(t, "/mail/refused-addresses").OK(t).Body["data"], "it is corrected")
	c.As(signedIn.Access).Get(t, "/auth/me").Refused(t, http.StatusUnauthorized, "unauthenticated")
	for _, address := range []string{wrong, right} {
		c.Login(t, address, harness.Password, uuid.Nil).Refused(t, http.StatusUnauthorized, "wrong-credentials")
	}
	require.Equal(t, []string{"Your e-mail address was changed (own)"}, subjects(t, c, right), "the old one refuses mail")
	token := requestedToken(t, c, right)
	require.Equal(t, http.StatusNoContent, resetPassword(t, c, token, harness.OtherPassword).Status)
	c.Login(t, right, harness.OtherPassword, uuid.Nil).OK(t)
	c.SendMail(t)

	c.Admin().Patch(t, user, harness.Body{"email": "rosa.marin@own.test"}).OK(t)
	var to []string
	for _, m := range c.SendMail(t) {
		to = append(to, m.To)
	}
	require.ElementsMatch(t, []string{right, "rosa.marin@own.test"}, to, "also the old address")
}
