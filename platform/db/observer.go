package db

import (
	"context"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/sirupsen/logrus"
	"gorm.io/gorm/logger"
)

// Observer is notified of the runner's work, except for operations whose function
// panics. Its methods are called concurrently and must not block.
type Observer interface {
	Retried(Retry)    // an attempt failed, the delay is over, and another begins
	Finished(Outcome) // an operation has ended
}

// Retry is a failed attempt that was followed by another.
type Retry struct {
	Operation string
	Attempt   int    // number of the failed attempt, from 1
	SQLState  string // empty if the connection broke; 40003 if it broke at COMMIT
	Phase     string // begin, body or commit
	Delay     time.Duration
	Err       error
}

// Result is the result of an operation.
type Result string

// The results of operations.
const (
	Committed   Result = "committed"
	Refused     Result = "refused"     // by the caller's own function, or by a constraint
	Exhausted   Result = "exhausted"   // all attempts used up: *[ContentionError]
	Ambiguous   Result = "ambiguous"   // *[AmbiguousCommitError]
	Unavailable Result = "unavailable" // *[UnavailableError]
	Cancelled   Result = "cancelled"   // the caller's context ended
)

// Outcome describes an operation that has ended.
type Outcome struct {
	Operation   string
	Result      Result
	Attempts    int
	Elapsed     time.Duration
	Slept       time.Duration // of Elapsed
	SQLState    string
	Ambiguities int // commits whose reply was lost
	Err         error
}

type observers []Observer

func (o observers) Retried(r Retry) {
	for _, each := range o {
		each.Retried(r)
	}
}

func (o observers) Finished(f Outcome) {
	for _, each := range o {
		each.Finished(f)
	}
}

// LogTo returns an observer that writes events to a log: transaction_retried,
// transaction_exhausted, commit_ambiguous. A deadlock is a warning, because it
// points at locks that are taken in different orders.
func LogTo(l logrus.FieldLogger) Observer { return eventLog{l} }

type eventLog struct{ logger logrus.FieldLogger }

func (e eventLog) Retried(r Retry) {
	log := e.logger.WithFields(logrus.Fields{
		"event": "transaction_retried", "operation": r.Operation, "attempt": r.Attempt,
		"sqlstate": r.SQLState, "phase": r.Phase, "delay_ms": r.Delay.Milliseconds(),
	})
	if r.SQLState == pgerrcode.DeadlockDetected {
		log.Warn("deadlock: two transactions took locks in different orders")
		return
	}
	log.Debug("a transaction attempt failed and is retried")
}

func (e eventLog) Finished(o Outcome) {
	log := e.logger.WithFields(logrus.Fields{
		"operation": o.Operation, "attempts": o.Attempts, "elapsed_ms": o.Elapsed.Milliseconds(), "sqlstate": o.SQLState,
	})
	switch {
	case o.Result == Exhausted:
		log.WithField("event", "transaction_exhausted").WithError(o.Err).Error("all attempts lost to concurrent transactions")
	case o.Result == Ambiguous:
		log.WithField("event", "commit_ambiguous").WithError(o.Err).Error("the outcome of a COMMIT is unknown")
	case o.Ambiguities > 0:
		log.WithField("event", "commit_resolved").Warn("the reply to a COMMIT was lost, and its outcome was determined")
	}
}

// queryLog is gorm's logger. It logs slow statements without values. It does not log
// errors, which their callers report.
type queryLog struct {
	logger logrus.FieldLogger
	slow   time.Duration
}

func (q queryLog) LogMode(logger.LogLevel) logger.Interface { return q }
func (queryLog) Info(context.Context, string, ...any)       {}
func (queryLog) Warn(context.Context, string, ...any)       {}
func (queryLog) Error(context.Context, string, ...any)      {}

// ParamsFilter keeps values out of the SQL that gorm hands to Trace.
func (queryLog) ParamsFilter(_ context.Context, sql string, _ ...any) (string, []any) {
	return sql, nil
}

// Scan has its statement recorded by gorm's default recorder, which keeps values unless
// this process-wide filter is set.
func init() { logger.RecorderParamsFilter = queryLog{}.ParamsFilter }

func (q queryLog) Trace(_ context.Context, begin time.Time, statement func() (sql string, rows int64), _ error) {
	elapsed := time.Since(begin)
	if q.logger == nil || q.slow == 0 || elapsed < q.slow {
		return
	}
	sql, rows := statement()
	q.logger.WithFields(logrus.Fields{
		"event": "slow_statement", "sql": sql, "rows": rows, "duration_ms": elapsed.Milliseconds(),
	}).Warn("slow statement")
}
