// Package trailtest keeps audit events in memory, for tests of what records them.
package trailtest

import (
	"context"
	"slices"
	"sync"
	"time"

	"omnirapeutic/platform/trail"
)

// Recorder is an audit trail without transactions. The zero value is empty. Safe for
// concurrent use.
type Recorder struct {
	mutex  sync.Mutex
	events []trail.Event
}

// Record stores the events.
func (b *Recorder) Record(_ context.Context, events []trail.Event) error {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	b.events = append(b.events, events...)
	return nil
}

// Note stores the events.
func (b *Recorder) Note(ctx context.Context, events []trail.Event) error {
	return b.Record(ctx, events)
}

// Count stores a denial of no organization.
func (b *Recorder) Count(action, reason, address string) {
	_ = b.Record(context.Background(), []trail.Event{{
		Action: action, Outcome: trail.Denied, Address: address, After: map[string]string{"reason": reason},
		OccurredAt: time.Unix(0, 0),
	}})
}

// Events returns the stored events, in order.
func (b *Recorder) Events() []trail.Event {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return slices.Clone(b.events)
}
