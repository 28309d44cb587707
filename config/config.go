// Package config reads the program's configuration: defaults, then a YAML file, then
// environment variables, each overriding the previous. It reports all problems at once,
// with the source of each value.
//
// Only main and app use this package; other packages receive values.
package config

import (
	"encoding/json"
	"net/netip"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/otlp"
)

// The profiles. Production rejects settings that are only for trials.
const (
	Development = "development"
	Production  = "production"
)

// DevelopmentSecret signs tokens if no secret is configured. It is public, and
// production rejects it.
//
//nolint:gosec // published, and refused in production
const DevelopmentSecret Secret = "omnirapeutic development secret, known to all"

// Config is the complete and valid configuration returned by [Load].
type Config struct {
	Addr          string // host:port to listen on
	MetricsAddr   string // host:port of the listener for metrics and profiles; "" for none
	Profile       string // Development or Production
	DataDir       string // absolute
	AuditSpool    string // folder for audit events that the database does not accept; "" for none
	Anchors       Anchors
	AuditRemoval  AuditRemoval
	Alerts        Alerts
	SIEM          []string // URLs to which audit events are sent, see setSIEM; may be empty
	PostgresBin   string   // folder of PostgreSQL's programs; "" to search for them
	PostgresFetch bool     // download PostgreSQL's programs if none are installed
	Database      Database
	Retry         Retry
	Token         Token
	Secrets       Secrets
	Log           Log
	HTTP          HTTP
	Commands      Commands
	SweepInterval time.Duration // interval between releases of expired holds; 0 for never
	// Reminders are the times before an appointment at which reminders are sent, in
	// whole minutes each. It may be empty.
	Reminders []time.Duration
	// IdempotencyRetention is how long a request can be repeated with its Idempotency-Key.
	IdempotencyRetention time.Duration
	Webhooks             Webhooks
	Mail                 Mail
	// EventRetention is how long events are kept for reconnecting readers.
	EventRetention time.Duration
	// InvitationLifetime is how long an invitation can be accepted.
	InvitationLifetime time.Duration
	// PasswordResetLifetime is the lifetime of a link to set a new password.
	PasswordResetLifetime time.Duration
	// APIKeyLifetime is the lifetime of an API key without an expiry.
	APIKeyLifetime time.Duration
	// APIKeyMaxLifetime is the maximum lifetime of an API key.
	APIKeyMaxLifetime time.Duration
	Demo              bool // load the demo practice into an empty database
	// Telemetry says which spans and metrics are sent by OTLP. The variables of OpenTelemetry configure it, not
	// keys.
	Telemetry otlp.Settings
	// Ignored are variables that a platform sets for a service with the program's name, such as
	// Kubernetes' OMNI_PORT.
	Ignored []string

	settings []Setting
	// secretTexts are the secrets as given, by key, to detect changes.
	secretTexts map[string]Secret
}

// AuditRemoval says which audit events the command audit remove may remove.
type AuditRemoval struct {
	Years int // the age of removable events; 0: nothing is removed without an option
	// Kept are organizations whose events are kept for longer, with the years; 0: for ever.
	Kept map[uuid.UUID]int
}

// Anchors says where the heads of audit trails are kept outside of the database.
type Anchors struct {
	Destinations []string // file:///PATH, https:// or syslog+tls:// URLs; may be empty
	Authority    string   // the URL of a time stamping authority (RFC 3161); may be ""
}

// Alerts are limits of suspicious access, for one user or API key in ten minutes.
type Alerts struct {
	Patients int // maximum number of patients whose records are read without an alert; 0 for no alerts
	Denials  int // maximum number of denied requests without an alert; 0 for no alerts
}

// Commands configures the execution of commands: requests that change units or appointments.
type Commands struct {
	BatchLimit int  // maximum number of commands in one transaction; an appointment counts as two
	Batches    int  // maximum number of transactions at once
	Lock       bool // transactions, also of other instances, wait for each other with a table lock
	QueueLimit int  // maximum number of commands waiting for their transaction
}

// Database configures the PostgreSQL connection.
type Database struct {
	URL        Secret // of the program's role; "" for the private PostgreSQL
	MigrateURL Secret // of the role that owns the tables; "" for URL
	ReplicaURL Secret // of a standby for reads, with the program's role; "" for none
	// ReplicaMaxLag is how far the standby may be behind to answer reads.
	ReplicaMaxLag time.Duration
	Profile       string        // "postgresql" or "portable": the features of the database that the program uses
	MaxConns      int           // to each of both
	ExecMode      string        // pgx's default_query_exec_mode
	AutoMigrate   bool          // migrate at start; unless set, not in production
	SlowQuery     time.Duration // statements that take longer are logged; 0 for none
	Wait          time.Duration // maximum time to wait at the start for a database that does not answer yet
}

// Token configures access tokens and sign-ins.
type Token struct {
	Secret         Secret   // at least 32 bytes; for every purpose without its own secret, see [Secrets]
	Former         []Secret // former secrets, whose signatures are still accepted
	Lifetime       time.Duration
	SignInIdle     time.Duration // lifetime of a sign-in without a refresh
	SignInLifetime time.Duration // maximum lifetime of a sign-in
}

// Webhooks limits the webhooks of an organization and the concurrent deliveries.
type Webhooks struct {
	PerOrganization int // maximum number of webhooks of an organization
	// Slots is the number of webhooks that an instance sends to at the same time.
	Slots int
	// SlotsPerOrganization is the number of slots that one organization can use, at most half of
	// them.
	SlotsPerOrganization int
}

// Mail configures the mail to users. The zero value sends none.
type Mail struct {
	URL  Secret // of the mail server; "" for none
	From string // the sender
}

// Enabled reports whether mail is sent.
func (m Mail) Enabled() bool { return m.URL != "" }

// Log configures logging.
type Log struct {
	Level  string
	Format string // text or json
}

// HTTP configures limits and addresses of the HTTP server.
type HTTP struct {
	RequestTimeout time.Duration
	BodyLimit      int64         // in bytes
	ShutdownGrace  time.Duration // for requests that are running when the program is stopped
	CORSOrigins    []string      // of web pages that may call the API; none by default, or "*" alone for all
	PublicURL      string        // the origin under which browsers reach this program; may be ""
	FrontendURL    string        // the page to which users return from an identity provider; may be ""
	Docs           bool          // serve the page for reading and trying the API
	TLS            TLS           // the zero value means no encryption
	// TrustedProxies are the networks whose X-Forwarded-For is trusted; none by
	// default, because any client can send the header.
	TrustedProxies []netip.Prefix
	UserRate       Rate // of one user, over all sign-ins; and of one address without a sign-in
	TokenRate      Rate // of one access token
	FailureRate    Rate // of failed sign-ins, tokens and keys from one network, each kind separately
}

// TLS names the PEM files of the certificate chain (without the root) and of its
// private key. Both or neither are set.
type TLS struct {
	Certificate string
	Key         string
}

// Given reports whether there is a certificate.
func (t TLS) Given() bool { return t.Certificate != "" }

// Rate is a rate limit. The zero value means no limit.
type Rate struct {
	PerSecond float64 // long-term rate; 0 for no limit
	Burst     int     // maximum at once, after an idle time
}

// Setting is one key of the effective configuration.
type Setting struct {
	Key    string `json:"key"`    // The name of the key.
	Value  string `json:"value"`  // The effective value. Secrets are hidden.
	Source string `json:"source"` // The origin of the value: a default, a file, or an environment variable.
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
