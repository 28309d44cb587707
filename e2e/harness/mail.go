package harness

import (
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/smtp/smtptest"
	"omnirapeutic/platform/telemetry/logtest"
)

// MailServer is a mail server outside of the process of the test.
type MailServer struct {
	URL   string
	Roots *x509.CertPool // of its certificate
}

// MailFrom is the sender of a clinic's mail.
const MailFrom = "no-reply@omnirapeutic.test"

// OpenWithMail starts a clinic that sends mail to a server in the same process. [Clinic.SendMail] sends
// the queue.
func OpenWithMail(t testing.TB) *Clinic {
	t.Helper()
	database := TwoPractices.New(t)
	c := &Clinic{Database: database, Mail: smtptest.Start(t, smtptest.Options{})}
	c.Start(t, database.Open(t))
	c.AddPractices(t)
	return c
}

// mailSettings returns the environment variables for the clinic's mail server, if it has one.
func (c *Clinic) mailSettings() []string {
	server := c.MailServer.URL
	if c.Mail != nil {
		logtest.Secret("the password of the mail server", smtptest.Password)
		user := url.UserPassword(smtptest.User, smtptest.Password)
		server = (&url.URL{Scheme: "smtp", User: user, Host: c.Mail.Address}).String()
	}
	if server == "" {
		return nil
	}
	return []string{
		"OMNI_SMTP_URL=" + server, "OMNI_MAIL_FROM=Omnirapeutic <" + MailFrom + ">",
		"OMNI_FRONTEND_URL=" + FrontendURL, "OMNI_PUBLIC_URL=" + PublicURL,
	}
}

func (c *Clinic) mailRoots() *x509.CertPool {
	if c.Mail == nil {
		return c.MailServer.Roots
	}
	return c.Mail.Roots
}

// AnswerResetRequests answers the requests for a link to set a new password, and sends the mail.
func (c *Clinic) AnswerResetRequests(t testing.TB) []Mail {
	t.Helper()
	_, err := c.App.Access.Passwords.SendRequested(t.Context())
	require.NoError(t, err)
	return c.SendMail(t)
}

// SendMail sends the due mail, and returns the mail that the server has accepted since the last call.
func (c *Clinic) SendMail(t testing.TB) []Mail {
	t.Helper()
	before := len(c.Mail.Mails())
	_, err := c.App.Mail.Send(t.Context())
	require.NoError(t, err)
	var mails []Mail
	for _, m := range c.Mail.Mails()[before:] {
		mails = append(mails, readMail(t, m))
	}
	return mails
}

// Mail is a mail that has arrived, decoded.
type Mail struct {
	smtptest.Mail

	Subject, Text, HTML string
}

// Link returns the only link of the mail to the frontend.
func (m Mail) Link(t testing.TB) string {
	t.Helper()
	links := regexp.MustCompile(`https?://\S+`).FindAllString(m.Text, -1)
	require.Len(t, links, 1, m.Text)
	require.True(t, strings.HasPrefix(links[0], FrontendURL+"#"), links[0])
	return links[0]
}

func readMail(t testing.TB, m smtptest.Mail) Mail {
	t.Helper()
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	require.NoError(t, err)
	_, parameters, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	require.NoError(t, err)
	reader := multipart.NewReader(m.Body, parameters["boundary"])
	var contents []string
	for {
		part, err := reader.NextRawPart()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		var decoded io.Reader = quotedprintable.NewReader(part)
		if part.Header.Get("Content-Transfer-Encoding") == "base64" {
			decoded = base64.NewDecoder(base64.StdEncoding, part)
		}
		content, err := io.ReadAll(decoded)
		require.NoError(t, err)
		contents = append(contents, strings.ReplaceAll(string(content), "\r\n", "\n"))
	}
	require.Len(t, contents, 2, "text and HTML")
	return Mail{m, subject, contents[0], contents[1]}
}
