package smtp_test

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/smtp"
	"omnirapeutic/platform/smtp/smtptest"
)

func TestParseURL(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]smtp.Server{
		"smtp://mail.example.org":              {Host: "mail.example.org", Port: 587},
		"smtp://a:b%40c@mail.example.org:2525": {Host: "mail.example.org", Port: 2525, User: "a", Password: "b@c"},
		"smtps://a:b@mail.example.org/":        {Host: "mail.example.org", Port: 465, User: "a", Password: "b", Security: smtp.ImplicitTLS},
		"smtp://relay.internal:25?tls=none":    {Host: "relay.internal", Port: 25, Security: smtp.Plain},
		"smtp://a:b@127.0.0.1:25?tls=none":     {Host: "127.0.0.1", Port: 25, User: "a", Password: "b", Security: smtp.Plain},
		"smtp://a:b@[2001:db8::7]:587":         {Host: "2001:db8::7", Port: 587, User: "a", Password: "b"},
	} {
		got, err := smtp.ParseURL(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{
		"", "mail.example.org", "http://mail.example.org", "smtp://", "smtp:mail.example.org", "smtp://mail.example.org/path",
		"smtp://mail.example.org?tls=optional", "smtps://mail.example.org?tls=none", "smtp://mail.example.org?tls=none&x=1",
		"smtp://a@mail.example.org", "smtp://:b@mail.example.org", "smtp://mail.example.org:0", "smtp://mail.example.org:66000",
		"smtp://a:secret@mail.example.org?tls=none", "smtp://mail.example.org#x", "smtp://a\r\nb@mail.example.org",
	} {
		_, err := smtp.ParseURL(text)
		require.Error(t, err, text)
		require.NotContains(t, err.Error(), "secret")
	}
}

func TestParseFrom(t *testing.T) {
	t.Parallel()
	got, err := smtp.ParseFrom("Example ABA <no-reply@example.org>")
	require.NoError(t, err)
	require.Equal(t, mail.Address{Name: "Example ABA", Address: "no-reply@example.org"}, got)
	for _, text := range []string{
		"", "example.org", "a@localhost", "a@example.org, b@example.org", "A\r\nBcc: b@example.org <a@example.org>",
		"A <a@example.org>\r\n",
	} {
		_, err := smtp.ParseFrom(text)
		require.Error(t, err, text)
	}
}

// sender returns a sender to a server, with changes of its settings.
func sender(t testing.TB, s *smtptest.Server, security smtp.Security, password string, roots *x509.CertPool) *smtp.Sender {
	t.Helper()
	host, port, err := net.SplitHostPort(s.Address)
	require.NoError(t, err)
	n, err := strconv.Atoi(port)
	require.NoError(t, err)
	from := mail.Address{Name: "Example ABA", Address: "no-reply@example.org"}
	made, err := smtp.NewSender(smtp.Server{
		Host: host, Port: n, User: smtptest.User, Password: password, Security: security,
	}, from, roots)
	require.NoError(t, err)
	return made
}

var letter = smtp.Letter{
	ID: "0190-id", To: "ada@example.test", Subject: "Grüße", Text: "Hello\n\nhttps://app.example.org/#invitation=abc\n",
	HTML: "<p>Hello</p>", Date: time.Date(2026, time.December, 1, 15, 0, 0, 0, time.UTC),
}

// send sends a letter over a connection of its own.
func send(ctx context.Context, s *smtp.Sender, l smtp.Letter) error {
	connection, err := s.Connect(ctx)
	if err != nil {
		return err
	}
	defer connection.Close()
	return connection.Send(l)
}

func TestALetterArrives(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		options  smtptest.Options
		security smtp.Security
	}{
		"with STARTTLS":      {smtptest.Options{}, smtp.StartTLS},
		"with implicit TLS":  {smtptest.Options{ImplicitTLS: true}, smtp.ImplicitTLS},
		"without encryption": {smtptest.Options{NoTLS: true}, smtp.Plain},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := smtptest.Start(t, test.options)
			require.NoError(t, send(t.Context(), sender(t, server, test.security, smtptest.Password, server.Roots), letter))
			require.Len(t, server.Mails(), 1)
			got := server.Mails()[0]
			require.Equal(t, "no-reply@example.org", got.From)
			require.Equal(t, letter.To, got.To)
			require.Equal(t, "<0190-id@example.org>", got.Header.Get("Message-ID"))
			require.Equal(t, "auto-generated", got.Header.Get("Auto-Submitted"))
			subject, err := new(mime.WordDecoder).DecodeHeader(got.Header.Get("Subject"))
			require.NoError(t, err)
			require.Equal(t, letter.Subject, subject)
			require.Equal(t, []string{letter.Text, letter.HTML}, parts(t, got))
		})
	}
}

// parts returns the decoded parts of a mail.
func parts(t testing.TB, m smtptest.Mail) (contents []string) {
	t.Helper()
	kind, parameters, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	require.NoError(t, err)
	require.Equal(t, "multipart/alternative", kind)
	reader := multipart.NewReader(m.Body, parameters["boundary"])
	for {
		part, err := reader.NextRawPart()
		if errors.Is(err, io.EOF) {
			return contents
		}
		require.NoError(t, err)
		content, err := io.ReadAll(quotedprintable.NewReader(part))
		require.NoError(t, err)
		contents = append(contents, strings.ReplaceAll(string(content), "\r\n", "\n"))
	}
}

func TestNothingIsSentWithoutAValidServer(t *testing.T) {
	t.Parallel()
	plain, secure := smtptest.Start(t, smtptest.Options{NoTLS: true}), smtptest.Start(t, smtptest.Options{})
	for name, s := range map[string]*smtp.Sender{
		"without STARTTLS":         sender(t, plain, smtp.StartTLS, smtptest.Password, plain.Roots),
		"with another certificate": sender(t, secure, smtp.StartTLS, smtptest.Password, x509.NewCertPool()),
		"with a wrong password":    sender(t, secure, smtp.StartTLS, "wrong", secure.Roots),
	} {
		err := send(t.Context(), s, letter)
		var refused *smtp.Error
		require.ErrorAs(t, err, &refused, name)
		require.Equal(t, smtp.NotConnected, refused.Reason, name)
	}
	require.Empty(t, plain.Mails())
	require.Empty(t, secure.Mails())
}

func TestRepliesAreClassified(t *testing.T) {
	t.Parallel()
	server := smtptest.Start(t, smtptest.Options{})
	s := sender(t, server, smtp.StartTLS, smtptest.Password, server.Roots)
	for _, test := range []struct {
		code     int
		enhanced [3]int
		reason   smtp.Reason
		reply    string
	}{
		{450, [3]int{4, 2, 0}, smtp.Postponed, "450 4.2.0"},
		{452, [3]int{4, 2, 2}, smtp.Postponed, "452 4.2.2"},
		{550, [3]int{5, 1, 1}, smtp.NoSuchRecipient, "550 5.1.1"},
		{550, [3]int{5, 1, 10}, smtp.NoSuchRecipient, "550 5.1.10"},
		{552, [3]int{5, 2, 2}, smtp.NoSuchRecipient, "552 5.2.2"},
		{550, [3]int{5, 0, 0}, smtp.NoSuchRecipient, "550 5.0.0"},
		{554, [3]int{5, 7, 1}, smtp.Rejected, "554 5.7.1"},
		{550, [3]int{5, 4, 4}, smtp.Rejected, "550 5.4.4"},
		{530, [3]int{5, 7, 0}, smtp.Rejected, "530 5.7.0"},
	} {
		server.ReplyTo(letter.To, test.code, test.enhanced)
		err := send(t.Context(), s, letter)
		var refused *smtp.Error
		require.ErrorAs(t, err, &refused)
		require.Equal(t, test.reason, refused.Reason, test.reply)
		require.Equal(t, test.reply, refused.Reply)
		require.NotContains(t, err.Error(), "ada", "no address in the text")
	}
}

// TestHeadersCannotBeInjected puts line ends where values of users may occur.
func TestHeadersCannotBeInjected(t *testing.T) {
	t.Parallel()
	server := smtptest.Start(t, smtptest.Options{})
	s := sender(t, server, smtp.StartTLS, smtptest.Password, server.Roots)
	evil := letter
	evil.Subject = "Hello\r\nBcc: eve@example.test\r\n\r\n<p>Hi</p>\u2028\u0085\x00"
	require.NoError(t, send(t.Context(), s, evil))
	got := server.Mails()[0]
	require.Empty(t, got.Header.Get("Bcc"))
	require.Equal(t, []string{letter.Text, letter.HTML}, parts(t, got))
	for _, to := range []string{
		"ada@example.test\r\nRCPT TO:<eve@example.test>", "ada@example.test>\r\nDATA", "ada@example.test, eve@example.test",
		"Ada <ada@example.test>", "\"a b\"@example.test", "",
	} {
		evil := letter
		evil.To = to
		require.Error(t, send(t.Context(), s, evil), to)
	}
	require.Len(t, server.Mails(), 1)
}
