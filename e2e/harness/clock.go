package harness

import (
	"sync/atomic"
	"time"
)

// Clock is the program's clock, which tests may set.
type Clock struct {
	offset atomic.Int64
	fixed  time.Time // if set, the time is frozen
}

// FrozenClock returns a clock that is frozen at a time.
func FrozenClock(at time.Time) *Clock { return &Clock{fixed: at} }

// Now returns the time of the clock.
func (c *Clock) Now() time.Time {
	ahead := time.Duration(c.offset.Load())
	if !c.fixed.IsZero() {
		return c.fixed.Add(ahead)
	}
	return time.Now().Add(ahead)
}

// Freeze freezes the clock at a time.
func (c *Clock) Freeze(at time.Time) { c.fixed = at }

// SetAhead moves the clock to an offset from the real time.
func (c *Clock) SetAhead(ahead time.Duration) { c.offset.Store(int64(ahead)) }

// Advance moves the clock forward.
func (c *Clock) Advance(by time.Duration) { c.offset.Add(int64(by)) }
