package e2e

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/platform/db/wireproxy"
)

// TestServerStopsGracefullyUnderLoad sends SIGTERM while the COMMIT of some requests waits
// and others queue behind it. All of them are executed and answered, later requests are
// rejected, and the exit code is 0.
func TestServerStopsGracefullyUnderLoad(t *testing.T) {
	t.Parallel()
	database := harness.TwoPractices.New(t)
	proxy := wireproxy.Start(t, database.AppURL)
	c := harness.Serve(t, database, database.Open(t))
	path := c.Authorize(t, 100)
	const grace = 20 * time.Second
	serving := c.Launch(t, proxy.URL(database.AppURL),
		append(harness.SharedTransactions, "OMNI_LOG_LEVEL=info", "OMNI_SHUTDOWN_GRACE="+grace.String())...)
	client := serving.Clinic.Admin()

	commit := proxy.BreakAfter(wireproxy.Held, "insert into commands", "commit", 1)
	const many = 20
	answers := make(chan harness.Answer, many)
	reserve := func() {
		a, err := client.TryPost(t, path+"/reserve", harness.Body{"units": 1})
		if err != nil {
			t.Errorf("accepted, and not answered: %v", err)
		}
		answers <- a
	}
	var clients sync.WaitGroup
	clients.Go(reserve)
	require.Eventually(t, commit.Spent, harness.Soon, time.Millisecond)
	for range many - 1 {
		clients.Go(reserve)
	}
	require.Eventually(t, func() bool { return waitingCommands(t, serving) == many-1 }, harness.Soon, time.Millisecond)
	require.NoError(t, serving.Process.Process.Signal(syscall.SIGTERM))
	require.Eventually(t, func() bool {
		response, err := http.Get(serving.Clinic.URL + "/healthz")
		if err == nil {
			require.NoError(t, response.Body.Close())
		}
		return errors.Is(err, syscall.ECONNREFUSED)
	}, harness.Soon, time.Millisecond, "no new requests are accepted")
	require.Empty(t, answers, "and no answer was sent yet")

	commit.Release()
	clients.Wait()
	for range many {
		a := <-answers
		require.Equal(t, http.StatusCreated, a.Status, "%s", a.Raw)
	}
	require.NoError(t, serving.Process.Wait(), "exit code 0, which requires the grace time: %s", serving.Output.String())
	c.RequireBalance(t, path, 100, 0, many)
	c.RequireClean(t)
}

// TestRollingRestartUnderLoad stops one server after the other with SIGTERM during
// load, like a rolling update.
func TestRollingRestartUnderLoad(t *testing.T) {
	t.Parallel()
	faults := numberOfFaults()
	database := harness.TwoPractices.New(t)
	c := harness.Serve(t, database, database.Open(t))
	paths, totals := contested(t, c)
	var serving atomic.Pointer[harness.Instance]
	serving.Store(c.Launch(t, database.AppURL, harness.TransactionSettings()...))
	h := &harness.History{}
	stop := h.StartClients(t, 12, paths, func(int, int) harness.Caller { return serving.Load().Clinic.Admin() })
	for range faults {
		h.AwaitAnswers(t, 20)
		before := serving.Load()
		require.NoError(t, before.Process.Process.Signal(syscall.SIGTERM))
		require.NoError(t, before.Process.Wait(), "exit code 0: %s", before.Output.String())
		serving.Store(c.Launch(t, database.AppURL, harness.TransactionSettings()...))
	}
	h.AwaitAnswers(t, 20)
	stop()
	h.RequireConsistent(t, c, totals)
}

// waitingCommands returns the number of requests that wait for a transaction, over a separate
// connection.
func waitingCommands(t testing.TB, p *harness.Instance) int {
	t.Helper()
	for line := range strings.Lines(p.Metrics(t)) {
		if text, ok := strings.CutPrefix(line, "omnirapeutic_commands_waiting "); ok {
			n, err := strconv.Atoi(strings.TrimSpace(text))
			require.NoError(t, err)
			return n
		}
	}
	t.Fatal("the metric is missing")
	return 0
}
