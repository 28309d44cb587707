package rbac

import (
	"sync"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
)

// verified is a token with a valid signature and its claims.
type verified struct {
	claims   claims
	caller   identity.Caller
	networks networkList // networks from which an API key may be used; none: all
}

// maxVerified is the number of tokens in one generation of the cache, of about a kilobyte each.
const maxVerified = 4096

// tokenCache caches verified tokens by hash, never the token itself, so each signature is checked
// once. When the current generation is full, tokens that were not used since the last one are
// dropped. The zero value is empty. Safe for concurrent use.
type tokenCache struct {
	mu          sync.RWMutex
	recent, old map[db.Hash]*verified
}

// find returns the cached token, or nil.
func (m *tokenCache) find(d db.Hash) *verified {
	m.mu.RLock()
	v := m.recent[d]
	old := m.old[d]
	m.mu.RUnlock()
	if v == nil && old != nil {
		m.keep(d, old)
		v = old
	}
	return v
}

func (m *tokenCache) keep(d db.Hash, v *verified) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.recent == nil || len(m.recent) >= maxVerified {
		m.recent, m.old = make(map[db.Hash]*verified), m.recent
	}
	m.recent[d] = v
}
