// Package smtp sends mail through a mail server of the operator. It is a thin layer over
// github.com/wneessen/go-mail: it reads the server's URL, requires TLS, and classifies the server's
// replies.
package smtp

import (
	"errors"
	"net"
	"net/mail"
	"net/url"
	"strconv"
	"strings"
	"unicode"
)

// Server is a mail server, as its URL describes it.
type Server struct {
	Host     string
	Port     int
	User     string // may be empty: no authentication
	Password string
	Security Security
}

// Security is the encryption of the connection to a server.
type Security int

// The kinds of encryption.
const (
	// StartTLS upgrades the connection before anything else is sent (RFC 3207). A server that does
	// not offer it gets no mail.
	StartTLS Security = iota
	// ImplicitTLS begins with TLS (RFC 8314, section 3.3).
	ImplicitTLS
	// Plain sends without encryption, for a server on the same machine.
	Plain
)

// Ports of submission: RFC 8314, section 7.3, and RFC 6409, section 3.1.
const (
	portImplicit   = 465
	portSubmission = 587
)

var (
	errURL = errors.New("must be smtp://USER:PASSWORD@HOST:PORT, or smtps:// for TLS from the start; " +
		"smtp:// requires STARTTLS, unless ?tls=none is added")
	errPlainPassword = errors.New("must not send a password without TLS to another machine: remove ?tls=none")
)

// ParseURL reads the URL of a server: smtp://HOST with STARTTLS, smtp://HOST?tls=none without
// encryption, or smtps://HOST. The errors do not repeat the URL, which may contain a password.
func ParseURL(text string) (Server, error) {
	u, err := url.Parse(text)
	if err != nil || u.Opaque != "" || u.Hostname() == "" || u.Path != "" && u.Path != "/" || u.Fragment != "" ||
		strings.ContainsFunc(u.Hostname(), unicode.IsSpace) {
		return Server{}, errURL
	}
	s := Server{Host: u.Hostname(), User: u.User.Username(), Port: portSubmission}
	s.Password, _ = u.User.Password()
	options := u.Query()
	switch {
	case u.Scheme == "smtps" && len(options) == 0:
		s.Security, s.Port = ImplicitTLS, portImplicit
	case u.Scheme == "smtp" && len(options) == 0:
	case u.Scheme == "smtp" && len(options) == 1 && options.Get("tls") == "none":
		s.Security = Plain
	default:
		return Server{}, errURL
	}
	if port := u.Port(); port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return Server{}, errURL
		}
		s.Port = int(n)
	}
	switch {
	case (s.User == "") != (s.Password == ""):
		return Server{}, errURL
	case s.Security == Plain && s.Password != "" && !isLoopback(s.Host):
		return Server{}, errPlainPassword
	}
	return s, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// ParseFrom reads the sender of all mail, such as Example ABA <no-reply@example.org>.
func ParseFrom(text string) (mail.Address, error) {
	parsed, err := mail.ParseAddress(text)
	if err != nil || strings.ContainsFunc(text, unicode.IsControl) ||
		!strings.Contains(parsed.Address[strings.LastIndexByte(parsed.Address, '@')+1:], ".") {
		return mail.Address{}, errors.New("must be an address, such as no-reply@example.org, or with a name: " +
			"Example ABA <no-reply@example.org>")
	}
	return *parsed, nil
}
