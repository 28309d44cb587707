// Package apikey manages the API keys with which other systems act in an organization.
package apikey

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/account"
	"omnirapeutic/modules/rbac/revocation"
	"omnirapeutic/modules/rbac/session"
	"omnirapeutic/modules/rbac/throttle"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/mail"
	"omnirapeutic/platform/permission"
	"omnirapeutic/platform/trail"
)

// ErrNotFound is returned if the caller's organization has no such key. It does not reveal keys of
// other organizations.
var ErrNotFound = fault.Define(fault.NotFound, "api-key-not-found", "API key not found.")

// Service manages API keys. It is safe for concurrent use.
type Service struct {
	Dependencies

	cache       session.TokenCache[verifiedKey]
	lookUps     chan struct{} // limits concurrent queries
	uses        uses
	refusedUses refusedUses
	store       store
}

// Dependencies are the dependencies of the service.
type Dependencies struct {
	rbac.Core

	Accounts    *account.Service
	Revocations *revocation.Service
	Throttle    *throttle.Service
	// CacheLifetime is how long a verified key is cached.
	CacheLifetime time.Duration
	// Usual is the lifetime of keys without an expiry, Longest the maximum lifetime.
	Usual, Longest time.Duration
}

// New returns the service.
func New(d Dependencies) *Service {
	return &Service{Dependencies: d, lookUps: make(chan struct{}, maxLookUps)}
}

// Create creates a key of the caller's organization. It returns the key with its text, which is
// shown only once: the database stores a hash. The key holds its permissions for the whole
// organization, and so must the caller. Errors: [fault.ErrInvalid], [identity.ErrBeyondOwn],
// [identity.ErrPeopleOnly], [identity.ErrForbidden] if the caller has just lost the permission.
func (s *Service) Create(ctx context.Context, n NewKey) (Key, string, error) {
	caller, err := account.Person(ctx)
	if err != nil {
		return Key{}, "", err
	}
	now := s.Clock.Now()
	networks, fieldErrors := parseNetworks(n.Networks)
	if fieldErrors = append(n.check(now, s.Longest), fieldErrors...); len(fieldErrors) > 0 {
		return Key{}, "", fault.InvalidFields(fieldErrors...)
	}
	expires := now.Add(min(s.Usual, s.Longest))
	if n.ExpiresAt != nil {
		expires = n.ExpiresAt.UTC().Truncate(time.Microsecond)
	}
	text := newKey()
	key := Key{
		OrganizationID: caller.OrganizationID, ID: s.NewID(), Name: n.Name, Prefix: text[:keyShown],
		Permissions: inOrder(n.Permissions), Networks: networks, OwnedBy: caller.UserID,
		CreatedBy: caller.UserID, CreatedAt: now, ExpiresAt: &expires,
		APIVersion: n.APIVersion,
	}
	stored := func(ctx context.Context) (bool, error) { return s.store.exists(ctx, key.ID) }
	_, err = db.Serializable(ctx, s.Database, "api-key.create", func(ctx context.Context) (struct{}, error) {
		if db.InDoubt(ctx) { // an earlier attempt may have committed: see db.ProvenBy
			if done, err := stored(ctx); done || err != nil {
				return struct{}{}, err
			}
		}
		own, err := s.Accounts.CallerHolds(ctx, permission.APIKeyManage)
		if err == nil {
			err = own.Covers(key.held())
		}
		if err != nil {
			return struct{}{}, err
		}
		if err := s.store.insert(ctx, key, hashOfKey(text)); err != nil {
			return struct{}{}, err
		}
		if err := s.notify(ctx, key); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, s.record(ctx, "api-key.create", key, now)
	}, db.ProvenBy(stored))
	return key, text, err
}

// notify sends the owner of a new key a mail about it, in the transaction of the context.
func (s *Service) notify(ctx context.Context, key Key) error {
	if !s.Mail.Enabled() {
		return nil
	}
	owner, err := s.Accounts.User(ctx, key.OwnedBy)
	if err != nil {
		return err
	}
	return rbac.NotifyChange(ctx, s.Core, owner, mail.APIKeyCreated)
}

// List lists the organization's keys after an id, in the order of their creation. The list includes
// ended keys, because the audit trail names them. A given owner filters the list.
func (s *Service) List(ctx context.Context, owner, after uuid.UUID, limit int) ([]Key, error) {
	return db.Snapshot(ctx, s.Database, "api-key.list", func(ctx context.Context) ([]Key, error) {
		return s.store.list(ctx, owner, after, limit)
	})
}

// Key returns a key. The error is [ErrNotFound].
func (s *Service) Key(ctx context.Context, id uuid.UUID) (Key, error) {
	return db.Snapshot(ctx, s.Database, "api-key.get", func(ctx context.Context) (Key, error) {
		return s.store.key(ctx, id)
	})
}

// Names returns the names of keys by id, in the transaction of the context. The result omits unknown
// ids.
func (s *Service) Names(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]string, error) {
	return s.store.names(ctx, ids)
}

// Revoke revokes a key. When it returns, this instance refuses the key; other instances refuse it
// when they load the revocation, see [revocation.Service.LoadRevocations]. Streams that were opened with the key
// end. Revoking a revoked key changes nothing. Errors: [ErrNotFound], [identity.ErrPeopleOnly].
func (s *Service) Revoke(ctx context.Context, id uuid.UUID) error {
	caller, err := account.Person(ctx)
	if err != nil {
		return err
	}
	_, err = db.Serializable(ctx, s.Database, "api-key.revoke", func(ctx context.Context) (struct{}, error) {
		key, err := s.store.key(ctx, id)
		if err != nil || key.RevokedAt != nil {
			return struct{}{}, err
		}
		_, err = s.end(ctx, key, caller.UserID)
		return struct{}{}, err
	})
	return err
}

// end revokes a key in the transaction of the context and returns the revoked key.
func (s *Service) end(ctx context.Context, key Key, by uuid.UUID) (Key, error) {
	now := s.Clock.Now()
	key.RevokedBy, key.RevokedAt = &by, &now
	if err := s.store.revoke(ctx, key); err != nil {
		return Key{}, err
	}
	if err := s.Revocations.RevokeKey(ctx, key.OrganizationID, key.ID, now); err != nil {
		return Key{}, err
	}
	return key, s.record(ctx, "api-key.revoke", key, now)
}

// recordedKey is the After value of a created or revoked key. It omits the name, which is free text.
type recordedKey struct {
	Permissions permissionList `json:"permissions"`
	ExpiresAt   *time.Time     `json:"expiresAt"`
	OwnedBy     uuid.UUID      `json:"ownedBy"`
	Networks    []string       `json:"networks"`
	APIVersion  *string        `json:"apiVersion,omitempty"`
}

// record records that the caller has created or revoked a key, or changed its owner.
func (s *Service) record(ctx context.Context, action string, k Key, at time.Time) error {
	return trail.RecordBy(ctx, s.Audit, trail.Event{
		Action: action, SubjectType: "api-key", SubjectID: k.ID, OccurredAt: at,
		After: recordedKey{k.Permissions, k.ExpiresAt, k.OwnedBy, k.Networks.Texts(), k.APIVersion},
	})
}
