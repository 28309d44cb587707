package config

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/otlp"
)

const someSecret = "3q2-7w8kD1cXb5Jm0aVfT9yRzLhQeNsU"

// load loads a file with the text, and variables in addition to HOME.
func load(t *testing.T, text string, variables ...string) (Config, error) {
	t.Helper()
	path := ""
	if text != "" {
		path = filepath.Join(t.TempDir(), "config.yaml")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	return Load(path, append([]string{"HOME=/home/ann", "PATH=/bin"}, variables...))
}

// problems loads an invalid configuration and returns each problem as "key: message".
func problems(t *testing.T, text string, variables ...string) []Problem {
	t.Helper()
	_, err := load(t, text, variables...)
	var p *Problems
	require.ErrorAs(t, err, &p)
	return p.List
}

func keysOf(list []Problem) []string {
	names := make([]string, len(list))
	for i, p := range list {
		names[i] = p.Key
	}
	return names
}

func TestLoad(t *testing.T) {
	t.Parallel()
	t.Run("it needs no settings", func(t *testing.T) {
		t.Parallel()
		c, err := load(t, "")
		require.NoError(t, err)
		require.Equal(t, "127.0.0.1:8080", c.Addr)
		require.Equal(t, Development, c.Profile)
		require.True(t, filepath.IsAbs(c.DataDir))
		require.Equal(t,
			Database{
				ReplicaMaxLag: 5 * time.Second, Profile: "postgresql", MaxConns: 20, ExecMode: "cache_statement", AutoMigrate: true,
				SlowQuery: 200 * time.Millisecond,
			}, c.Database)
		require.Equal(t, DevelopmentSecret, c.Token.Secret)
		require.Equal(t, Log{Level: "info", Format: "text"}, c.Log)
		require.Equal(t, HTTP{
			RequestTimeout: 15 * time.Second, BodyLimit: 1 << 20, ShutdownGrace: 10 * time.Second, Docs: true,
			UserRate: Rate{Burst: 200}, TokenRate: Rate{Burst: 100}, FailureRate: Rate{PerSecond: 0.2, Burst: 20},
		}, c.HTTP, "without rate limits, so that load tests are not refused")
		require.True(t, c.Demo)
	})
	t.Run("it lets the file override defaults, and the environment the file", func(t *testing.T) {
		t.Parallel()
		c, err := load(t,
			"addr: :1\nprofile: production\ndatabase:\n  max_conns: 7\ntoken: {secret: "+someSecret+
				"}\ndata_dir: /srv/omni\nhttp: {body_limit: 2048}\n",
			"OMNI_ADDR=:2", "OMNI_DB_SLOW_QUERY=0s", "OMNI_LOG_LEVEL=", "OMNI_LOADTEST_PASSWORD=of another server")
		require.NoError(t, err)
		require.Equal(t, ":2", c.Addr)
		require.Equal(t, 7, c.Database.MaxConns)
		require.False(t, c.Database.AutoMigrate, "the profile says so")
		require.Zero(t, c.Database.SlowQuery)
		require.Equal(t, "info", c.Log.Level, "an empty variable is not set")
		require.Equal(t, "json", c.Log.Format, "the profile says so")
		require.False(t, c.Demo)
		require.False(t, c.HTTP.Docs, "likewise")
		require.Equal(t, int64(2048), c.HTTP.BodyLimit)
		sources := map[string]string{}
		for _, s := range c.Settings() {
			sources[s.Key] = s.Source
		}
		require.Equal(t, "environment OMNI_ADDR", sources["addr"])
		require.Contains(t, sources["database.max_conns"], "config.yaml")
		require.Equal(t, "default", sources["log.level"])
		require.Equal(t, "preset default", sources["retry.jitter"])
	})
	t.Run("it lets the environment override the file with none", func(t *testing.T) {
		t.Parallel()
		c, err := load(t, "metrics_addr: :9090\nhttp: {tls_certificate: /t/c.pem, tls_key: /t/k.pem}\n",
			"OMNI_METRICS_ADDR=none", "OMNI_TLS_CERTIFICATE=none", "OMNI_TLS_KEY=none")
		require.NoError(t, err)
		require.Empty(t, c.MetricsAddr)
		require.False(t, c.HTTP.TLS.Given())
	})
	t.Run("it queues audit events in a configured data folder, or in the configured folder, or not at all", func(t *testing.T) {
		t.Parallel()
		for want, variables := range map[string][]string{
			"":                {},
			"/d/audit-spool":  {"OMNI_DATA_DIR=/d"},
			"/elsewhere/here": {"OMNI_DATA_DIR=/d", "OMNI_AUDIT_SPOOL=/elsewhere/here"},
		} {
			c, err := load(t, "", variables...)
			require.NoError(t, err)
			require.Equal(t, want, c.AuditSpool)
		}
		c, err := load(t, "", "OMNI_DATA_DIR=/d", "OMNI_AUDIT_SPOOL=none")
		require.NoError(t, err)
		require.Empty(t, c.AuditSpool)
	})
	t.Run("it treats an empty key in the file as not set", func(t *testing.T) {
		t.Parallel()
		c, err := load(t, "addr:\nlog:\n  level: ''\n")
		require.NoError(t, err)
		require.Equal(t, "127.0.0.1:8080", c.Addr)
		require.Equal(t, "info", c.Log.Level)
	})
	t.Run("it has a variable for every key, and accepts each", func(t *testing.T) {
		t.Parallel()
		values := map[string]string{
			"OMNI_ADDR":                           "[::1]:9",
			"OMNI_METRICS_ADDR":                   "[::1]:10",
			"OMNI_TLS_CERTIFICATE":                "/t/c.pem",
			"OMNI_TLS_KEY":                        "/t/k.pem",
			"OMNI_TRUSTED_PROXIES":                "10.1.0.0/16, 2001:db8::7",
			"OMNI_PROFILE":                        "production",
			"OMNI_DATA_DIR":                       "/d",
			"OMNI_AUDIT_SPOOL":                    "/spool",
			"OMNI_POSTGRES_BIN":                   "/b",
			"OMNI_POSTGRES_FETCH":                 "false",
			"OMNI_DATABASE_URL":                   "postgres://u:p@h/d",
			"OMNI_MIGRATE_URL":                    "host=h dbname=d",
			"OMNI_DATABASE_REPLICA_URL":           "host=r dbname=d",
			"OMNI_DATABASE_REPLICA_MAX_LAG":       "2s",
			"OMNI_DB_MAX_CONNS":                   "3",
			"OMNI_DB_EXEC_MODE":                   "exec",
			"OMNI_DB_PROFILE":                     "portable",
			"OMNI_DB_AUTO_MIGRATE":                "true",
			"OMNI_DB_SLOW_QUERY":                  "1s",
			"OMNI_DB_WAIT":                        "1m",
			"OMNI_RETRY_PRESET":                   "aggressive",
			"OMNI_RETRY_MAX_ATTEMPTS":             "9",
			"OMNI_RETRY_BASE_DELAY":               "1ms",
			"OMNI_RETRY_MAX_DELAY":                "3s",
			"OMNI_RETRY_JITTER":                   "0.5",
			"OMNI_TOKEN_SECRET":                   someSecret,
			"OMNI_TOKEN_SECRETS_FORMER":           "another" + someSecret + "\na-third" + someSecret,
			"OMNI_TOKEN_LIFETIME":                 "1h",
			"OMNI_SIGN_IN_IDLE":                   "8h",
			"OMNI_SIGN_IN_LIFETIME":               "168h",
			"OMNI_SECRET_TOKENS":                  "t" + someSecret,
			"OMNI_SECRET_TOKENS_FORMER":           "tf" + someSecret,
			"OMNI_SECRET_ENCRYPTION":              "e" + someSecret,
			"OMNI_SECRET_ENCRYPTION_FORMER":       "ef" + someSecret,
			"OMNI_SECRET_CURSORS":                 "c" + someSecret,
			"OMNI_SECRET_CURSORS_FORMER":          "cf" + someSecret,
			"OMNI_SECRET_DEVICES":                 "d" + someSecret,
			"OMNI_SECRET_DEVICES_FORMER":          "df" + someSecret,
			"OMNI_SECRET_THROTTLE":                "h" + someSecret,
			"OMNI_SECRET_THROTTLE_FORMER":         "hf" + someSecret,
			"OMNI_SECRET_ANCHORS":                 "a" + someSecret,
			"OMNI_SECRET_ANCHORS_FORMER":          "af" + someSecret,
			"OMNI_ANCHORS":                        "file:///worm/heads.jsonl, https://log.test/heads, syslog+tls://log.test",
			"OMNI_AUDIT_REMOVAL_YEARS":            "7",
			"OMNI_AUDIT_KEPT":                     "01890a5d-ac96-774b-bcce-b302099a8057, 01890a5d-ac97-7000-8000-000000000001=10",
			"OMNI_ANCHOR_AUTHORITY":               "http://tsa.test/",
			"OMNI_ALERT_PATIENTS":                 "20",
			"OMNI_ALERT_DENIALS":                  "0",
			"OMNI_SIEM":                           "syslog+tls://siem.test:6514, https://u:p@siem.test/in",
			"OMNI_LOG_LEVEL":                      "debug",
			"OMNI_LOG_FORMAT":                     "text",
			"OMNI_REQUEST_TIMEOUT":                "1s",
			"OMNI_BODY_LIMIT":                     "64KiB",
			"OMNI_SHUTDOWN_GRACE":                 "1s",
			"OMNI_CORS_ORIGINS":                   "https://a.test, http://localhost:5173",
			"OMNI_PUBLIC_URL":                     "https://api.a.test",
			"OMNI_FRONTEND_URL":                   "https://a.test/signed-in",
			"OMNI_DOCS":                           "true",
			"OMNI_RATE_LIMIT":                     "10",
			"OMNI_RATE_BURST":                     "20",
			"OMNI_TOKEN_RATE_LIMIT":               "0.5",
			"OMNI_TOKEN_RATE_BURST":               "3",
			"OMNI_FAILURE_RATE_LIMIT":             "0.1",
			"OMNI_FAILURE_RATE_BURST":             "9",
			"OMNI_COMMAND_BATCH_LIMIT":            "2",
			"OMNI_COMMAND_BATCHES":                "3",
			"OMNI_COMMAND_LOCK":                   "false",
			"OMNI_COMMAND_QUEUE_LIMIT":            "7",
			"OMNI_SWEEP_INTERVAL":                 "0s",
			"OMNI_REMINDERS":                      "48h, 90m",
			"OMNI_WEBHOOKS_PER_ORGANIZATION":      "5",
			"OMNI_WEBHOOK_SLOTS":                  "12",
			"OMNI_WEBHOOK_SLOTS_PER_ORGANIZATION": "4",
			"OMNI_SMTP_URL":                       "smtps://mail:a-password@mail.example.org",
			"OMNI_MAIL_FROM":                      "Example ABA <no-reply@example.org>",
			"OMNI_EVENT_RETENTION":                "72h",
			"OMNI_IDEMPOTENCY_RETENTION":          "48h",
			"OMNI_INVITATION_LIFETIME":            "2h",
			"OMNI_PASSWORD_RESET_LIFETIME":        "30m",
			"OMNI_API_KEY_LIFETIME":               "48h",
			"OMNI_API_KEY_MAX_LIFETIME":           "72h",
			"OMNI_DEMO":                           "false",
		}
		require.Len(t, values, len(keys))
		var variables []string
		for name, value := range values {
			variables = append(variables, name+"="+value)
		}
		c, err := load(t, "", variables...)
		require.NoError(t, err)
		for _, k := range keys {
			require.Contains(t, values, k.env)
		}
		for _, s := range c.Settings() {
			require.True(t, strings.HasPrefix(s.Source, "environment OMNI_"), s.Key)
		}
		c.settings, c.secretTexts = nil, nil
		require.Equal(t, Config{
			Addr:        "[::1]:9",
			MetricsAddr: "[::1]:10",
			Profile:     Production,
			DataDir:     "/d",
			AuditSpool:  "/spool",
			Anchors: Anchors{
				Destinations: []string{"file:///worm/heads.jsonl", "https://log.test/heads", "syslog+tls://log.test"},
				Authority:    "http://tsa.test/",
			},
			AuditRemoval: AuditRemoval{Years: 7, Kept: map[uuid.UUID]int{
				uuid.MustParse("01890a5d-ac96-774b-bcce-b302099a8057"): 0,
				uuid.MustParse("01890a5d-ac97-7000-8000-000000000001"): 10,
			}},
			Alerts:      Alerts{Patients: 20},
			SIEM:        []string{"syslog+tls://siem.test:6514", "https://u:p@siem.test/in"},
			PostgresBin: "/b",
			Database: Database{
				URL: "postgres://u:p@h/d", MigrateURL: "host=h dbname=d", ReplicaURL: "host=r dbname=d",
				ReplicaMaxLag: 2 * time.Second, Profile: "portable", MaxConns: 3, ExecMode: "exec", AutoMigrate: true,
				SlowQuery: time.Second,
				Wait:      time.Minute,
			},
			Retry: Retry{
				Preset:      "aggressive",
				MaxAttempts: 9,
				BaseDelay:   time.Millisecond,
				MaxDelay:    3 * time.Second,
				Jitter:      0.5,
			},
			Token: Token{
				Secret: someSecret, Former: []Secret{"another" + someSecret, "a-third" + someSecret}, Lifetime: time.Hour,
				SignInIdle: 8 * time.Hour, SignInLifetime: 168 * time.Hour,
			},
			Secrets: Secrets{
				Tokens:     KeySet{"t" + someSecret, []Secret{"tf" + someSecret}},
				Encryption: KeySet{"e" + someSecret, []Secret{"ef" + someSecret}},
				Cursors:    KeySet{"c" + someSecret, []Secret{"cf" + someSecret}},
				Devices:    KeySet{"d" + someSecret, []Secret{"df" + someSecret}},
				Throttle:   KeySet{"h" + someSecret, []Secret{"hf" + someSecret}},
				Anchors:    KeySet{"a" + someSecret, []Secret{"af" + someSecret}},
			},
			Log: Log{Level: "debug", Format: "text"},
			HTTP: HTTP{
				RequestTimeout: time.Second, BodyLimit: 64 << 10, ShutdownGrace: time.Second, CORSOrigins: []string{
					"https://a.test", "http://localhost:5173",
				},
				PublicURL: "https://api.a.test", FrontendURL: "https://a.test/signed-in", Docs: true,
				UserRate: Rate{PerSecond: 10, Burst: 20}, TokenRate: Rate{PerSecond: 0.5, Burst: 3},
				FailureRate: Rate{PerSecond: 0.1, Burst: 9}, TLS: TLS{Certificate: "/t/c.pem", Key: "/t/k.pem"},
				TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("2001:db8::7/128")},
			},
			Commands:              Commands{BatchLimit: 2, Batches: 3, QueueLimit: 7},
			SweepInterval:         0,
			Reminders:             []time.Duration{48 * time.Hour, 90 * time.Minute},
			Webhooks:              Webhooks{PerOrganization: 5, Slots: 12, SlotsPerOrganization: 4},
			Mail:                  Mail{URL: "smtps://mail:a-password@mail.example.org", From: "Example ABA <no-reply@example.org>"},
			EventRetention:        72 * time.Hour,
			IdempotencyRetention:  48 * time.Hour,
			InvitationLifetime:    2 * time.Hour,
			PasswordResetLifetime: 30 * time.Minute,
			APIKeyLifetime:        48 * time.Hour,
			APIKeyMaxLifetime:     72 * time.Hour,
			Demo:                  false,
		}, c)
	})
}

func TestVariablesOfOpenTelemetry(t *testing.T) {
	t.Parallel()
	c, err := load(t, "", "OTEL_SERVICE_NAME=x", "OTEL_ANYTHING=y")
	require.NoError(t, err, "the standard may have more variables")
	require.False(t, c.Telemetry.Enabled())
	c, err = load(t, "", "OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318", "OTEL_EXPORTER_OTLP_PROTOCOL=grpc")
	require.NoError(t, err)
	require.Equal(t, otlp.Settings{Traces: otlp.GRPC, Metrics: otlp.GRPC}, c.Telemetry)
	require.Equal(t, []string{"OTEL_TRACES_SAMPLER"},
		keysOf(problems(t, "", "OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318", "OTEL_TRACES_SAMPLER=all")))
}

func TestRetry(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]db.Policy{
		"default":      {MaxAttempts: 5, BaseDelay: 10 * time.Millisecond, MaxDelay: time.Second, Jitter: 0.1},
		"conservative": {MaxAttempts: 3, BaseDelay: 20 * time.Millisecond, MaxDelay: 500 * time.Millisecond, Jitter: 0.1},
		"aggressive":   {MaxAttempts: 7, BaseDelay: 5 * time.Millisecond, MaxDelay: 2 * time.Second, Jitter: 0.1},
	} {
		t.Run("it has the preset "+name, func(t *testing.T) {
			t.Parallel()
			c, err := load(t, "retry: {preset: "+name+"}")
			require.NoError(t, err)
			require.Equal(t, want, c.Retry.Policy())
			c, err = load(t, "retry: {max_attempts: 2, jitter: 0}", "OMNI_RETRY_PRESET="+name)
			require.NoError(t, err)
			want.MaxAttempts, want.Jitter = 2, 0
			require.Equal(t, want, c.Retry.Policy(), "a field overrides the preset, regardless of their sources")
		})
	}
	t.Run("it refuses a maximum delay below the base delay", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, []string{"retry.max_delay"}, keysOf(problems(t, "retry: {base_delay: 2s}")))
	})
}

func TestRates(t *testing.T) {
	t.Parallel()
	production := []string{"OMNI_PROFILE=production", "OMNI_DATA_DIR=/d", "OMNI_TOKEN_SECRET=" + someSecret}
	for name, c := range map[string]struct {
		variables   []string
		user, token Rate
	}{
		"it sets rate limits in production": {production, Rate{50, 200}, Rate{25, 100}},
		"it sets rate limits in development if configured": {
			[]string{"OMNI_RATE_LIMIT=3", "OMNI_RATE_BURST=5"},
			Rate{3, 5},
			Rate{1.5, 3},
		},
		"it sets none in production if configured": {
			append([]string{"OMNI_RATE_LIMIT=0"}, production...),
			Rate{0, 200},
			Rate{0, 100},
		},
		"it can limit tokens alone": {[]string{"OMNI_TOKEN_RATE_LIMIT=2"}, Rate{0, 200}, Rate{2, 100}},
		"it can leave out the limit of tokens": {
			append([]string{"OMNI_TOKEN_RATE_LIMIT=0"}, production...), Rate{50, 200}, Rate{0, 100},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			loaded, err := load(t, "", c.variables...)
			require.NoError(t, err)
			require.Equal(t, c.user, loaded.HTTP.UserRate)
			require.Equal(t, c.token, loaded.HTTP.TokenRate)
		})
	}
	t.Run("it accepts every origin in development", func(t *testing.T) {
		t.Parallel()
		loaded, err := load(t, "", "OMNI_CORS_ORIGINS=*")
		require.NoError(t, err)
		require.Equal(t, []string{"*"}, loaded.HTTP.CORSOrigins)
	})
}

func TestSlotsOfAnOrganizationAreAQuarterUnlessSet(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Webhooks{
		"":                                       {PerOrganization: 20, Slots: 32, SlotsPerOrganization: 8},
		"webhooks: {slots: 64}":                  {PerOrganization: 20, Slots: 64, SlotsPerOrganization: 16},
		"webhooks: {slots: 4}":                   {PerOrganization: 20, Slots: 4, SlotsPerOrganization: 2},
		"webhooks: {slots_per_organization: 16}": {PerOrganization: 20, Slots: 32, SlotsPerOrganization: 16},
	} {
		loaded, err := load(t, text)
		require.NoError(t, err, text)
		require.Equal(t, want, loaded.Webhooks, text)
	}
	_, err := load(t, "webhooks: {slots: 16, slots_per_organization: 9}")
	require.ErrorContains(t, err, `webhooks.slots_per_organization = "9"`)
	require.ErrorContains(t, err, "must be at most 8, half of webhooks.slots")
}

func TestProblems(t *testing.T) {
	t.Parallel()
	t.Run("it reports all of them at once, with their sources", func(t *testing.T) {
		t.Parallel()
		found := problems(t, "adr: :1\ndatabase: {max_conns: 0, maxConns: 3}\nlog: {level: loud}\n", "OMNI_ADR=:1",
			"OMNI_ADDR=8080", "OMNI_TOKEN_SECRET=hunter2", "OMNI_TEST_MAX_CONNS=1")
		require.ElementsMatch(t,
			[]string{"adr", "database.maxConns", "OMNI_ADR", "addr", "database.max_conns", "log.level", "token.secret"}, keysOf(found))
		_, err := load(t, "", "OMNI_ADDR=8080", "OMNI_TOKEN_SECRET=hunter2")
		require.EqualError(t, err, "the configuration is invalid:\n"+
			"  addr = \"8080\" (environment OMNI_ADDR): must be host:port, such as 127.0.0.1:8080 or :8080\n"+
			"  token.secret = *** (environment OMNI_TOKEN_SECRET): must have at least 32 bytes: create one with `openssl rand "+
			"-base64 48`")
	})
	t.Run("it names the variable of a missing key", func(t *testing.T) {
		t.Parallel()
		_, err := load(t, "", "OMNI_PROFILE=production", "OMNI_TLS_KEY=/t/k.pem")
		require.EqualError(t, err, "the configuration is invalid:\n"+
			"  http.tls_certificate (default; OMNI_TLS_CERTIFICATE): must be set together with http.tls_key\n"+
			"  token.secret (default; OMNI_TOKEN_SECRET): must be set in production: create one with `openssl rand -base64 48`\n"+
			"  database.url (default; OMNI_DATABASE_URL): must be set in production; to use the private PostgreSQL, set "+
			"data_dir instead")
	})
	for name, c := range map[string]struct {
		text      string
		variables []string
		want      []string
	}{
		"it refuses a fraction of a connection": {
			"database: {max_conns: 1.5}", nil,
			[]string{"database.max_conns"},
		},
		"it refuses too many connections": {
			"",
			[]string{"OMNI_DB_MAX_CONNS=1001"},
			[]string{"database.max_conns"},
		},
		"it refuses the simple protocol": {
			"database: {exec_mode: simple_protocol}", nil,
			[]string{"database.exec_mode"},
		},
		"it refuses a value other than true and false":      {"demo: yep", nil, []string{"demo"}},
		"it refuses a duration without a unit":              {"sweep_interval: 30", nil, []string{"sweep_interval"}},
		"it refuses a reminder with a fraction of a minute": {"reminders: 90s", nil, []string{"reminders"}},
		"it refuses a duplicate reminder":                   {"reminders: 60m,1h", nil, []string{"reminders"}},
		"it refuses a missing limit of webhooks": {
			"webhooks: {per_organization: 0}", nil,
			[]string{"webhooks.per_organization"},
		},
		"it refuses too few slots for webhooks": {"webhooks: {slots: 3}", nil, []string{"webhooks.slots"}},
		"it refuses one slot for an organization": {
			"webhooks: {slots_per_organization: 1}", nil,
			[]string{"webhooks.slots_per_organization"},
		},
		"it refuses a negative time":                {"sweep_interval: -1s", nil, []string{"sweep_interval"}},
		"it refuses a zero timeout":                 {"http: {request_timeout: 0s}", nil, []string{"http.request_timeout"}},
		"it refuses a jitter above one":             {"retry: {jitter: 1.1}", nil, []string{"retry.jitter"}},
		"it refuses a jitter that is not a number":  {"retry: {jitter: .nan}", nil, []string{"retry.jitter"}},
		"it refuses an unknown preset":              {"", []string{"OMNI_RETRY_PRESET=wild"}, []string{"retry.preset"}},
		"it refuses a body limit that is too small": {"http: {body_limit: 1}", nil, []string{"http.body_limit"}},
		"it refuses a body limit that is too large": {"http: {body_limit: 65MiB}", nil, []string{"http.body_limit"}},
		"it refuses a pattern of origins": {
			"http: {cors_origins: 'https://*.a.test'}", nil,
			[]string{"http.cors_origins"},
		},
		"it refuses * together with another origin": {
			"http: {cors_origins: '*, https://a.test'}", nil,
			[]string{"http.cors_origins"},
		},
		"it refuses an origin with a slash": {
			"http: {cors_origins: 'https://a.test/'}", nil,
			[]string{"http.cors_origins"},
		},
		"it refuses an origin with capitals": {
			"http: {cors_origins: 'https://A.test'}", nil,
			[]string{"http.cors_origins"},
		},
		"it refuses an origin with the default port": {
			"http: {cors_origins: 'https://a.test:443'}", nil,
			[]string{"http.cors_origins"},
		},
		"it refuses an origin without scheme":    {"http: {cors_origins: a.test}", nil, []string{"http.cors_origins"}},
		"it refuses an origin of another scheme": {"http: {cors_origins: 'null'}", nil, []string{"http.cors_origins"}},
		"it refuses an address with a path": {
			"http: {public_url: 'https://api.a.test/omni'}", nil,
			[]string{"http.public_url"},
		},
		"it refuses a page without a URL": {
			"http: {frontend_url: 'https://a.test/#/signed-in'}", nil, []string{"http.frontend_url"},
		},
		"it refuses unencrypted addresses": {
			"",
			[]string{
				"OMNI_PROFILE=production", "OMNI_DATA_DIR=/d", "OMNI_TOKEN_SECRET=" + someSecret, "OMNI_PUBLIC_URL=http://a.test",
				"OMNI_FRONTEND_URL=http://a.test/x",
			},
			[]string{"http.public_url", "http.frontend_url"},
		},
		"it refuses a negative rate":             {"http: {rate_limit: -1}", nil, []string{"http.rate_limit"}},
		"it refuses a rate that is not a number": {"", []string{"OMNI_RATE_LIMIT=NaN"}, []string{"http.rate_limit"}},
		"it refuses a rate close to zero": {
			"http: {token_rate_limit: 1e-300}", nil, []string{"http.token_rate_limit"},
		},
		"it refuses a burst of zero": {"http: {rate_burst: 0}", nil, []string{"http.rate_burst"}},
		"it refuses every origin in production": {
			"",
			[]string{"OMNI_PROFILE=production", "OMNI_DATA_DIR=/d", "OMNI_TOKEN_SECRET=" + someSecret, "OMNI_CORS_ORIGINS=*"},
			[]string{"http.cors_origins"},
		},
		"it refuses mail without sender and page": {
			"", []string{"OMNI_SMTP_URL=smtp://mail.example.org"}, []string{"mail.from", "http.frontend_url"},
		},
		"it refuses to remove audit events too early": {
			"audit_removal: {years: 5, kept: 01890a5d-ac97-7000-8000-000000000001=2}", nil,
			[]string{"audit_removal.years", "audit_removal.kept"},
		},
		"it refuses a sender without a mail server": {"mail: {from: a@example.org}", nil, []string{"mail.smtp_url"}},
		"it refuses a sender with another header field": {
			"mail: {smtp_url: 'smtp://mail.example.org', from: \"A\\r\\nBcc: b@example.org <a@example.org>\"}\n" +
				"http: {frontend_url: 'https://a.test/x'}", nil, []string{"mail.from"},
		},
		"it refuses a password without TLS": {
			"mail: {smtp_url: 'smtp://a:b@mail.example.org?tls=none', from: a@example.org}\n" +
				"http: {frontend_url: 'https://a.test/x'}", nil, []string{"mail.smtp_url"},
		},
		"it refuses a port that is too large":           {"addr: localhost:65536", nil, []string{"addr"}},
		"it refuses an address of metrics without port": {"metrics_addr: localhost", nil, []string{"metrics_addr"}},
		"it refuses a certificate without its key":      {"http: {tls_certificate: /t/c.pem}", nil, []string{"http.tls_key"}},
		"it refuses a key without its certificate": {
			"",
			[]string{"OMNI_TLS_KEY=/t/k.pem"},
			[]string{"http.tls_certificate"},
		},
		"it refuses a proxy that is not a network": {
			"http: {trusted_proxies: proxy.test}", nil,
			[]string{"http.trusted_proxies"},
		},
		"it refuses a network with bits beyond its prefix": {"http: {trusted_proxies: '10.0.0.0/16, " +
			"10.1.0.7/16'}", nil, []string{"http.trusted_proxies"}},
		"it refuses to trust all addresses":   {"http: {trusted_proxies: 0.0.0.0/0}", nil, []string{"http.trusted_proxies"}},
		"it refuses another kind of database": {"database: {url: 'mysql://h/d'}", nil, []string{"database.url"}},
		"it refuses an invalid database URL":  {"", []string{"OMNI_DATABASE_URL=nonsense host="}, []string{"database.url"}},
		"it refuses an unknown PostgreSQL setting": {"database: {url: 'postgres://h/d?sslmode=bogus', " +
			"migrate_url: 'host=h port=x'}", nil, []string{"database.url", "database.migrate_url"}},
		"it refuses a URL for migrations alone": {
			"database: {migrate_url: 'postgres://h/d'}", nil,
			[]string{"database.migrate_url"},
		},
		"it refuses a value for a group":     {"database: postgres", nil, []string{"database"}},
		"it refuses a group for a value":     {"addr: {host: a}", nil, []string{"addr.host"}},
		"it refuses a list for a value":      {"addr: [a, b]", nil, []string{"addr"}},
		"it refuses a file that is not YAML": {"addr: [", nil, []string{"--config"}},
		"it refuses a duplicate key":         {"addr: :1\naddr: :2", nil, []string{"--config"}},
		"it refuses a short former secret": {
			"", []string{"OMNI_TOKEN_SECRETS_FORMER=" + someSecret + " short"}, []string{"token.former_secrets"},
		},
		"it refuses a sign-in lifetime of zero": {"token: {sign_in_idle: 1s, " +
			"sign_in_lifetime: 0s}", nil, []string{"token.sign_in_idle", "token.sign_in_lifetime"}},
		"it refuses a file and a value of one secret": {
			"", []string{"OMNI_TOKEN_SECRET=" + someSecret, "OMNI_TOKEN_SECRET_FILE=/x"}, []string{"token.secret"},
		},
		"it refuses a missing secret file": {
			"",
			[]string{"OMNI_TOKEN_SECRET_FILE=/nowhere"},
			[]string{"token.secret"},
		},
		"it refuses a file for a setting that is not secret": {"", []string{"OMNI_ADDR_FILE=/x"}, []string{"OMNI_ADDR_FILE"}},
		"it refuses development settings in production": {
			"",
			[]string{"OMNI_PROFILE=production", "OMNI_DEMO=true", "OMNI_TOKEN_SECRET=" + DevelopmentSecret.Reveal()},
			[]string{"token.secret", "demo", "database.url"},
		},
		"it requires a secret in production": {
			"", []string{"OMNI_PROFILE=production", "OMNI_DATA_DIR=/d"}, []string{"token.secret"},
		},
		"it reports a short secret once in production": {
			"", []string{"OMNI_PROFILE=production", "OMNI_DATA_DIR=/d", "OMNI_TOKEN_SECRET=x"}, []string{"token.secret"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.ElementsMatch(t, c.want, keysOf(problems(t, c.text, c.variables...)))
		})
	}
	t.Run("it does not repeat an invalid URL", func(t *testing.T) {
		t.Parallel()
		_, err := load(t, "", "OMNI_DATABASE_URL=postgres://hunter2:hunter2@hunter2:x/hunter2?sslmode=hunter2")
		require.ErrorContains(t, err, "is invalid")
		require.NotContains(t, err.Error(), "hunter2")
	})
	t.Run("it refuses a missing file", func(t *testing.T) {
		t.Parallel()
		_, err := Load("/nowhere/config.yaml", []string{"HOME=/h"})
		require.ErrorContains(t, err, "no such file")
	})
	t.Run("it does not repeat lines of an invalid file", func(t *testing.T) {
		t.Parallel()
		_, err := load(t, "hunter2hunter2")
		require.ErrorContains(t, err, "line 1")
		require.NotContains(t, err.Error(), "hunter2")
	})
}

func TestSecret(t *testing.T) {
	t.Parallel()
	const s Secret = "hunter2"
	t.Run("it hides itself", func(t *testing.T) {
		t.Parallel()
		holder := struct{ Own, None Secret }{Own: s}
		inJSON, err := json.Marshal(holder)
		require.NoError(t, err)
		inYAML, err := yaml.Marshal(holder)
		require.NoError(t, err)
		line, err := logrus.WithField("secret", s).WithField("all", holder).String()
		require.NoError(t, err)
		for _, text := range []string{
			fmt.Sprint(s), fmt.Sprintf("%v %+v %#v %s %q %x %d", s, holder, holder, s, s, s, s), string(inJSON), string(inYAML),
			line, s.String(),
		} {
			require.NotContains(t, text, "hunter2")
			require.NotContains(t, text, "68756e74657232")
			require.Contains(t, text, "***")
		}
		require.Equal(t, "hunter2", s.Reveal())
		require.Empty(t, fmt.Sprint(holder.None), "an empty secret is shown as empty")
	})
	t.Run("it can come from a file", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "secret")
		require.NoError(t, os.WriteFile(path, []byte(someSecret+"\n"), 0o600))
		c, err := load(t, "token: {secret: "+strings.Repeat("y", 32)+"}", "OMNI_TOKEN_SECRET_FILE="+path)
		require.NoError(t, err)
		require.Equal(t, Secret(someSecret), c.Token.Secret)
		require.Contains(t, c.Show(), "environment OMNI_TOKEN_SECRET_FILE")
	})
}

func TestShow(t *testing.T) {
	t.Parallel()
	c, err := load(t, "log: {level: debug}", "OMNI_DATABASE_URL=postgres://ann:hunter2@db:5432/omni?sslpassword=hunter2",
		"OMNI_MIGRATE_URL=host=db password=hunter2",
		"OMNI_TOKEN_SECRET=hunter2"+someSecret)
	require.NoError(t, err)
	shown := c.Show()
	t.Run("it hides secrets and shows the sources of values", func(t *testing.T) {
		t.Parallel()
		require.NotContains(t, shown, "hunter2")
		require.Contains(t, shown, "postgres://ann:hidden@db:5432/omni # environment OMNI_DATABASE_URL\n")
		require.Contains(t, shown, "  migrate_url: '***' # environment OMNI_MIGRATE_URL\n")
		require.Contains(t, shown, "  max_conns: 20 # default\n")
		require.Contains(t, shown, "  auto_migrate: true # default\n")
	})
	t.Run("it is YAML with every key", func(t *testing.T) {
		t.Parallel()
		var read map[string]any
		require.NoError(t, yaml.Unmarshal([]byte(shown), &read))
		require.Equal(t, "debug", read["log"].(map[string]any)["level"])
		require.Len(t, strings.Split(strings.TrimSpace(shown), "\n"), len(keys)+12, "and twelve groups")
	})
}

func TestJSON(t *testing.T) {
	t.Parallel()
	t.Run("it shows settings and hides secrets", func(t *testing.T) {
		t.Parallel()
		c, err := load(t, "", "OMNI_TOKEN_SECRET=hunter2"+someSecret)
		require.NoError(t, err)
		b, err := json.Marshal(struct{ Config Config }{c})
		require.NoError(t, err)
		require.NotContains(t, string(b), "hunter2")
		require.Contains(t, string(b), `{"key":"token.secret","value":"***","source":"environment OMNI_TOKEN_SECRET"}`)
	})
	t.Run("it has valid defaults", func(t *testing.T) {
		t.Parallel()
		require.Len(t, Default().Settings(), len(keys))
	})
}

func TestExample(t *testing.T) {
	t.Parallel()
	const path = "../config.example.yaml"
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	t.Run("it loads, and equals the defaults", func(t *testing.T) {
		t.Parallel()
		example, err := Load(path, []string{"HOME=/h"})
		require.NoError(t, err)
		plain, err := Load("", []string{"HOME=/h"})
		require.NoError(t, err)
		example.settings, plain.settings = nil, nil
		require.Equal(t, plain, example)
	})
	t.Run("it names every key and every variable", func(t *testing.T) {
		t.Parallel()
		var read map[string]any
		require.NoError(t, yaml.Unmarshal(text, &read))
		for _, k := range keys {
			in, name := read, k.name
			if group, rest, ok := strings.Cut(k.name, "."); ok {
				in, name = read[group].(map[string]any), rest
			}
			require.Contains(t, in, name)
			require.Contains(t, string(text), "# "+k.env, k.name)
			if k.secret {
				require.Contains(t, string(text), k.env+"_FILE")
			}
		}
	})
}

func TestVariablesOfKubernetesAreIgnored(t *testing.T) {
	t.Parallel()
	set := []string{
		"OMNI_SERVICE_HOST=10.96.0.7", "OMNI_SERVICE_PORT=8080", "OMNI_SERVICE_PORT_HTTP=8080",
		"OMNI_PORT=tcp://10.96.0.7:8080",
		"OMNI_PORT_8080_TCP=tcp://10.96.0.7:8080", "OMNI_PORT_8080_TCP_PROTO=tcp", "OMNI_PORT_8080_TCP_PORT=8080",
		"OMNI_PORT_8080_TCP_ADDR=10.96.0.7", "OMNI_PORT_53_UDP=udp://10.96.0.7:53", "OMNI_API_SERVICE_HOST=10.96.0.8",
		"OMNI_API_PORT=tcp://10.96.0.8:80",
	}
	c, err := load(t, "", set...)
	require.NoError(t, err)
	require.Len(t, c.Ignored, len(set))
	for _, variable := range set {
		name, _, _ := strings.Cut(variable, "=")
		require.Contains(t, c.Ignored, name)
	}
	// These values have another meaning, so they are errors.
	for _, variable := range []string{
		"OMNI_PORT=8080", "OMNI_PORT=:8080", "OMNI_PORT=http://localhost", "OMNI_HOST=localhost",
		"OMNI_SERVICE=x",
	} {
		name, _, _ := strings.Cut(variable, "=")
		require.Equal(t, []string{name}, keysOf(problems(t, "", variable)))
	}
}

func TestAListInYAMLIsRefusedWithAnExample(t *testing.T) {
	t.Parallel()
	for _, item := range [][2]string{
		{
			"http:\n  cors_origins:\n    - https://a.example.org\n    - https://b.example.org\n",
			`write cors_origins: "https://a.example.org, https://b.example.org"`,
		},
		{"http:\n  trusted_proxies: [10.0.3.0/24]\n", `write trusted_proxies: "10.0.3.0/24, 192.0.2.7"`},
		{"reminders: [24h, 2h]\n", `write reminders: "24h, 2h"`},
		{"addr: [\"127.0.0.1:8080\"]\n", "write addr: VALUE on one line"},
		{"database:\n  url:\n    host: db\n", "write url: VALUE on one line"},
	} {
		text, remedy := item[0], item[1]
		found := problems(t, text)
		require.Len(t, found, 1, text)
		require.Contains(t, found[0].Message, remedy)
	}
}

func TestASecondYAMLDocumentIsRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"addr: 127.0.0.1:1\n---\naddr: 127.0.0.1:2\n", "---\naddr: 127.0.0.1:1\n---\n",
		"addr: 127.0.0.1:1\n---\nnonsense: [\n",
	} {
		found := problems(t, text)
		require.Len(t, found, 1, text)
		require.Equal(t, "--config", found[0].Key)
		require.Regexp(t, "second YAML document|not valid YAML", found[0].Message)
	}
	for _, text := range []string{"---\naddr: 127.0.0.1:1\n", "addr: 127.0.0.1:1\n...\n"} {
		c, err := load(t, text)
		require.NoError(t, err, text)
		require.Equal(t, "127.0.0.1:1", c.Addr)
	}
}

func TestTheLogFormatIsReadFromAnInvalidConfiguration(t *testing.T) {
	t.Parallel()
	require.Equal(t, "text", LogFormat("/nowhere.yaml", nil))
	require.Equal(t, "json", LogFormat("/nowhere.yaml", []string{"OMNI_LOG_FORMAT=json"}))
	require.Equal(t, "json", LogFormat("", []string{"OMNI_PROFILE=production", "OMNI_ADDR=nonsense"}))
	require.Equal(t, "text", LogFormat("", []string{"OMNI_PROFILE=production", "OMNI_LOG_FORMAT=text"}))
	path := filepath.Join(t.TempDir(), "config.yaml")
	require.NoError(t, os.WriteFile(path, []byte("addr: nonsense\nlog:\n  format: json\n"), 0o600))
	require.Equal(t, "json", LogFormat(path, nil))
}
