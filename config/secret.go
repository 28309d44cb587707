package config

import (
	"fmt"
	"io"
	"net/url"
)

// Secret is a text that does not show itself: every verb of fmt, JSON, YAML and
// log lines print *** in its place. [Secret.Reveal] is the one way to read it.
type Secret string

const hidden = "***"

// Reveal returns the text itself.
func (s Secret) Reveal() string { return string(s) }

// String returns ***, and nothing where there is no secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return hidden
}

// Format makes every verb, %#v, %x and %q too, print what [Secret.String] returns.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// MarshalText hides the secret in JSON, YAML and whatever else asks.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalYAML hides the secret.
func (s Secret) MarshalYAML() (any, error) { return s.String(), nil }

// withoutPassword shows where a database is and as whom, if s is a URL.
func (s Secret) withoutPassword() string {
	u, err := url.Parse(string(s))
	if s == "" || err != nil || u.Host == "" || u.User == nil {
		return s.String()
	}
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, User: url.User(u.User.Username())}
	if _, ok := u.User.Password(); ok {
		shown.User = url.UserPassword(u.User.Username(), "hidden")
	}
	return shown.String()
}
