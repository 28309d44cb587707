package harness

import (
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// History records the requests and answers of clients. porcupine then checks whether
// there is an order of operations, consistent with their times, in which every answer
// is correct. A request without an answer stays open until a repetition with the same
// key gets one.
type History struct {
	Contended atomic.Int64 // answers that ask for a retry because of contention
	Retries   atomic.Int64 // answers that ask for a retry, or no answer

	mu     sync.Mutex
	events []porcupine.Operation
}

// retryUntilAnswered repeats a request with one key until it is accepted or refused. at returns
// the instance for each attempt.
func (h *History) retryUntilAnswered(t testing.TB, at func(n int) Caller, q request) Answer {
	key, began, unknown := uuid.NewString(), time.Now(), false
	for n := 0; ; n++ {
		a, err := at(n).WithHeader("Idempotency-Key", key).TryPost(t, q.path+"/"+q.verb, q.body())
		switch code := a.Text("code"); {
		case err != nil:
			unknown = true // it may have been executed
		case a.Status < http.StatusInternalServerError:
			if a.Header.Get("Idempotency-Replayed") != "" && !unknown {
				t.Errorf("it was executed, although the answer said that nothing had changed: %s", a.Raw)
			}
			h.record(q, outcomeOf(t, q, a), began)
			return a
		case slices.Contains([]string{
			"contention", "database-unavailable", "database-read-only", "database-full", "database-busy",
			"outcome-unknown", "queue-full", "shutting-down", "timeout", "token-not-checked",
		}, code):
			unknown = unknown || code == "outcome-unknown"
			if a.Header.Get("Retry-After") == "" {
				t.Errorf("it has no Retry-After: %s", a.Raw)
			}
			if code == "contention" {
				h.Contended.Add(1)
			}
		default:
			t.Errorf("neither an answer nor a request to retry: %s", a.Raw)
			return a
		}
		if time.Since(began) > 2*time.Minute {
			t.Errorf("no answer to %+v", q)
			return a
		}
		h.Retries.Add(1)
		time.Sleep(20 * time.Millisecond) // a client's delay, not synchronization
	}
}

// Reserve reserves units on one instance, and repeats the request until it is answered.
func (h *History) Reserve(t testing.TB, c Caller, path string, units int) Answer {
	return h.retryUntilAnswered(t, func(int) Caller { return c }, request{
		path: path, verb: "reserve", units: units,
	})
}

func (h *History) record(q request, r outcome, began time.Time) {
	ended := time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, porcupine.Operation{
		ClientId: len(h.events), Input: q, Call: began.UnixNano(), Output: r, Return: ended.UnixNano(),
	})
}

// answered returns the number of answered calls.
func (h *History) answered() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.events)
}

// AwaitAnswers waits until more calls have been answered.
func (h *History) AwaitAnswers(t testing.TB, more int, why ...any) {
	t.Helper()
	before := h.answered()
	require.Eventually(t, func() bool { return h.answered() >= before+more }, 2*time.Minute, time.Millisecond, why...)
}

// StartClients lets clients send random requests until stop is called, and then complete the last one.
func (h *History) StartClients(t testing.TB, many int, paths []string, at func(client, n int) Caller) (stop func()) {
	var all sync.WaitGroup
	stopped := make(chan struct{})
	seed := rand.Uint64()
	t.Logf("clients use seed %d", seed)
	for client := range many {
		random := rand.New(rand.NewPCG(seed, uint64(client)))
		all.Go(func() {
			mine := map[string][]string{} // reservations, by path
			for {
				select {
				case <-stopped:
					return
				default:
				}
				path := paths[random.IntN(len(paths))]
				q := randomRequest(random, path, mine[path])
				a := h.retryUntilAnswered(t, func(n int) Caller { return at(client, n) }, q)
				if q.verb == "reserve" && a.Status == http.StatusCreated {
					mine[path] = append(mine[path], a.ReservationID(t))
				}
			}
		})
	}
	return func() { close(stopped); all.Wait() }
}

// RequireConsistent checks the ledger, that every accepted operation and no other is stored
// once, and that the answers are linearizable. The totals belong to all used
// authorizations.
func (h *History) RequireConsistent(t testing.TB, c *Clinic, totals map[string]int) {
	t.Helper()
	c.RequireClean(t)
	accepted := map[string]int{}
	for _, e := range h.events {
		if q, r := e.Input.(request), e.Output.(outcome); r.code == "" {
			accepted[q.path]++
		}
	}
	for path := range totals {
		require.Equal(t, accepted[path], countOperations(t, c, path), "operations of %s that took effect", path)
		a := c.Admin().Get(t, path)
		h.record(request{path: path, verb: "look"}, outcome{
			used: a.Number(t, "usedUnits"), scheduled: a.Number(t, "scheduledUnits"), available: a.Number(t, "availableUnits"),
		}, time.Now())
	}
	h.RequireLinearizable(t, totals)
	t.Logf("%d calls answered, %d retries requested", len(h.events), h.Retries.Load())
}

// AwaitRetries waits until clients were asked to retry more often.
func (h *History) AwaitRetries(t testing.TB, more int64) {
	t.Helper()
	before := h.Retries.Load()
	require.Eventually(t, func() bool { return h.Retries.Load() >= before+more }, time.Minute, time.Millisecond)
}

// request is a call: reserve, release, consume, or a read of the balance.
type request struct {
	path, verb  string
	units       int    // 0: the rest of the reservation
	reservation string // "": the oldest ones
}

func (q request) body() Body {
	b := Body{}
	if q.units > 0 {
		b["units"] = q.units
	}
	if q.reservation != "" {
		b["reservationId"] = q.reservation
	}
	return b
}

// outcome is what a request led to: a refusal's code, or the balance afterwards.
type outcome struct {
	code            string
	used, scheduled int
	available       int    // or the available units in a refusal
	missing         int    // of a consume
	reservation     string // of a reserve
}

func outcomeOf(t testing.TB, q request, a Answer) outcome {
	if a.Status >= http.StatusBadRequest {
		r := outcome{code: a.Text("code")}
		if r.code == "insufficient-units" {
			r.available = a.Number(t, "available")
		}
		return r
	}
	r := outcome{
		used: a.Number(t, "authorization", "usedUnits"), scheduled: a.Number(t, "authorization", "scheduledUnits"),
		available: a.Number(t, "authorization", "availableUnits"),
	}
	switch q.verb {
	case "reserve":
		r.reservation = a.ReservationID(t)
	case "consume":
		r.missing = a.Number(t, "missingUnits")
	}
	return r
}

// randomRequest chooses the next request at random. Named reservations may be closed by now.
func randomRequest(random *rand.Rand, path string, mine []string) request {
	q := request{
		path:  path,
		verb:  []string{"reserve", "reserve", "release", "release", "consume"}[random.IntN(5)],
		units: 1 + random.IntN(3),
	}
	if q.verb == "reserve" || random.IntN(4) == 0 {
		return q
	}
	if len(mine) == 0 {
		q.verb = "reserve"
		return q
	}
	q.reservation, q.units = mine[len(mine)-1-random.IntN(min(3, len(mine)))], random.IntN(4)
	return q
}

// countOperations counts the operations in the ledger of an authorization.
func countOperations(t testing.TB, c *Clinic, path string) int {
	t.Helper()
	return c.Count(t,
		"SELECT count(DISTINCT operation_id) FROM unit_entries WHERE '/authorizations/' || authorization_id = $1", path)
}
