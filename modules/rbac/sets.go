package rbac

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
)

// loadTimeout is how long it may take to read an organization's permission sets.
const loadTimeout = 5 * time.Second

// changedSets reads what differs in an organization, by role, from what is shipped.
func (s *Service) changedSets(ctx context.Context, organization uuid.UUID) (map[Role]held, error) {
	ctx = identity.With(ctx, identity.System(organization))
	return db.Snapshot(ctx, s.database, "permission-set.load", func(ctx context.Context) (map[Role]held, error) {
		changed, err := permissionSets(ctx)
		return changedIn(changed), err
	})
}

// sets are the permission sets of organizations, as this instance knows them. An
// organization's are read when they are asked for the first time, and again once they
// are forgotten, see [sets.forget]. Safe for concurrent use.
type sets struct {
	load  func(ctx context.Context, organization uuid.UUID) (map[Role]held, error)
	mu    sync.RWMutex
	known map[uuid.UUID]*knownSets
}

// knownSets are those of one organization, once they were read.
type knownSets struct {
	once   sync.Once
	grants *grants
	err    error
}

// unchanged is what is granted in every organization that has changed nothing.
var unchanged grants

// of returns what the roles may do together in an organization. It reads the database
// the first time; the error is that of the database.
func (s *sets) of(ctx context.Context, organization uuid.UUID, c combination) (held, error) {
	s.mu.RLock()
	k := s.known[organization]
	s.mu.RUnlock()
	if k == nil {
		k = s.expect(organization)
	}
	k.once.Do(func() { // who waits here waits for the same answer, whoever of them goes away
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

// expect returns where an organization's sets will be.
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

// drop has what could not be read asked for again.
func (s *sets) drop(organization uuid.UUID, failed *knownSets) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known[organization] == failed {
		delete(s.known, organization)
	}
}

// forget has an organization's sets read again, or all of them where it is [uuid.Nil].
// To be called once a change is committed: whoever is reading at that moment keeps what
// they read to themselves, and those who ask after this read what was committed.
func (s *sets) forget(organization uuid.UUID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if organization == uuid.Nil {
		s.known = nil
		return
	}
	delete(s.known, organization)
}
