package harness

import (
	"database/sql"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/telemetry/logtest"
)

// Verify verifies the caller's organization, and returns the result as an answer.
func (c Caller) Verify(t testing.TB) Answer {
	t.Helper()
	a := c.Post(t, "/admin/verify", Body{})
	if a.Status == http.StatusAccepted {
		path := strings.TrimPrefix(a.Header.Get("Location"), "/api/v1")
		require.Eventually(t, func() bool {
			a = c.Get(t, path).OK(t)
			return a.Body["state"] != "RUNNING"
		}, time.Minute, 100*time.Millisecond)
	}
	require.Equal(t, http.StatusOK, a.Status, "%s", a.Raw)
	require.Equal(t, "FINISHED", a.Body["state"], "%s", a.Raw)
	a.Body = a.Body["result"].(map[string]any)
	return a
}

// RequireClean checks that the clinic's ledger is consistent.
func (c *Clinic) RequireClean(t testing.TB) {
	t.Helper()
	a := c.Admin().Verify(t)
	require.Equal(t, true, a.Body["ok"], "%s", a.Raw)
	logtest.Look("metrics", []byte(c.Metrics(t)))
}

// AwaitState polls a verification until it is in the state.
func (c Caller) AwaitState(t testing.TB, path, state string) (a Answer) {
	t.Helper()
	require.Eventually(t, func() bool {
		a = c.Get(t, path).OK(t)
		return a.Text("state") == state
	}, Soon, 10*time.Millisecond, "it gets into the state %s", state)
	return a
}

// LockTable locks a table until the returned function is called, so that a verification waits when it
// reads the table: unit_entries at its beginning, audit_checkpoints after the ledger.
func (c *Clinic) LockTable(t testing.TB, table string) (release func()) {
	t.Helper()
	if os.Getenv("OMNI_TEST_MAX_CONNS") == "1" {
		t.Skip("the verification waits with the only connection of the pool")
	}
	owner, err := sql.Open("pgx", c.Database.OwnerURL)
	require.NoError(t, err)
	busy, err := owner.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	_, err = busy.ExecContext(t.Context(), "LOCK TABLE "+table+" IN ACCESS EXCLUSIVE MODE")
	require.NoError(t, err)
	release = func() { _ = busy.Rollback(); _ = owner.Close() } // a second call does nothing
	t.Cleanup(release)
	return release
}
