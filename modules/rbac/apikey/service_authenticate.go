package apikey

import (
	"context"
	"errors"
	"time"

	"omnirapeutic/modules/rbac/session"
	"omnirapeutic/modules/rbac/throttle"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/telemetry"
	"omnirapeutic/platform/trail"
)

// errInvalidKey is returned for every invalid key, so callers cannot tell revoked keys from unknown
// ones.
var errInvalidKey = identity.ErrUnauthenticated.With(nil, "The API key is invalid, expired or revoked.")

var errChecksum = errors.New("the checksum of the API key is wrong")

// verifiedKey is a key that was found in the database.
type verifiedKey struct {
	caller   identity.Caller
	networks Networks
}

// Authenticate returns the caller of a key. It refuses malformed keys without a query. It caches a
// verified key for the lifetime of an access token; revocations reach the cache as they do for
// tokens, see [Service.Revoke]. Errors: [identity.ErrUnauthenticated],
// [revocation.ErrTokenNotChecked].
func (s *Service) Authenticate(ctx context.Context, text string) (identity.Caller, error) {
	if !isWhole(text) {
		return identity.Caller{}, s.Throttle.CountInvalid(ctx, throttle.APIKey, errInvalidKey.Because(errChecksum))
	}
	now, hash := s.Clock.Now(), hashOfKey(text)
	found := s.cached(hash, now)
	if found == nil {
		var err error
		found, err = throttle.Limited(ctx, s.Throttle, throttle.APIKey, throttle.NetworkSource(ctx),
			func() (*verifiedKey, error) { return s.lookUp(ctx, hash, now) })
		if err != nil {
			return identity.Caller{}, err
		}
	}
	caller := found.caller
	if err := s.Revocations.Check(caller); err != nil {
		if errors.Is(err, identity.ErrUnauthenticated) {
			err = errInvalidKey
		}
		return identity.Caller{}, err
	}
	if !found.networks.contains(trail.Address(ctx)) {
		return identity.Caller{}, s.refuseNetwork(ctx, caller, hash)
	}
	s.uses.note(caller, now)
	return caller, nil
}

// cached returns a key from the cache, or nil. It returns nil in processes that do not load
// revocations, such as commands.
func (s *Service) cached(hash db.Hash, now time.Time) *verifiedKey {
	found := s.cache.Find(hash)
	if found == nil || found.caller.ExpiredAt(now) || !s.Revocations.HasLoaded() {
		return nil
	}
	return found
}

// maxLookUps limits concurrent queries for keys, so that a flood of guessed keys with valid
// checksums cannot take all connections.
const maxLookUps = 4

// lookUp reads the key from the database.
func (s *Service) lookUp(ctx context.Context, hash db.Hash, now time.Time) (*verifiedKey, error) {
	select {
	case s.lookUps <- struct{}{}:
		defer func() { <-s.lookUps }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	key, err := s.find(ctx, hash)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, errInvalidKey.Because(throttle.ErrGuess)
	case err != nil:
		return nil, err
	case !key.isValid(now):
		return nil, errInvalidKey
	}
	found := &verifiedKey{key.caller(now.Add(s.CacheLifetime)), key.Networks}
	s.cache.Keep(hash, found)
	return found, nil
}

// find returns the key with the hash, of any organization that is not disabled.
func (s *Service) find(ctx context.Context, hash db.Hash) (Key, error) {
	return db.Snapshot(ctx, s.Database, "api-key.find", func(ctx context.Context) (Key, error) {
		key, err := s.store.keyWithHash(ctx, hash)
		if err != nil {
			return Key{}, err
		}
		disabled, err := s.Accounts.IsOrganizationDisabled(ctx, key.OrganizationID)
		if err == nil && disabled {
			err = ErrNotFound
		}
		return key, err
	}, db.AllOrganizations())
}

// refuseNetwork records that a key was used outside its networks, at most once a minute for each
// address. It returns the same refusal as for an invalid key.
func (s *Service) refuseNetwork(ctx context.Context, key identity.Caller, hash db.Hash) error {
	address, now := trail.Address(ctx), s.Clock.Now()
	if !s.refusedUses.isDue(refusedUse{hash, address}, now) {
		return errInvalidKey
	}
	err := s.Audit.Note(ctx, []trail.Event{{
		OrganizationID: key.OrganizationID, ActorID: key.UserID, RequestID: telemetry.RequestID(ctx), Address: address,
		Action: "api-key.use", SubjectType: "api-key", SubjectID: key.UserID, OccurredAt: now,
		Outcome: trail.Denied, After: session.RefusedSignIn{Reason: "network"},
	}})
	if err != nil {
		return err
	}
	return errInvalidKey
}

// WriteUses writes the times of the last use of keys on this instance, in one statement, and returns
// their number. Failed writes are repeated the next time. A killed program loses times that are not
// yet written.
func (s *Service) WriteUses(ctx context.Context) (int64, error) {
	taken := s.uses.take()
	if len(taken) == 0 {
		return 0, nil
	}
	_, err := db.ReadCommitted(ctx, s.Database, "api-key.uses", func(ctx context.Context) (struct{}, error) {
		return struct{}{}, s.store.writeUses(ctx, taken)
	}, db.AllOrganizations())
	if err != nil {
		s.uses.putBack(taken)
		return 0, err
	}
	return int64(len(taken)), nil
}
