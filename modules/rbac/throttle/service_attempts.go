// Package throttle delays guesses: it counts failed attempts for an account, an address or a
// session, and limits how often one source may fail.
package throttle

import (
	"context"
	"time"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
)

// ErrSignInDelayed is returned after too many failed attempts. It does not reveal whether the
// address has an account.
var ErrSignInDelayed = fault.Define(fault.TooMany, "sign-in-delayed",
	"Too many failed sign-in attempts. Wait before you try again.").
	Carrying(delayed{}).
	Advising("Ask the user to wait for the time in `Retry-After`. Until then passwords are not checked.")

// delayed are the details of [ErrSignInDelayed].
type delayed struct{ wait time.Duration }

// RetryAfter returns the time until the next attempt is checked.
func (d delayed) RetryAfter() time.Duration { return d.wait }

// Service counts attempts. It is safe for concurrent use.
type Service struct {
	Counters

	core     rbac.Core
	audit    Audit
	failures FailureLimit
	store    store
}

// New returns the service. The keys of counts are derived from the secret. Without a limit of
// failures, sources may fail any number of times.
func New(core rbac.Core, audit Audit, failures FailureLimit, secret []byte) *Service {
	if failures == nil {
		failures = noLimit{}
	}
	return &Service{Counters: NewCounters(secret), core: core, audit: audit, failures: failures}
}

// Attempt counts an attempt before any check. [Service.Forget] removes it again after a successful
// one. The error is [ErrSignInDelayed].
func (s *Service) Attempt(ctx context.Context, counter []byte) error {
	_, err := s.AttemptAll(ctx, [][]byte{counter})
	return err
}

// AttemptAll counts an attempt for each counter without too many failures, and returns the other
// counters. If the first counter has too many failures, it counts none and returns
// [ErrSignInDelayed].
func (s *Service) AttemptAll(ctx context.Context, counters [][]byte) (closed [][]byte, err error) {
	now := s.core.Clock.Now()
	type outcome struct {
		closed [][]byte
		wait   time.Duration // for the first counter
	}
	done, err := db.ReadCommitted(ctx, s.core.Database, "user.attempt", func(ctx context.Context) (outcome, error) {
		before, err := s.store.lock(ctx, counters, now)
		if err != nil {
			return outcome{}, err
		}
		var out outcome
		counted := map[string]attempts{}
		for i, counter := range counters {
			after, wait := before[string(counter)].try(now)
			switch {
			case wait > 0 && i == 0:
				return outcome{wait: wait}, nil
			case wait > 0:
				out.closed = append(out.closed, counter)
			default:
				counted[string(counter)] = after
			}
		}
		return out, s.store.update(ctx, counted)
	})
	if err == nil && done.wait > 0 {
		err = ErrSignInDelayed.With(delayed{done.wait},
			"Too many attempts to sign in have failed. Wait before you try again; until then every attempt is refused.")
	}
	return done.closed, err
}

// Forget deletes the attempts of the counters, in the transaction of the context, after one of them
// succeeded.
func (s *Service) Forget(ctx context.Context, counters ...[]byte) error {
	return s.store.delete(ctx, counters)
}

// TakeBack removes one attempt of each counter, as if it had not been made.
func (s *Service) TakeBack(ctx context.Context, counters [][]byte) error {
	_, err := db.ReadCommitted(ctx, s.core.Database, "user.take-back-attempt", func(ctx context.Context) (struct{}, error) {
		return struct{}{}, s.store.takeBack(ctx, counters)
	})
	return err
}

// Outdated selects the counts that no longer matter.
func (s *Service) Outdated(now time.Time) []db.Removal {
	return []db.Removal{{
		Table: "sign_in_failures", Key: []string{"throttle_key"}, Time: "last_at", Before: now.Add(-ForgetAfter),
	}}
}
