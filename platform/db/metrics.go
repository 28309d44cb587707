package db

import (
	"cmp"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Metrics counts the work of the runner. It is an [Observer]. Safe for concurrent use.
type Metrics struct {
	mu         sync.Mutex
	operations map[string]*operationMetrics
	health     *health
}

type operationMetrics struct {
	results    map[Result]int64
	retried    int64 // committed after at least one retry
	causes     map[retryCause]int64
	attempts   map[int]int64
	slept      time.Duration
	resolved   int64
	unresolved int64
}

type retryCause struct{ sqlState, phase string }

// NewMetrics returns empty metrics.
func NewMetrics() *Metrics {
	return &Metrics{operations: map[string]*operationMetrics{}, health: newHealth()}
}

func (m *Metrics) of(operation string) *operationMetrics {
	o := m.operations[operation]
	if o == nil {
		o = &operationMetrics{results: map[Result]int64{}, causes: map[retryCause]int64{}, attempts: map[int]int64{}}
		m.operations[operation] = o
	}
	return o
}

// Retried implements [Observer].
func (m *Metrics) Retried(r Retry) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.of(r.Operation).causes[retryCause{r.SQLState, r.Phase}]++
}

// Finished implements [Observer].
func (m *Metrics) Finished(f Outcome) {
	if f.Result == Unavailable {
		m.health.refused(f.SQLState)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	o := m.of(f.Operation)
	o.results[f.Result]++
	o.attempts[f.Attempts]++
	o.slept += f.Slept
	if f.Result == Committed && f.Attempts > 1 {
		o.retried++
	}
	if f.Result == Ambiguous {
		o.unresolved++
	} else {
		o.resolved += int64(f.Ambiguities)
	}
}

// MetricsSnapshot contains the counts since the program started.
type MetricsSnapshot struct {
	// The number of operations that committed after at least one retry.
	Retries    int64              `json:"retries"`
	Failures   int64              `json:"failures"`   // The number of operations that used up all attempts.
	Operations []OperationMetrics `json:"operations"` // The counts of each operation.
}

// OperationMetrics are the counts of one operation.
type OperationMetrics struct {
	Operation string `json:"operation"` // The name of the operation.
	Committed int64  `json:"committed"` // The number of operations that committed.
	// The number of operations that a rule refused.
	Refused int64 `json:"refused"`
	// The number of operations that committed after at least one retry.
	Retries int64 `json:"retries"`
	// The number of operations that used up all attempts.
	Failures int64 `json:"failures"`
	// The number of operations whose caller gave up.
	Cancelled int64 `json:"cancelled"`
	// The number of operations that failed because the database did not answer.
	Unavailable int64 `json:"unavailable"`
	// The number of commits without a reply whose outcome was found.
	AmbiguousResolved int64 `json:"ambiguousResolved"`
	// The number of commits without a reply whose outcome was not found.
	AmbiguousUnresolved int64 `json:"ambiguousUnresolved"`
	// The number of operations by number of attempts.
	Attempts map[string]int64 `json:"attempts"`
	// The total time between attempts, in seconds.
	SleptSeconds float64 `json:"sleptSeconds"`
	// The failed attempts that were repeated, by cause.
	RetriedAttempts []RetriedAttempt `json:"retriedAttempts"`
}

// RetriedAttempt is the number of attempts that failed for one cause and were repeated.
type RetriedAttempt struct {
	SQLState string `json:"sqlState"` // The SQLSTATE of the error. Empty if the connection broke.
	Phase    string `json:"phase"`    // The part of the transaction that failed.
	Count    int64  `json:"count"`    // The number of attempts.
}

// Snapshot returns the current counts, with operations ordered by name.
func (m *Metrics) Snapshot() MetricsSnapshot {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := MetricsSnapshot{Operations: []OperationMetrics{}}
	for name, o := range m.operations {
		counts := OperationMetrics{
			Operation: name, Committed: o.results[Committed], Refused: o.results[Refused], Retries: o.retried,
			Failures: o.results[Exhausted], Cancelled: o.results[Cancelled], Unavailable: o.results[Unavailable],
			AmbiguousResolved: o.resolved, AmbiguousUnresolved: o.unresolved,
			Attempts: map[string]int64{}, SleptSeconds: o.slept.Seconds(), RetriedAttempts: []RetriedAttempt{},
		}
		for attempts, n := range o.attempts {
			counts.Attempts[strconv.Itoa(attempts)] = n
		}
		for cause, n := range o.causes {
			counts.RetriedAttempts = append(counts.RetriedAttempts, RetriedAttempt{cause.sqlState, cause.phase, n})
		}
		slices.SortFunc(counts.RetriedAttempts, func(a, b RetriedAttempt) int {
			return cmp.Or(cmp.Compare(a.SQLState, b.SQLState), cmp.Compare(a.Phase, b.Phase))
		})
		s.Retries += counts.Retries
		s.Failures += counts.Failures
		s.Operations = append(s.Operations, counts)
	}
	slices.SortFunc(s.Operations, func(a, b OperationMetrics) int { return cmp.Compare(a.Operation, b.Operation) })
	return s
}
