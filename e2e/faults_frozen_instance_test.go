package e2e

import (
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/platform/db/dbtest"
)

// TestAFrozenInstanceBlocksOthersForSecondsOnly suspends a process that holds the lock that
// instances share, like a paused machine or a debugger. The database ends its session. Another
// instance continues without refusals. The frozen one continues once it is resumed, and looks up
// the outcome of its last transaction.
func TestAFrozenInstanceBlocksOthersForSecondsOnly(t *testing.T) {
	t.Parallel()
	dbtest.NeedsPostgreSQL(t, "LOCK TABLE")
	database := harness.TwoPractices.New(t)
	c := harness.Serve(t, database, database.Open(t))
	paths, totals := contested(t, c)
	frozen, healthy := c.Launch(t, database.AppURL,
		harness.SharedTransactions...), c.Launch(t, database.AppURL, harness.SharedTransactions...)
	h := &harness.History{}
	stop := h.StartClients(t, 12, paths, func(client, _ int) harness.Caller { // half of the clients on each instance
		return []*harness.Instance{frozen, healthy}[client%2].Clinic.Admin()
	})
	path := c.Authorize(t, 10)
	for range 2 {
		h.AwaitAnswers(t, 20)
		holder := freezeInTransaction(t, frozen)
		began := time.Now()
		answer := healthy.Clinic.Admin().Post(t, path+"/reserve", harness.Body{"units": 1})
		require.Equal(t, http.StatusCreated, answer.Status, "it waited, and was not refused: %s", answer.Raw)
		t.Logf("the healthy instance accepted %s after the other one froze", time.Since(began))
		require.Eventually(t, func() bool {
			return c.Count(t, "SELECT count(*) FROM pg_stat_activity WHERE pid = $1", holder) == 0
		}, harness.Soon, time.Millisecond, "the database has ended the session")
		h.AwaitAnswers(t, 20, "the healthy one continues")
		require.NoError(t, frozen.Process.Process.Signal(syscall.SIGCONT))
		h.AwaitAnswers(t, 50)
		require.Equal(t, http.StatusCreated, frozen.Clinic.Admin().Post(t, path+"/reserve", harness.Body{"units": 1}).Status,
			"it has recovered")
	}
	stop()
	c.RequireBalance(t, path, 10, 0, 4)
	h.RequireConsistent(t, c, totals)
}

// TestALockThatIsNeverReleasedIsReported holds the lock that instances share, without the program's
// timeouts. Requests are refused well within their time, and readiness and metrics report the
// cause.
func TestALockThatIsNeverReleasedIsReported(t *testing.T) {
	t.Parallel()
	dbtest.NeedsPostgreSQL(t, "LOCK TABLE")
	c := harness.Open(t)
	path := c.Authorize(t, 10)
	if !c.SharesTransactions {
		t.Skip("without the lock")
	}
	holder, err := pgx.Connect(t.Context(), c.Database.OwnerURL)
	require.NoError(t, err)
	defer holder.Close(t.Context())
	for _, statement := range []string{"BEGIN", "LOCK TABLE write_lock IN EXCLUSIVE MODE"} {
		_, err := holder.Exec(t.Context(), statement)
		require.NoError(t, err)
	}

	began := time.Now()
	refused := c.Admin().Post(t, path+"/reserve", harness.Body{"units": 1}).
		Refused(t, http.StatusServiceUnavailable, "database-busy")
	require.NotEmpty(t, refused.Header.Get("Retry-After"))
	require.Less(t, time.Since(began), 15*time.Second, "within the request timeout")
	root := harness.Caller{URL: c.URL}
	ready := root.Get(t, "/readyz")
	require.Equal(t, http.StatusOK, ready.Status, "reads are served")
	require.Equal(t, harness.Body{"status": "degraded", "database": "blocked"}, ready.Body)
	require.Equal(t, "blocked",
		root.Get(t, "/readyz?need=write").Refused(t, http.StatusServiceUnavailable, "not-ready").Text("database"))
	require.Contains(t, c.Metrics(t), `omnirapeutic_database_state{state="blocked"} 1`)
	require.Equal(t, http.StatusOK, c.Admin().Get(t, path).Status)

	_, err = holder.Exec(t.Context(), "ROLLBACK")
	require.NoError(t, err)
	require.Equal(t, http.StatusCreated, c.Admin().Post(t, path+"/reserve", harness.Body{"units": 1}).Status)
	require.Eventually(t, func() bool { return root.Get(t, "/readyz?need=write").Status == http.StatusOK }, time.Minute,
		100*time.Millisecond)
}
