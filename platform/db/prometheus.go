package db

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

var (
	descOperations = prometheus.NewDesc("omnirapeutic_transactions_total",
		"Operations by result.", []string{"operation", "result"}, nil)
	descRetries = prometheus.NewDesc("omnirapeutic_transaction_retries_total",
		"Operations that committed after at least one retry.", []string{"operation"}, nil)
	descFailures = prometheus.NewDesc("omnirapeutic_transaction_failures_total",
		"Operations that used up all attempts.", []string{"operation"}, nil)
	descRetried = prometheus.NewDesc("omnirapeutic_transaction_retried_attempts_total",
		"Attempts that failed and were repeated.", []string{"operation", "sqlstate", "phase"}, nil)
	descAttempts = prometheus.NewDesc("omnirapeutic_transaction_attempts",
		"Number of attempts per operation.", []string{"operation"}, nil)
	descSlept = prometheus.NewDesc("omnirapeutic_transaction_slept_seconds_total",
		"Time spent waiting between attempts.", []string{"operation"}, nil)
	descAmbiguous = prometheus.NewDesc("omnirapeutic_ambiguous_commits_total",
		"Commits whose reply was lost.", []string{"operation", "resolved"}, nil)
	descState = prometheus.NewDesc("omnirapeutic_database_state",
		"1 for the state that transactions met in the last seconds.", []string{"state"}, nil)
	descLockWait = prometheus.NewDesc("omnirapeutic_lock_wait_seconds",
		"Current wait of a transaction for the lock that instances share.", nil, nil)
	descLockWaiting = prometheus.NewDesc("omnirapeutic_lock_waiting_transactions",
		"Transactions of this instance that wait for the lock that instances share.", nil, nil)
	descLockHold = prometheus.NewDesc("omnirapeutic_lock_hold_seconds",
		"Age of the transaction of this instance that holds the lock that instances share, 0 if none does.", nil, nil)
	descLockHeld = prometheus.NewDesc("omnirapeutic_lock_held_seconds_total",
		"Time for which transactions of this instance have held the lock that instances share.", nil, nil)
	descOwed = prometheus.NewDesc("omnirapeutic_unanswered_commits",
		"Connections on which the server has not answered a COMMIT whose caller has left.", nil, nil)
)

// attemptBuckets are the upper bounds of the histogram of attempts.
var attemptBuckets = []int{1, 2, 3, 4, 5, 6, 7, 10}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descOperations, descRetries, descFailures, descRetried, descAttempts, descSlept, descAmbiguous, descState,
		descLockWait, descLockWaiting, descLockHold, descLockHeld, descOwed,
	} {
		to <- d
	}
}

// Collect implements prometheus.Collector. It reports the same counts as
// [Metrics.Snapshot].
func (m *Metrics) Collect(to chan<- prometheus.Metric) {
	count := func(d *prometheus.Desc, n float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, n, labels...)
	}
	m.health.collect(to)
	for _, o := range m.Snapshot().Operations {
		for result, n := range map[Result]int64{
			Committed: o.Committed, Refused: o.Refused, Exhausted: o.Failures, Cancelled: o.Cancelled,
			Unavailable: o.Unavailable, Ambiguous: o.AmbiguousUnresolved,
		} {
			count(descOperations, float64(n), o.Operation, string(result))
		}
		count(descRetries, float64(o.Retries), o.Operation)
		count(descFailures, float64(o.Failures), o.Operation)
		for _, r := range o.RetriedAttempts {
			count(descRetried, float64(r.Count), o.Operation, r.SQLState, r.Phase)
		}
		count(descSlept, o.SleptSeconds, o.Operation)
		count(descAmbiguous, float64(o.AmbiguousResolved), o.Operation, "true")
		count(descAmbiguous, float64(o.AmbiguousUnresolved), o.Operation, "false")
		to <- attemptHistogram(o)
	}
}

// collect reports the observed state of the database.
func (h *health) collect(to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	current := h.current()
	for _, s := range []State{ReadWrite, ReadOnly, Full, Blocked, Unconfirmed, SchemaMismatch} {
		value := 0.0
		if s == current {
			value = 1
		}
		gauge(descState, value, string(s))
	}
	locks := h.lockUse()
	gauge(descLockWait, locks.longestWait.Seconds())
	gauge(descLockWaiting, float64(locks.waiting))
	gauge(descLockHold, locks.longestHold.Seconds())
	to <- prometheus.MustNewConstMetric(descLockHeld, prometheus.CounterValue, locks.heldUntilNow.Seconds())
	h.mu.Lock()
	defer h.mu.Unlock()
	gauge(descOwed, float64(h.unanswered))
}

func attemptHistogram(o OperationMetrics) prometheus.Metric {
	var operations uint64
	var sum float64
	buckets := make(map[float64]uint64, len(attemptBuckets))
	for text, n := range o.Attempts {
		attempts, err := strconv.Atoi(text)
		if err != nil {
			panic(err) // Snapshot writes valid numbers
		}
		operations += uint64(n) //nolint:gosec // a count
		sum += float64(attempts) * float64(n)
		for _, bound := range attemptBuckets {
			if attempts <= bound {
				buckets[float64(bound)] += uint64(n) //nolint:gosec // a count
			}
		}
	}
	return prometheus.MustNewConstHistogram(descAttempts, operations, sum, buckets, o.Operation)
}
