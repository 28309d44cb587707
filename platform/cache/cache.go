// Package recent caches data of organizations that rarely changes, so that it is not
// read for every request.
package recent

import (
	"sync"
	"time"

	"github.com/google/uuid"
)

// Lifetime is how long an entry is cached. Another process may use an outdated entry
// for this long after a change.
const Lifetime = 30 * time.Second

// Of caches one T per organization. The zero value is an empty cache. Safe for
// concurrent use.
type Of[T any] struct {
	mutex sync.RWMutex
	known map[uuid.UUID]known[T]
	// edition counts invalidations. A value that was read before the last one is not
	// stored.
	edition int
}

type known[T any] struct {
	value T
	until time.Time
}

// Get returns the cached value of the organization. If there is none, it calls read and
// caches the result. The error is that of read.
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

// Forget invalidates the entry. Call it after a change is committed. A concurrent read
// returns its value but does not cache it.
func (o *Of[T]) Forget(organization uuid.UUID) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	delete(o.known, organization)
	o.edition++
}
