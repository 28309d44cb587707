package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"omnirapeutic/platform/db"
)

// key is one thing that can be configured. Texts are what a file and the
// environment have in common; "" stands for a default that depends on others.
type key struct {
	name   string // in YAML, groups and keys joined by dots
	env    string
	preset string // the default
	secret bool   // hidden, and readable from the file that env+"_FILE" names
	set    func(c *Config, text string) error
	show   func(c Config) string // the effective value
}

const kib, mib = 1 << 10, 1 << 20

// keys are all of them, in the order of config.example.yaml. A value is set only
// where it is not empty.
var keys = []key{
	{
		name: "addr", env: "OMNI_ADDR", preset: "127.0.0.1:8080",
		set: func(c *Config, s string) error { c.Addr = s; return checkAddr(s) }, show: func(c Config) string { return c.Addr },
	},
	{
		name: "profile", env: "OMNI_PROFILE", preset: Development,
		set: oneOf(func(c *Config) *string { return &c.Profile }, Development, Production), show: func(c Config) string { return c.Profile },
	},
	{
		name: "data_dir", env: "OMNI_DATA_DIR",
		set: func(c *Config, s string) error { c.DataDir = s; return nil }, show: func(c Config) string { return c.DataDir },
	},
	{
		name: "postgres_bin", env: "OMNI_POSTGRES_BIN",
		set: func(c *Config, s string) error { c.PostgresBin = s; return nil }, show: func(c Config) string { return c.PostgresBin },
	},
	{
		name: "database.url", env: "OMNI_DATABASE_URL", secret: true,
		set:  func(c *Config, s string) error { c.Database.URL = Secret(s); return checkDatabaseURL(s) },
		show: func(c Config) string { return c.Database.URL.withoutPassword() },
	},
	{
		name: "database.migrate_url", env: "OMNI_MIGRATE_URL", secret: true,
		set:  func(c *Config, s string) error { c.Database.MigrateURL = Secret(s); return checkDatabaseURL(s) },
		show: func(c Config) string { return c.Database.MigrateURL.withoutPassword() },
	},
	{
		name: "database.max_conns", env: "OMNI_DB_MAX_CONNS", preset: "20",
		set: whole(func(c *Config) *int { return &c.Database.MaxConns }, 1, 1000), show: func(c Config) string { return strconv.Itoa(c.Database.MaxConns) },
	},
	{
		name: "database.exec_mode", env: "OMNI_DB_EXEC_MODE", preset: "cache_statement",
		set:  oneOf(func(c *Config) *string { return &c.Database.ExecMode }, "cache_statement", "cache_describe", "describe_exec", "exec"),
		show: func(c Config) string { return c.Database.ExecMode },
	},
	{
		name: "database.auto_migrate", env: "OMNI_DB_AUTO_MIGRATE",
		set: yesNo(func(c *Config) *bool { return &c.Database.AutoMigrate }), show: func(c Config) string { return strconv.FormatBool(c.Database.AutoMigrate) },
	},
	{
		name: "database.slow_query", env: "OMNI_DB_SLOW_QUERY", preset: "200ms",
		set: span(func(c *Config) *time.Duration { return &c.Database.SlowQuery }, 0, time.Hour), show: func(c Config) string { return c.Database.SlowQuery.String() },
	},
	{
		name: "retry.preset", env: "OMNI_RETRY_PRESET", preset: "default",
		set: setPreset, show: func(c Config) string { return c.Retry.Preset },
	},
	{
		name: "retry.max_attempts", env: "OMNI_RETRY_MAX_ATTEMPTS",
		set: whole(func(c *Config) *int { return &c.Retry.MaxAttempts }, 1, 100), show: func(c Config) string { return strconv.Itoa(c.Retry.MaxAttempts) },
	},
	{
		name: "retry.base_delay", env: "OMNI_RETRY_BASE_DELAY",
		set: span(func(c *Config) *time.Duration { return &c.Retry.BaseDelay }, time.Microsecond, time.Minute), show: func(c Config) string { return c.Retry.BaseDelay.String() },
	},
	{
		name: "retry.max_delay", env: "OMNI_RETRY_MAX_DELAY",
		set: span(func(c *Config) *time.Duration { return &c.Retry.MaxDelay }, time.Microsecond, time.Minute), show: func(c Config) string { return c.Retry.MaxDelay.String() },
	},
	{
		name: "retry.jitter", env: "OMNI_RETRY_JITTER",
		set: fraction(func(c *Config) *float64 { return &c.Retry.Jitter }), show: func(c Config) string { return numberText(c.Retry.Jitter) },
	},
	{
		name: "token.secret", env: "OMNI_TOKEN_SECRET", secret: true,
		set: func(c *Config, s string) error { c.Token.Secret = Secret(s); return checkSecret(s) }, show: func(c Config) string { return c.Token.Secret.String() },
	},
	{
		name: "token.lifetime", env: "OMNI_TOKEN_LIFETIME", preset: "15m",
		set: span(func(c *Config) *time.Duration { return &c.Token.Lifetime }, time.Minute, 24*time.Hour), show: func(c Config) string { return c.Token.Lifetime.String() },
	},
	{
		name: "log.level", env: "OMNI_LOG_LEVEL", preset: "info",
		set: oneOf(func(c *Config) *string { return &c.Log.Level }, "debug", "info", "warn", "error"), show: func(c Config) string { return c.Log.Level },
	},
	{
		name: "log.format", env: "OMNI_LOG_FORMAT",
		set: oneOf(func(c *Config) *string { return &c.Log.Format }, "text", "json"), show: func(c Config) string { return c.Log.Format },
	},
	{
		name: "http.request_timeout", env: "OMNI_REQUEST_TIMEOUT", preset: "15s",
		set: span(func(c *Config) *time.Duration { return &c.HTTP.RequestTimeout }, 100*time.Millisecond, 10*time.Minute), show: func(c Config) string { return c.HTTP.RequestTimeout.String() },
	},
	{
		name: "http.body_limit", env: "OMNI_BODY_LIMIT", preset: "1MiB",
		set: setBodyLimit, show: func(c Config) string { return sizeText(c.HTTP.BodyLimit) },
	},
	{
		name: "http.shutdown_grace", env: "OMNI_SHUTDOWN_GRACE", preset: "10s",
		set: span(func(c *Config) *time.Duration { return &c.HTTP.ShutdownGrace }, 0, 10*time.Minute), show: func(c Config) string { return c.HTTP.ShutdownGrace.String() },
	},
	{
		name: "http.cors_origins", env: "OMNI_CORS_ORIGINS",
		set: setOrigins, show: func(c Config) string { return strings.Join(c.HTTP.CORSOrigins, ", ") },
	},
	{
		name: "http.rate_limit", env: "OMNI_RATE_LIMIT",
		set: perSecond(func(c *Config) *float64 { return &c.HTTP.UserRate.PerSecond }), show: func(c Config) string { return numberText(c.HTTP.UserRate.PerSecond) },
	},
	{
		name: "http.rate_burst", env: "OMNI_RATE_BURST", preset: "200",
		set: whole(func(c *Config) *int { return &c.HTTP.UserRate.Burst }, 1, mostRate), show: func(c Config) string { return strconv.Itoa(c.HTTP.UserRate.Burst) },
	},
	{
		name: "http.token_rate_limit", env: "OMNI_TOKEN_RATE_LIMIT",
		set: perSecond(func(c *Config) *float64 { return &c.HTTP.TokenRate.PerSecond }), show: func(c Config) string { return numberText(c.HTTP.TokenRate.PerSecond) },
	},
	{
		name: "http.token_rate_burst", env: "OMNI_TOKEN_RATE_BURST",
		set: whole(func(c *Config) *int { return &c.HTTP.TokenRate.Burst }, 1, mostRate), show: func(c Config) string { return strconv.Itoa(c.HTTP.TokenRate.Burst) },
	},
	{
		name: "combine", env: "OMNI_COMBINE", preset: "true",
		set: yesNo(func(c *Config) *bool { return &c.Combine }), show: func(c Config) string { return strconv.FormatBool(c.Combine) },
	},
	{
		name: "combine_lock", env: "OMNI_COMBINE_LOCK", preset: "true",
		set: yesNo(func(c *Config) *bool { return &c.CombineLock }), show: func(c Config) string { return strconv.FormatBool(c.CombineLock) },
	},
	{
		name: "combine_queue", env: "OMNI_COMBINE_QUEUE", preset: "10000",
		set: whole(func(c *Config) *int { return &c.CombineQueue }, 1, 1_000_000), show: func(c Config) string { return strconv.Itoa(c.CombineQueue) },
	},
	{
		name: "sweep_interval", env: "OMNI_SWEEP_INTERVAL", preset: "30s",
		set: span(func(c *Config) *time.Duration { return &c.SweepInterval }, 0, 24*time.Hour), show: func(c Config) string { return c.SweepInterval.String() },
	},
	{
		name: "reminders", env: "OMNI_REMINDERS", preset: "24h",
		set: setReminders, show: showReminders,
	},
	{
		name: "idempotency_retention", env: "OMNI_IDEMPOTENCY_RETENTION", preset: "24h",
		set: span(func(c *Config) *time.Duration { return &c.IdempotencyRetention }, time.Hour, 30*24*time.Hour), show: func(c Config) string { return c.IdempotencyRetention.String() },
	},
	{
		name: "event_retention", env: "OMNI_EVENT_RETENTION", preset: "168h",
		// At least as long as a delivery to a webhook is tried.
		set: span(func(c *Config) *time.Duration { return &c.EventRetention }, 48*time.Hour, 365*24*time.Hour), show: func(c Config) string { return c.EventRetention.String() },
	},
	{
		name: "invitation_lifetime", env: "OMNI_INVITATION_LIFETIME", preset: "168h",
		set: span(func(c *Config) *time.Duration { return &c.InvitationLifetime }, time.Hour, 30*24*time.Hour), show: func(c Config) string { return c.InvitationLifetime.String() },
	},
	{
		name: "demo", env: "OMNI_DEMO",
		set: yesNo(func(c *Config) *bool { return &c.Demo }), show: func(c Config) string { return strconv.FormatBool(c.Demo) },
	},
}

func oneOf(field func(*Config) *string, allowed ...string) func(*Config, string) error {
	return func(c *Config, s string) error {
		*field(c) = s
		if !slices.Contains(allowed, s) {
			return fmt.Errorf("must be one of %s", strings.Join(allowed, ", "))
		}
		return nil
	}
}

// noReminders turns them off: an empty value stands for the default.
const noReminders = "none"

func setReminders(c *Config, s string) error {
	const most, longest = 5, 30 * 24 * time.Hour
	c.Reminders = nil
	if s == noReminders {
		return nil
	}
	for text := range strings.SplitSeq(s, ",") {
		d, err := time.ParseDuration(strings.TrimSpace(text))
		if err != nil || d < time.Minute || d > longest || d%time.Minute != 0 || len(c.Reminders) == most || slices.Contains(c.Reminders, d) {
			return fmt.Errorf("must be none, or up to %d different durations in whole minutes such as 24h, 1h30m, from 1m to %s", most, longest)
		}
		c.Reminders = append(c.Reminders, d)
	}
	return nil
}

func showReminders(c Config) string {
	if len(c.Reminders) == 0 {
		return noReminders
	}
	texts := make([]string, len(c.Reminders))
	for i, d := range c.Reminders {
		texts[i] = d.String()
	}
	return strings.Join(texts, ",")
}

func whole(field func(*Config) *int, least, most int) func(*Config, string) error { //nolint:unparam // a range is told by both of its ends
	return func(c *Config, s string) error {
		n, err := strconv.Atoi(s)
		if err != nil || n < least || n > most {
			return fmt.Errorf("must be a whole number from %d to %d", least, most)
		}
		*field(c) = n
		return nil
	}
}

func span(field func(*Config) *time.Duration, least, most time.Duration) func(*Config, string) error {
	return func(c *Config, s string) error {
		d, err := time.ParseDuration(s)
		if err != nil || d < least || d > most {
			return fmt.Errorf("must be a duration such as 250ms, 15s or 2m, from %s to %s", least, most)
		}
		*field(c) = d
		return nil
	}
}

func yesNo(field func(*Config) *bool) func(*Config, string) error {
	return func(c *Config, s string) error {
		if s != "true" && s != "false" {
			return errors.New("must be true or false")
		}
		*field(c) = s == "true"
		return nil
	}
}

func fraction(field func(*Config) *float64) func(*Config, string) error {
	return func(c *Config, s string) error {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil || !(f >= 0 && f <= 1) { // not a number is neither
			return errors.New("must be a number from 0 to 1")
		}
		*field(c) = f
		return nil
	}
}

// Bounds of rates. The least is one in some minutes, so that what is computed from
// it stays a time that makes sense.
const (
	leastRate = 0.001
	mostRate  = 1_000_000
)

func perSecond(field func(*Config) *float64) func(*Config, string) error {
	return func(c *Config, s string) error {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil || f != 0 && !(f >= leastRate && f <= mostRate) { // not a number is neither
			return fmt.Errorf("must be 0 for no limit, or a number from %g to %d", leastRate, mostRate)
		}
		*field(c) = f
		return nil
	}
}

func numberText(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }

// setOrigins takes origins as browsers send them, so that comparing is enough: a
// pattern or a path in a list of origins is how strangers get in.
func setOrigins(c *Config, s string) error {
	list := strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
	c.HTTP.CORSOrigins = list
	if len(list) == 1 && list[0] == "*" {
		return nil
	}
	for _, origin := range list {
		u, err := url.Parse(origin)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || strings.Contains(u.Host, "*") ||
			origin != u.Scheme+"://"+u.Host || origin != strings.ToLower(origin) || strings.HasSuffix(u.Host, ":") ||
			u.Scheme == "https" && u.Port() == "443" || u.Scheme == "http" && u.Port() == "80" {
			return errors.New("must be * alone, or origins as browsers send them, with commas in between: " +
				"https://app.example.org, without path, slash, capitals or the usual port")
		}
	}
	return nil
}

func setBodyLimit(c *Config, s string) error {
	number, factor := s, int64(1)
	if before, ok := strings.CutSuffix(s, "KiB"); ok {
		number, factor = before, kib
	} else if before, ok := strings.CutSuffix(s, "MiB"); ok {
		number, factor = before, mib
	}
	n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 32)
	if limit := n * factor; err == nil && limit >= kib && limit <= 64*mib {
		c.HTTP.BodyLimit = limit
		return nil
	}
	return errors.New("must be a number of bytes, KiB or MiB from 1KiB to 64MiB")
}

func sizeText(n int64) string {
	switch {
	case n%mib == 0:
		return strconv.FormatInt(n/mib, 10) + "MiB"
	case n%kib == 0:
		return strconv.FormatInt(n/kib, 10) + "KiB"
	}
	return strconv.FormatInt(n, 10)
}

func checkAddr(s string) error {
	_, port, err := net.SplitHostPort(s)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return errors.New("must be host:port, such as 127.0.0.1:8080 or :8080")
	}
	return nil
}

func checkDatabaseURL(s string) error {
	_, err := db.RoleOf(s)
	return err
}

const leastSecret = 32

func checkSecret(s string) error {
	if len(s) < leastSecret {
		return fmt.Errorf("must have at least %d bytes: make one with `openssl rand -base64 48`", leastSecret)
	}
	return nil
}
