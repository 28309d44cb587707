package audit

import (
	"context"
	"time"

	"omnirapeutic/platform/db"
)

// Attempts counts refused attempts of callers without an organization: from one network, within one
// minute, with the same action and reason. The trail of an organization does not include them, so
// guesses cannot fill it.
type Attempts struct {
	Minute   time.Time // start of the minute
	Source   string    // network of the callers, or [otherSource]
	Action   string    // as in the audit trail
	Reason   string    // of the refusal; "limited": refused unchecked, after too many others
	Attempts int64
	LastAt   time.Time
}

// Count counts a refused attempt of a caller without an organization, in memory. It uses no
// database, so a flood of attempts costs none. [Service.WriteAttempts] writes the counts every few
// seconds; a killed program loses the last ones.
func (s *Service) Count(action, reason, address string) {
	now := s.now()
	s.attempts.add(s.attempts.keyFor(action, reason, address, now), attemptCount{1, now})
}

// WriteAttempts writes the counts of [Service.Count] and returns the number of rows. Failed writes
// are repeated the next time.
func (s *Service) WriteAttempts(ctx context.Context) (int64, error) {
	counts := s.attempts.take()
	if len(counts) == 0 {
		return 0, nil
	}
	_, err := db.ReadCommitted(ctx, s.database, "audit.keep-attempts", func(ctx context.Context) (struct{}, error) {
		return struct{}{}, s.store.addAttempts(ctx, counts)
	})
	if err != nil {
		for key, count := range counts {
			s.attempts.add(key, count)
		}
		return 0, err
	}
	return int64(len(counts)), nil
}

// RemoveOldAttempts removes counts that are older than the retention, and returns their number. Index:
// the primary key.
func (s *Service) RemoveOldAttempts(ctx context.Context) (int64, error) {
	return db.RemoveOld(ctx, s.database, db.Removal{
		Operation: "audit.forget-attempts", Table: "anonymous_attempts", Time: "minute",
		Key:    []string{"minute", "source", "action", "reason"},
		Before: s.now().Add(-attemptRetention),
	})
}

// AttemptFilter filters a list of attempts. Zero values match every attempt.
type AttemptFilter struct {
	From, To time.Time // minutes, From included, To excluded
	Source   string
}

// Attempts lists the counts, the newest first, optionally after a given one.
func (s *Service) Attempts(ctx context.Context, f AttemptFilter, after *Attempts, limit int) ([]Attempts, error) {
	return db.Snapshot(ctx, s.database, "audit.attempts", func(ctx context.Context) ([]Attempts, error) {
		return s.store.attempts(ctx, f, after, limit)
	})
}
