package db

import (
	"sync"
	"time"
)

// health keeps what transactions have found out about the database, so that a readiness
// check need not write to know whether writing works. Safe for concurrent use.
type health struct {
	mu        sync.Mutex
	next      int
	waiting   map[int]time.Time // since when transactions wait for a table's lock
	state     State             // of the last refusal
	refusedAt time.Time
	owed      int // COMMITs that the server has not answered
}

func newHealth() *health { return &health{waiting: map[int]time.Time{}, state: ReadWrite} }

const (
	// longWait is after how long a wait for a table's lock says that its holder hangs: a
	// transaction holds it for some milliseconds.
	longWait = 2 * time.Second
	// memory is how long a refusal says something about the database. A refusal that lasts
	// is met again meanwhile; one that does not is forgotten without a write to disprove it.
	memory = 10 * time.Second
)

// waits notes that a transaction waits for a table's lock, until the function is called.
func (h *health) waits() (over func()) {
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

// refused notes the SQLSTATE with which the database has refused a transaction.
func (h *health) refused(sqlState string) {
	if state, known := stateOf(sqlState); known {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.state, h.refusedAt = state, time.Now()
	}
}

func (h *health) unanswered(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.owed = n
}

// longest returns how long a transaction waits already for a table's lock.
func (h *health) longest() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	longest := time.Duration(0)
	for _, since := range h.waiting {
		longest = max(longest, time.Since(since))
	}
	return longest
}

// current returns the state that transactions of the last seconds have met.
func (h *health) current() State {
	wait := h.longest()
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.owed > 0:
		return Unconfirmed
	case wait > longWait:
		return Blocked
	case time.Since(h.refusedAt) < memory:
		return h.state
	}
	return ReadWrite
}
