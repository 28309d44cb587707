package e2e

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
)

// TestDatabaseIsReadOnlyForAWhile makes a database read-only while clients book, like
// an operator or a failover does. Sessions are not ended when it accepts writes again.
func TestDatabaseIsReadOnlyForAWhile(t *testing.T) {
	t.Parallel()
	database := harness.TwoPractices.New(t)
	c := harness.Serve(t, database, database.Open(t))
	paths, totals := contested(t, c)
	serving := c.Launch(t, database.AppURL, harness.TransactionSettings()...)
	h := &harness.History{}
	stop := h.StartClients(t, 12, paths, func(int, int) harness.Caller { return serving.Clinic.Admin() })
	h.AwaitAnswers(t, 20)

	c.SetReadOnly(t, true)
	client := serving.Clinic.Admin()
	h.AwaitRetries(t, 50)
	began := time.Now() // older sessions cannot write
	h.AwaitRetries(t, 50)
	refused := client.Post(t, paths[0]+"/reserve", harness.Body{"units": 1})
	refused.Refused(t, http.StatusServiceUnavailable, "database-read-only")
	require.NotEmpty(t, refused.Header.Get("Retry-After"))
	require.Equal(t, http.StatusOK, client.Get(t, "/service-codes").Status, "records of no patient can still be read")
	// Reads of a patient's data are recorded.
	client.Get(t, paths[0]).Refused(t, http.StatusServiceUnavailable, "not-recorded")

	c.SetReadOnly(t, false)
	h.AwaitAnswers(t, 50, "it goes on")
	require.Eventually(t, func() bool { return countSessionsBefore(t, c, began) == 0 }, harness.Soon, time.Millisecond,
		"no read-only session is kept")
	h.AwaitAnswers(t, 50) // a client may still be counting a refusal
	turned := h.Retries.Load() - h.Contended.Load()
	h.AwaitAnswers(t, 50)
	require.Equal(t, turned, h.Retries.Load()-h.Contended.Load(), "no request is refused any longer")
	stop()
	h.RequireConsistent(t, c, totals)
}

// countSessionsBefore counts the program's older sessions, except LISTEN sessions.
func countSessionsBefore(t testing.TB, c *harness.Clinic, when time.Time) int {
	t.Helper()
	role := *c
	role.Database.OwnerURL = c.Database.AppURL // other roles cannot see when they began
	return role.Count(t, `SELECT count(*) FROM pg_stat_activity
		WHERE datname = current_database() AND application_name LIKE 'omnirapeutic%' AND backend_start < $1
		AND query NOT LIKE 'LISTEN %'`, when)
}
