package apikey

import (
	"maps"
	"sync"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
)

// keyID identifies a key across organizations.
type keyID struct{ organization, id uuid.UUID }

// uses collects the times at which keys were last used, until they are written. The zero value is
// empty. Safe for concurrent use.
type uses struct {
	mutex sync.Mutex
	last  map[keyID]time.Time
}

func (u *uses) note(key identity.Caller, now time.Time) {
	u.mutex.Lock()
	defer u.mutex.Unlock()
	if u.last == nil {
		u.last = map[keyID]time.Time{}
	}
	id := keyID{key.OrganizationID, key.UserID}
	if now.After(u.last[id]) {
		u.last[id] = now
	}
}

// take returns the collected times and removes them.
func (u *uses) take() map[keyID]time.Time {
	u.mutex.Lock()
	defer u.mutex.Unlock()
	taken := u.last
	u.last = nil
	return taken
}

// putBack adds times that could not be written.
func (u *uses) putBack(taken map[keyID]time.Time) {
	u.mutex.Lock()
	defer u.mutex.Unlock()
	if u.last == nil {
		u.last = taken
		return
	}
	maps.Copy(taken, u.last) // times collected meanwhile are later
	u.last = taken
}

// refusedUses limits how often the use of a key from another network is recorded, so that a thief
// with a stolen key cannot fill the audit trail. The zero value is empty. Safe for concurrent use.
type refusedUses struct {
	mutex sync.Mutex
	last  map[refusedUse]time.Time
}

type refusedUse struct {
	hash    db.Hash // of the key
	address string
}

const (
	recordRefusedUse = time.Minute // at most one record per key and address in this time
	maxRefusedUses   = 1024        // in memory at once
)

// isDue reports whether to record a refused use, and stores its time.
func (r *refusedUses) isDue(use refusedUse, now time.Time) bool {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if last, ok := r.last[use]; ok && now.Sub(last) < recordRefusedUse {
		return false
	}
	if r.last == nil || len(r.last) >= maxRefusedUses {
		r.last = map[refusedUse]time.Time{}
	}
	r.last[use] = now
	return true
}
