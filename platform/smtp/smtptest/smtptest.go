// Package smtptest starts a real mail server in the process of a test: with TLS, authentication and
// chosen refusals.
package smtptest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/mail"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"
)

// The account that the server accepts.
const (
	User     = "omnirapeutic"
	Password = "a password of the mail server"
)

// Mail is a mail that the server has accepted.
type Mail struct {
	From, To string // of the envelope
	Raw      string
	*mail.Message
}

// Server is a mail server. Safe for concurrent use.
type Server struct {
	Address string // host:port
	Roots   *x509.CertPool

	mutex       sync.Mutex
	mails       []Mail
	replies     map[string]*smtp.SMTPError // to RCPT, by address
	dropReplies int
	connections int
}

// Options change how a server is started.
type Options struct {
	ImplicitTLS bool // TLS from the start
	NoTLS       bool // no STARTTLS either
}

// Start starts a server with STARTTLS on a loopback address. It stops when the test ends.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	certificate, roots := newCertificate(t)
	s := &Server{Roots: roots, replies: map[string]*smtp.SMTPError{}}
	server := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		s.mutex.Lock()
		defer s.mutex.Unlock()
		s.connections++
		return &session{server: s, conn: c, needsTLS: !o.NoTLS}, nil
	}))
	server.Domain = "mail.test"
	server.AllowInsecureAuth = o.NoTLS
	settings := &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s.Address = listener.Addr().String()
	switch {
	case o.ImplicitTLS:
		listener = tls.NewListener(listener, settings)
	case !o.NoTLS:
		server.TLSConfig = settings
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close(); <-ended })
	return s
}

// Mails returns all accepted mail.
func (s *Server) Mails() []Mail {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return append([]Mail{}, s.mails...)
}

// Connections returns the number of connections up to now.
func (s *Server) Connections() int {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.connections
}

// ReplyTo sets the reply to each RCPT of an address, such as 550 with 5.1.1. The code 0 accepts it.
func (s *Server) ReplyTo(address string, code int, enhanced [3]int) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	delete(s.replies, address)
	if code != 0 {
		s.replies[address] = &smtp.SMTPError{Code: code, EnhancedCode: enhanced, Message: "no mail for " + address}
	}
}

// DropReplies accepts the next n mails, and closes the connection instead of a reply.
func (s *Server) DropReplies(n int) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.dropReplies = n
}

// session is one connection. It accepts mail only after authentication, and over TLS.
type session struct {
	server        *Server
	conn          *smtp.Conn
	needsTLS      bool
	authenticated bool
	from, to      string
}

// AuthMechanisms implements smtp.AuthSession.
func (*session) AuthMechanisms() []string { return []string{sasl.Plain} }

// Auth implements smtp.AuthSession.
func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != User || password != Password {
			return smtp.ErrAuthFailed
		}
		s.authenticated = true
		return nil
	}), nil
}

// Mail implements smtp.Session.
func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	_, encrypted := s.conn.TLSConnectionState()
	if s.needsTLS && !encrypted {
		if _, implicit := s.conn.Conn().(*tls.Conn); !implicit {
			return &smtp.SMTPError{Code: 530, EnhancedCode: smtp.EnhancedCode{5, 7, 0}, Message: "TLS is required"}
		}
	}
	if !s.authenticated {
		return &smtp.SMTPError{Code: 530, EnhancedCode: smtp.EnhancedCode{5, 7, 0}, Message: "Authentication is required"}
	}
	s.from = from
	return nil
}

// Rcpt implements smtp.Session.
func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.server.mutex.Lock()
	defer s.server.mutex.Unlock()
	if reply := s.server.replies[to]; reply != nil {
		return reply
	}
	s.to = to
	return nil
}

var errDropped = errors.New("smtptest: dropped")

// Data implements smtp.Session.
func (s *session) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	message, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return fmt.Errorf("smtptest: %w", err)
	}
	s.server.mutex.Lock()
	defer s.server.mutex.Unlock()
	s.server.mails = append(s.server.mails, Mail{s.from, s.to, string(raw), message})
	if s.server.dropReplies > 0 {
		s.server.dropReplies--
		_ = s.conn.Conn().Close()
		return errDropped
	}
	return nil
}

// Reset implements smtp.Session.
func (s *session) Reset() { s.from, s.to = "", "" }

// Logout implements smtp.Session.
func (*session) Logout() error { return nil }

// newCertificate returns a certificate for 127.0.0.1, and the pool that trusts it.
func newCertificate(t testing.TB) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	require.NoError(t, err)
	parsed, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}
