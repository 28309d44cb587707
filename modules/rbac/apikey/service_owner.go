package rbac

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
)

// settleKeys ends the API keys that a user may no longer own, in the transaction of the context.
// These are all keys of a disabled user, otherwise the keys with more permissions than the user. If
// heir is given, the keys get that owner instead of ending. Both the caller (mine) and the heir
// must hold the keys' permissions. It returns the changed keys. Errors: [fault.ErrInvalid],
// [ErrBeyondOwn].
func (s *Service) settleKeys(ctx context.Context, mine held, u User, heir *uuid.UUID, now time.Time) ([]APIKey, error) {
	keys, err := openKeysOf(ctx, u.ID, now)
	if err != nil {
		return nil, err
	}
	holds, err := heldBy(ctx, u.Roles)
	if err != nil {
		return nil, err
	}
	keys = slices.DeleteFunc(keys, func(k APIKey) bool { return !u.Disabled && holds.covers(k.holds()) == nil })
	if heir != nil {
		return s.bequeathKeys(ctx, mine, keys, *heir, now)
	}
	caller, err := identity.From(ctx)
	if err != nil {
		return nil, err
	}
	for i, key := range keys {
		if keys[i], err = s.endKey(ctx, key, caller.UserID); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

// bequeathKeys gives API keys another owner.
func (s *Service) bequeathKeys(ctx context.Context, mine held, keys []APIKey, heir uuid.UUID, now time.Time) ([]APIKey, error) {
	invalidHeir := func(code, message string) error {
		return fault.InvalidFields(fault.Field{Field: "apiKeyOwnerId", Code: code, Message: message})
	}
	owner, err := takeUser(ctx, heir)
	if ignoreNotFound(err) != nil {
		return nil, err
	}
	if err != nil || owner.Disabled {
		return nil, invalidHeir("reference", "must be an enabled user of the organization")
	}
	theirs, err := heldBy(ctx, owner.Roles)
	if err != nil {
		return nil, err
	}
	for i, key := range keys {
		if err := mine.covers(key.holds()); err != nil {
			return nil, err
		}
		if theirs.covers(key.holds()) != nil {
			return nil, invalidHeir("beyond", "must be a user who holds every permission of the API keys")
		}
		keys[i].OwnedBy = heir
		if err := updateKeyOwner(ctx, key.ID, heir); err != nil {
			return nil, err
		}
		if err := s.recordKey(ctx, "api-key.transfer", keys[i], now); err != nil {
			return nil, err
		}
	}
	return keys, nil
}
