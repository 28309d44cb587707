package loadtest

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// Retries are the transaction retries during the load, as counted by the servers.
type Retries struct {
	Retries    int64              `json:"retries"`
	Failures   int64              `json:"failures"`       // transactions that used up all attempts
	Attempts   map[string]int64   `json:"attempts"`       // number of transactions by number of attempts
	Operations []OperationRetries `json:"operations"`     // operations that ran, by name
	Note       string             `json:"note,omitempty"` // why there are no figures
}

// OperationRetries are the retries of one kind of transaction.
type OperationRetries struct {
	Operation string           `json:"operation"`
	Retries   int64            `json:"retries"`
	Failures  int64            `json:"failures"`
	Attempts  map[string]int64 `json:"attempts"`
}

// RetryPoint is one reading of the server's counters during the load.
type RetryPoint struct {
	T        float64 `json:"t"`        // seconds since the start of the measured time; negative in the warm-up
	Retries  int64   `json:"retries"`  // since the previous reading
	Failures int64   `json:"failures"` // since the previous reading
}

// retryInterval is the time between two readings.
const retryInterval = 500 * time.Millisecond

// retryWatch reads the retry metrics while the load runs.
type retryWatch struct {
	servers  servers
	cancel   context.CancelFunc
	ended    chan struct{}
	readings []reading
	err      error // error of the first reading
}

type reading struct {
	at      time.Time
	metrics Retries
}

// watchRetries takes a first reading, so that earlier retries do not count.
func watchRetries(ctx context.Context, of servers) *retryWatch {
	w := &retryWatch{servers: of, ended: make(chan struct{})}
	w.err = w.read(ctx)
	ctx, w.cancel = context.WithCancel(ctx)
	go func() {
		defer close(w.ended)
		for w.err == nil && sleep(ctx, retryInterval) {
			_ = w.read(ctx) // failed readings are skipped
		}
	}()
	return w
}

func (w *retryWatch) read(ctx context.Context) error {
	var all Retries
	for _, server := range w.servers {
		metrics, err := readRetries(ctx, server)
		if err != nil {
			return err
		}
		all = all.plus(metrics)
	}
	w.readings = append(w.readings, reading{time.Now(), all})
	return nil
}

// stop takes a last reading. Times are relative to from.
func (w *retryWatch) stop(ctx context.Context, from time.Time) (Retries, []RetryPoint) {
	w.cancel()
	<-w.ended
	if w.err == nil {
		w.err = w.read(ctx)
	}
	if w.err != nil {
		return Retries{Attempts: map[string]int64{}, Operations: []OperationRetries{}, Note: w.err.Error()}, nil
	}
	points := make([]RetryPoint, 0, len(w.readings))
	for i, r := range w.readings[1:] {
		before := w.readings[i].metrics
		points = append(points, RetryPoint{
			T:        r.at.Sub(from).Seconds(),
			Retries:  growth(before.Retries, r.metrics.Retries),
			Failures: growth(before.Failures, r.metrics.Failures),
		})
	}
	return w.readings[len(w.readings)-1].metrics.since(w.readings[0].metrics), points
}

// readRetries decodes leniently: it uses the numbers that exist.
func readRetries(ctx context.Context, server *api) (Retries, error) {
	var found struct {
		Retries    int64
		Failures   int64
		Operations []struct {
			Operation string
			Retries   int64
			Failures  int64
			Attempts  json.RawMessage
		}
	}
	if err := server.call(ctx, http.MethodGet, "/admin/retry-metrics", nil, &found); err != nil {
		return Retries{}, err
	}
	metrics := Retries{Retries: found.Retries, Failures: found.Failures}
	for _, o := range found.Operations {
		attempts := map[string]int64{}
		if json.Unmarshal(o.Attempts, &attempts) != nil {
			clear(attempts) // unknown format: ignore it
		}
		metrics.Operations = append(metrics.Operations, OperationRetries{o.Operation, o.Retries, o.Failures, attempts})
	}
	return metrics, nil
}

// plus returns the sum of the counts of two servers.
func (r Retries) plus(other Retries) Retries {
	sum := Retries{Retries: r.Retries + other.Retries, Failures: r.Failures + other.Failures}
	byName := map[string]OperationRetries{}
	for _, o := range slices.Concat(r.Operations, other.Operations) {
		s := byName[o.Operation]
		attempts := maps.Clone(o.Attempts)
		for attempt, n := range s.Attempts {
			attempts[attempt] += n
		}
		byName[o.Operation] = OperationRetries{o.Operation, s.Retries + o.Retries, s.Failures + o.Failures, attempts}
	}
	sum.Operations = slices.Collect(maps.Values(byName)) // sorted later: see since
	return sum
}

// since returns the difference to the earlier reading. Operations that did not run in
// between are omitted.
func (r Retries) since(earlier Retries) Retries {
	before := map[string]OperationRetries{}
	for _, o := range earlier.Operations {
		before[o.Operation] = o
	}
	added := Retries{
		Retries:    growth(earlier.Retries, r.Retries),
		Failures:   growth(earlier.Failures, r.Failures),
		Attempts:   map[string]int64{},
		Operations: []OperationRetries{},
	}
	for _, o := range r.Operations {
		b := before[o.Operation]
		grown := OperationRetries{
			Operation: o.Operation,
			Retries:   growth(b.Retries, o.Retries),
			Failures:  growth(b.Failures, o.Failures),
			Attempts:  map[string]int64{},
		}
		for attempt, n := range o.Attempts {
			if more := growth(b.Attempts[attempt], n); more > 0 {
				grown.Attempts[attempt] = more
				added.Attempts[attempt] += more
			}
		}
		if grown.Retries > 0 || grown.Failures > 0 || len(grown.Attempts) > 0 {
			added.Operations = append(added.Operations, grown)
		}
	}
	slices.SortFunc(added.Operations, func(a, b OperationRetries) int { return cmp.Compare(a.Operation, b.Operation) })
	return added
}

// growth returns the increase of a counter. A smaller value means that the counter was
// reset.
func growth(before, after int64) int64 {
	if after < before {
		return after
	}
	return after - before
}

// AttemptsInOrder returns the attempts ordered by number, with invalid ones last.
func AttemptsInOrder(attempts map[string]int64) []string {
	return slices.SortedFunc(maps.Keys(attempts), func(a, b string) int {
		return cmp.Or(cmp.Compare(attemptNumber(a), attemptNumber(b)), cmp.Compare(a, b))
	})
}

func attemptNumber(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 1 << 30
	}
	return n
}
