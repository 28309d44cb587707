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

// pace is when events are to be moved next. Whoever moves takes along what all
// instances have published, so that several together need to move no more often
// than one: those who are told that another has moved leave the next time to it as
// well, and move themselves where it does not. The zero value is ready; safe for
// concurrent use.
type pace struct {
	next atomic.Pointer[time.Time]
}

// moved notes that this instance has moved events just now.
func (p *pace) moved() { p.restFor(interval) }

// movedElsewhere notes that another instance has. What it does next may take as long again
// as it rests, and must not find this one at it.
func (p *pace) movedElsewhere() { p.restFor(2 * interval) }

func (p *pace) restFor(d time.Duration) {
	// Real time counts, whatever the service's clock says: it is about work.
	next := time.Now().Add(d) //nolint:forbidigo // see above
	p.next.Store(&next)
}

// rest returns when it is time to move again, or false once the context has ended.
func (p *pace) rest(ctx context.Context) bool {
	wait := gather
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
