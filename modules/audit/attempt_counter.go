package audit

import (
	"encoding/json"
	"sync"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/trail"
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

// Limits of the counts.
const (
	// attemptRetention is how long counts are kept, so that an operator can investigate an attack.
	attemptRetention = 30 * 24 * time.Hour
	// maxSources is the number of networks that are counted separately in a minute. The attempts of
	// further networks share one row.
	maxSources  = 1000
	otherSource = "other"
)

// attemptCounter counts in memory until [Service.WriteAttempts] writes the counts. It limits the sources of a
// minute. The zero value is empty. Safe for concurrent use.
type attemptCounter struct {
	mutex   sync.Mutex
	counts  attemptCounts
	minute  time.Time
	sources map[string]bool // of the current minute
}

// keyFor is what attempts are counted by.
func (t *attemptCounter) keyFor(action, reason, address string, at time.Time) attemptKey {
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
func (t *attemptCounter) keyOf(e trail.Event) attemptKey {
	var why struct{ Reason string }
	if text, err := json.Marshal(e.After); err == nil {
		_ = json.Unmarshal(text, &why) // the reason is optional
	}
	return t.keyFor(e.Action, why.Reason, e.Address, e.OccurredAt)
}

// separate separates denials of no organization, as counts, from all other events.
func (t *attemptCounter) separate(events []trail.Event) (rest []trail.Event, refused attemptCounts) {
	refused = attemptCounts{}
	for _, e := range events {
		if isAnonymous(e) {
			refused.add(t.keyOf(e), 1, e.OccurredAt)
		} else {
			rest = append(rest, e)
		}
	}
	return rest, refused
}

func (t *attemptCounter) add(key attemptKey, count attemptCount) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if t.counts == nil {
		t.counts = attemptCounts{}
	}
	t.counts.add(key, count.attempts, count.lastAt)
}

// take returns the counts and resets them.
func (t *attemptCounter) take() attemptCounts {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	taken := t.counts
	t.counts = nil
	return taken
}
