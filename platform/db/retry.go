package db

import (
	"context"
	"errors"
	"time"
)

// maxLost is how often an operation is tried again on a new connection after
// the one before broke.
const maxLost = 2

// retrier counts the attempts of one operation and decides whether there is
// another. It knows nothing of databases.
type retrier struct {
	policy    Policy
	operation string
	observer  Observer
	random    func() float64
	started   time.Time

	attempts    int
	losses      int
	slept       time.Duration
	ambiguities int // commits whose answer was lost
}

// next reports whether the operation has ended, and with which error; otherwise
// it has slept, and another attempt is due.
func (r *retrier) next(ctx context.Context, v verdict) (done bool, err error) {
	outcome := Refused
	switch {
	case v.kind == refused && v.ambiguous:
		outcome, err = Ambiguous, v.err
	case v.kind == refused && ctx.Err() != nil:
		outcome, err = Cancelled, v.err
	case v.kind == refused:
		err = v.err
	case v.kind == lost && r.losses >= maxLost:
		outcome, err = Unavailable, &UnavailableError{Operation: r.operation, cause: v.err}
	case r.attempts >= r.policy.MaxAttempts:
		outcome, err = r.exhausted(v)
	}
	if err != nil {
		r.finish(outcome, v)
		return true, err
	}

	if v.kind == lost {
		r.losses++
	}
	delay := r.policy.Delay(r.attempts-1, r.random)
	r.observer.Retried(Retry{
		Operation: r.operation, Attempt: r.attempts, SQLState: v.sqlState, Phase: string(v.phase), Delay: delay, Err: v.err,
	})
	if err := sleep(ctx, delay); err != nil {
		r.finish(Cancelled, v)
		return true, errors.Join(err, v.err)
	}
	r.slept += delay
	return false, nil
}

func (r *retrier) exhausted(v verdict) (Result, error) {
	switch {
	case v.kind == lost:
		return Unavailable, &UnavailableError{Operation: r.operation, cause: v.err}
	case v.ambiguous:
		return Ambiguous, v.err
	default:
		return Exhausted, &ContentionError{
			Operation: r.operation, Attempts: r.attempts, Elapsed: time.Since(r.started), SQLState: v.sqlState, cause: v.err,
		}
	}
}

func (r *retrier) finish(result Result, v verdict) {
	r.observer.Finished(Outcome{
		Operation: r.operation, Result: result, Attempts: r.attempts, Elapsed: time.Since(r.started), Slept: r.slept,
		SQLState: v.sqlState, Ambiguities: r.ambiguities, Err: v.err,
	})
}

// sleep waits, but not past the context's deadline: where the wait would cross
// it, it returns at once.
func sleep(ctx context.Context, wait time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < wait {
		return context.DeadlineExceeded
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
