// Package recent remembers for a while what was read of an organization, so that what
// rarely changes is not read for every request.
package recent

import (
	"sync"
	"time"

	"github.com/google/uuid"
)

// Lifetime is how long something is remembered: how long another process may go on with
// what was so before a change.
const Lifetime = 30 * time.Second

// Of is what is remembered of organizations, one T of each. The zero value remembers
// nothing. Safe for concurrent use.
type Of[T any] struct {
	mutex sync.RWMutex
	known map[uuid.UUID]known[T]
	// edition counts what was forgotten: what was read before is not remembered after.
	edition int
}

type known[T any] struct {
	value T
	until time.Time
}

// Get returns what is remembered of the organization at that moment or, where nothing
// is, what read returns, which is remembered from then on. The error is that of read.
func (o *Of[T]) Get(organization uuid.UUID, now time.Time, read func() (T, error)) (T, error) {
	o.mutex.RLock()
	found, edition := o.known[organization], o.edition
	o.mutex.RUnlock()
	if now.Before(found.until) {
		return found.value, nil
	}
	value, err := read()
	if err != nil {
		return value, err
	}
	o.mutex.Lock()
	defer o.mutex.Unlock()
	if edition != o.edition {
		return value, nil
	}
	if o.known == nil {
		o.known = map[uuid.UUID]known[T]{}
	}
	o.known[organization] = known[T]{value, now.Add(Lifetime)}
	return value, nil
}

// Forget has it read again by whoever asks from now on. It is to be called once a change
// is committed: who is reading at that moment keeps what they read to themselves.
func (o *Of[T]) Forget(organization uuid.UUID) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	delete(o.known, organization)
	o.edition++
}
