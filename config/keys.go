package config

import (
	"cmp"
	"strconv"
	"strings"
	"time"
)

// key is one configuration key. Values are texts, which the file and the environment
// have in common. An empty one means a default that depends on other keys.
type key struct {
	name   string // in YAML, joined by dots
	env    string
	preset string // the default
	list   string // an example, if the value is a comma-separated list
	secret bool   // hidden, and readable from the file that env+"_FILE" names
	// reload copies the value into a running program's configuration. Nil means that a change
	// needs a restart.
	reload func(running *Config, next Config)
	// reloads reports whether this change can be reloaded; nil: each one can.
	reloads func(running, next Config) bool
	set     func(c *Config, text string) error
	show    func(c Config) string // the effective value
}

// maxAlertLimit is the largest limit of an alert.
const maxAlertLimit = 1_000_000

// keys lists all keys, in the order of config.example.yaml. Empty values are not set.
var keys = []key{
	{
		name: "addr", env: "OMNI_ADDR", preset: "127.0.0.1:8080",
		set:  func(c *Config, s string) error { c.Addr = s; return checkAddr(s) },
		show: func(c Config) string { return c.Addr },
	},
	{
		name: "metrics_addr", env: "OMNI_METRICS_ADDR",
		set: setMetricsAddr, show: func(c Config) string { return c.MetricsAddr },
	},
	{
		name: "profile", env: "OMNI_PROFILE", preset: Development,
		set:  oneOf(func(c *Config) *string { return &c.Profile }, Development, Production),
		show: func(c Config) string { return c.Profile },
	},
	{
		name: "data_dir", env: "OMNI_DATA_DIR",
		set:  func(c *Config, s string) error { c.DataDir = s; return nil },
		show: func(c Config) string { return c.DataDir },
	},
	{
		name: "audit_spool", env: "OMNI_AUDIT_SPOOL",
		set:  func(c *Config, s string) error { c.AuditSpool = s; return nil },
		show: func(c Config) string { return cmp.Or(c.AuditSpool, none) },
	},
	{
		name: "audit_removal.years", env: "OMNI_AUDIT_REMOVAL_YEARS", preset: "0",
		set: setRemovalYears, show: func(c Config) string { return strconv.Itoa(c.AuditRemoval.Years) },
	},
	{
		name: "audit_removal.kept", env: "OMNI_AUDIT_KEPT", list: "01890a5d-ac96-774b-bcce-b302099a8057, 01890a5d-ac97-7000-8000-000000000001=10",
		set: setKept, show: showKept,
	},
	{
		name: "anchors.destinations", env: "OMNI_ANCHORS", list: "file:///mnt/worm/heads.jsonl, https://log.example.com/heads",
		set: setAnchors, show: showAnchors,
	},
	{
		name: "anchors.authority", env: "OMNI_ANCHOR_AUTHORITY",
		set:  setAuthority,
		show: func(c Config) string { return withoutPassword(c.Anchors.Authority) },
	},
	{
		name: "alerts.patients", env: "OMNI_ALERT_PATIENTS", preset: "100",
		set:  integer(func(c *Config) *int { return &c.Alerts.Patients }, 0, maxAlertLimit),
		show: func(c Config) string { return strconv.Itoa(c.Alerts.Patients) },
	},
	{
		name: "alerts.denials", env: "OMNI_ALERT_DENIALS", preset: "50",
		set:  integer(func(c *Config) *int { return &c.Alerts.Denials }, 0, maxAlertLimit),
		show: func(c Config) string { return strconv.Itoa(c.Alerts.Denials) },
	},
	{
		name: "siem", env: "OMNI_SIEM",
		list: "syslog+tls://siem.example.com:6514, https://siem.example.com/audit", set: setSIEM, show: showSIEM,
	},
	{
		name: "postgres_bin", env: "OMNI_POSTGRES_BIN",
		set:  func(c *Config, s string) error { c.PostgresBin = s; return nil },
		show: func(c Config) string { return c.PostgresBin },
	},
	{
		name: "postgres_fetch", env: "OMNI_POSTGRES_FETCH", preset: "true",
		set:  boolean(func(c *Config) *bool { return &c.PostgresFetch }),
		show: func(c Config) string { return strconv.FormatBool(c.PostgresFetch) },
	},
	{
		name: "database.url", env: "OMNI_DATABASE_URL", secret: true,
		set:     func(c *Config, s string) error { c.Database.URL = Secret(s); return checkDatabaseURL(s) },
		show:    func(c Config) string { return c.Database.URL.withoutPassword() },
		reload:  func(running *Config, next Config) { running.Database.URL = next.Database.URL },
		reloads: func(running, next Config) bool { return onlyPassword(running.Database.URL, next.Database.URL) },
	},
	{
		name: "database.migrate_url", env: "OMNI_MIGRATE_URL", secret: true,
		set:  func(c *Config, s string) error { c.Database.MigrateURL = Secret(s); return checkDatabaseURL(s) },
		show: func(c Config) string { return c.Database.MigrateURL.withoutPassword() },
	},
	{
		name: "database.replica_url", env: "OMNI_DATABASE_REPLICA_URL", secret: true,
		set:    func(c *Config, s string) error { c.Database.ReplicaURL = Secret(s); return checkDatabaseURL(s) },
		show:   func(c Config) string { return c.Database.ReplicaURL.withoutPassword() },
		reload: func(running *Config, next Config) { running.Database.ReplicaURL = next.Database.ReplicaURL },
		reloads: func(running, next Config) bool {
			return onlyPassword(running.Database.ReplicaURL, next.Database.ReplicaURL)
		},
	},
	{
		name: "database.replica_max_lag", env: "OMNI_DATABASE_REPLICA_MAX_LAG", preset: "5s",
		set:  duration(func(c *Config) *time.Duration { return &c.Database.ReplicaMaxLag }, time.Second, time.Hour),
		show: func(c Config) string { return c.Database.ReplicaMaxLag.String() },
	},
	{
		name: "database.profile", env: "OMNI_DB_PROFILE", preset: "postgresql",
		set:  oneOf(func(c *Config) *string { return &c.Database.Profile }, "postgresql", "portable"),
		show: func(c Config) string { return c.Database.Profile },
	},
	{
		name: "database.max_conns", env: "OMNI_DB_MAX_CONNS", preset: "20",
		set:  integer(func(c *Config) *int { return &c.Database.MaxConns }, 1, 1000),
		show: func(c Config) string { return strconv.Itoa(c.Database.MaxConns) },
	},
	{
		name: "database.exec_mode", env: "OMNI_DB_EXEC_MODE", preset: "cache_statement",
		set: oneOf(func(c *Config) *string { return &c.Database.ExecMode }, "cache_statement", "cache_describe",
			"describe_exec", "exec"),
		show: func(c Config) string { return c.Database.ExecMode },
	},
	{
		name: "database.auto_migrate", env: "OMNI_DB_AUTO_MIGRATE",
		set:  boolean(func(c *Config) *bool { return &c.Database.AutoMigrate }),
		show: func(c Config) string { return strconv.FormatBool(c.Database.AutoMigrate) },
	},
	{
		name: "database.slow_query", env: "OMNI_DB_SLOW_QUERY", preset: "200ms",
		set:  duration(func(c *Config) *time.Duration { return &c.Database.SlowQuery }, 0, time.Hour),
		show: func(c Config) string { return c.Database.SlowQuery.String() },
	},
	{
		name: "database.wait", env: "OMNI_DB_WAIT", preset: "0s",
		set:  duration(func(c *Config) *time.Duration { return &c.Database.Wait }, 0, time.Hour),
		show: func(c Config) string { return c.Database.Wait.String() },
	},
	{
		name: "retry.preset", env: "OMNI_RETRY_PRESET", preset: "default",
		set: setPreset, show: func(c Config) string { return c.Retry.Preset },
	},
	{
		name: "retry.max_attempts", env: "OMNI_RETRY_MAX_ATTEMPTS",
		set:  integer(func(c *Config) *int { return &c.Retry.MaxAttempts }, 1, 100),
		show: func(c Config) string { return strconv.Itoa(c.Retry.MaxAttempts) },
	},
	{
		name: "retry.base_delay", env: "OMNI_RETRY_BASE_DELAY",
		set:  duration(func(c *Config) *time.Duration { return &c.Retry.BaseDelay }, time.Microsecond, time.Minute),
		show: func(c Config) string { return c.Retry.BaseDelay.String() },
	},
	{
		name: "retry.max_delay", env: "OMNI_RETRY_MAX_DELAY",
		set:  duration(func(c *Config) *time.Duration { return &c.Retry.MaxDelay }, time.Microsecond, time.Minute),
		show: func(c Config) string { return c.Retry.MaxDelay.String() },
	},
	{
		name: "retry.jitter", env: "OMNI_RETRY_JITTER",
		set:  fraction(func(c *Config) *float64 { return &c.Retry.Jitter }),
		show: func(c Config) string { return numberText(c.Retry.Jitter) },
	},
	{
		name: "token.secret", env: "OMNI_TOKEN_SECRET", secret: true,
		set:  func(c *Config, s string) error { c.Token.Secret = Secret(s); return checkSecret(s) },
		show: func(c Config) string { return c.Token.Secret.String() },
	},
	{
		name: "token.lifetime", env: "OMNI_TOKEN_LIFETIME", preset: "15m",
		set:  duration(func(c *Config) *time.Duration { return &c.Token.Lifetime }, time.Minute, 24*time.Hour),
		show: func(c Config) string { return c.Token.Lifetime.String() },
	},
	{
		name: "token.former_secrets", env: "OMNI_TOKEN_SECRETS_FORMER", secret: true,
		set:  setFormer(func(c *Config) *[]Secret { return &c.Token.Former }),
		show: func(c Config) string { return showFormer(c.Token.Former) },
	},
	{
		name: "token.sign_in_idle", env: "OMNI_SIGN_IN_IDLE", preset: "1h",
		set:  duration(func(c *Config) *time.Duration { return &c.Token.SignInIdle }, time.Minute, 90*24*time.Hour),
		show: func(c Config) string { return c.Token.SignInIdle.String() },
	},
	{
		name: "token.sign_in_lifetime", env: "OMNI_SIGN_IN_LIFETIME", preset: "24h",
		set:  duration(func(c *Config) *time.Duration { return &c.Token.SignInLifetime }, time.Minute, 90*24*time.Hour),
		show: func(c Config) string { return c.Token.SignInLifetime.String() },
	},
	purposeSecret("tokens", func(c *Config) *KeySet { return &c.Secrets.Tokens }),
	purposeFormer("tokens", func(c *Config) *KeySet { return &c.Secrets.Tokens }),
	purposeSecret("encryption", func(c *Config) *KeySet { return &c.Secrets.Encryption }),
	purposeFormer("encryption", func(c *Config) *KeySet { return &c.Secrets.Encryption }),
	purposeSecret("cursors", func(c *Config) *KeySet { return &c.Secrets.Cursors }),
	purposeFormer("cursors", func(c *Config) *KeySet { return &c.Secrets.Cursors }),
	purposeSecret("devices", func(c *Config) *KeySet { return &c.Secrets.Devices }),
	purposeFormer("devices", func(c *Config) *KeySet { return &c.Secrets.Devices }),
	purposeSecret("throttle", func(c *Config) *KeySet { return &c.Secrets.Throttle }),
	purposeFormer("throttle", func(c *Config) *KeySet { return &c.Secrets.Throttle }),
	purposeSecret("anchors", func(c *Config) *KeySet { return &c.Secrets.Anchors }),
	purposeFormer("anchors", func(c *Config) *KeySet { return &c.Secrets.Anchors }),
	{
		name: "log.level", env: "OMNI_LOG_LEVEL", preset: "info",
		set:    oneOf(func(c *Config) *string { return &c.Log.Level }, "debug", "info", "warn", "error"),
		show:   func(c Config) string { return c.Log.Level },
		reload: func(running *Config, next Config) { running.Log.Level = next.Log.Level },
	},
	{
		name: "log.format", env: "OMNI_LOG_FORMAT",
		set:  oneOf(func(c *Config) *string { return &c.Log.Format }, "text", "json"),
		show: func(c Config) string { return c.Log.Format },
	},
	{
		name: "http.request_timeout", env: "OMNI_REQUEST_TIMEOUT", preset: "15s",
		set:  duration(func(c *Config) *time.Duration { return &c.HTTP.RequestTimeout }, 100*time.Millisecond, 10*time.Minute),
		show: func(c Config) string { return c.HTTP.RequestTimeout.String() },
	},
	{
		name: "http.body_limit", env: "OMNI_BODY_LIMIT", preset: "1MiB",
		set: setBodyLimit, show: func(c Config) string { return sizeText(c.HTTP.BodyLimit) },
	},
	{
		name: "http.shutdown_grace", env: "OMNI_SHUTDOWN_GRACE", preset: "10s",
		set:    duration(func(c *Config) *time.Duration { return &c.HTTP.ShutdownGrace }, 0, 10*time.Minute),
		show:   func(c Config) string { return c.HTTP.ShutdownGrace.String() },
		reload: func(running *Config, next Config) { running.HTTP.ShutdownGrace = next.HTTP.ShutdownGrace },
	},
	{
		name: "http.cors_origins", env: "OMNI_CORS_ORIGINS", list: "https://a.example.org, https://b.example.org",
		set: setOrigins, show: func(c Config) string { return strings.Join(c.HTTP.CORSOrigins, ", ") },
	},
	{
		name: "http.public_url", env: "OMNI_PUBLIC_URL",
		set: setPublicURL, show: func(c Config) string { return c.HTTP.PublicURL },
	},
	{
		name: "http.frontend_url", env: "OMNI_FRONTEND_URL",
		set: setFrontendURL, show: func(c Config) string { return c.HTTP.FrontendURL },
	},
	{
		name: "http.docs", env: "OMNI_DOCS",
		set:  boolean(func(c *Config) *bool { return &c.HTTP.Docs }),
		show: func(c Config) string { return strconv.FormatBool(c.HTTP.Docs) },
	},
	{
		name: "http.rate_limit", env: "OMNI_RATE_LIMIT",
		set:    perSecond(func(c *Config) *float64 { return &c.HTTP.UserRate.PerSecond }),
		show:   func(c Config) string { return numberText(c.HTTP.UserRate.PerSecond) },
		reload: func(running *Config, next Config) { running.HTTP.UserRate.PerSecond = next.HTTP.UserRate.PerSecond },
	},
	{
		name: "http.rate_burst", env: "OMNI_RATE_BURST", preset: "200",
		set:    integer(func(c *Config) *int { return &c.HTTP.UserRate.Burst }, 1, mostRate),
		show:   func(c Config) string { return strconv.Itoa(c.HTTP.UserRate.Burst) },
		reload: func(running *Config, next Config) { running.HTTP.UserRate.Burst = next.HTTP.UserRate.Burst },
	},
	{
		name: "http.token_rate_limit", env: "OMNI_TOKEN_RATE_LIMIT",
		set:    perSecond(func(c *Config) *float64 { return &c.HTTP.TokenRate.PerSecond }),
		show:   func(c Config) string { return numberText(c.HTTP.TokenRate.PerSecond) },
		reload: func(running *Config, next Config) { running.HTTP.TokenRate.PerSecond = next.HTTP.TokenRate.PerSecond },
	},
	{
		name: "http.token_rate_burst", env: "OMNI_TOKEN_RATE_BURST",
		set:    integer(func(c *Config) *int { return &c.HTTP.TokenRate.Burst }, 1, mostRate),
		show:   func(c Config) string { return strconv.Itoa(c.HTTP.TokenRate.Burst) },
		reload: func(running *Config, next Config) { running.HTTP.TokenRate.Burst = next.HTTP.TokenRate.Burst },
	},
	{
		name: "http.failure_rate_limit", env: "OMNI_FAILURE_RATE_LIMIT", preset: "0.2",
		set:  perSecond(func(c *Config) *float64 { return &c.HTTP.FailureRate.PerSecond }),
		show: func(c Config) string { return numberText(c.HTTP.FailureRate.PerSecond) },
		reload: func(running *Config, next Config) {
			running.HTTP.FailureRate.PerSecond = next.HTTP.FailureRate.PerSecond
		},
	},
	{
		name: "http.failure_rate_burst", env: "OMNI_FAILURE_RATE_BURST", preset: "20",
		set:    integer(func(c *Config) *int { return &c.HTTP.FailureRate.Burst }, 1, mostRate),
		show:   func(c Config) string { return strconv.Itoa(c.HTTP.FailureRate.Burst) },
		reload: func(running *Config, next Config) { running.HTTP.FailureRate.Burst = next.HTTP.FailureRate.Burst },
	},
	{
		name: "http.tls_certificate", env: "OMNI_TLS_CERTIFICATE",
		set:  orNone(func(c *Config) *string { return &c.HTTP.TLS.Certificate }),
		show: func(c Config) string { return c.HTTP.TLS.Certificate },
	},
	{
		name: "http.tls_key", env: "OMNI_TLS_KEY",
		set:  orNone(func(c *Config) *string { return &c.HTTP.TLS.Key }),
		show: func(c Config) string { return c.HTTP.TLS.Key },
	},
	{
		name: "http.trusted_proxies", env: "OMNI_TRUSTED_PROXIES", list: "10.0.3.0/24, 192.0.2.7",
		set: setProxies, show: showProxies,
		reload: func(running *Config, next Config) { running.HTTP.TrustedProxies = next.HTTP.TrustedProxies },
	},
	{
		name: "commands.batch_limit", env: "OMNI_COMMAND_BATCH_LIMIT", preset: "256",
		set:  integer(func(c *Config) *int { return &c.Commands.BatchLimit }, 1, 1000),
		show: func(c Config) string { return strconv.Itoa(c.Commands.BatchLimit) },
	},
	{
		name: "commands.batches", env: "OMNI_COMMAND_BATCHES", preset: "1",
		set:  integer(func(c *Config) *int { return &c.Commands.Batches }, 1, 100),
		show: func(c Config) string { return strconv.Itoa(c.Commands.Batches) },
	},
	{
		name: "commands.lock", env: "OMNI_COMMAND_LOCK", preset: "true",
		set:  boolean(func(c *Config) *bool { return &c.Commands.Lock }),
		show: func(c Config) string { return strconv.FormatBool(c.Commands.Lock) },
	},
	{
		name: "commands.queue_limit", env: "OMNI_COMMAND_QUEUE_LIMIT", preset: "10000",
		set:  integer(func(c *Config) *int { return &c.Commands.QueueLimit }, 1, 1_000_000),
		show: func(c Config) string { return strconv.Itoa(c.Commands.QueueLimit) },
	},
	{
		name: "sweep_interval", env: "OMNI_SWEEP_INTERVAL", preset: "30s",
		set:  duration(func(c *Config) *time.Duration { return &c.SweepInterval }, 0, 24*time.Hour),
		show: func(c Config) string { return c.SweepInterval.String() },
	},
	{
		name: "reminders", env: "OMNI_REMINDERS", preset: "24h", list: "24h, 2h",
		set: setReminders, show: showReminders,
	},
	{
		name: "idempotency_retention", env: "OMNI_IDEMPOTENCY_RETENTION", preset: "24h",
		set:  duration(func(c *Config) *time.Duration { return &c.IdempotencyRetention }, time.Hour, 30*24*time.Hour),
		show: func(c Config) string { return c.IdempotencyRetention.String() },
	},
	{
		name: "webhooks.per_organization", env: "OMNI_WEBHOOKS_PER_ORGANIZATION", preset: "20",
		set:  integer(func(c *Config) *int { return &c.Webhooks.PerOrganization }, 1, 1000),
		show: func(c Config) string { return strconv.Itoa(c.Webhooks.PerOrganization) },
	},
	{
		name: "webhooks.slots", env: "OMNI_WEBHOOK_SLOTS", preset: "32",
		set:  integer(func(c *Config) *int { return &c.Webhooks.Slots }, leastSlots, 1000),
		show: func(c Config) string { return strconv.Itoa(c.Webhooks.Slots) },
	},
	{
		name: "webhooks.slots_per_organization", env: "OMNI_WEBHOOK_SLOTS_PER_ORGANIZATION",
		set:  integer(func(c *Config) *int { return &c.Webhooks.SlotsPerOrganization }, leastOwnSlots, 500),
		show: func(c Config) string { return strconv.Itoa(c.Webhooks.SlotsPerOrganization) },
	},
	{
		name: "mail.smtp_url", env: "OMNI_SMTP_URL", secret: true,
		set:  setSMTPURL,
		show: func(c Config) string { return c.Mail.URL.withoutPassword() },
	},
	{
		name: "mail.from", env: "OMNI_MAIL_FROM",
		set:  func(c *Config, s string) error { c.Mail.From = s; return checkMailFrom(s) },
		show: func(c Config) string { return c.Mail.From },
	},
	{
		name: "event_retention", env: "OMNI_EVENT_RETENTION", preset: "168h",
		// The minimum is the time for which deliveries to a webhook are retried.
		set:  duration(func(c *Config) *time.Duration { return &c.EventRetention }, 48*time.Hour, 365*24*time.Hour),
		show: func(c Config) string { return c.EventRetention.String() },
	},
	{
		name: "invitation_lifetime", env: "OMNI_INVITATION_LIFETIME", preset: "168h",
		set:  duration(func(c *Config) *time.Duration { return &c.InvitationLifetime }, time.Hour, 30*24*time.Hour),
		show: func(c Config) string { return c.InvitationLifetime.String() },
	},
	{
		name: "password_reset_lifetime", env: "OMNI_PASSWORD_RESET_LIFETIME", preset: "1h",
		set:  duration(func(c *Config) *time.Duration { return &c.PasswordResetLifetime }, 5*time.Minute, 7*24*time.Hour),
		show: func(c Config) string { return c.PasswordResetLifetime.String() },
	},
	{
		name: "api_key_lifetime", env: "OMNI_API_KEY_LIFETIME", preset: "8760h",
		set:  duration(func(c *Config) *time.Duration { return &c.APIKeyLifetime }, 24*time.Hour, 10*365*24*time.Hour),
		show: func(c Config) string { return c.APIKeyLifetime.String() },
	},
	{
		name: "api_key_max_lifetime", env: "OMNI_API_KEY_MAX_LIFETIME", preset: "17520h",
		set:  duration(func(c *Config) *time.Duration { return &c.APIKeyMaxLifetime }, 24*time.Hour, 10*365*24*time.Hour),
		show: func(c Config) string { return c.APIKeyMaxLifetime.String() },
	},
	{
		name: "demo", env: "OMNI_DEMO",
		set:  boolean(func(c *Config) *bool { return &c.Demo }),
		show: func(c Config) string { return strconv.FormatBool(c.Demo) },
	},
}
