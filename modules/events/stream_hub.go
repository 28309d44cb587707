package events

import (
	"sync"

	"github.com/google/uuid"
)

// streamHub wakes the streams of this process. It carries no events: each stream reads its own from the
// database at its reader's pace. The zero value is ready to use. Safe for concurrent use.
type streamHub struct {
	mu       sync.Mutex
	watchers map[uuid.UUID]map[*watcher]bool // by organization
	users    map[uuid.UUID]int               // number of streams of each user
}

// watcher is the registration of one stream.
type watcher struct {
	organization, user uuid.UUID
	wake               chan struct{}
	notified           int64 // the newest position that it was notified of; guarded by the hub
}

// maxPerUser is the maximum number of streams of one user in one instance.
const maxPerUser = 10

// add registers a stream of the user. The error is [ErrTooManyStreams].
func (h *streamHub) add(organization, user uuid.UUID) (*watcher, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.users[user] >= maxPerUser {
		return nil, ErrTooManyStreams.With(nil, "You already have %d event streams open.", maxPerUser)
	}
	if h.watchers == nil {
		h.watchers, h.users = map[uuid.UUID]map[*watcher]bool{}, map[uuid.UUID]int{}
	}
	if h.watchers[organization] == nil {
		h.watchers[organization] = map[*watcher]bool{}
	}
	w := &watcher{organization: organization, user: user, wake: make(chan struct{}, 1)}
	h.watchers[organization][w] = true
	h.users[user]++
	return w, nil
}

func (h *streamHub) remove(w *watcher) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.watchers[w.organization], w)
	if len(h.watchers[w.organization]) == 0 {
		delete(h.watchers, w.organization)
	}
	if h.users[w.user]--; h.users[w.user] == 0 {
		delete(h.users, w.user)
	}
}

// advance wakes the streams with new events.
func (h *streamHub) advance(heads ...head) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, stream := range heads {
		for w := range h.watchers[stream.OrganizationID] {
			if stream.LastPosition > w.notified {
				w.notified = stream.LastPosition
				signal(w.wake)
			}
		}
	}
}

// wakeAll wakes every stream.
func (h *streamHub) wakeAll() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, watchers := range h.watchers {
		for w := range watchers {
			signal(w.wake)
		}
	}
}

// organizations returns the organizations with open streams.
func (h *streamHub) organizations() []uuid.UUID {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make([]uuid.UUID, 0, len(h.watchers))
	for organization := range h.watchers {
		all = append(all, organization)
	}
	return all
}

// Streams returns the number of streams of this instance.
func (s *Service) Streams() int {
	s.streams.mu.Lock()
	defer s.streams.mu.Unlock()
	n := 0
	for _, watchers := range s.streams.watchers {
		n += len(watchers)
	}
	return n
}
