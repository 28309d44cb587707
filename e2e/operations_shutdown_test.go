package e2e

import (
	"bufio"
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

	"omnirapeutic/platform/db/wireproxy"
)

// TestServerStopsGracefullyUnderLoad sends SIGTERM while the COMMIT of some requests waits
// and others queue behind it. All of them are executed and answered, later requests are
// rejected, and the exit code is 0.
func TestServerStopsGracefullyUnderLoad(t *testing.T) {
	t.Parallel()
	database := twoPractices.New(t)
	proxy := wireproxy.Start(t, database.AppURL)
	c := serve(t, database, database.Open(t))
	path := c.authorize(t, 100)
	const grace = 20 * time.Second
	serving := c.launch(t, proxy.URL(database.AppURL),
		append(sharing, "OMNI_LOG_LEVEL=info", "OMNI_SHUTDOWN_GRACE="+grace.String())...)
	client := serving.clinic.admin()

	commit := proxy.BreakAfter(wireproxy.Held, "insert into commands", "commit", 1)
	const many = 20
	answers := make(chan answer, many)
	reserve := func() {
		a, err := client.try(t, path+"/reserve", body{"units": 1})
		if err != nil {
			t.Errorf("accepted, and not answered: %v", err)
		}
		answers <- a
	}
	var clients sync.WaitGroup
	clients.Go(reserve)
	require.Eventually(t, commit.Spent, soon, time.Millisecond)
	for range many - 1 {
		clients.Go(reserve)
	}
	require.Eventually(t, func() bool { return serving.waiting(t) == many-1 }, soon, time.Millisecond)
	require.NoError(t, serving.process.Process.Signal(syscall.SIGTERM))
	require.Eventually(t, func() bool {
		response, err := http.Get(serving.clinic.url + "/healthz")
		if err == nil {
			require.NoError(t, response.Body.Close())
		}
		return errors.Is(err, syscall.ECONNREFUSED)
	}, soon, time.Millisecond, "no new requests are accepted")
	require.Empty(t, answers, "and no answer was sent yet")

	commit.Release()
	clients.Wait()
	for range many {
		a := <-answers
		require.Equal(t, http.StatusCreated, a.status, "%s", a.raw)
	}
	require.NoError(t, serving.process.Wait(), "exit code 0, which requires the grace time: %s", serving.out.all())
	c.requireBalance(t, path, 100, 0, many)
	c.requireClean(t)
}

// TestRollingRestartUnderLoad stops one server after the other with SIGTERM during
// load, like a rolling update.
func TestRollingRestartUnderLoad(t *testing.T) {
	t.Parallel()
	faults := numberOfFaults()
	database := twoPractices.New(t)
	c := serve(t, database, database.Open(t))
	paths, totals := c.contested(t)
	var serving atomic.Pointer[instance]
	serving.Store(c.launch(t, database.AppURL, transactions()...))
	h := &history{}
	stop := h.clients(t, 12, paths, func(int, int) caller { return serving.Load().clinic.admin() })
	for range faults {
		h.progress(t, 20)
		before := serving.Load()
		require.NoError(t, before.process.Process.Signal(syscall.SIGTERM))
		require.NoError(t, before.process.Wait(), "exit code 0: %s", before.out.all())
		serving.Store(c.launch(t, database.AppURL, transactions()...))
	}
	h.progress(t, 20)
	stop()
	h.requireTrue(t, c, totals)
}

// waiting returns the number of requests that wait for a transaction, over a separate
// connection.
func (p *instance) waiting(t testing.TB) int {
	t.Helper()
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get(p.metricsURL + "/metrics")
	require.NoError(t, err)
	defer response.Body.Close()
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), "omnirapeutic_commands_waiting "); ok {
			n, err := strconv.Atoi(text)
			require.NoError(t, err)
			return n
		}
	}
	t.Fatal("the metric is missing")
	return 0
}
