package e2e

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/sirupsen/logrus"
	"github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/telemetry/logtest"
)

// TestNumberOfStatementsOfAnOperation counts the statements of an operation while others wait
// for the same authorization. The first two are sent with BEGIN, and the writes with
// COMMIT (TestReadsWithBegin and TestWritesWithCommit in platform/db).
func TestNumberOfStatementsOfAnOperation(t *testing.T) {
	t.Parallel()
	logger, log := logtest.Recorder()
	c := harness.Open(t, func(config *db.Config) { config.SlowQuery, config.Logger = 1, logger })
	// of returns the verbs and tables of a request's statements.
	of := func(path string, b harness.Body, status int) []string {
		t.Helper()
		log.Reset()
		answer := c.Admin().Post(t, path, b)
		require.Equal(t, status, answer.Status, "%s", answer.Raw)
		return statementsOf(log)
	}
	before := []string{}
	if c.SharesTransactions {
		before = []string{"LOCK write_lock"}
	}
	writes := []string{
		"UPDATE authorizations", "INSERT unit_reservations", "INSERT unit_entries", "INSERT outbox", "WITH audit_events",
		"INSERT commands",
	}
	with := func(reads ...string) []string { return slices.Concat(before, reads, writes) }

	plain := c.Authorize(t, 100)
	require.Equal(t, with("SELECT authorizations"), of(plain+"/reserve", harness.Body{"units": 5}, http.StatusCreated))
	require.Equal(t, with("SELECT authorizations", "SELECT unit_reservations"),
		of(plain+"/consume", harness.Body{"units": 1}, http.StatusOK))
	require.Equal(t, append(before, "SELECT authorizations"),
		of(plain+"/reserve", harness.Body{"units": 100}, http.StatusConflict))

	inAll := c.Authorize(t, 100, harness.Body{"caps": caps("TOTAL", 50)})
	require.Equal(t, with("SELECT authorizations"), of(inAll+"/reserve", harness.Body{"units": 5}, http.StatusCreated),
		"the counters are sufficient")

	capped := c.Authorize(t, 100, harness.Body{"caps": caps("DAY", 50, "WEEK", 50, "MONTH", 50)})
	require.Equal(t, with("SELECT authorizations"), of(capped+"/reserve", harness.Body{"units": 5}, http.StatusCreated),
		"here too")
	insured := c.Authorize(t, 100, harness.Body{
		"caps": caps("WEEK", 50), "insuranceId": c.AddInsurance(t, "weekStartsOn", "MONDAY"),
	})
	require.Equal(t, with("SELECT authorizations", "SELECT insurances"),
		of(insured+"/reserve", harness.Body{"units": 5}, http.StatusCreated), "whose weeks")
	require.Equal(t, with("SELECT authorizations", "SELECT unit_reservations"),
		of(insured+"/consume", harness.Body{"units": 1}, http.StatusOK), "a consume is not limited by caps")

	require.Equal(t, with("SELECT authorizations"), of("/units/bulk", harness.BulkBody(
		harness.BulkItem(plain, "reserve", harness.Body{
			"units": 1,
		}), harness.BulkItem(plain, "reserve", harness.Body{"units": 1}),
		harness.BulkItem(plain, "reserve", harness.Body{"units": 1}),
	), http.StatusOK), "a bulk on one authorization needs no more than a single operation")
}

// statementsOf returns the verbs and tables of the logged statements.
func statementsOf(log *test.Hook) (all []string) {
	for _, entry := range log.AllEntries() {
		if entry.Data["event"] == "slow_statement" && entry.Data["count"] == nil { // not a summary of repeats
			all = append(all, shortened(entry))
		}
	}
	return all
}

// shortened returns a statement's verb and first table.
func shortened(entry *logrus.Entry) string {
	words := strings.FieldsFunc(entry.Data["sql"].(string), func(r rune) bool { return !unicode.IsLetter(r) && r != '_' })
	tables := []string{
		"set_config",
		"authorizations", "unit_reservations", "unit_entries", "commands", "write_lock", "outbox", "insurances",
		"organizations",
		"appointments", "appointment_patients", "appointment_practitioners", "sessions", "session_patients",
		"service_codes", "audit_events",
	}
	i := slices.IndexFunc(words, func(word string) bool { return slices.Contains(tables, word) })
	if i < 0 {
		return strings.Join(words, " ")
	}
	return words[0] + " " + words[i]
}
