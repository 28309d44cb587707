package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/rbac"
)

// inviteByMail invites a person, and returns the answer.
func inviteByMail(t testing.TB, c *harness.Clinic, email string) harness.Answer {
	t.Helper()
	a := c.Admin().Post(t, "/users/invitations",
		harness.Body{"email": email, "name": "Rosa <b>New</b>", "roles": []string{"BILLER"}})
	a.Created(t)
	return a
}

// mailStates returns the states of the mail to an address, in the order of its creation.
func mailStates(t testing.TB, c *harness.Clinic, address string) []string {
	t.Helper()
	return harness.QueryTexts(t, c.Owner(t), "SELECT state FROM mails WHERE address = $1 ORDER BY id", address)
}

func TestAnInvitationIsSentByMail(t *testing.T) {
	t.Parallel()
	c := harness.OpenWithMail(t)
	invited := inviteByMail(t, c, "rosa@example.test")
	require.Equal(t, true, invited.Body["mailed"])
	require.Nil(t, invited.Body["token"], "only the person gets the link")

	t.Run("nothing in the database reveals the link or the name", func(t *testing.T) {
		require.Equal(t, 1, c.Count(t, "SELECT count(*) FROM mails WHERE state = 'QUEUED'"))
		for _, part := range []string{"Rosa", "invitation=", "app.example"} {
			require.Zero(t, c.Count(t, `
				SELECT count(*) FROM mails m
				WHERE m::text LIKE '%' || $1 || '%' OR position(convert_to($1, 'UTF8') IN content) > 0`, part))
		}
	})
	mails := c.SendMail(t)
	require.Len(t, mails, 1)
	mail := mails[0]
	require.Equal(t, "rosa@example.test", mail.To)
	require.Equal(t, "Your invitation to own", mail.Subject)
	require.Contains(t, mail.Text, "Hello Rosa <b>New</b>,")
	require.Contains(t, mail.HTML, "Hello Rosa &lt;b&gt;New&lt;/b&gt;,", "HTML is escaped")
	token, found := strings.CutPrefix(mail.Link(t), harness.FrontendURL+"#invitation=")
	require.True(t, found)
	require.Contains(t, mail.HTML, `<a href="`+mail.Link(t)+`">`)
	zone, err := time.LoadLocation("America/New_York")
	require.NoError(t, err)
	expires, err := time.Parse(time.RFC3339, invited.Text("expiresAt"))
	require.NoError(t, err)
	require.Contains(t, mail.Text, expires.In(zone).Format("Monday, January 2, 2006 at 3:04 PM MST"))

	require.Equal(t, []string{"SENT"}, mailStates(t, c, "rosa@example.test"))
	require.Zero(t, c.Count(t, "SELECT count(*) FROM mails WHERE content IS NOT NULL"), "the link is removed")
	require.Empty(t, c.SendMail(t))
	c.AcceptInvitation(t, token).Created(t)
}

func TestMailIsCountedInMetrics(t *testing.T) {
	t.Parallel()
	c := harness.OpenWithMail(t)
	inviteByMail(t, c, "rosa@example.test")
	c.Exec(t, "UPDATE mails SET created_at = created_at - interval '20 minutes'")
	require.Contains(t, c.Metrics(t), "\nomnirapeutic_mails_queued 1\n")
	require.Regexp(t, `\nomnirapeutic_mail_oldest_seconds 1[2-9]\d\d`, c.Metrics(t))
	require.Len(t, c.SendMail(t), 1)
	require.Contains(t, c.Metrics(t), `omnirapeutic_mails_total{state="sent"} 1`)
	require.Contains(t, c.Metrics(t), `omnirapeutic_mails_total{state="refused"} 0`)
}

func TestARefusedInvitationSendsNoMail(t *testing.T) {
	t.Parallel()
	c := harness.OpenWithMail(t)
	c.Admin().Post(t, "/users/invitations", harness.Body{
		"email": "root@example.test", "name": "Root", "roles": []string{"SUPER_ADMIN"},
	}).Refused(t, http.StatusForbidden, "beyond-own-permissions")
	require.Zero(t, c.Count(t, "SELECT count(*) FROM mails"))
}

func TestLinksOfMailComeFromTheConfiguration(t *testing.T) {
	t.Parallel()
	c := harness.OpenWithMail(t)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.URL+"/api/v1/users/invitations",
		strings.NewReader(`{"email": "rosa@example.test", "name": "Rosa", "roles": ["BILLER"]}`))
	require.NoError(t, err)
	request.Host = "evil.example.test"
	for name, value := range map[string]string{
		"Content-Type": "application/json", "Authorization": "Bearer " + c.Own.Tokens[rbac.Admin],
		"X-Forwarded-Host": "evil.example.test", "Origin": "https://evil.example.test", "Forwarded": "host=evil.example.test",
	} {
		request.Header.Set(name, value)
	}
	c.Admin().Do(t, request, "/users/invitations").Created(t)
	mails := c.SendMail(t)
	require.Len(t, mails, 1)
	require.NotContains(t, mails[0].Raw, "evil")
	require.Contains(t, mails[0].Link(t), harness.FrontendURL)
}

func TestWithoutMailTheAdministratorGetsTheLink(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	invited := inviteByMail(t, c, "rosa@example.test")
	require.Equal(t, false, invited.Body["mailed"])
	c.AcceptInvitation(t, invited.Text("token")).Created(t)
	require.Zero(t, c.Count(t, "SELECT count(*) FROM mails"))
}

func TestAnAdministratorsResetLinkIsSentByMail(t *testing.T) {
	t.Parallel()
	c := harness.OpenWithMail(t)
	user := c.AddUser(t, c.Own, "rosa@own.test", rbac.Biller)
	reset := c.Admin().Post(t, user+"/password-reset", harness.Body{})
	require.Equal(t, true, reset.Body["mailed"])
	require.Nil(t, reset.Body["token"])
	require.Nil(t, reset.Body["link"])
	mails := c.SendMail(t)
	require.Len(t, mails, 1)
	token, found := strings.CutPrefix(mails[0].Link(t), harness.FrontendURL+"#password-reset=")
	require.True(t, found)
	require.Equal(t, http.StatusNoContent, resetPassword(t, c, token, harness.OtherPassword).Status)
	c.Login(t, "rosa@own.test", harness.OtherPassword, uuid.Nil).OK(t)
}

func TestMailIsSentAgainWhileTheServerPostponesIt(t *testing.T) {
	t.Parallel()
	c := harness.OpenWithMail(t)
	const address = "rosa@example.test"
	c.Mail.ReplyTo(address, 451, [3]int{4, 3, 0})
	inviteByMail(t, c, address)
	require.Empty(t, c.SendMail(t))
	connections := c.Mail.Connections()
	require.Empty(t, c.SendMail(t), "it is not due yet")
	require.Equal(t, connections, c.Mail.Connections())
	for range 6 {
		c.Clock.Advance(5 * time.Hour)
		require.Empty(t, c.SendMail(t))
	}
	require.Equal(t, []string{"QUEUED"}, mailStates(t, c, address))
	require.Zero(t, c.Count(t, "SELECT count(*) FROM refused_addresses"))
	c.Mail.ReplyTo(address, 0, [3]int{})
	c.Clock.Advance(21 * time.Hour)
	require.Len(t, c.SendMail(t), 1)
}

func TestMailIsNotSentAfterItsLinkHasExpired(t *testing.T) {
	t.Parallel()
	c := harness.OpenWithMail(t)
	inviteByMail(t, c, "rosa@example.test")
	c.Clock.Advance(8 * 24 * time.Hour)
	require.Empty(t, c.SendMail(t))
	require.Zero(t, c.Mail.Connections())
	require.Equal(t, []string{"EXPIRED"}, mailStates(t, c, "rosa@example.test"))
	require.Zero(t, c.Count(t, "SELECT count(*) FROM mails WHERE content IS NOT NULL"))
}

// TestALostReplyRepeatsTheMail closes the connection after the server has accepted the mail.
func TestALostReplyRepeatsTheMail(t *testing.T) {
	t.Parallel()
	c := harness.OpenWithMail(t)
	c.Mail.DropReplies(1)
	inviteByMail(t, c, "rosa@example.test")
	first := c.SendMail(t)
	require.Len(t, first, 1)
	require.Equal(t, []string{"QUEUED"}, mailStates(t, c, "rosa@example.test"))
	c.Clock.Advance(time.Minute)
	again := c.SendMail(t)
	require.Len(t, again, 1)
	require.Equal(t, first[0].Header.Get("Message-ID"), again[0].Header.Get("Message-ID"), "readers show it once")
	require.Equal(t, first[0].Header.Get("Date"), again[0].Header.Get("Date"))
	require.Equal(t, []string{"SENT"}, mailStates(t, c, "rosa@example.test"))
}

// TestInstancesSendEachMailOnce sends a queue from several instances at the same time.
func TestInstancesSendEachMailOnce(t *testing.T) {
	t.Parallel()
	first := harness.OpenWithMail(t)
	second := harness.SecondInstance(t, first, first.Database.Open(t))
	const mails = 45
	for i := range mails {
		inviteByMail(t, first, string(rune('a'+i%26))+strings.Repeat("x", i/26)+"@example.test")
	}
	harness.Concurrently(4, func(i int) {
		_, _ = []*harness.Clinic{first, second}[i%2].App.Mail.Send(t.Context())
	})
	require.Len(t, first.Mail.Mails(), mails)
	require.Equal(t, mails, first.Count(t, "SELECT count(*) FROM mails WHERE state = 'SENT' AND attempts = 1"))
}

// TestMailOfADeadInstanceIsSentAfterItsLease claims a mail as an instance that dies.
func TestMailOfADeadInstanceIsSentAfterItsLease(t *testing.T) {
	t.Parallel()
	c := harness.OpenWithMail(t)
	inviteByMail(t, c, "rosa@example.test")
	c.Exec(t, "UPDATE mails SET attempts = 1, next_attempt_at = $1", c.Clock.Now().Add(5*time.Minute))
	require.Empty(t, c.SendMail(t))
	c.Clock.Advance(6 * time.Minute)
	require.Len(t, c.SendMail(t), 1)
}

func TestARefusedAddressGetsNoMoreMail(t *testing.T) {
	t.Parallel()
	c := harness.OpenWithMail(t)
	const address = "typo@example.test"
	c.Mail.ReplyTo(address, 550, [3]int{5, 1, 1})
	inviteByMail(t, c, address)
	require.Empty(t, c.SendMail(t))
	require.Equal(t, []string{"REFUSED"}, mailStates(t, c, address))

	listed := c.Admin().Get(t, "/mail/refused-addresses").OK(t).Body["data"].([]any)
	require.Len(t, listed, 1)
	entry := listed[0].(map[string]any)
	require.Equal(t, address, entry["email"])
	require.Equal(t, "550 5.1.1", entry["reply"])
	require.Equal(t, "invitation", entry["kind"])
	require.Nil(t, entry["userId"])
	path := "/mail/refused-addresses/" + entry["id"].(string)

	t.Run("another organization neither sees nor clears it", func(t *testing.T) {
		other := c.As(c.Other.Tokens[rbac.Admin])
		require.Empty(t, other.Get(t, "/mail/refused-addresses").OK(t).Body["data"])
		other.Delete(t, path).Refused(t, http.StatusNotFound, "refused-address-not-found")
	})
	t.Run("the administrator gets the link instead", func(t *testing.T) {
		again := inviteByMail(t, c, address)
		require.Equal(t, false, again.Body["mailed"])
		require.NotEmpty(t, again.Text("token"))
		require.Empty(t, c.SendMail(t))
	})
	t.Run("mail that is already queued is withheld", func(t *testing.T) {
		const other = "late@example.test"
		c.Mail.ReplyTo(other, 451, [3]int{4, 3, 0})
		inviteByMail(t, c, other)
		require.Empty(t, c.SendMail(t))
		c.Mail.ReplyTo(other, 550, [3]int{5, 2, 1})
		inviteByMail(t, c, other)
		require.Empty(t, c.SendMail(t))
		c.Mail.ReplyTo(other, 0, [3]int{})
		c.Clock.Advance(time.Minute)
		require.Empty(t, c.SendMail(t))
		require.Equal(t, []string{"WITHHELD", "REFUSED"}, mailStates(t, c, other))
	})
	t.Run("until it is cleared", func(t *testing.T) {
		require.Equal(t, http.StatusNoContent, c.Admin().Delete(t, path).Status)
		c.Admin().Delete(t, path).Refused(t, http.StatusNotFound, "refused-address-not-found")
		c.Mail.ReplyTo(address, 0, [3]int{})
		require.Equal(t, true, inviteByMail(t, c, address).Body["mailed"])
		require.Len(t, c.SendMail(t), 1)
		require.Equal(t, 1, c.Count(t, "SELECT count(*) FROM audit_events WHERE action = 'refused-address.clear'"))
	})
}

// TestARefusalOfTheSenderMarksNoAddress has the server refuse the program, not the recipient.
func TestARefusalOfTheSenderMarksNoAddress(t *testing.T) {
	t.Parallel()
	c := harness.OpenWithMail(t)
	c.Mail.ReplyTo("rosa@example.test", 554, [3]int{5, 7, 1})
	inviteByMail(t, c, "rosa@example.test")
	require.Empty(t, c.SendMail(t))
	require.Equal(t, []string{"FAILED"}, mailStates(t, c, "rosa@example.test"))
	require.Zero(t, c.Count(t, "SELECT count(*) FROM refused_addresses"))
}

func TestMailOfADisabledOrganizationWaits(t *testing.T) {
	t.Parallel()
	c := harness.OpenWithMail(t)
	inviteByMail(t, c, "rosa@example.test")
	c.Exec(t, "UPDATE organizations SET disabled = true WHERE id = $1", c.Own.ID)
	require.Empty(t, c.SendMail(t))
	c.Exec(t, "UPDATE organizations SET disabled = false WHERE id = $1", c.Own.ID)
	require.Len(t, c.SendMail(t), 1)
}
