package db

import (
	"context"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/sirupsen/logrus"
	"gorm.io/gorm/logger"
)

// Observer is told of what the runner does, but not of an operation whose function
// panics. Its methods are called from many goroutines at once and must not block.
type Observer interface {
	Retried(Retry)    // an attempt failed, the delay is over, and another begins
	Finished(Outcome) // an operation has ended
}

// Retry is an attempt that failed and was followed by another.
type Retry struct {
	Operation string
	Attempt   int    // the one that failed, counted from 1
	SQLState  string // nothing where the connection broke; 40003 where that was at COMMIT
	Phase     string // begin, body or commit
	Delay     time.Duration
	Err       error
}

// Result is how an operation ended.
type Result string

// How an operation can end.
const (
	Committed   Result = "committed"
	Refused     Result = "refused"     // by the caller's own function, or by a constraint
	Exhausted   Result = "exhausted"   // all attempts used up: *[ContentionError]
	Ambiguous   Result = "ambiguous"   // *[AmbiguousCommitError]
	Unavailable Result = "unavailable" // *[UnavailableError]
	Cancelled   Result = "cancelled"   // the caller's context ended
)

// Outcome is an operation that has ended.
type Outcome struct {
	Operation   string
	Result      Result
	Attempts    int
	Elapsed     time.Duration
	Slept       time.Duration // of Elapsed
	SQLState    string
	Ambiguities int // commits whose answer was lost on the way
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
		log.Warn("two transactions waited for each other: locks are taken in different orders")
		return
	}
	log.Debug("an attempt failed and is made again")
}

func (e eventLog) Finished(o Outcome) {
	log := e.logger.WithFields(logrus.Fields{
		"operation": o.Operation, "attempts": o.Attempts, "elapsed_ms": o.Elapsed.Milliseconds(), "sqlstate": o.SQLState,
	})
	switch {
	case o.Result == Exhausted:
		log.WithField("event", "transaction_exhausted").WithError(o.Err).Error("all attempts were overtaken by concurrent transactions")
	case o.Result == Ambiguous:
		log.WithField("event", "commit_ambiguous").WithError(o.Err).Error("it is not known whether the transaction was committed")
	case o.Ambiguities > 0:
		log.WithField("event", "commit_resolved").Warn("the answer to a COMMIT was lost, and what happened was found out")
	}
}

// queryLog is gorm's log. It tells slow statements and never values; errors are
// told by whoever deals with them.
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

// Scan has its statement recorded by a logger of gorm's own, which keeps values in
// unless it is told otherwise, for the whole process.
func init() { logger.RecorderParamsFilter = queryLog{}.ParamsFilter }

func (q queryLog) Trace(_ context.Context, begin time.Time, statement func() (sql string, rows int64), _ error) {
	elapsed := time.Since(begin)
	if q.logger == nil || q.slow == 0 || elapsed < q.slow {
		return
	}
	sql, rows := statement()
	q.logger.WithFields(logrus.Fields{
		"event": "slow_statement", "sql": sql, "rows": rows, "duration_ms": elapsed.Milliseconds(),
	}).Warn("a statement took long")
}
