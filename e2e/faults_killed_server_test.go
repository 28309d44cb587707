package e2e

import (
	"context"
	"net/http"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/platform/db/dbtest"
	"omnirapeutic/platform/db/wireproxy"
)

// numberOfFaults returns how many faults a test causes.
func numberOfFaults() int {
	if harness.Long {
		return 10
	}
	return 2
}

// contested creates two authorizations for concurrent clients: one with enough units,
// and one with few.
func contested(t testing.TB, c *harness.Clinic) (paths []string, totals map[string]int) {
	t.Helper()
	roomy, tight := c.Authorize(t, 100_000), c.Authorize(t, 12)
	return []string{roomy, roomy, tight}, map[string]int{roomy: 100_000, tight: 12}
}

// TestServerIsKilledUnderLoad kills the serving process with SIGKILL in the middle of a
// unit transaction, and restarts it: before a statement, before COMMIT, and during
// COMMIT.
func TestServerIsKilledUnderLoad(t *testing.T) {
	t.Parallel()
	faults := numberOfFaults()
	database := harness.TwoPractices.New(t)
	proxy := wireproxy.Start(t, database.AppURL)
	c := harness.Serve(t, database, database.Open(t))
	paths, totals := contested(t, c)
	var serving atomic.Pointer[harness.Instance]
	start := func() { serving.Store(c.Launch(t, proxy.URL(database.AppURL), harness.TransactionSettings()...)) }
	start()
	h := &harness.History{}
	stop := h.StartClients(t, 12, paths, func(int, int) harness.Caller { return serving.Load().Clinic.Admin() })
	for n := range faults {
		h.AwaitAnswers(t, 20)
		const last = "insert into commands"
		var fault *wireproxy.Fault
		end := (*wireproxy.Fault).Drop
		switch n % 3 {
		case 0:
			fault = proxy.BreakAfter(wireproxy.Held, last, "commit", 1)
			end = (*wireproxy.Fault).Release
		case 1:
			fault = proxy.Break(wireproxy.Held, "update authorizations", 1)
		case 2:
			fault = proxy.BreakAfter(wireproxy.Held, last, "commit", 1)
		}
		require.Eventually(t, fault.Spent, time.Minute, time.Millisecond, "a transaction is running")
		serving.Load().Kill(t)
		end(fault)
		start()
	}
	h.AwaitAnswers(t, 20, "it goes on")
	stop()
	require.Positive(t, h.Retries.Load(), "it was felt")
	h.RequireConsistent(t, c, totals)
}

// TestAnInstanceIsKilledInTheMiddleOfABatch freezes a process that holds the shared
// lock while another one waits for it. After the first is killed, the database notices
// the closed connection, and the other continues.
func TestAnInstanceIsKilledInTheMiddleOfABatch(t *testing.T) {
	t.Parallel()
	dbtest.NeedsPostgreSQL(t, "LOCK TABLE")
	database := harness.TwoPractices.New(t)
	c := harness.Serve(t, database, database.Open(t))
	paths, totals := contested(t, c)
	victim, survivor := c.Launch(t, database.AppURL,
		harness.SharedTransactions...), c.Launch(t, database.AppURL, harness.SharedTransactions...)
	h := &harness.History{}
	var dead atomic.Bool
	stop := h.StartClients(t, 12, paths, func(int, int) harness.Caller {
		if dead.Load() {
			return survivor.Clinic.Admin()
		}
		return victim.Clinic.Admin()
	})
	h.AwaitAnswers(t, 20)
	holder := freezeInTransaction(t, victim)

	const locks = "SELECT count(*) FROM pg_locks WHERE relation = 'write_lock'::regclass AND database = (SELECT oid FROM " +
		"pg_database WHERE datname = current_database())"
	path := c.Authorize(t, 1)
	waited := make(chan harness.Answer)
	go func() {
		waited <- h.Reserve(t, survivor.Clinic.Admin(), path,
			1)
	}() // a failure is received as silence
	require.Eventually(t, func() bool { return c.Count(t, locks+" AND NOT granted") == 1 }, harness.Soon, time.Millisecond,
		"it waits for the lock")
	require.Equal(t, 1, c.Count(t, locks+" AND granted AND pid = $1", holder))

	dead.Store(true)
	killed := time.Now()
	victim.Kill(t)
	require.Equal(t, http.StatusCreated, (<-waited).Status)
	t.Logf("the survivor answered %s after the kill", time.Since(killed))
	require.Zero(t, c.Count(t, "SELECT count(*) FROM pg_stat_activity WHERE pid = $1", holder), "its session has ended")
	h.AwaitAnswers(t, 50)
	stop()
	metrics := survivor.Clinic.Admin().Get(t, "/admin/retry-metrics")
	require.Zero(t, metrics.Number(t, "failures"), "%s", metrics.Raw)
	totals[path] = 1
	h.RequireConsistent(t, c, totals)
}

// freezeInTransaction stops the process while its transaction holds the lock, and returns the server
// process of that transaction.
func freezeInTransaction(t testing.TB, p *harness.Instance) (holder int) {
	t.Helper()
	// A session of this process that is idle in its transaction waits for the process: no message
	// is in transit between them.
	const holding = `SELECT coalesce(max(pid), 0) FROM pg_locks JOIN pg_stat_activity a USING (pid)
		WHERE relation = 'write_lock'::regclass AND granted AND a.datname = current_database()
			AND a.application_name = $1 AND state = 'idle in transaction'`
	role, err := pgx.Connect(t.Context(), p.Clinic.Database.AppURL) // sees the state of its own sessions only
	require.NoError(t, err)
	defer role.Close(context.Background())
	look := func() (pid int) {
		require.NoError(t, role.QueryRow(t.Context(), holding, p.SessionName).Scan(&pid))
		return pid
	}
	for end := time.Now().Add(time.Minute); ; {
		require.NoError(t, p.Process.Process.Signal(syscall.SIGSTOP))
		if holder = look(); holder != 0 && holder == look() {
			return holder
		}
		require.NoError(t, p.Process.Process.Signal(syscall.SIGCONT))
		require.True(t, time.Now().Before(end), "it holds the lock now and then")
	}
}
