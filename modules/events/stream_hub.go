package events

import (
	"sync"
	"sync/atomic"

	"github.com/google/uuid"
)

// streamHub distributes the events of streams to the listeners of this process. Each organization with
// listeners has one [tail], which one reader at a time extends from the database. Listeners take from
// it at their own pace, so a slow one neither delays the others nor holds memory. The zero value is
// ready to use. Safe for concurrent use.
type streamHub struct {
	mu      sync.Mutex
	streams map[uuid.UUID]*liveStream // by organization, while it has listeners
	users   map[uuid.UUID]int         // number of streams of each user
}

// liveStream is the stream of one organization with listeners. Its fields are guarded by the hub, except
// for the copy of the tail, which listeners read without a lock.
type liveStream struct {
	organization uuid.UUID
	watchers     map[*watcher]bool
	tail         tail
	head         int64 // the newest position that this process was notified of
	reading      bool  // a reader is extending the tail
	published    atomic.Pointer[tail]
}

// watcher is the registration of one listener.
type watcher struct {
	stream *liveStream
	user   uuid.UUID
	wake   chan struct{}
}

// maxPerUser is the maximum number of streams of one user in one instance.
const maxPerUser = 10

// add registers a listener of the user. The error is [ErrTooManyStreams].
func (h *streamHub) add(organization, user uuid.UUID) (*watcher, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.users[user] >= maxPerUser {
		return nil, ErrTooManyStreams.With(nil, "You already have %d event streams open.", maxPerUser)
	}
	if h.streams == nil {
		h.streams, h.users = map[uuid.UUID]*liveStream{}, map[uuid.UUID]int{}
	}
	stream := h.streams[organization]
	if stream == nil {
		stream = &liveStream{organization: organization, watchers: map[*watcher]bool{}}
		h.streams[organization] = stream
	}
	w := &watcher{stream: stream, user: user, wake: make(chan struct{}, 1)}
	stream.watchers[w] = true
	h.users[user]++
	return w, nil
}

func (h *streamHub) remove(w *watcher) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(w.stream.watchers, w)
	if len(w.stream.watchers) == 0 {
		delete(h.streams, w.stream.organization)
	}
	if h.users[w.user]--; h.users[w.user] == 0 {
		delete(h.users, w.user)
	}
}

// start begins the tail of a listener's stream after the newest position that the listener has read.
// It returns true if the caller must start a reader, because the process was notified of newer events.
func (h *streamHub) start(w *watcher, newest int64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	w.stream.tail.start(newest)
	w.stream.publish()
	return w.stream.begin(false)
}

// advance notes new positions of streams. The caller must start a reader for each returned stream.
func (h *streamHub) advance(heads ...head) (behind []*liveStream) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, newest := range heads {
		if stream := h.streams[newest.OrganizationID]; stream != nil {
			stream.head = max(stream.head, newest.LastPosition)
			if stream.begin(false) {
				behind = append(behind, stream)
			}
		}
	}
	return behind
}

// all returns the streams without a reader. The caller must start one for each.
func (h *streamHub) all() (begun []*liveStream) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, stream := range h.streams {
		if stream.begin(true) {
			begun = append(begun, stream)
		}
	}
	return begun
}

// begin marks the stream as being read, if it has to be. The caller holds the hub's lock.
func (l *liveStream) begin(always bool) bool {
	if l.reading || !l.tail.started || !always && l.head <= l.tail.upTo {
		return false
	}
	l.reading = true
	return true
}

// publish shows the tail to the listeners. The caller holds the hub's lock.
func (l *liveStream) publish() {
	current := l.tail
	l.published.Store(&current)
}

// wanted returns the end of the tail, after which a reader reads, and the newest known position.
func (h *streamHub) wanted(stream *liveStream) (after, head int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return stream.tail.upTo, stream.head
}

// extend adds events to the tail and wakes the listeners. The reader read up to a position, and knew
// the given head. It returns true if the reader must continue, because there is more.
func (h *streamHub) extend(stream *liveStream, events []tailEvent, upTo, head int64, more bool) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if upTo > stream.tail.upTo {
		stream.tail.add(events, upTo)
		stream.publish()
		for w := range stream.watchers {
			signal(w.wake)
		}
	}
	stream.reading = len(stream.watchers) > 0 && (more || stream.head > head && stream.head > stream.tail.upTo)
	return stream.reading
}

// stopped notes that a reader has failed. The next [streamHub.advance] starts another. It returns whether
// the stream still has listeners.
func (h *streamHub) stopped(stream *liveStream) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	stream.reading = false
	return len(stream.watchers) > 0
}

// after returns the events after a position from the tail of the listener's stream; see [tail.after].
// The tail must have been started.
func (w *watcher) after(position int64) (events []tailEvent, upTo int64, ok bool) {
	return w.stream.published.Load().after(position)
}

// organizations returns the organizations with open streams.
func (h *streamHub) organizations() []uuid.UUID {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make([]uuid.UUID, 0, len(h.streams))
	for organization := range h.streams {
		all = append(all, organization)
	}
	return all
}

// Streams returns the number of streams of this instance.
func (s *Service) Streams() int {
	s.streams.mu.Lock()
	defer s.streams.mu.Unlock()
	n := 0
	for _, stream := range s.streams.streams {
		n += len(stream.watchers)
	}
	return n
}
