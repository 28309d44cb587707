package loadtest

import (
	"net/http"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// byHost counts the operations sent to each server.
type byHost struct {
	http.Handler
	mutex sync.Mutex
	asked map[string]int64
}

func (h *byHost) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if isOperation(r) {
		h.mutex.Lock()
		h.asked[r.URL.Host]++
		h.mutex.Unlock()
	}
	h.Handler.ServeHTTP(w, r)
}

func TestSeveralServers(t *testing.T) {
	t.Parallel()
	two := []string{"http://one.test", "http://two.test"}
	for _, scenario := range []string{"high-contention", "high-throughput", "mixed"} {
		virtual(t, "share the clients of "+scenario, func(t *testing.T) {
			f := newFake() // the shared database
			hosts := &byHost{Handler: f, asked: map[string]int64{}}
			r, err := tryOn(t, inMemory{to: hosts}, Options{Scenario: scenario, URLs: two, Clients: 20, Duration: time.Second})
			require.NoError(t, err)
			require.Empty(t, missed(r))
			require.Equal(t, 2, r.Instances)
			require.Len(t, hosts.asked, 2)
			require.InDelta(t, hosts.asked["one.test"], hosts.asked["two.test"], 5)
			require.Contains(t, r.Load(), "20 clients · 2 servers on one database · ")
		})
	}

	virtual(t, "are added up in the retries", func(t *testing.T) {
		f := newFake() // one retry per operation, reported by both
		r, err := tryOn(t, inMemory{to: f}, Options{Scenario: "nearly-full", URLs: two, Clients: 4})
		require.NoError(t, err)
		require.Equal(t, 2*f.operations.Load(), r.Retries.Retries)
		require.Len(t, r.Retries.Operations, 1)
		require.Equal(t, 2*f.operations.Load(), r.Retries.Operations[0].Attempts["1"])
	})

	virtual(t, "are signed in to separately", func(t *testing.T) {
		f := newFake()
		f.verifies = `{"ok":true}`
		elsewhere := newFake() // accepts neither the token nor the authorization: another database
		transport := inMemory{to: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Host == "two.test" {
				elsewhere.ServeHTTP(w, r)
				return
			}
			f.ServeHTTP(w, r)
		})}
		elsewhere.says = func(int64) (int, string) { return http.StatusNotFound, "not-found" }
		r, err := tryOn(t, transport, Options{Scenario: "nearly-full", URLs: two, Clients: 4})
		require.NoError(t, err)
		require.Equal(t, 1, elsewhere.logins)
		require.Equal(t, "404 not-found", r.Failures[0].Code, "two databases are not accepted as one")
		require.False(t, r.Passed())
	})
}

// TestServerMemory uses this process as the server.
func TestServerMemory(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux reports it")
	}
	t.Run("the peak covers the time since the watch began", func(t *testing.T) {
		before := watchMemory([]int{os.Getpid()})
		big := make([]byte, 96<<20)
		for i := 0; i < len(big); i += 1 << 10 {
			big[i] = 1
		}
		peak := before.peak()
		require.Greater(t, peak, int64(len(big)))
		require.Less(t, peak, int64(16<<30))
		runtime.KeepAlive(big)
	})
	t.Run("it is reported, and compared with the target of a stampede", func(t *testing.T) {
		virtual(t, "in virtual time", func(t *testing.T) {
			r := runOn(t, newFake(),
				Options{Scenario: "stampede", Clients: 20, Duration: time.Second, Processes: []int{os.Getpid()}})
			require.Greater(t, r.ServerPeakMemoryBytes, int64(1<<20))
			require.Equal(t, "MB", r.Targets[0].Unit)
			require.Equal(t, r.ServerPeakMemoryBytes <= 250_000_000, r.Targets[0].Met)
			require.Equal(t, float64(r.ServerPeakMemoryBytes)/1e6, r.Targets[0].Measured)
			r.Targets[0].Met = false
			require.Empty(t, r.Wrong(), "a high memory use is not a failure")
			require.Contains(t, write(t, "memory.txt", r.WriteTable), " MB peak resident memory of the server")
			require.Contains(t, write(t, "memory.json", r.WriteJSON), `"serverPeakMemoryBytes": `)
		})
	})
	t.Run("a process that does not exist has no figures, and no target is judged", func(t *testing.T) {
		virtual(t, "in virtual time", func(t *testing.T) {
			r := runOn(t, newFake(),
				Options{Scenario: "stampede", Clients: 20, Duration: time.Second, Processes: []int{1 << 30}})
			require.Zero(t, r.ServerPeakMemoryBytes)
			require.Empty(t, missed(r))
			require.NotContains(t, write(t, "no-memory.json", r.WriteJSON), "serverPeakMemoryBytes")
		})
	})
}
