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

	"omnirapeutic/platform/db/wireproxy"
)

// numberOfFaults returns how many faults a test causes.
func numberOfFaults() int {
	if long {
		return 10
	}
	return 2
}

// contested creates two authorizations for concurrent clients: one with enough units,
// and one with few.
func (c *clinic) contested(t testing.TB) (paths []string, totals map[string]int) {
	t.Helper()
	roomy, tight := c.authorize(t, 100_000), c.authorize(t, 12)
	return []string{roomy, roomy, tight}, map[string]int{roomy: 100_000, tight: 12}
}

// TestServerIsKilledUnderLoad kills the serving process with SIGKILL in the middle of a
// unit transaction, and restarts it: before a statement, before COMMIT, and during
// COMMIT.
func TestServerIsKilledUnderLoad(t *testing.T) {
	t.Parallel()
	faults := numberOfFaults()
	database := twoPractices.New(t)
	proxy := wireproxy.Start(t, database.AppURL)
	c := serve(t, database, database.Open(t))
	paths, totals := c.contested(t)
	var serving atomic.Pointer[instance]
	start := func() { serving.Store(c.launch(t, proxy.URL(database.AppURL), transactions()...)) }
	start()
	h := &history{}
	stop := h.clients(t, 12, paths, func(int, int) caller { return serving.Load().clinic.admin() })
	for n := range faults {
		h.progress(t, 20)
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
		serving.Load().kill(t)
		end(fault)
		start()
	}
	h.progress(t, 20, "it goes on")
	stop()
	require.Positive(t, h.turned.Load(), "it was felt")
	h.requireTrue(t, c, totals)
}

// TestAnInstanceIsKilledInTheMiddleOfABatch freezes a process that holds the shared
// lock while another one waits for it. After the first is killed, the database notices
// the closed connection, and the other continues.
func TestAnInstanceIsKilledInTheMiddleOfABatch(t *testing.T) {
	t.Parallel()
	database := twoPractices.New(t)
	c := serve(t, database, database.Open(t))
	paths, totals := c.contested(t)
	victim, survivor := c.launch(t, database.AppURL, sharing...), c.launch(t, database.AppURL, sharing...)
	h := &history{}
	var dead atomic.Bool
	stop := h.clients(t, 12, paths, func(int, int) caller {
		if dead.Load() {
			return survivor.clinic.admin()
		}
		return victim.clinic.admin()
	})
	h.progress(t, 20)
	holder := victim.freeze(t)

	const locks = "SELECT count(*) FROM pg_locks WHERE relation = 'write_lock'::regclass AND database = (SELECT oid FROM " +
		"pg_database WHERE datname = current_database())"
	path := c.authorize(t, 1)
	waited := make(chan answer)
	go func() { waited <- h.reserve(t, survivor.clinic.admin(), path, 1) }() //nolint:testifylint // a failure is received as silence
	require.Eventually(t, func() bool { return c.count(t, locks+" AND NOT granted") == 1 }, soon, time.Millisecond,
		"it waits for the lock")
	require.Equal(t, 1, c.count(t, locks+" AND granted AND pid = $1", holder))

	dead.Store(true)
	killed := time.Now()
	victim.kill(t)
	require.Equal(t, http.StatusCreated, (<-waited).status)
	t.Logf("the survivor answered %s after the kill", time.Since(killed))
	require.Zero(t, c.count(t, "SELECT count(*) FROM pg_stat_activity WHERE pid = $1", holder), "its session has ended")
	h.progress(t, 50)
	stop()
	metrics := survivor.clinic.admin().get(t, "/admin/retry-metrics")
	require.Zero(t, metrics.number(t, "failures"), "%s", metrics.raw)
	totals[path] = 1
	h.requireTrue(t, c, totals)
}

// freeze stops the process while its transaction holds the lock, and returns the server
// process of that transaction.
func (p *instance) freeze(t testing.TB) (holder int) {
	t.Helper()
	// A session of this process that is idle in its transaction waits for the process: no message
	// is in transit between them.
	const holding = `SELECT coalesce(max(pid), 0) FROM pg_locks JOIN pg_stat_activity a USING (pid)
		WHERE relation = 'write_lock'::regclass AND granted AND a.datname = current_database()
			AND a.application_name = $1 AND state = 'idle in transaction'`
	role, err := pgx.Connect(t.Context(), p.clinic.database.AppURL) // sees the state of its own sessions only
	require.NoError(t, err)
	defer role.Close(context.Background())
	look := func() (pid int) {
		require.NoError(t, role.QueryRow(t.Context(), holding, p.name).Scan(&pid))
		return pid
	}
	for end := time.Now().Add(time.Minute); ; {
		require.NoError(t, p.process.Process.Signal(syscall.SIGSTOP))
		if holder = look(); holder != 0 && holder == look() {
			return holder
		}
		require.NoError(t, p.process.Process.Signal(syscall.SIGCONT))
		require.True(t, time.Now().Before(end), "it holds the lock now and then")
	}
}
