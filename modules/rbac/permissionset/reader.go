package rbac

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
)

// loadTimeout limits the time for reading an organization's permission sets.
const loadTimeout = 5 * time.Second

// changedSets returns the permission sets of an organization that differ from the defaults, by
// role.
func (s *Service) changedSets(ctx context.Context, organization uuid.UUID) (map[Role]held, error) {
	ctx = identity.With(ctx, identity.System(organization))
	return db.Snapshot(ctx, s.database, "permission-set.load", func(ctx context.Context) (map[Role]held, error) {
		changed, err := permissionSets(ctx)
		return changedIn(changed), err
	})
}

// sets caches the permission sets of organizations. An organization's sets are loaded at their
// first use and again after [sets.forget]. Safe for concurrent use.
type sets struct {
	load  func(ctx context.Context, organization uuid.UUID) (map[Role]held, error)
	mu    sync.RWMutex
	known map[uuid.UUID]*knownSets
}

// knownSets are the sets of one organization, loaded once.
type knownSets struct {
	once   sync.Once
	grants *grants
	err    error
}

// unchanged are the grants of every organization with the default sets.
var unchanged grants

// of returns the combined permissions of the roles in an organization. It reads the database at
// the first use and returns its error.
func (s *sets) of(ctx context.Context, organization uuid.UUID, c combination) (held, error) {
	s.mu.RLock()
	k := s.known[organization]
	s.mu.RUnlock()
	if k == nil {
		k = s.expect(organization)
	}
	k.once.Do(func() { // concurrent callers share the result, even if one of them is cancelled
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadTimeout)
		defer cancel()
		var changed map[Role]held
		if changed, k.err = s.load(ctx, organization); len(changed) > 0 {
			k.grants = &grants{changed: changed}
		} else {
			k.grants = &unchanged
		}
	})
	if k.err != nil {
		s.drop(organization, k)
		return nil, k.err
	}
	return k.grants.of(c), nil
}

// expect returns the entry of an organization's sets.
func (s *sets) expect(organization uuid.UUID) *knownSets {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.known[organization]
	if k == nil {
		if s.known == nil {
			s.known = map[uuid.UUID]*knownSets{}
		}
		k = &knownSets{}
		s.known[organization] = k
	}
	return k
}

// drop removes an entry that could not be loaded, so that the next caller loads it again.
func (s *sets) drop(organization uuid.UUID, failed *knownSets) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known[organization] == failed {
		delete(s.known, organization)
	}
}

// forget removes an organization's sets from the cache, or all sets for [uuid.Nil]. Call it after
// a change is committed. A caller that is loading at that moment does not store its result; later
// callers load the committed sets.
func (s *sets) forget(organization uuid.UUID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if organization == uuid.Nil {
		s.known = nil
		return
	}
	delete(s.known, organization)
}
