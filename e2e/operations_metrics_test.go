package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/dbtest"
	"omnirapeutic/platform/telemetry/logtest"
)

// metricsOf returns the series of a clinic with their values.
func metricsOf(t testing.TB, c *harness.Clinic) map[string]float64 {
	t.Helper()
	text := c.Metrics(t)
	logtest.Look("metrics", []byte(text))
	series := map[string]float64{}
	for line := range strings.Lines(text) {
		name, value, found := cutLast(strings.TrimSpace(line))
		if found && !strings.HasPrefix(line, "#") {
			var n float64
			_, err := fmt.Sscan(value, &n)
			require.NoError(t, err, line)
			series[name] = n
		}
	}
	return series
}

// cutLast cuts a text at its last space.
func cutLast(text string) (before, after string, found bool) {
	i := strings.LastIndexByte(text, ' ')
	if i < 0 {
		return text, "", false
	}
	return text[:i], text[i+1:], true
}

// TestMetricsShowTheStateOfTheProgram reads each metric that operators watch, after an action that
// changes it.
func TestMetricsShowTheStateOfTheProgram(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	c.Admin().Post(t, c.Authorize(t, 10)+"/reserve", harness.Body{"units": 1}) // its event waits: no relay runs
	c.Admin().Verify(t)
	c.As("").Post(t, "/auth/login", harness.Body{"email": "nobody@own.test", "password": "wrong"}).
		Refused(t, http.StatusUnauthorized, "wrong-credentials")
	c.As(c.Own.Tokens[rbac.Technician]).Post(t, "/practitioners", harness.Body{"firstName": "Jordan", "lastName": "Lee"}).
		Refused(t, http.StatusForbidden, "forbidden")
	c.Admin().Post(t, "/emergency-grants", harness.Body{
		"patientId": c.Own.Patient, "reason": "The family calls from a hospital.", "durationMinutes": 30,
	}).Created(t)

	m := metricsOf(t, c)
	for name, want := range map[string]float64{
		"omnirapeutic_database_up":                                 1,
		"omnirapeutic_database_read_only":                          0,
		"omnirapeutic_pool_waiting":                                0,
		"omnirapeutic_lock_waiting_transactions":                   0,
		"omnirapeutic_lock_hold_seconds":                           0,
		"omnirapeutic_webhook_deliveries_pending":                  0,
		`omnirapeutic_webhook_deliveries_total{state="dead"}`:      0,
		`omnirapeutic_webhook_deliveries_total{state="delivered"}`: 0,
		`omnirapeutic_webhook_deliveries_total{state="retry"}`:     0,
		`omnirapeutic_webhook_deliveries_total{state="withheld"}`:  0,
		`omnirapeutic_sign_ins_total{outcome="denied"}`:            1,
		"omnirapeutic_denials_total":                               1,
		"omnirapeutic_emergency_access_total":                      1,
		`omnirapeutic_access_alerts_total{kind="mass-read"}`:       0,
		"omnirapeutic_verified_organizations":                      1,
		"omnirapeutic_replication_standbys":                        0,
	} {
		require.Contains(t, m, name)
		require.Equal(t, want, m[name], name)
	}
	for _, name := range []string{
		"omnirapeutic_outbox_events", "omnirapeutic_pool_connections_max", "omnirapeutic_disk_free_bytes{folder=\"data\"}",
		"omnirapeutic_disk_size_bytes{folder=\"data\"}",
	} {
		require.Positive(t, m[name], name)
	}
	require.Contains(t, m, "omnirapeutic_outbox_oldest_seconds")
	require.Equal(t, m["omnirapeutic_schema_version_wanted"], m["omnirapeutic_schema_version"])
	if c.SharesTransactions {
		require.Positive(t, m["omnirapeutic_lock_held_seconds_total"])
	}
	if dbtest.Profile() == db.PostgreSQL { // the other one has no partitions
		require.Greater(t, m["omnirapeutic_partitions_end_timestamp_seconds"], float64(time.Now().AddDate(0, 0, 58).Unix()))
	}
	verified := time.Unix(int64(m["omnirapeutic_verification_oldest_success_timestamp_seconds"]), 0)
	require.WithinDuration(t, c.Clock.Now(), verified, time.Minute)
	text := c.Metrics(t)
	require.Regexp(t, `\nomnirapeutic_build_info\{go_version="go[^"]+",revision="[^"]+",version="[^"]+"\} 1\n`, text)
	require.Contains(t, text, `omnirapeutic_job_interval_seconds{job="remove-events"} 3600`)
}

// TestAScrapeReadsTheDatabaseWithFewStatements counts the statements of scrapes. Their number does not depend on
// the number of organizations, and a second collector costs nothing.
func TestAScrapeReadsTheDatabaseWithFewStatements(t *testing.T) {
	t.Parallel()
	logger, log := logtest.Recorder()
	c := harness.Open(t, func(config *db.Config) { config.SlowQuery, config.Logger = 1, logger })
	statements := func() (n int) {
		log.Reset()
		c.Metrics(t)
		for _, entry := range log.AllEntries() {
			if entry.Data["event"] == "slow_statement" {
				n++
			}
		}
		return n
	}
	const most = 6 // three modules, each of which may also send its organizations
	first := statements()
	require.Positive(t, first)
	require.LessOrEqual(t, first, most)
	require.Zero(t, statements(), "the answers are shared for ten seconds")
}
