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
	combiners  combinerMetrics
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
	return &Metrics{operations: map[string]*operationMetrics{}, combiners: newCombinerMetrics(), health: newHealth()}
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

// MetricsSnapshot holds the counts since the program started.
type MetricsSnapshot struct {
	Retries    int64              `json:"retries"`  // operations that committed after at least one retry
	Failures   int64              `json:"failures"` // operations that used up all attempts
	Operations []OperationMetrics `json:"operations"`
}

// OperationMetrics are the counts of one operation.
type OperationMetrics struct {
	Operation           string           `json:"operation"`
	Committed           int64            `json:"committed"`
	Refused             int64            `json:"refused"`
	Retries             int64            `json:"retries"`  // committed after at least one retry
	Failures            int64            `json:"failures"` // all attempts used up
	Cancelled           int64            `json:"cancelled"`
	Unavailable         int64            `json:"unavailable"`
	AmbiguousResolved   int64            `json:"ambiguousResolved"`
	AmbiguousUnresolved int64            `json:"ambiguousUnresolved"`
	Attempts            map[string]int64 `json:"attempts"` // number of operations by number of attempts
	SleptSeconds        float64          `json:"sleptSeconds"`
	RetriedAttempts     []RetriedAttempt `json:"retriedAttempts"`
}

// RetriedAttempt counts attempts that failed for one cause and were repeated.
type RetriedAttempt struct {
	SQLState string `json:"sqlState"` // empty if the connection broke
	Phase    string `json:"phase"`
	Count    int64  `json:"count"`
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
