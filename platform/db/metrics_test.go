package db_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/dbtest"
)

func TestMetrics(t *testing.T) {
	t.Parallel()

	t.Run("it counts a scripted run exactly", func(t *testing.T) {
		t.Parallel()
		delay := time.Millisecond
		c := newCounters(t, dbtest.WithPolicy(db.Policy{MaxAttempts: 3, BaseDelay: delay, MaxDelay: delay}))
		// failing runs an operation whose attempts fail with 40001 the given number of
		// times.
		failing := func(operation string, failures int, then error) {
			_, _ = db.Serializable(t.Context(), c.DB, operation, func(ctx context.Context) (int, error) {
				if failures > 0 {
					failures--
					return 0, c.overtaken(ctx, 1)
				}
				return 0, then
			})
		}
		failing("book", 0, nil)
		failing("book", 0, nil)
		failing("book", 1, nil)
		failing("book", 2, nil)
		failing("book", 3, nil)
		failing("cancel", 1, errors.New("refused"))
		cancelled, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := db.Snapshot(cancelled, c.DB, "cancel", func(context.Context) (int, error) { return 0, nil })
		require.ErrorIs(t, err, context.Canceled)

		got, err := json.Marshal(c.Metrics().Snapshot())
		require.NoError(t, err)
		require.JSONEq(t, `{
			"retries": 2, "failures": 1,
			"operations": [
				{"operation": "book", "committed": 4, "refused": 0, "retries": 2, "failures": 1, "cancelled": 0, "unavailable": 0,
				 "ambiguousResolved": 0, "ambiguousUnresolved": 0, "attempts": {"1": 2, "2": 1, "3": 2}, "sleptSeconds": 0.005,
				 "retriedAttempts": [{"sqlState": "40001", "phase": "body", "count": 5}]},
				{"operation": "cancel", "committed": 0, "refused": 1, "retries": 0, "failures": 0, "cancelled": 1, "unavailable": 0,
				 "ambiguousResolved": 0, "ambiguousUnresolved": 0, "attempts": {"1": 1, "2": 1}, "sleptSeconds": 0.001,
				 "retriedAttempts": [{"sqlState": "40001", "phase": "body", "count": 1}]}
			]}`, string(got))

		require.Equal(t, map[string]float64{
			"omnirapeutic_transactions_total":                 4 + 1 + 1 + 1,
			"omnirapeutic_transaction_retries_total":          2,
			"omnirapeutic_transaction_failures_total":         1,
			"omnirapeutic_transaction_retried_attempts_total": 6,
			"omnirapeutic_transaction_slept_seconds_total":    0.006,
			"omnirapeutic_ambiguous_commits_total":            0,
			"omnirapeutic_transaction_attempts":               2*1 + 1*2 + 2*3 + 1 + 2,
			"omnirapeutic_database_state":                     1, // for one of the states
			"omnirapeutic_lock_wait_seconds":                  0,
			"omnirapeutic_lock_waiting_transactions":          0,
			"omnirapeutic_lock_hold_seconds":                  0,
			"omnirapeutic_lock_held_seconds_total":            0,
			"omnirapeutic_unanswered_commits":                 0,
		}, sums(t, c.Metrics()), "Prometheus has the same counts")
	})
}

// sums returns each metric summed over its labels; a histogram counts with its sum.
func sums(t testing.TB, c prometheus.Collector) map[string]float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	require.NoError(t, registry.Register(c))
	families, err := registry.Gather()
	require.NoError(t, err)
	total := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			total[f.GetName()] += m.GetCounter().GetValue() + m.GetGauge().GetValue() + m.GetHistogram().GetSampleSum()
		}
	}
	return total
}

func TestLogTo(t *testing.T) {
	t.Parallel()
	for name, tell := range map[string]func(db.Observer){
		`level=debug msg="a transaction attempt failed and is retried"` +
			` attempt=2 delay_ms=10 event=transaction_retried operation=book phase=commit sqlstate=40001`: func(o db.Observer) {
			o.Retried(db.Retry{Operation: "book", Attempt: 2, SQLState: "40001", Phase: "commit", Delay: 10 * time.Millisecond})
		},
		`level=warning msg="deadlock: two transactions took locks in different orders"` +
			` attempt=1 delay_ms=0 event=transaction_retried operation=book phase=body sqlstate=40P01`: func(o db.Observer) {
			o.Retried(db.Retry{Operation: "book", Attempt: 1, SQLState: "40P01", Phase: "body"})
		},
		`level=error msg="all attempts lost to concurrent transactions"` +
			` attempts=5 elapsed_ms=150 error="no luck" event=transaction_exhausted operation=book sqlstate=40001`: func(o db.Observer) {
			o.Finished(db.Outcome{
				Operation: "book",
				Result:    db.Exhausted,
				Attempts:  5,
				Elapsed:   150 * time.Millisecond,
				SQLState:  "40001",
				Err:       errors.New("no luck"),
			})
		},
		`level=error msg="the outcome of a COMMIT is unknown"` +
			` attempts=1 elapsed_ms=0 error="no luck" event=commit_ambiguous operation=book sqlstate=`: func(o db.Observer) {
			o.Finished(db.Outcome{Operation: "book", Result: db.Ambiguous, Attempts: 1, Err: errors.New("no luck")})
		},
		`level=warning msg="the reply to a COMMIT was lost, and its outcome was determined"` +
			` attempts=1 elapsed_ms=0 event=commit_resolved operation=book sqlstate=`: func(o db.Observer) {
			o.Finished(db.Outcome{Operation: "book", Result: db.Committed, Attempts: 1, Ambiguities: 1})
		},
		"": func(o db.Observer) { o.Finished(db.Outcome{Operation: "book", Result: db.Committed, Attempts: 1}) },
	} {
		t.Run("it writes "+name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			logger := logrus.New()
			logger.SetOutput(&log)
			logger.SetLevel(logrus.DebugLevel)
			logger.SetFormatter(&logrus.TextFormatter{DisableColors: true, DisableTimestamp: true})
			tell(db.LogTo(logger))
			require.Equal(t, name, string(bytes.TrimSpace(log.Bytes())))
		})
	}
}
