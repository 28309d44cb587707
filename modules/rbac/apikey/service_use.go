package rbac

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/trail"
)

// errKey is returned for every invalid key, so callers cannot tell revoked keys from unknown
// ones.
var errKey = identity.ErrUnauthenticated.With(nil, "The API key is invalid, expired or revoked.")

var errKeyGarbled = errors.New("the checksum of the API key is wrong")

// authenticateKey returns the caller of an API key. It refuses malformed keys without a query. It
// caches a verified key for the lifetime of an access token; revocations reach the cache as they
// do for tokens, see [Service.RevokeKey].
func (s *Service) authenticateKey(ctx context.Context, text string) (identity.Caller, error) {
	if !isWhole(text) {
		return identity.Caller{}, s.failed(ctx, failedKey, errKey.Because(errKeyGarbled))
	}
	now, hash := s.now(), hashOfKey(text)
	known := s.rememberedKey(hash, now)
	if known == nil {
		var err error
		known, err = limited(ctx, s, failedKey, networkSource(ctx), func() (*verified, error) { return s.lookUpKey(ctx, hash, now) })
		if err != nil {
			return identity.Caller{}, err
		}
	}
	caller := known.caller
	if err := s.standing.check(caller); err != nil {
		if errors.Is(err, identity.ErrUnauthenticated) {
			err = errKey
		}
		return identity.Caller{}, err
	}
	if !known.networks.contains(trail.Address(ctx)) {
		return identity.Caller{}, s.refuseNetwork(ctx, caller, hash)
	}
	s.uses.note(caller, now)
	return caller, nil
}

// rememberedKey returns a key from the cache, or nil. It returns nil in processes that do not
// follow revocations, such as commands.
func (s *Service) rememberedKey(hash db.Hash, now time.Time) *verified {
	v := s.apiKeys.find(hash)
	if v == nil || v.caller.ExpiredAt(now) || !s.standing.isFollowed() {
		return nil
	}
	return v
}

// maxLookUps limits concurrent queries for keys, so that a flood of invented keys with valid
// checksums cannot take all connections.
const maxLookUps = 4

// lookUpKey reads the key from the database.
func (s *Service) lookUpKey(ctx context.Context, hash db.Hash, now time.Time) (*verified, error) {
	select {
	case s.lookUps <- struct{}{}:
		defer func() { <-s.lookUps }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	key, err := s.keyOf(ctx, hash)
	switch {
	case errors.Is(err, ErrKeyNotFound):
		return nil, errKey.Because(errGuess)
	case err != nil:
		return nil, err
	case key.RevokedAt != nil, key.ExpiresAt != nil && !now.Before(*key.ExpiresAt):
		return nil, errKey
	}
	found := &verified{caller: key.caller(now.Add(s.tokens.lifetime)), networks: key.Networks}
	s.apiKeys.keep(hash, found)
	return found, nil
}

// keyOf returns the key with the hash, of any organization.
func (s *Service) keyOf(ctx context.Context, hash db.Hash) (APIKey, error) {
	return db.Snapshot(ctx, s.database, "api-key.find", func(ctx context.Context) (APIKey, error) {
		return apiKeyOf(ctx, hash)
	}, db.AllOrganizations())
}

// caller returns the caller of a key, valid until the given time. Streams that were opened with
// the key end then, as with an access token.
func (k APIKey) caller(until time.Time) identity.Caller {
	if k.ExpiresAt != nil && k.ExpiresAt.Before(until) {
		until = *k.ExpiresAt
	}
	return identity.Caller{UserID: k.ID, Kind: identity.Machine, OrganizationID: k.OrganizationID, Permissions: k.holds(), Until: until}
}

// holds returns the key's permissions, for all records of the organization.
func (k APIKey) holds() held {
	all := make(held, len(k.Permissions))
	for _, p := range k.Permissions {
		if forPeople(p) == "" { // a key of an earlier version may have it
			all[p] = identity.Organization
		}
	}
	return all
}

// keyName identifies a key across organizations.
type keyName struct{ organization, id uuid.UUID }

// uses collects the times at which keys were last used, until they are written. The zero value is
// empty. Safe for concurrent use.
type uses struct {
	mutex sync.Mutex
	last  map[keyName]time.Time
}

func (u *uses) note(key identity.Caller, now time.Time) {
	u.mutex.Lock()
	defer u.mutex.Unlock()
	if u.last == nil {
		u.last = map[keyName]time.Time{}
	}
	name := keyName{key.OrganizationID, key.UserID}
	if now.After(u.last[name]) {
		u.last[name] = now
	}
}

// take returns the collected times and removes them.
func (u *uses) take() map[keyName]time.Time {
	u.mutex.Lock()
	defer u.mutex.Unlock()
	taken := u.last
	u.last = nil
	return taken
}

// putBack adds times that could not be written.
func (u *uses) putBack(taken map[keyName]time.Time) {
	u.mutex.Lock()
	defer u.mutex.Unlock()
	if u.last == nil {
		u.last = taken
		return
	}
	maps.Copy(taken, u.last) // times collected meanwhile are later
	u.last = taken
}

// KeepKeyUses writes the times of the last use of API keys on this instance, in one statement, and
// returns their number. Failed writes are repeated the next time. A killed program loses times that
// are not yet written.
func (s *Service) KeepKeyUses(ctx context.Context) (int64, error) {
	taken := s.uses.take()
	if len(taken) == 0 {
		return 0, nil
	}
	_, err := db.ReadCommitted(ctx, s.database, "api-key.uses", func(ctx context.Context) (struct{}, error) {
		return struct{}{}, updateKeyUses(ctx, taken)
	}, db.AllOrganizations())
	if err != nil {
		s.uses.putBack(taken)
		return 0, err
	}
	return int64(len(taken)), nil
}
