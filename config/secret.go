package config

import (
	"fmt"
	"io"
	"net/url"
)

// Secret is a text that hides itself: all fmt verbs, JSON, YAML and log lines print ***
// instead. Only [Secret.Reveal] returns it.
type Secret string

const hidden = "***"

// Reveal returns the text.
func (s Secret) Reveal() string { return string(s) }

// String returns ***, or "" without a secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return hidden
}

// Format makes every verb, including %#v, %x and %q, print the result of
// [Secret.String].
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// MarshalText hides the secret in JSON, YAML and other text encodings.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalYAML hides the secret.
func (s Secret) MarshalYAML() (any, error) { return s.String(), nil }

// withoutPassword returns s without the password if it is a URL.
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
