package rbac

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
)

// settleKeys ends the API keys that a user may not answer for any more, in the transaction of the context: all of them
// where the user is disabled, otherwise those that may do what the user may not. Where heir is given they go on instead,
// and that user answers for them; both the caller (mine) and the heir must hold what the keys may do. It returns the
// keys as they are then. Errors: [fault.ErrInvalid], [ErrBeyondOwn].
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
	wrong := func(code, message string) error {
		return fault.InvalidFields(fault.Field{Field: "apiKeyOwnerId", Code: code, Message: message})
	}
	owner, err := takeUser(ctx, heir)
	if ignoreNotFound(err) != nil {
		return nil, err
	}
	if err != nil || owner.Disabled {
		return nil, wrong("reference", "must be a user of the organization who is not disabled")
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
			return nil, wrong("beyond", "must be a user who holds every permission of the API keys")
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
