package db

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// script runs a retrier on scripted attempts, and records the calls to its observer.
type script struct {
	retries  []Retry
	finished []Outcome
}

func (s *script) Retried(r Retry)    { s.retries = append(s.retries, r) }
func (s *script) Finished(o Outcome) { s.finished = append(s.finished, o) }

func (s *script) play(ctx context.Context, p Policy, verdicts ...classification) (attempts int, err error) {
	r := retrier{policy: p, operation: "played", observer: s, started: time.Now(), random: func() float64 { return 0.5 }}
	for _, v := range verdicts {
		r.attempts++
		if v.kind == committed {
			r.finish(Committed, v)
			return r.attempts, nil
		}
		if done, err := r.nextAttempt(ctx, v); done {
			return r.attempts, err
		}
	}
	return r.attempts, errors.New("the script is too short")
}

func (s *script) delays() (delays []time.Duration) {
	for _, r := range s.retries {
		delays = append(delays, r.Delay)
	}
	return delays
}

var (
	serialization = &pgconn.PgError{Severity: "ERROR", Code: "40001", Message: "could not serialize access"}
	overtaken     = classification{kind: retry, err: serialization, sqlState: "40001", phase: bodyPhase}
	brokenLink    = classification{kind: connectionLost, err: errors.New("conn closed"), phase: bodyPhase}
)

func times(n int, v classification) []classification {
	all := make([]classification, n)
	for i := range all {
		all[i] = v
	}
	return all
}

func TestRetrier(t *testing.T) {
	t.Parallel()
	policy, _ := Preset("default")

	t.Run("it sleeps four times for five attempts", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			var s script
			started := time.Now()
			attempts, err := s.play(t.Context(), policy, times(5, overtaken)...)
			contention, ok := errors.AsType[*ContentionError](err)
			require.True(t, ok, "%v", err)
			require.Equal(t, 5, attempts)
			require.Equal(t, ContentionError{"played", 5, 150 * time.Millisecond, "40001", serialization}, *contention)
			require.ErrorIs(t, err, serialization)
			require.Equal(t, []time.Duration{10e6, 20e6, 40e6, 80e6}, s.delays())
			require.Equal(t, 150*time.Millisecond, time.Since(started))
			require.Len(t, s.finished, 1)
			require.Equal(t, Exhausted, s.finished[0].Result)
			require.Equal(t, 150*time.Millisecond, s.finished[0].Slept)
		})
	})

	t.Run("it returns at once when the next delay would cross the deadline", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			var s script
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			started := time.Now()
			_, err := s.play(ctx, Policy{MaxAttempts: 5, BaseDelay: 200 * time.Millisecond, MaxDelay: time.Second}, overtaken)
			require.Zero(t, time.Since(started))
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.ErrorIs(t, err, serialization)
			require.Empty(t, s.retries, "there was none")
			require.Equal(t, Cancelled, s.finished[0].Result)
		})
	})

	t.Run("it returns at once when it is cancelled in a sleep, and leaves no goroutine", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) { // synctest waits for all goroutines
			var s script
			ctx, cancel := context.WithCancel(t.Context())
			started := time.Now()
			time.AfterFunc(5*time.Millisecond, cancel)
			_, err := s.play(ctx, policy, overtaken)
			require.Equal(t, 5*time.Millisecond, time.Since(started))
			require.ErrorIs(t, err, context.Canceled)
			require.ErrorIs(t, err, serialization)
			require.Empty(t, s.retries)
		})
	})

	t.Run("it returns the previous attempt's database error when the deadline passes in a later one", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			var s script
			ctx, cancel := context.WithTimeout(t.Context(), 15*time.Millisecond)
			defer cancel()
			r := retrier{policy: policy, observer: &s, random: func() float64 { return 0.5 }, attempts: 1}
			done, err := r.nextAttempt(ctx, overtaken)
			require.NoError(t, err)
			require.False(t, done)
			<-ctx.Done()
			_, err = r.nextAttempt(ctx, classification{kind: failed, err: ctx.Err(), phase: beginPhase})
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.ErrorIs(t, err, serialization)
		})
	})

	t.Run("it retries a broken connection twice", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			var s script
			attempts, err := s.play(t.Context(), policy, times(5, brokenLink)...)
			require.Equal(t, 3, attempts)
			_, ok := errors.AsType[*UnavailableError](err)
			require.True(t, ok, "%v", err)
		})
	})

	t.Run("it never reports that nothing has changed after a COMMIT without a reply", func(t *testing.T) {
		t.Parallel()
		unanswered := classification{
			kind: retry, err: &AmbiguousCommitError{Operation: "played"}, phase: commitPhase, commitAmbiguous: true,
		}
		refusal := classification{kind: failed, err: errors.New("refused"), phase: bodyPhase}
		for _, rest := range [][]classification{times(5, overtaken), times(5, brokenLink), times(5, unanswered), {refusal}} {
			synctest.Test(t, func(t *testing.T) {
				var s script
				_, err := s.play(t.Context(), policy, append([]classification{unanswered}, rest...)...)
				_, ok := errors.AsType[*AmbiguousCommitError](err)
				require.True(t, ok, "%v", err)
				require.Equal(t, Ambiguous, s.finished[0].Result)
			})
		}
	})

	t.Run("it makes the maximum number of attempts for any retried error", func(t *testing.T) {
		t.Parallel()
		rapid.Check(t, func(rt *rapid.T) {
			p := Policy{
				MaxAttempts: rapid.IntRange(1, 20).Draw(rt, "attempts"), BaseDelay: time.Millisecond, MaxDelay: time.Second,
			}
			failures := rapid.SliceOfN(rapid.SampledFrom([]classification{overtaken, brokenLink}), 20, 20).Draw(rt, "failures")
			synctest.Test(t, func(t *testing.T) {
				var s script
				attempts, err := s.play(t.Context(), p, failures...)
				require.Error(t, err)
				require.LessOrEqual(t, attempts, p.MaxAttempts)
				require.Len(t, s.retries, attempts-1, "one sleep before each attempt but the first")
				require.Len(t, s.finished, 1)
				require.Equal(t, attempts, s.finished[0].Attempts)
			})
		})
	})
}

func TestOutlive(t *testing.T) {
	t.Parallel()
	t.Run("it ends a while after the other one", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			lasting, release := outlive(ctx, time.Second)
			defer release()
			<-ctx.Done()
			require.NoError(t, lasting.Err())
			ended := time.Now()
			<-lasting.Done()
			require.Equal(t, time.Second, time.Since(ended))
		})
	})
	t.Run("it ends when it is released", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			lasting, release := outlive(ctx, time.Hour)
			cancel()
			synctest.Wait()
			release()
			require.Error(t, lasting.Err())
		})
	})
}
