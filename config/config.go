// Package config reads the program's configuration: defaults, then a YAML file,
// then environment variables, each overriding the one before. Every problem is
// told at once, with the place where the wrong value came from.
//
// Only main and app know this package; everyone else is handed values.
package config

import (
	"encoding/json"
	"net/netip"
	"time"
)

// The profiles. Production refuses what is only good for trying the program out.
const (
	Development = "development"
	Production  = "production"
)

// DevelopmentSecret signs tokens while nobody has configured a secret. It is
// public; production refuses it.
const DevelopmentSecret Secret = "omnirapeutic development secret, known to everybody" //nolint:gosec // published, and refused in production

// Config is the whole configuration, complete and valid once [Load] returned it.
type Config struct {
	Addr          string // host:port to listen on
	MetricsAddr   string // host:port of the listener for metrics and profiles; "" for none
	Profile       string // Development or Production
	DataDir       string // absolute
	AuditSpool    string // folder in which audit events are queued that the database does not take; "" for none
	PostgresBin   string // folder of PostgreSQL's programs; "" to look for them
	PostgresFetch bool   // fetch PostgreSQL's programs where none are found
	Database      Database
	Retry         Retry
	Token         Token
	Secrets       Secrets
	Log           Log
	HTTP          HTTP
	Combine       bool          // operations on units that arrive together share a transaction
	CombineLock   bool          // instances on one database wait for each other by a table's lock
	CombineQueue  int           // how many may wait for their transaction
	SweepInterval time.Duration // between releases of expired holds; 0 for never
	// Reminders are how long before its start an appointment is reminded of, each in
	// whole minutes; none for no reminders.
	Reminders []time.Duration
	// IdempotencyRetention is how long a request can be repeated with its Idempotency-Key.
	IdempotencyRetention time.Duration
	Webhooks             Webhooks
	// EventRetention is how long events are kept for readers who come back.
	EventRetention time.Duration
	// InvitationLifetime is how long somebody who was invited can accept.
	InvitationLifetime time.Duration
	// PasswordResetLifetime is how long a link to set a new password can be used.
	PasswordResetLifetime time.Duration
	// APIKeyLifetime is how long an API key lives whose maker names no end.
	APIKeyLifetime time.Duration
	// APIKeyMaxLifetime is the longest life of an API key.
	APIKeyMaxLifetime time.Duration
	Demo              bool // load the demo practice into an empty database
	// Ignored are variables that a platform has set for a service of the program's
	// name, such as Kubernetes' OMNI_PORT.
	Ignored []string

	settings []Setting
}

// Database says which PostgreSQL serves, and how it is used.
type Database struct {
	URL         Secret // of the program's own role; "" for the private PostgreSQL
	MigrateURL  Secret // of the role that owns the tables; "" for the same as URL
	MaxConns    int
	ExecMode    string        // pgx's default_query_exec_mode
	AutoMigrate bool          // migrate at start; unless set, not in production
	SlowQuery   time.Duration // statements that take longer are logged; 0 for none
}

// Token says how access tokens are signed, and how long people stay signed in.
type Token struct {
	Secret         Secret   // at least 32 bytes; of every purpose without one of its own: see [Secrets]
	Former         []Secret // those before it, likewise: what they have signed still holds
	Lifetime       time.Duration
	SignInIdle     time.Duration // how long a sign-in lasts that nobody refreshes
	SignInLifetime time.Duration // how long any lasts
}

// Webhooks bounds the webhooks of an organization, and how many are sent to at once.
type Webhooks struct {
	PerOrganization int // how many an organization can have
	// Slots is how many webhooks an instance sends to at the same time.
	Slots int
	// SlotsPerOrganization is how many of the slots one organization can use: at most half of them.
	SlotsPerOrganization int
}

// Log says how much is logged and how it looks.
type Log struct {
	Level  string
	Format string // text or json
}

// HTTP bounds requests, and says whose they may be.
type HTTP struct {
	RequestTimeout time.Duration
	BodyLimit      int64         // in bytes
	ShutdownGrace  time.Duration // for requests that are being served when the program is told to stop
	CORSOrigins    []string      // of web pages that may call; none by default, or "*" alone for every one
	PublicURL      string        // the origin under which browsers reach this program; "" where it is not told
	FrontendURL    string        // the page to which people return from an identity provider; "" where there is none
	Docs           bool          // serve the page on which the API can be read and tried out
	TLS            TLS           // how connections are encrypted; the zero value is not at all
	// TrustedProxies are the networks whose X-Forwarded-For is believed; none by
	// default, as anybody can write a header.
	TrustedProxies []netip.Prefix
	UserRate       Rate // of one user, over all sign-ins; and of one address where nobody is signed in
	TokenRate      Rate // of one access token
	FailureRate    Rate // of refused sign-ins, tokens and keys from one network, each kind for itself
}

// TLS names the PEM files of the certificate, with what is between it and the root
// behind it, and of its private key. Both or neither.
type TLS struct {
	Certificate string
	Key         string
}

// Given reports whether there is a certificate.
func (t TLS) Given() bool { return t.Certificate != "" }

// Rate is how often something may happen. The zero value is as often as one likes.
type Rate struct {
	PerSecond float64 // in the long run; 0 for no limit
	Burst     int     // at once, after a while of nothing
}

// Setting is one key of the effective configuration.
type Setting struct {
	Key    string `json:"key"`
	Value  string `json:"value"` // secrets hidden
	Source string `json:"source"`
}

// Settings returns the effective configuration with the source of each value,
// secrets hidden, in the order of config.example.yaml.
func (c Config) Settings() []Setting { return c.settings }

// MarshalJSON writes the settings: keys, values and sources, secrets hidden.
func (c Config) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Settings []Setting `json:"settings"`
	}{c.settings})
}
