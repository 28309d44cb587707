package events

import (
	"cmp"
	"slices"

	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/identity"
)

// Limits of a [tail]. A listener that is further behind reads from the database.
const (
	maxTailEvents = 1000
	maxTailBytes  = 512 << 10
)

// tail has the newest events of one organization's stream, encoded once for all its listeners. It has
// no lock of its own. A copy stays valid: events in it are never changed, and it does not see later ones.
type tail struct {
	started bool        // whether the positions are known
	from    int64       // the tail has all events after this position
	upTo    int64       // … up to this position
	events  []tailEvent // by position
	bytes   int
}

// tailEvent is one event of a [tail].
type tailEvent struct {
	position   int64
	kind       string
	permission identity.Permission // what a listener must hold
	frame      httpx.Frame
}

// start begins an empty tail after a position, unless it has begun before.
func (t *tail) start(at int64) {
	if !t.started {
		t.started, t.from, t.upTo = true, at, at
	}
}

// add appends all events from the end of the tail up to a position, and drops the oldest ones
// beyond the limits.
func (t *tail) add(events []tailEvent, upTo int64) {
	t.upTo = upTo
	t.events = append(t.events, events...)
	for _, e := range events {
		t.bytes += len(e.frame)
	}
	dropped := 0
	for len(t.events)-dropped > maxTailEvents || t.bytes > maxTailBytes {
		t.bytes -= len(t.events[dropped].frame)
		t.from = t.events[dropped].position
		dropped++
	}
	if dropped > 0 {
		t.events = slices.Clone(t.events[dropped:]) // releases the frames, and keeps readers' slices
	}
}

// after returns the events after a position, and the position up to which they are complete. It
// returns false if the tail begins later.
func (t tail) after(position int64) (events []tailEvent, upTo int64, ok bool) {
	if !t.started || position < t.from {
		return nil, position, false
	}
	first, found := slices.BinarySearchFunc(t.events, position, func(e tailEvent, at int64) int {
		return cmp.Compare(e.position, at)
	})
	if found {
		first++
	}
	return t.events[first:len(t.events):len(t.events)], max(position, t.upTo), true
}

// streamFilter selects the events of one listener.
type streamFilter struct {
	types       []string // none: all
	permissions []identity.Permission
}

// passes reports whether the listener receives the event.
func (f streamFilter) passes(e tailEvent) bool {
	return slices.Contains(f.permissions, e.permission) && (len(f.types) == 0 || slices.Contains(f.types, e.kind))
}

// framesOf returns the encoded events that pass the filter.
func (f streamFilter) framesOf(events []tailEvent) []httpx.Frame {
	var frames []httpx.Frame
	for _, e := range events {
		if f.passes(e) {
			frames = append(frames, e.frame)
		}
	}
	return frames
}
