package smtp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/mail"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"
	gosmtp "github.com/wneessen/go-mail/smtp"
)

// stepTimeout limits the connection with its authentication, and then each letter.
const stepTimeout = 15 * time.Second

// Letter is a mail that is ready to be sent to one address.
type Letter struct {
	ID      string // the part of the Message-ID before the @; the same for each attempt
	To      string // an address without a name
	Subject string // one line
	Text    string // the content as plain text
	HTML    string // the same content as HTML
	Date    time.Time
}

// Sender sends letters through one server. It is safe for concurrent use.
type Sender struct {
	from   mail.Address
	domain string // of the Message-ID
	client *gomail.Client
}

// NewSender returns a sender. roots are the trusted certificate authorities; nil: the machine's.
func NewSender(s Server, from mail.Address, roots *x509.CertPool) (*Sender, error) {
	domain := from.Address[strings.LastIndexByte(from.Address, '@')+1:]
	options := []gomail.Option{
		gomail.WithPort(s.Port),
		gomail.WithTimeout(stepTimeout),
		gomail.WithHELO(domain),
		gomail.WithTLSPolicy(gomail.TLSMandatory),
		gomail.WithTLSConfig(&tls.Config{MinVersion: tls.VersionTLS12, ServerName: s.Host, RootCAs: roots}),
	}
	switch s.Security {
	case ImplicitTLS:
		options = append(options, gomail.WithSSL())
	case Plain:
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS))
	case StartTLS:
	}
	if s.User != "" {
		options = append(options, gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover), gomail.WithUsername(s.User),
			gomail.WithPassword(s.Password))
	}
	if s.User != "" && s.Security == Plain { // a loopback address: see [ParseURL]
		options = append(options, gomail.WithSMTPAuth(gomail.SMTPAuthPlainNoEnc))
	}
	client, err := gomail.NewClient(s.Host, options...)
	if err != nil {
		return nil, fmt.Errorf("smtp: %w", err)
	}
	return &Sender{from: from, domain: domain, client: client}, nil
}

// Connection sends letters over one connection, one after the other.
type Connection struct {
	sender *Sender
	client *gosmtp.Client
}

// Connect connects to the server and authenticates. The error is a [*Error].
func (s *Sender) Connect(ctx context.Context) (*Connection, error) {
	client, err := s.client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return nil, &Error{Reason: NotConnected, cause: err}
	}
	return &Connection{s, client}, nil
}

// Close ends the connection.
func (c *Connection) Close() {
	_ = c.sender.client.CloseWithSMTPClient(c.client) // all letters have their reply
}

// Send sends a letter. The error is a [*Error].
func (c *Connection) Send(l Letter) error {
	message, err := c.sender.message(l)
	if err != nil {
		return &Error{Reason: Rejected, cause: err}
	}
	err = c.sender.client.SendWithSMTPClient(c.client, message)
	if message.IsDelivered() { // the server has accepted it, even if the connection broke after that
		return nil
	}
	return classify(err)
}

// message builds the message. go-mail encodes the header fields, so that no value can add another one.
func (s *Sender) message(l Letter) (*gomail.Msg, error) {
	m := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	m.FromMailAddress(&s.from)
	if strings.ContainsAny(l.To, "\r\n<>, \t\"") {
		return nil, errors.New("smtp: the recipient is not a plain address")
	}
	if err := m.To(l.To); err != nil {
		return nil, errors.New("smtp: the recipient is not an address") // the cause repeats the address
	}
	m.Subject(oneLine(l.Subject))
	m.SetMessageIDWithValue(l.ID + "@" + s.domain)
	m.SetDateWithValue(l.Date)
	// No automatic replies: RFC 3834, section 5.
	m.SetGenHeader("Auto-Submitted", "auto-generated")
	m.SetBodyString(gomail.TypeTextPlain, l.Text)
	m.AddAlternativeString(gomail.TypeTextHTML, l.HTML)
	return m, nil
}

// oneLine replaces control characters, so that a header field stays one line.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029 {
			return ' '
		}
		return r
	}, text)
}
