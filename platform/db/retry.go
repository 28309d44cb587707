package db

import (
	"context"
	"errors"
	"time"
)

// maxConnectionLosses is the maximum number of retries after broken connections.
const maxConnectionLosses = 2

// retrier counts the attempts of one operation and decides whether there is another. It
// does not depend on the database.
type retrier struct {
	policy    Policy
	operation string
	observer  Observer
	random    func() float64
	started   time.Time

	attempts    int
	losses      int
	uncounted   int // uncounted attempts: see [RetryConstraint]
	slept       time.Duration
	ambiguities int   // commits whose reply was lost
	unknown     error // *[AmbiguousCommitError] of an attempt that may still turn out to be committed
	last        error // error of the previous attempt
}

// nextAttempt reports whether the operation has ended, and its error. Otherwise it has slept,
// and another attempt is due.
func (r *retrier) nextAttempt(ctx context.Context, v classification) (done bool, err error) {
	if v.commitAmbiguous {
		r.unknown = v.err
	}
	result, err := r.result(ctx, v)
	if err == nil {
		result, err = r.pause(ctx, v)
	}
	if err == nil {
		return false, nil
	}
	if r.unknown != nil {
		// Even if a later step failed, the commit may have taken effect.
		result = Ambiguous
		if !errors.Is(err, r.unknown) {
			err = errors.Join(r.unknown, err)
		}
		v.err = err
	}
	r.finish(result, v)
	return true, err
}

// result returns the result of the operation and its error, which is nil if the operation
// continues.
func (r *retrier) result(ctx context.Context, v classification) (Result, error) {
	usedUp := r.attempts-r.uncounted >= r.policy.MaxAttempts
	switch {
	case v.constraintViolated && r.uncounted == 0:
		return "", nil
	case v.kind == failed && ctx.Err() != nil:
		return Cancelled, errors.Join(v.err, r.last)
	case v.kind == failed:
		return Refused, v.err
	case v.kind == unavailable, v.kind == connectionLost && (usedUp || r.losses == maxConnectionLosses):
		return Unavailable, newUnavailableError(r.operation, v.err)
	case v.commitAmbiguous && usedUp:
		return Ambiguous, v.err
	case usedUp:
		return Exhausted, &ContentionError{
			Operation: r.operation, Attempts: r.attempts, Elapsed: time.Since(r.started), SQLState: v.sqlState, cause: v.err,
		}
	default:
		return "", nil
	}
}

// pause sleeps before the next attempt. It returns an error if the context has ended or
// would end during the delay.
func (r *retrier) pause(ctx context.Context, v classification) (Result, error) {
	delay := r.policy.Delay(r.attempts-1, r.random)
	if v.constraintViolated && r.uncounted == 0 {
		delay, r.uncounted = 0, 1
	}
	if err := sleep(ctx, delay); err != nil {
		return Cancelled, errors.Join(err, v.err)
	}
	r.slept += delay
	r.last = v.err
	if v.kind == connectionLost {
		r.losses++
	}
	r.observer.Retried(Retry{
		Operation: r.operation, Attempt: r.attempts, SQLState: v.sqlState, Phase: string(v.phase), Delay: delay, Err: v.err,
	})
	return "", nil
}

func (r *retrier) finish(result Result, v classification) {
	r.observer.Finished(Outcome{
		Operation: r.operation, Result: result, Attempts: r.attempts, Elapsed: time.Since(r.started), Slept: r.slept,
		SQLState: v.sqlState, Ambiguities: r.ambiguities, Err: v.err,
	})
}

// sleep waits for the delay. If the context's deadline is earlier, it returns at once.
func sleep(ctx context.Context, wait time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= wait {
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
