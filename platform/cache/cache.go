// Package cache caches data of organizations and users that rarely changes, so that it is
// not read for every request.
package cache

import (
	"sync"
	"time"

	"github.com/google/uuid"
)

// Lifetime is how long an entry is cached. Another process may use an outdated entry
// for this long after a change.
const Lifetime = 30 * time.Second

// PerOrganization caches one T per organization.
type PerOrganization[T any] = ByID[T]

// ByID caches one T per id. The zero value is an empty cache. Safe for concurrent use.
type ByID[T any] struct {
	mutex   sync.RWMutex
	entries map[uuid.UUID]entry[T]
	// invalidations counts the calls of Invalidate. A value that was read before the last one is not
	// stored.
	invalidations int
}

type entry[T any] struct {
	value T
	until time.Time
}

// Get returns the cached value of the id. If there is none, it calls read and caches the
// result. The error is that of read.
func (c *ByID[T]) Get(id uuid.UUID, now time.Time, read func() (T, error)) (T, error) {
	c.mutex.RLock()
	found, invalidations := c.entries[id], c.invalidations
	c.mutex.RUnlock()
	if now.Before(found.until) {
		return found.value, nil
	}
	value, err := read()
	if err != nil {
		return value, err
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if invalidations != c.invalidations {
		return value, nil
	}
	if c.entries == nil {
		c.entries = map[uuid.UUID]entry[T]{}
	}
	c.entries[id] = entry[T]{value, now.Add(Lifetime)}
	return value, nil
}

// Invalidate removes the entry. Call it after a change is committed. A concurrent read
// returns its value but does not cache it.
func (c *ByID[T]) Invalidate(id uuid.UUID) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	delete(c.entries, id)
	c.invalidations++
}
