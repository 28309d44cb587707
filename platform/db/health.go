package db

import (
	"sync"
	"sync/atomic"
	"time"
)

// health records the state of the database as seen by transactions, so that a readiness check can
// report whether writing works without writing. Safe for concurrent use.
type health struct {
	acquiring atomic.Int64 // transactions that take a connection from the pool now

	mu         sync.Mutex
	next       int
	waiting    map[int]time.Time // start times of current waits for a table's lock
	holding    map[int]time.Time // start times of transactions that hold such a lock
	held       time.Duration     // in all, by transactions that have ended
	state      State             // state at the last refusal
	refusedAt  time.Time
	unanswered int // COMMITs that the server has not yet answered
}

func newHealth() *health {
	return &health{waiting: map[int]time.Time{}, holding: map[int]time.Time{}, state: ReadWrite}
}

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

// startHold records that a transaction holds a table's lock, until the returned function is called.
func (h *health) startHold() (over func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	id := h.next
	h.next++
	h.holding[id] = time.Now()
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if since, holds := h.holding[id]; holds {
			h.held += time.Since(since)
			delete(h.holding, id)
		}
	}
}

// lockUse describes the use of the tables' locks by this process.
type lockUse struct {
	waiting      int           // transactions
	longestWait  time.Duration // of them
	longestHold  time.Duration // of the transactions that hold a lock now
	heldUntilNow time.Duration // in all
}

func (h *health) lockUse() lockUse {
	h.mu.Lock()
	defer h.mu.Unlock()
	u := lockUse{waiting: len(h.waiting), heldUntilNow: h.held}
	for _, since := range h.waiting {
		u.longestWait = max(u.longestWait, time.Since(since))
	}
	for _, since := range h.holding {
		u.longestHold = max(u.longestHold, time.Since(since))
		u.heldUntilNow += time.Since(since)
	}
	return u
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

// current returns the state that transactions met in the last seconds.
func (h *health) current() State {
	wait := h.lockUse().longestWait
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
