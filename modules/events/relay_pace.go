package events

import (
	"context"
	"sync/atomic"
	"time"
)

// After a wake-up the relay waits for further events: for gather after a pause, otherwise until
// interval has passed since the last move. One of its transactions costs about as much as one
// that publishes.
const (
	gatherDelay = 5 * time.Millisecond
	minInterval = 50 * time.Millisecond
)

// relayPace determines when events are moved next. A relay also moves the events of other instances,
// so several instances together need not move more often than one. An instance that learns of
// another's move waits longer, and moves itself only if the other does not. The zero value is
// ready to use. Safe for concurrent use.
type relayPace struct {
	next atomic.Pointer[time.Time]
}

// moved notes that this instance has just moved events.
func (p *relayPace) moved() { p.pauseFor(minInterval) }

// movedElsewhere notes that another instance has moved events. The other's next transaction may
// take as long as its pause, and must not run into this one.
func (p *relayPace) movedElsewhere() { p.pauseFor(2 * minInterval) }

func (p *relayPace) pauseFor(d time.Duration) {
	// Real time counts, regardless of the service's clock: it limits work.
	next := time.Now().Add(d) //nolint:forbidigo // see above
	p.next.Store(&next)
}

// wait waits until the next move is due. It returns false if the context ends.
func (p *relayPace) wait(ctx context.Context) bool {
	wait := gatherDelay
	for {
		if next := p.next.Load(); next != nil {
			wait = max(wait, time.Until(*next))
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
