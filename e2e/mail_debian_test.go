package e2e

import (
	"crypto/x509"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
)

// TestMailOfADebianServer sends mail through exim, which .ci/mail-server starts with TLS and
// authentication.
func TestMailOfADebianServer(t *testing.T) {
	t.Parallel()
	server := os.Getenv("OMNI_TEST_SMTP_URL")
	if server == "" {
		t.Skip("runs with .ci/mail-server")
	}
	certificate, err := os.ReadFile(os.Getenv("OMNI_TEST_SMTP_ROOTS"))
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(certificate))
	start := func(s harness.MailServer) *harness.Clinic {
		database := harness.TwoPractices.New(t)
		c := &harness.Clinic{Database: database, MailServer: s}
		c.Start(t, database.Open(t))
		c.AddPractices(t)
		return c
	}
	send := func(c *harness.Clinic, address string) []string {
		inviteByMail(t, c, address)
		_, err := c.App.Mail.Send(t.Context())
		require.NoError(t, err)
		return mailStates(t, c, address)
	}
	c := start(harness.MailServer{URL: server, Roots: roots})
	require.Equal(t, []string{"SENT"}, send(c, "ada@example.test"))
	require.Equal(t, []string{"REFUSED"}, send(c, "refused@example.test"))
	require.Equal(t, []string{"QUEUED"}, send(c, "later@example.test"))
	marked := harness.QueryTexts(t, c.Owner(t), "SELECT address || ' ' || reply FROM refused_addresses")
	require.Equal(t, []string{"refused@example.test 550 5.1.1"}, marked)

	id := harness.QueryTexts(t, c.Owner(t), "SELECT id::text FROM mails WHERE address = 'ada@example.test'")[0]
	require.Eventually(t, func() bool {
		inbox, err := os.ReadFile(os.Getenv("OMNI_TEST_SMTP_INBOX"))
		return err == nil && strings.Contains(string(inbox), "Message-ID: <"+id+"@omnirapeutic.test>") &&
			strings.Contains(string(inbox), "#invitation=")
	}, 20*time.Second, 10*time.Millisecond)

	unknown, err := url.Parse(server)
	require.NoError(t, err)
	unknown.User = url.UserPassword("omnirapeutic", "wrong")
	for name, s := range map[string]harness.MailServer{
		"a wrong password":     {URL: unknown.String(), Roots: roots},
		"an unknown authority": {URL: server, Roots: x509.NewCertPool()},
	} {
		c := start(s)
		require.Equal(t, []string{"QUEUED"}, send(c, "ada@example.test"), name)
		require.Zero(t, c.Count(t, "SELECT count(*) FROM refused_addresses"), name)
	}
}
