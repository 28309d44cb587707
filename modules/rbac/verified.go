package rbac

import (
	"sync"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
)

// verified is a token whose signature was right, with what it says.
type verified struct {
	claims   claims
	caller   identity.Caller
	networks networkList // from which an API key may be used; none: all
}

// maxVerified bounds one generation of tokens that are remembered, at about a
// kilobyte each.
const maxVerified = 4096

// memory remembers, by their hashes, since what is kept of a secret must not be one, tokens whose signature was right, so that it is computed, and
// their JSON read, once and not for every request. When as many are new as may be
// remembered, those that nobody has used since the last time are forgotten. The
// zero value is empty. Safe for concurrent use.
type memory struct {
	mu          sync.RWMutex
	recent, old map[db.Hash]*verified
}

// find returns the token's, nil where it is not remembered.
func (m *memory) find(d db.Hash) *verified {
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

func (m *memory) keep(d db.Hash, v *verified) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.recent == nil || len(m.recent) >= maxVerified {
		m.recent, m.old = make(map[db.Hash]*verified), m.recent
	}
	m.recent[d] = v
}
