package loadtest

import (
	"bytes"
	"errors"
	"math"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// virtual runs a test in virtual time.
func virtual(t *testing.T, name string, test func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, test)
	})
}

func TestRun(t *testing.T) {
	t.Parallel()
	most := 200 // maximum number of clients, sufficient for a stampede
	if testing.Short() {
		most = 50
	}
	for _, s := range Scenarios() {
		virtual(t, "confirms a correct server in "+s.Name, func(t *testing.T) {
			f := newFake()
			s.Clients = min(s.Clients, most)
			r := runOn(t, f,
				Options{Scenario: s.Name, Clients: s.Clients, Duration: 2 * time.Second, Authorizations: min(s.Authorizations, 40)})

			require.Empty(t, missed(r))
			require.True(t, r.Passed())
			require.True(t, r.Integrity.OK, r.Integrity)
			require.Equal(t, s.Clients, r.Clients)
			require.Zero(t, r.Failed)
			require.Empty(t, r.Failures)
			require.Equal(t, 1, f.logins, "it signs in once, not once per client")

			held := f.units("reserve") - f.units("release") - f.units("consume")
			require.Equal(t, Span{held, held}, r.Integrity.Expected.Scheduled)
			require.Equal(t, held, r.Integrity.Found.Scheduled)
			require.Equal(t, f.units("consume"), r.Integrity.Found.Used)
			require.Equal(t, 10.0, r.LatencyMs.P50, "every operation takes 10 ms")
			require.Equal(t, 10.0, r.LatencyMs.Max)
		})
	}

	virtual(t, "measures a closed loop by its clients and its latency", func(t *testing.T) {
		r := runOn(t, newFake(), Options{Scenario: "high-contention", Clients: 7, Duration: 3 * time.Second})
		require.Equal(t, 3.0, r.Seconds)
		require.Equal(t, int64(7*300), r.Accepted)
		require.InDelta(t, 700, r.AcceptedPerSecond, 5)
		require.Equal(t, WarmUpCount{Seconds: 1, Accepted: 700}, r.WarmUp)
		require.Equal(t, &LastUnits{Room: 7, Sent: 14, Accepted: 7, Refused: 7}, r.LastUnits)
	})

	virtual(t, "accepts exactly the available half in nearly-full", func(t *testing.T) {
		r := runOn(t, newFake(), Options{Scenario: "nearly-full", Clients: 9})
		require.Equal(t, int64(180), r.Accepted)
		require.Equal(t, int64(180), r.Refused)
		require.Equal(t, int64(180), r.Integrity.Found.Scheduled)
		require.Zero(t, r.WarmUp)
		require.InDelta(t, 0.4, r.Seconds, 0.001)
		require.InDelta(t, 450, r.AcceptedPerSecond, 1)
	})

	virtual(t, "keeps a fixed rate in nearly-full, too", func(t *testing.T) {
		r := runOn(t, newFake(), Options{Scenario: "nearly-full", Clients: 10, Rate: 100})
		require.Equal(t, int64(200), r.Accepted)
		require.Equal(t, int64(200), r.Refused)
		require.InDelta(t, 4, r.Seconds, 0.01)
	})

	virtual(t, "reserves, releases and consumes 7 to 2 to 1 in mixed", func(t *testing.T) {
		f := newFake()
		r := runOn(t, f, Options{Scenario: "mixed", Clients: 20, Duration: 4 * time.Second, Authorizations: 10})
		require.Len(t, r.Operations, 3)
		total := float64(f.operations.Load())
		require.InDelta(t, 0.7, float64(f.units("reserve"))/total, 0.005)
		require.InDelta(t, 0.2, float64(f.units("release"))/total, 0.005)
		require.InDelta(t, 0.1, float64(f.units("consume"))/total, 0.005)
		var most int64
		for _, n := range f.booked["reserve"] {
			most = max(most, n)
		}
		require.InDelta(t, 0.2, float64(most)/float64(f.units("reserve")), 0.005,
			"a fifth of the clients work on one authorization")
	})

	virtual(t, "finds units that a server loses", func(t *testing.T) {
		f := newFake()
		f.loses = func(n int64) bool { return n%100 == 0 && n <= 5000 }
		r := runOn(t, f, Options{Scenario: "high-contention", Duration: time.Second})
		require.Equal(t, r.Integrity.Expected.Scheduled.Min-50, r.Integrity.Found.Scheduled)
		require.False(t, r.Integrity.OK)
		require.False(t, r.Passed())
		require.Len(t, r.Integrity.Mismatches, 1)
		require.Zero(t, r.Failed)
	})

	virtual(t, "finds a single unit that is booked twice among many authorizations", func(t *testing.T) {
		f := newFake()
		f.doubles = func(n int64) bool { return n == 77 }
		r := runOn(t, f, Options{Scenario: "high-throughput", Duration: time.Second, Authorizations: 50})
		require.False(t, r.Integrity.OK)
		require.Equal(t, 1, r.Integrity.MismatchCount)
		require.Equal(t, r.Integrity.Expected.Scheduled.Max+1, r.Integrity.Found.Scheduled)
	})

	virtual(t, "does not balance a loss on one authorization with another", func(t *testing.T) {
		f := newFake()
		f.loses = func(n int64) bool { return n == 50 }
		f.doubles = func(n int64) bool { return n == 51 }
		r := runOn(t, f, Options{Scenario: "high-throughput", Duration: time.Second, Authorizations: 500})
		require.Equal(t, r.Integrity.Expected.Scheduled.Max, r.Integrity.Found.Scheduled)
		require.Equal(t, 2, r.Integrity.MismatchCount)
		require.False(t, r.Integrity.OK)
	})

	virtual(t, "finds a consume without effect", func(t *testing.T) {
		f := newFake()
		f.loses = every(37)
		r := runOn(t, f, Options{Scenario: "mixed", Duration: time.Second})
		require.False(t, r.Integrity.OK)
		require.Less(t, r.Integrity.Found.Used, r.Integrity.Expected.Used.Min)
	})

	for _, answer := range []string{
		`{"ok":false,"authorizations":3,"problems":[]}`,
		`{"ok":true,"authorizations":3,"problems":[{"authorizationId":"x","what":"counter"}]}`,
		`{"ok":true,"problemCount":7,"problems":[]}`,
		`{}`,
		`nonsense`,
	} {
		virtual(t, "adopts the server's own verification failure: "+answer, func(t *testing.T) {
			f := newFake()
			f.verifies = answer
			r := runOn(t, f, Options{Scenario: "nearly-full"})
			require.Zero(t, r.Integrity.MismatchCount)
			require.False(t, r.Integrity.OK)
			require.False(t, r.Passed())
			require.Len(t, missed(r), 1)
		})
	}

	virtual(t, "waits for a verification that continues after the answer", func(t *testing.T) {
		f := newFake()
		f.slow = true
		r := runOn(t, f, Options{Scenario: "nearly-full"})
		require.True(t, r.Integrity.OK)
		require.EqualValues(t, 12, r.Integrity.Verify.Authorizations)
	})

	virtual(t, "counts failures by status and code, apart from refusals", func(t *testing.T) {
		f := newFake()
		f.says = func(n int64) (int, string) {
			switch n % 10 {
			case 1, 2, 3:
				return http.StatusTooManyRequests, "too-many-requests"
			case 4:
				return http.StatusInternalServerError, "contention"
			case 5:
				return http.StatusConflict, "reservation-closed"
			}
			return 0, ""
		}
		r := runOn(t, f, Options{Scenario: "high-throughput", Clients: 10, Authorizations: 5, Duration: 2 * time.Second})
		require.Equal(t, int64(1000), r.Failed)
		require.Equal(t, int64(1000), r.Accepted)
		require.Zero(t, r.Refused)
		require.Equal(t, []Failure{
			{Code: "429 too-many-requests", Count: 900, Example: "It says too-many-requests."},
			{Code: "409 reservation-closed", Count: 300, Example: "It says reservation-closed."},
			{Code: "500 contention", Count: 300, Example: "It says contention."},
		}, r.Failures)
		require.Equal(t, int64(500), r.WarmUp.Failed)
		require.Equal(t, []string{"failures, from warm-up to end: 1500, limit 0"}, missed(r))
		require.True(t, r.Integrity.OK, "none of these had an effect")
		require.Zero(t, r.Integrity.UnknownUnits)
	})

	virtual(t, "does not count the latency of a server that refuses everything", func(t *testing.T) {
		f := newFake()
		f.says = func(int64) (int, string) { return http.StatusTooManyRequests, "too-many-requests" }
		r := runOn(t, f, Options{Scenario: "high-throughput", Clients: 10, Authorizations: 5, Duration: time.Second})
		require.Zero(t, r.LatencyMs)
		require.False(t, r.Targets[0].Met, r.Targets[0])
		require.Equal(t, []string{"failures, from warm-up to end"}, r.Wrong(), "slowness is not among them")
	})

	virtual(t, "counts a refusal as a failure while units are left", func(t *testing.T) {
		f := newFake()
		f.says = func(n int64) (int, string) {
			if n == 100 {
				return http.StatusConflict, "insufficient-units"
			}
			return 0, ""
		}
		r := runOn(t, f, Options{Scenario: "high-throughput", Clients: 10, Authorizations: 5, Duration: time.Second})
		require.Equal(t, []string{"refusals while units were left: 1, limit 0"}, missed(r))
	})

	virtual(t, "finds a server that grants more than the last units", func(t *testing.T) {
		f := newFake()
		f.loses = func(n int64) bool { return n > 1000 && n%3 == 0 }
		r := runOn(t, f, Options{Scenario: "high-contention", Clients: 5, Duration: time.Second})
		require.Equal(t, int64(1000), r.WarmUp.Accepted+r.Accepted, "only the last units are lost")
		require.Greater(t, r.LastUnits.Accepted, r.LastUnits.Room)
		require.False(t, r.LastUnits.Exact())
		require.False(t, r.Passed())
	})

	virtual(t, "reports why the last units could not be tried, and does not pass", func(t *testing.T) {
		f := newFake()
		transport := inMemory{to: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPatch {
				refuse(w, http.StatusForbidden, "forbidden")
				return
			}
			f.ServeHTTP(w, r)
		})}
		r, err := tryOn(t, transport, Options{Scenario: "high-contention", Clients: 5, Duration: time.Second})
		require.NoError(t, err)
		require.Contains(t, r.LastUnits.Problem, "status 403 forbidden: It says forbidden.")
		require.Equal(t, []string{"accepted of the last units: 0, limit 5"}, missed(r))
		require.True(t, r.Integrity.OK)
	})

	virtual(t, "allows both outcomes of unanswered requests, and repeats none", func(t *testing.T) {
		f := newFake()
		var cuts, arrived atomic.Int64
		transport := inMemory{to: f, cut: func(r *http.Request) (before, after error) {
			if !isOperation(r) {
				return nil, nil
			}
			switch cuts.Add(1) % 20 {
			case 0:
				return errors.New("cut before"), nil
			case 10:
				arrived.Add(1)
				return nil, errors.New("cut after")
			}
			arrived.Add(1)
			return nil, nil
		}}
		r, err := tryOn(t, transport, Options{Scenario: "mixed", Clients: 10, Duration: 2 * time.Second, Authorizations: 6})
		require.NoError(t, err)
		require.True(t, r.Integrity.OK, r.Integrity)
		require.Greater(t, r.Integrity.UnknownUnits, int64(100))
		require.Less(t, r.Integrity.Expected.Scheduled.Min, r.Integrity.Expected.Scheduled.Max)
		require.Equal(t, "transport error", r.Failures[0].Code)
		require.Equal(t, r.Integrity.UnknownUnits, r.Failures[0].Count)
		require.Equal(t, arrived.Load(), f.operations.Load())
		require.Equal(t, cuts.Load(), r.Accepted+r.Refused+r.Failed+r.WarmUp.Accepted+r.WarmUp.Refused+r.WarmUp.Failed)
		require.Contains(t, strings.Join(missed(r), "\n"), "failures, from warm-up to end")
	})

	virtual(t, "signs in again before the token ends", func(t *testing.T) {
		f := newFake()
		f.lifetime = time.Minute
		f.takes = func(int64) time.Duration { return time.Second }
		r := runOn(t, f, Options{Scenario: "high-throughput", Clients: 2, Authorizations: 3, Duration: 5 * time.Minute})
		require.Empty(t, r.Failures)
		require.Equal(t, int64(600), r.Accepted)
		require.Equal(t, 8, f.logins, "once, and then every 40 s")
	})

	virtual(t, "creates the service code if it is missing", func(t *testing.T) {
		f := newFake()
		f.noCodes = true
		r := runOn(t, f, Options{Scenario: "nearly-full", Clients: 2})
		require.True(t, r.Passed(), missed(r))
		require.Equal(t, 1, f.codesMade)
	})

	virtual(t, "counts only retries during the run", func(t *testing.T) {
		f := newFake() // one retry per operation
		f.operations.Store(5000)
		r := runOn(t, f, Options{Scenario: "high-throughput", Clients: 10, Authorizations: 5, Duration: 2 * time.Second})
		sent := f.operations.Load() - 5000
		require.Equal(t, sent, r.Retries.Retries)
		require.Equal(t, map[string]int64{"1": sent, "2": sent / 2}, r.Retries.Attempts)
		require.Equal(t, "authorization.reserve", r.Retries.Operations[0].Operation)
		var sum int64
		for _, p := range r.RetrySeries {
			sum += p.Retries
		}
		require.Equal(t, sent, sum)
		require.InDelta(t, -0.5, r.RetrySeries[0].T, 0.01)
	})

	virtual(t, "gives up on a server that does not answer, and reports the unsent requests", func(t *testing.T) {
		f := newFake()
		f.takes = func(int64) time.Duration { return time.Hour }
		r := runOn(t, f,
			Options{Scenario: "high-throughput", Clients: 3, Authorizations: 2, Duration: 2 * time.Second, Rate: 10})
		require.Zero(t, r.Accepted)
		require.Equal(t, []Failure{
			{Code: "not sent", Count: 27, Example: r.Failures[0].Example},
			{Code: "unanswered at the end", Count: 3, Example: "context deadline exceeded"},
		}, r.Failures)
		require.Equal(t, int64(27), r.Failed)
		require.Equal(t, int64(3), r.WarmUp.Failed)
		require.Equal(t, int64(3), r.Integrity.UnknownUnits)
	})

	virtual(t, "writes a line of progress every second", func(t *testing.T) {
		var written lines
		runOn(t, newFake(),
			Options{
				Scenario:       "high-throughput",
				Clients:        10,
				Authorizations: 5,
				Duration:       2500 * time.Millisecond,
				Progress:       &written,
			})
		text := written.String()
		require.Contains(t, text, "Creating 5 authorizations …\n")
		require.Equal(t, 4, strings.Count(text, "accepted ("), text) // after 1, 2 and 3 s, and at the end
		require.Regexp(t, `(?m)^  3\.0 s  [23],\d+ accepted \([\d,.]+/s\), 0 refused, 0 failed, p95 9\.\d+ ms$`, text)
	})
}

type lines struct {
	mutex sync.Mutex
	bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.Buffer.Write(p)
}

func TestOpenLoop(t *testing.T) {
	t.Parallel()

	// One client and 100 requests per second. Requests take no time, except that the
	// server stalls once for one second.
	stall := func(n int64) time.Duration {
		if n == 150 {
			return time.Second
		}
		return 0
	}

	virtual(t, "counts latency from the time a request was due", func(t *testing.T) {
		f := newFake()
		f.takes = stall
		r := runOn(t, f,
			Options{Scenario: "high-throughput", Clients: 1, Authorizations: 1, Duration: 4 * time.Second, Rate: 100})
		require.Equal(t, int64(400), r.Accepted)
		// Requests due in that second waited 1 s, 0.99 s, … 0.01 s.
		require.InDelta(t, 1000, r.LatencyMs.Max, 0.01)
		require.InDelta(t, 960, r.LatencyMs.P99, 0.01)
		require.InDelta(t, 800, r.LatencyMs.P95, 0.01)
		require.Zero(t, r.LatencyMs.P50)
		// From the server's view, only one request was slow.
		require.InDelta(t, 1000, r.ServiceMs.Max, 0.01)
		require.Zero(t, r.ServiceMs.P99)

		waiting := int64(0)
		for _, p := range r.Series {
			waiting = max(waiting, p.Waiting)
		}
		require.InDelta(t, 75, waiting, 26, "the queue grows visibly") // 100 at the peak, sampled every 250 ms
	})

	virtual(t, "differs from the closed loop, which has one slow request", func(t *testing.T) {
		f := newFake()
		f.takes = func(n int64) time.Duration { return max(stall(n), 10*time.Millisecond) }
		r := runOn(t, f, Options{Scenario: "high-throughput", Clients: 1, Authorizations: 1, Duration: 4 * time.Second})
		require.Equal(t, 1000.0, r.LatencyMs.Max)
		require.Equal(t, 10.0, r.LatencyMs.P99)
		require.Nil(t, r.ServiceMs)
	})

	virtual(t, "lets the queue of a slow server grow, and drops nothing", func(t *testing.T) {
		f := newFake()
		f.serial = make(chan struct{}, 1) // 100 per second at most
		r := runOn(t, f,
			Options{Scenario: "high-throughput", Clients: 5, Authorizations: 3, Duration: 9 * time.Second, Rate: 200})
		require.Equal(t, int64(9*200), r.Accepted)
		require.Zero(t, r.Failed)
		require.InDelta(t, 100, r.AcceptedPerSecond, 1)
		// The last of 2,000 was due after 10 s, and answered after 20 s.
		require.InDelta(t, 10_000, r.LatencyMs.Max, 20)
		require.InDelta(t, 50, r.ServiceMs.P50, 1, "five requests are on the server at once")
		require.InDelta(t, 995, r.Series[len(r.Series)-1].Waiting, 2)
		require.False(t, r.Passed())
	})
}

func TestOptions(t *testing.T) {
	t.Parallel()
	good := Options{Scenario: "mixed", URLs: []string{"http://127.0.0.1:8080/"}}

	t.Run("get the scenario's defaults", func(t *testing.T) {
		t.Parallel()
		o, s, err := good.resolve()
		require.NoError(t, err)
		require.Equal(t, "mixed", s.Name)
		require.Equal(t, 100, o.Clients)
		require.Equal(t, 10*time.Second, o.Duration)
		require.Equal(t, []string{"http://127.0.0.1:8080/api/v1"}, o.URLs)
	})
	t.Run("may name the API itself", func(t *testing.T) {
		t.Parallel()
		address, err := baseURL("https://omni.example/practice/api/v1/")
		require.NoError(t, err)
		require.Equal(t, "https://omni.example/practice/api/v1", address)
	})
	for name, change := range map[string]func(*Options){
		"name no scenario":                 func(o *Options) { o.Scenario = "medium" },
		"have no clients":                  func(o *Options) { o.Clients = -1 },
		"run backwards":                    func(o *Options) { o.Duration = -time.Second },
		"have a negative rate":             func(o *Options) { o.Rate = -1 },
		"have a rate that is not a number": func(o *Options) { o.Rate = math.NaN() },
		"mix on a single authorization":    func(o *Options) { o.Authorizations = 1 },
		"contend for two authorizations":   func(o *Options) { o.Scenario, o.Authorizations = "high-contention", 2 },
		"have a server without an address": func(o *Options) { o.URLs = []string{"127.0.0.1:8080"} },
	} {
		t.Run("are refused when they "+name, func(t *testing.T) {
			t.Parallel()
			o := good
			change(&o)
			_, err := Run(t.Context(), o)
			require.Error(t, err)
			_, _, resolved := o.resolve()
			require.Equal(t, resolved, err, "without a request to any server")
		})
	}

	virtual(t, "end in an error if the sign-in is wrong", func(t *testing.T) {
		_, err := tryOn(t, inMemory{to: newFake()}, Options{Scenario: "mixed", Email: "admin@demo.test", Password: "guess"})
		status, ok := errors.AsType[*StatusError](err)
		require.True(t, ok, err)
		require.Equal(t, http.StatusUnauthorized, status.Status)
		require.Equal(t, "wrong-credentials", status.Code)
	})
}
