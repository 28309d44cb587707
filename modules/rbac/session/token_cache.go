package session

import (
	"sync"

	"omnirapeutic/platform/db"
)

// maxCached is the number of tokens in one generation of a cache, of about a kilobyte each.
const maxCached = 4096

// TokenCache caches verified tokens by hash, never the token itself, so each is verified once. When
// the current generation is full, tokens that were not used since the last one are dropped. The zero
// value is empty. Safe for concurrent use.
type TokenCache[T any] struct {
	mu           sync.RWMutex
	current, old map[db.Hash]*T
}

// Find returns the cached token, or nil.
func (c *TokenCache[T]) Find(hash db.Hash) *T {
	c.mu.RLock()
	found := c.current[hash]
	old := c.old[hash]
	c.mu.RUnlock()
	if found == nil && old != nil {
		c.Keep(hash, old)
		found = old
	}
	return found
}

// Keep adds a token to the cache.
func (c *TokenCache[T]) Keep(hash db.Hash, token *T) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current == nil || len(c.current) >= maxCached {
		c.current, c.old = make(map[db.Hash]*T), c.current
	}
	c.current[hash] = token
}
