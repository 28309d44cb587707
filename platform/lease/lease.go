// Package lease keeps the exclusive right of this instance to do some work. The right is a row of
// a table with an instance and a time. It ends by itself when the instance dies or freezes.
package lease

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrLost is returned by [Lease.Keep] if another instance has taken over the work.
var ErrLost = errors.New("another instance has taken over the work")

// Lease describes how a lease is renewed. An interval of a third of the duration allows two failed
// renewals.
type Lease struct {
	Duration time.Duration // how long a renewal lasts
	Every    time.Duration // interval of renewals
	// Renew extends the lease, and reports whether this instance still has it.
	Renew func(ctx context.Context) (held bool, err error)
}

// Keep renews the lease, which has just been taken, until the context ends; then it returns nil.
// It returns [ErrLost], or the last error of Renew if the lease has expired without a renewal. The
// work must then stop.
func (l Lease) Keep(ctx context.Context) error {
	expires := time.Now().Add(l.Duration)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(l.Every):
		}
		started := time.Now()
		switch held, err := l.Renew(ctx); {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // the end of the context is not a failure
		case err == nil && !held:
			return ErrLost
		case err == nil:
			expires = started.Add(l.Duration)
		case started.After(expires):
			return fmt.Errorf("the lease could not be renewed: %w", err)
		}
	}
}
