package apikey

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
)

// Settle ends the keys that a user may no longer own, in the transaction of the context. These are
// all keys of a disabled user, otherwise the keys with more permissions than the user. If newOwner
// is given, the keys get that owner instead of ending. Both the caller (held) and the new owner must
// hold the keys' permissions. It returns the changed keys. Errors: [fault.ErrInvalid],
// [identity.ErrBeyondOwn].
func (s *Service) Settle(
	ctx context.Context, held rbac.Held, u rbac.User, newOwner *uuid.UUID, now time.Time,
) ([]Key, error) {
	keys, err := s.store.openKeys(ctx, u.ID, now)
	if err != nil {
		return nil, err
	}
	ownerHolds, err := s.Accounts.HeldBy(ctx, u.Roles)
	if err != nil {
		return nil, err
	}
	keys = slices.DeleteFunc(keys, func(k Key) bool { return !u.Disabled && ownerHolds.Covers(k.held()) == nil })
	if newOwner != nil {
		return s.transfer(ctx, held, keys, *newOwner, now)
	}
	caller, err := identity.From(ctx)
	if err != nil {
		return nil, err
	}
	for i, key := range keys {
		if keys[i], err = s.end(ctx, key, caller.UserID); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

// transfer gives keys another owner.
func (s *Service) transfer(
	ctx context.Context, held rbac.Held, keys []Key, newOwner uuid.UUID, now time.Time,
) ([]Key, error) {
	invalidOwner := func(code, message string) error {
		return fault.InvalidFields(fault.Field{Field: "apiKeyOwnerId", Code: code, Message: message})
	}
	owner, err := s.Accounts.User(ctx, newOwner)
	if errors.Is(err, rbac.ErrUserNotFound) || err == nil && owner.Disabled {
		return nil, invalidOwner("reference", "must be an enabled user of the organization")
	}
	if err != nil {
		return nil, err
	}
	ownerHolds, err := s.Accounts.HeldBy(ctx, owner.Roles)
	if err != nil {
		return nil, err
	}
	for i, key := range keys {
		if err := held.Covers(key.held()); err != nil {
			return nil, err
		}
		if ownerHolds.Covers(key.held()) != nil {
			return nil, invalidOwner("beyond", "must be a user who holds every permission of the API keys")
		}
		keys[i].OwnedBy = newOwner
		if err := s.store.setOwner(ctx, key.ID, newOwner); err != nil {
			return nil, err
		}
		if err := s.record(ctx, "api-key.transfer", keys[i], now); err != nil {
			return nil, err
		}
	}
	return keys, nil
}
