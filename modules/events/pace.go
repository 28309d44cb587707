package events

import (
	"context"
	"sync/atomic"
	"time"
)

// Once it was woken the relay waits for more, gather after a silence, and as long
// as there is something all the time until an interval has passed since the last
// was moved: a transaction of it costs about as much as one of those that publish.
const (
	gather   = 5 * time.Millisecond
	interval = 50 * time.Millisecond
)

// pace is when events were last moved, by this instance or another: whoever moves
// takes along what all have published, so that several instances together move
// no more often than one. The zero value is ready; safe for concurrent use.
type pace struct {
	last atomic.Pointer[time.Time]
}

// moved notes that an instance has moved events just now. Real time counts,
// whatever the clock of the service says: it is about work, not about what is told.
func (p *pace) moved() {
	now := time.Now() //nolint:forbidigo // see above
	p.last.Store(&now)
}

// rest returns when it is time to move again, or false once the context has ended.
func (p *pace) rest(ctx context.Context) bool {
	wait := gather
	for {
		if last := p.last.Load(); last != nil {
			wait = max(wait, time.Until(last.Add(interval)))
		}
		if wait <= 0 {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(wait):
			wait = 0
		}
	}
}
