package audit

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/trail"
)

// PermissionAttempts is needed to read [Service.Attempts].
const PermissionAttempts identity.Permission = "anonymous-attempt:read"

// Attempts are refused attempts of callers that belong to no organization: made from one
// network within one minute, at the same thing, and refused for the same reason. The
// trail of an organization holds none of them, so nobody can fill it up by guessing.
type Attempts struct {
	Minute   time.Time `json:"minute"`   // when it began
	Source   string    `json:"source"`   // network address, /64 for IPv6; other: of more networks than are told apart
	Action   string    `json:"action"`   // as in the audit trail
	Reason   string    `json:"reason"`   // limited: it was refused without a look, after too many others
	Attempts int64     `json:"attempts"` // how many
	LastAt   time.Time `json:"lastAt"`
}

// Bounds of what is counted.
const (
	// attemptRetention is how long counts are kept: long enough to look into an attack.
	attemptRetention = 30 * 24 * time.Hour
	// maxSources is how many networks are told apart in a minute. An attacker with more
	// addresses than that adds to one row.
	maxSources  = 1000
	otherSource = "other"
)

// isAnonymous reports whether an event is a denial that no organization can be told of.
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

// tally counts in memory until [Service.KeepAttempts] writes the counts, and bounds the
// sources of a minute. The zero value is empty; safe for concurrent use.
type tally struct {
	mutex   sync.Mutex
	waiting attemptCounts
	minute  time.Time
	sources map[string]bool // of the minute
}

// key returns by what an attempt is counted.
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

// keyOf returns by what a denial is counted. Its reason is that of its After.
func (t *tally) keyOf(e trail.Event) attemptKey {
	var why struct{ Reason string }
	if text, err := json.Marshal(e.After); err == nil {
		_ = json.Unmarshal(text, &why) // without a reason it has none
	}
	return t.key(e.Action, why.Reason, e.Address, e.OccurredAt)
}

// split parts denials of no organization, counted, from all other events.
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

// take returns what was counted, and forgets it.
func (t *tally) take() attemptCounts {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	taken := t.waiting
	t.waiting = nil
	return taken
}

// Count counts a refused attempt of a caller that belongs to no organization, in memory:
// it asks no database, so a flood of attempts costs none. [Service.KeepAttempts] writes the
// counts every few seconds; those of the last seconds are lost when the program is killed.
func (s *Service) Count(action, reason, address string) {
	now := s.now()
	s.attempts.add(s.attempts.key(action, reason, address, now), attemptCount{1, now})
}

// KeepAttempts writes what [Service.Count] has counted, and returns how many rows those
// were. What could not be written is written the next time.
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

// ForgetAttempts removes counts that are older than the retention, and returns how many.
// Index: the primary key.
func (s *Service) ForgetAttempts(ctx context.Context) (int64, error) {
	return db.RemoveOld(ctx, s.database, db.Removal{
		Operation: "audit.forget-attempts", Table: "anonymous_attempts", Time: "minute", Before: s.now().Add(-attemptRetention),
	})
}

// AttemptFilter narrows a list of attempts; zero values do not narrow it.
type AttemptFilter struct {
	From, To time.Time // minutes from the one on, and before the other
	Source   string
}

// Attempts lists what was counted, the newest first, those after one where that is given.
func (s *Service) Attempts(ctx context.Context, f AttemptFilter, after *Attempts, limit int) ([]Attempts, error) {
	return db.Snapshot(ctx, s.database, "audit.attempts", func(ctx context.Context) ([]Attempts, error) {
		return s.store.attempts(ctx, f, after, limit)
	})
}
