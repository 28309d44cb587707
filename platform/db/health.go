package db

import (
	"sync"
	"time"
)

// health records the state of the database as seen by transactions, so that a readiness check can
// report whether writing works without writing. Safe for concurrent use.
type health struct {
	mu         sync.Mutex
	next       int
	waiting    map[int]time.Time // start times of current waits for a table's lock
	state      State             // state at the last refusal
	refusedAt  time.Time
	unanswered int // COMMITs that the server has not yet answered
}

func newHealth() *health { return &health{waiting: map[int]time.Time{}, state: ReadWrite} }

const (
	// longWait is the wait for a table's lock after which its holder counts as hanging: a
	// transaction holds it for a few milliseconds.
	longWait = 2 * time.Second
	// refusalMemory is how long a refusal counts for the database's state. Transactions meet a lasting
	// refusal again in that time; a temporary one is forgotten without a write.
	refusalMemory = 10 * time.Second
)

// startWait records that a transaction waits for a table's lock, until the returned function is called.
func (h *health) startWait() (over func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	id := h.next
	h.next++
	h.waiting[id] = time.Now()
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.waiting, id)
	}
}

// refused records the SQLSTATE with which the database has refused a transaction.
func (h *health) refused(sqlState string) {
	if state, known := stateOf(sqlState); known {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.state, h.refusedAt = state, time.Now()
	}
}

func (h *health) setUnanswered(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.unanswered = n
}

// longest returns the longest current wait for a table's lock.
func (h *health) longest() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	longest := time.Duration(0)
	for _, since := range h.waiting {
		longest = max(longest, time.Since(since))
	}
	return longest
}

// current returns the state that transactions met in the last seconds.
func (h *health) current() State {
	wait := h.longest()
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.unanswered > 0:
		return Unconfirmed
	case wait > longWait:
		return Blocked
	case time.Since(h.refusedAt) < refusalMemory:
		return h.state
	}
	return ReadWrite
}
