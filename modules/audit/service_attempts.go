package audit

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/trail"
)

// Attempts counts refused attempts of callers without an organization: from one network, within one
// minute, with the same action and reason. The trail of an organization does not include them, so
// guesses cannot fill it.
type Attempts struct {
	Minute time.Time `json:"minute"` // The start of the minute.
	// The network of the callers, /64 for IPv6. The value `other` is all networks beyond the
	// limit of a minute.
	Source string `json:"source"`
	Action string `json:"action"` // The action that was attempted, as in the audit trail.
	// The reason of the refusal. `limited` means refused unchecked, after too many others.
	Reason   string    `json:"reason"`
	Attempts int64     `json:"attempts"` // The number of attempts.
	LastAt   time.Time `json:"lastAt"`   // The time of the last attempt.
}

// Limits of the counts.
const (
	// attemptRetention is how long counts are kept, so that an operator can investigate an attack.
	attemptRetention = 30 * 24 * time.Hour
	// maxSources is the number of networks that are counted separately in a minute. The attempts of
	// further networks share one row.
	maxSources  = 1000
	otherSource = "other"
)

// isAnonymous reports whether an event is a denial that concerns no organization.
func isAnonymous(e trail.Event) bool {
	return e.OrganizationID == uuid.Nil && e.Outcome == trail.Denied
}

type attemptKey struct {
	minute                 time.Time
	source, action, reason string
}

type attemptCount struct {
	attempts int64
	lastAt   time.Time
}

type attemptCounts map[attemptKey]attemptCount

func (c attemptCounts) add(key attemptKey, attempts int64, at time.Time) {
	before := c[key]
	if at.Before(before.lastAt) {
		at = before.lastAt
	}
	c[key] = attemptCount{before.attempts + attempts, at}
}

// tally counts in memory until [Service.KeepAttempts] writes the counts. It limits the sources of a
// minute. The zero value is empty. Safe for concurrent use.
type tally struct {
	mutex   sync.Mutex
	waiting attemptCounts
	minute  time.Time
	sources map[string]bool // of the current minute
}

// key is what attempts are counted by.
func (t *tally) key(action, reason, address string, at time.Time) attemptKey {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	minute, source := at.UTC().Truncate(time.Minute), trail.Network(address)
	if !minute.Equal(t.minute) {
		t.minute, t.sources = minute, map[string]bool{}
	}
	if !t.sources[source] {
		if len(t.sources) >= maxSources {
			source = otherSource
		} else {
			t.sources[source] = true
		}
	}
	return attemptKey{minute, source, action, reason}
}

// keyOf returns the key of a denial. The reason comes from its After value.
func (t *tally) keyOf(e trail.Event) attemptKey {
	var why struct{ Reason string }
	if text, err := json.Marshal(e.After); err == nil {
		_ = json.Unmarshal(text, &why) // the reason is optional
	}
	return t.key(e.Action, why.Reason, e.Address, e.OccurredAt)
}

// split separates denials of no organization, as counts, from all other events.
func (t *tally) split(events []trail.Event) (kept []trail.Event, refused attemptCounts) {
	refused = attemptCounts{}
	for _, e := range events {
		if isAnonymous(e) {
			refused.add(t.keyOf(e), 1, e.OccurredAt)
		} else {
			kept = append(kept, e)
		}
	}
	return kept, refused
}

func (t *tally) add(key attemptKey, count attemptCount) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if t.waiting == nil {
		t.waiting = attemptCounts{}
	}
	t.waiting.add(key, count.attempts, count.lastAt)
}

// take returns the counts and resets them.
func (t *tally) take() attemptCounts {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	taken := t.waiting
	t.waiting = nil
	return taken
}

// Count counts a refused attempt of a caller without an organization, in memory. It uses no
// database, so a flood of attempts costs none. [Service.KeepAttempts] writes the counts every few
// seconds; a killed program loses the last ones.
func (s *Service) Count(action, reason, address string) {
	now := s.now()
	s.attempts.add(s.attempts.key(action, reason, address, now), attemptCount{1, now})
}

// KeepAttempts writes the counts of [Service.Count] and returns the number of rows. Failed writes
// are repeated the next time.
func (s *Service) KeepAttempts(ctx context.Context) (int64, error) {
	taken := s.attempts.take()
	if len(taken) == 0 {
		return 0, nil
	}
	_, err := db.ReadCommitted(ctx, s.database, "audit.keep-attempts", func(ctx context.Context) (struct{}, error) {
		return struct{}{}, s.store.addAttempts(ctx, taken)
	})
	if err != nil {
		for key, count := range taken {
			s.attempts.add(key, count)
		}
		return 0, err
	}
	return int64(len(taken)), nil
}

// ForgetAttempts removes counts that are older than the retention, and returns their number. Index:
// the primary key.
func (s *Service) ForgetAttempts(ctx context.Context) (int64, error) {
	return db.RemoveOld(ctx, s.database, db.Removal{
		Operation: "audit.forget-attempts", Table: "anonymous_attempts", Time: "minute", Before: s.now().Add(-attemptRetention),
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
