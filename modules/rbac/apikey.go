package rbac

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/permission"
)

// ErrKeyNotFound is returned if the caller's organization has no such API key. It does not reveal
// keys of other organizations.
var ErrKeyNotFound = fault.Define(fault.NotFound, "api-key-not-found", "API key not found.")

// APIKey lets another system act in an organization, as itself: in the audit trail and in histories
// its id replaces a user's. It belongs to the organization and has one of its users as owner. When
// the owner is disabled or loses the key's permissions, the key ends or gets another owner, see
// [UserChange].
type APIKey struct {
	OrganizationID uuid.UUID
	ID             uuid.UUID
	Name           string // what it is for
	Begins         string // the first characters of the key, by which people recognize it
	Permissions    []identity.Permission
	Networks       networkList // networks from which it may be used; none: all
	OwnedBy        uuid.UUID   // the owner, see [UserChange]
	CreatedBy      uuid.UUID
	CreatedAt      time.Time
	ExpiresAt      *time.Time // nil: never, for keys of earlier versions
	LastUsedAt     *time.Time // up to a minute late
	RevokedBy      *uuid.UUID
	RevokedAt      *time.Time // nil: not revoked
}

// NewAPIKey is the request for an API key.
type NewAPIKey struct {
	Name        string                // 1 to 100 characters
	Permissions []identity.Permission // at least one; each held by the caller
	ExpiresAt   *time.Time            // in the future, within the longest lifetime; nil: the usual lifetime
	Networks    []string              // networks from which it may be used, as CIDR or addresses; none: all
}

// CreateKey creates an API key of the caller's organization. It returns the key with its text,
// which is shown only once: the database stores a hash. The key holds its permissions for the
// whole organization, and so must the caller. Errors: [fault.ErrInvalid], [ErrBeyondOwn],
// [identity.ErrPeopleOnly], [identity.ErrForbidden] if the caller has just lost the permission.
func (s *Service) CreateKey(ctx context.Context, n NewAPIKey) (APIKey, string, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return APIKey{}, "", err
	}
	if err := caller.RequirePerson(); err != nil {
		return APIKey{}, "", err
	}
	now := s.now()
	networks, fieldErrors := parseNetworks(n.Networks)
	if fieldErrors = append(n.check(now, s.longestKey), fieldErrors...); len(fieldErrors) > 0 {
		return APIKey{}, "", fault.InvalidFields(fieldErrors...)
	}
	if n.ExpiresAt == nil {
		n.ExpiresAt = new(now.Add(min(s.usualKey, s.longestKey)))
	}
	text := newKey()
	key := APIKey{
		OrganizationID: caller.OrganizationID, ID: s.newID(), Name: n.Name, Begins: text[:keyBegins], Permissions: inDocumentOrder(n.Permissions),
		Networks: networks, OwnedBy: caller.UserID,
		CreatedBy: caller.UserID, CreatedAt: now, ExpiresAt: inMicroseconds(n.ExpiresAt),
	}
	stored := func(ctx context.Context) (bool, error) { return apiKeyExists(ctx, key.ID) }
	_, err = db.Serializable(ctx, s.database, "api-key.create", func(ctx context.Context) (struct{}, error) {
		if db.InDoubt(ctx) { // an earlier attempt may have committed: see db.ProvenBy
			if done, err := stored(ctx); done || err != nil {
				return struct{}{}, err
			}
		}
		own, err := s.callerHolds(ctx, permission.ApiKeyManage)
		if err == nil {
			err = own.covers(key.holds())
		}
		if err != nil {
			return struct{}{}, err
		}
		if err := insertAPIKey(ctx, key, hashOfKey(text)); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, s.recordKey(ctx, "api-key.create", key, now)
	}, db.ProvenBy(stored))
	return key, text, err
}

func (n NewAPIKey) check(now time.Time, longest time.Duration) []fault.Field {
	var fieldErrors []fault.Field
	refuse := func(field, code, message string) {
		fieldErrors = append(fieldErrors, fault.Field{Field: field, Code: code, Message: message})
	}
	if len(n.Permissions) == 0 {
		refuse("permissions", "required", "must have at least 1 entry")
	}
	for i, p := range n.Permissions {
		field := fmt.Sprintf("permissions[%d]", i)
		switch {
		case !slices.Contains(Permissions(), p):
			refuse(field, "permission", "is not a permission")
		case forPeople(p) != "":
			refuse(field, "personal", "cannot be held by an API key, because "+forPeople(p))
		case slices.Contains(n.Permissions[:i], p):
			refuse(field, "unique", "must not be repeated")
		}
	}
	if n.ExpiresAt != nil && !n.ExpiresAt.After(now) {
		refuse("expiresAt", "future", "must be in the future")
	}
	if n.ExpiresAt != nil && n.ExpiresAt.After(now.Add(longest)) {
		const day = 24 * time.Hour
		refuse("expiresAt", "max", fmt.Sprintf("must be at most %d days from now", longest/day))
	}
	return fieldErrors
}

func inDocumentOrder(given []identity.Permission) []identity.Permission {
	return slices.DeleteFunc(Permissions(), func(p identity.Permission) bool { return !slices.Contains(given, p) })
}

func inMicroseconds(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	return new(t.UTC().Truncate(time.Microsecond))
}

// Keys lists the organization's API keys after an id, in the order of their creation. The list
// includes ended keys, because the audit trail names them. A given owner filters the list.
func (s *Service) Keys(ctx context.Context, owner, after uuid.UUID, limit int) ([]APIKey, error) {
	return db.Snapshot(ctx, s.database, "api-key.list", func(ctx context.Context) ([]APIKey, error) {
		return listAPIKeys(ctx, owner, after, limit)
	})
}

// Key returns an API key. The error is [ErrKeyNotFound].
func (s *Service) Key(ctx context.Context, id uuid.UUID) (APIKey, error) {
	return db.Snapshot(ctx, s.database, "api-key.get", func(ctx context.Context) (APIKey, error) {
		return takeAPIKey(ctx, id)
	})
}

// RevokeKey revokes an API key. When it returns, this instance refuses the key; other instances
// refuse it when they load the revocation, see [Service.Run]. Streams that were opened with the
// key end. Revoking a revoked key changes nothing. Errors: [ErrKeyNotFound],
// [identity.ErrPeopleOnly].
func (s *Service) RevokeKey(ctx context.Context, id uuid.UUID) error {
	caller, err := identity.From(ctx)
	if err != nil {
		return err
	}
	if err := caller.RequirePerson(); err != nil {
		return err
	}
	_, err = db.Serializable(ctx, s.database, "api-key.revoke", func(ctx context.Context) (struct{}, error) {
		key, err := takeAPIKey(ctx, id)
		if err != nil || key.RevokedAt != nil {
			return struct{}{}, err
		}
		_, err = s.endKey(ctx, key, caller.UserID)
		return struct{}{}, err
	})
	return err
}

// endKey revokes an API key in the transaction of the context and returns the revoked key.
func (s *Service) endKey(ctx context.Context, key APIKey, by uuid.UUID) (APIKey, error) {
	key.RevokedBy, key.RevokedAt = &by, new(s.now())
	if err := revokeAPIKey(ctx, key); err != nil {
		return APIKey{}, err
	}
	// Like a user's sign-ins: revoke all tokens of the key's only epoch.
	if err := s.announce(ctx, key.OrganizationID, change{subject{ofUser, key.ID}, 1, *key.RevokedAt}); err != nil {
		return APIKey{}, err
	}
	return key, s.recordKey(ctx, "api-key.revoke", key, *key.RevokedAt)
}
