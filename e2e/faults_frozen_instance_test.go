package e2e

import (
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// TestAFrozenInstanceBlocksOthersForSecondsOnly suspends a process that holds the lock that
// instances share, like a paused machine or a debugger. The database ends its session. Another
// instance continues without refusals. The frozen one continues once it is resumed, and looks up
// the outcome of its last transaction.
func TestAFrozenInstanceBlocksOthersForSecondsOnly(t *testing.T) {
	t.Parallel()
	database := twoPractices.New(t)
	c := serve(t, database, database.Open(t))
	paths, totals := c.contested(t)
	frozen, healthy := c.launch(t, database.AppURL, sharing...), c.launch(t, database.AppURL, sharing...)
	h := &history{}
	stop := h.clients(t, 12, paths, func(client, _ int) caller { // half of the clients on each instance
		return []*instance{frozen, healthy}[client%2].clinic.admin()
	})
	path := c.authorize(t, 10)
	for range 2 {
		h.progress(t, 20)
		holder := frozen.freeze(t)
		began := time.Now()
		answer := healthy.clinic.admin().post(t, path+"/reserve", body{"units": 1})
		require.Equal(t, http.StatusCreated, answer.status, "it waited, and was not refused: %s", answer.raw)
		t.Logf("the healthy instance accepted %s after the other one froze", time.Since(began))
		require.Eventually(t, func() bool {
			return c.count(t, "SELECT count(*) FROM pg_stat_activity WHERE pid = $1", holder) == 0
		}, soon, time.Millisecond, "the database has ended the session")
		h.progress(t, 20, "the healthy one continues")
		require.NoError(t, frozen.process.Process.Signal(syscall.SIGCONT))
		h.progress(t, 50)
		require.Equal(t, http.StatusCreated, frozen.clinic.admin().post(t, path+"/reserve", body{"units": 1}).status,
			"it has recovered")
	}
	stop()
	c.requireBalance(t, path, 10, 0, 4)
	h.requireTrue(t, c, totals)
}

// TestALockThatIsNeverReleasedIsReported holds the lock that instances share, without the program's
// timeouts. Requests are refused well within their time, and readiness and metrics report the
// cause.
func TestALockThatIsNeverReleasedIsReported(t *testing.T) {
	t.Parallel()
	c := open(t)
	path := c.authorize(t, 10)
	if !c.shares {
		t.Skip("without the lock")
	}
	holder, err := pgx.Connect(t.Context(), c.database.OwnerURL)
	require.NoError(t, err)
	defer holder.Close(t.Context())
	for _, statement := range []string{"BEGIN", "LOCK TABLE write_lock IN EXCLUSIVE MODE"} {
		_, err := holder.Exec(t.Context(), statement)
		require.NoError(t, err)
	}

	began := time.Now()
	refused := c.admin().post(t, path+"/reserve", body{"units": 1}).
		refused(t, http.StatusServiceUnavailable, "database-busy")
	require.NotEmpty(t, refused.header.Get("Retry-After"))
	require.Less(t, time.Since(began), 15*time.Second, "within the request timeout")
	root := caller{url: c.url}
	ready := root.get(t, "/readyz")
	require.Equal(t, http.StatusOK, ready.status, "reads are served")
	require.Equal(t, body{"status": "degraded", "database": "blocked"}, ready.body)
	require.Equal(t, "blocked",
		root.get(t, "/readyz?need=write").refused(t, http.StatusServiceUnavailable, "not-ready").text("database"))
	require.Contains(t, c.metrics(t), `omnirapeutic_database_state{state="blocked"} 1`)
	require.Equal(t, http.StatusOK, c.admin().get(t, path).status)

	_, err = holder.Exec(t.Context(), "ROLLBACK")
	require.NoError(t, err)
	require.Equal(t, http.StatusCreated, c.admin().post(t, path+"/reserve", body{"units": 1}).status)
	require.Eventually(t, func() bool { return root.get(t, "/readyz?need=write").status == http.StatusOK }, time.Minute,
		100*time.Millisecond)
}
