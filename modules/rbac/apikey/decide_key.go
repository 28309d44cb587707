package apikey

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/apiversion"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
)

// Key lets another system act in an organization, as itself: in the audit trail and in histories its
// id replaces a user's. It belongs to the organization and has one of its users as owner. When the
// owner is disabled or loses the key's permissions, the key ends or gets another owner, see
// [Service.Settle].
type Key struct {
	OrganizationID uuid.UUID
	ID             uuid.UUID
	Name           string // what it is for
	Prefix         string // the first characters of the key, by which people recognize it
	Permissions    []identity.Permission
	Networks       Networks  // networks from which it may be used; none: all
	OwnedBy        uuid.UUID // a user
	CreatedBy      uuid.UUID
	CreatedAt      time.Time
	ExpiresAt      *time.Time // nil: never, for keys of earlier versions
	LastUsedAt     *time.Time // up to a minute late
	RevokedBy      *uuid.UUID
	RevokedAt      *time.Time // nil: not revoked
	APIVersion     *string    // the version of the API for the key's requests; nil: the default
}

// NewKey is the request for a key.
type NewKey struct {
	Name        string                // 1 to 100 characters
	Permissions []identity.Permission // at least one; each held by the caller
	ExpiresAt   *time.Time            // in the future, within the longest lifetime; nil: the usual lifetime
	Networks    []string              // networks from which it may be used, as CIDR or addresses; none: all
	APIVersion  *string               // the version of the API for the key's requests; nil: the default
}

// check returns an error for each invalid field.
func (n NewKey) check(now time.Time, longest time.Duration) []fault.Field {
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
		case !slices.Contains(rbac.Permissions(), p):
			refuse(field, "permission", "is not a permission")
		case rbac.PeopleOnly(p) != "":
			refuse(field, "personal", "cannot be held by an API key, because "+rbac.PeopleOnly(p))
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
	if n.APIVersion != nil && !apiversion.IsKnown(*n.APIVersion) {
		refuse("apiVersion", "oneof", "must be one of: "+strings.Join(apiversion.Known(), ", "))
	}
	return fieldErrors
}

// inOrder returns the permissions in the order of [rbac.Permissions].
func inOrder(given []identity.Permission) []identity.Permission {
	return slices.DeleteFunc(rbac.Permissions(), func(p identity.Permission) bool { return !slices.Contains(given, p) })
}

// held returns the key's permissions, for all records of the organization.
func (k Key) held() rbac.Held {
	held := make(rbac.Held, len(k.Permissions))
	for _, p := range k.Permissions {
		if rbac.PeopleOnly(p) == "" { // a key of an earlier version may have it
			held[p] = identity.Organization
		}
	}
	return held
}

// caller returns the caller of a key, valid until the given time. Streams that were opened with
// the key end then, as with an access token.
func (k Key) caller(until time.Time) identity.Caller {
	if k.ExpiresAt != nil && k.ExpiresAt.Before(until) {
		until = *k.ExpiresAt
	}
	caller := identity.Caller{
		UserID: k.ID, Kind: identity.Machine, OrganizationID: k.OrganizationID, Permissions: k.held(), Until: until,
	}
	if k.APIVersion != nil {
		caller.APIVersion = *k.APIVersion
	}
	return caller
}

// isValid reports whether the key is neither revoked nor expired.
func (k Key) isValid(now time.Time) bool {
	return k.RevokedAt == nil && (k.ExpiresAt == nil || now.Before(*k.ExpiresAt))
}
