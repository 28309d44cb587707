package rbac

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/patch"
	"omnirapeutic/platform/permission"
)

// ErrRoleNotFound is returned for an unknown role, or one whose permissions an organization
// cannot change.
var ErrRoleNotFound = fault.Define(fault.NotFound, "role-not-found", "Role not found, or its permissions cannot be changed.").
	Advising("Reload the permission sets: they list the roles that can be changed.")

// PermissionSet holds the permissions of a role in an organization and their scopes.
type PermissionSet struct {
	Role      Role
	Shipped   bool // the default set: not changed, or restored
	Held      held
	Version   int        // counts the organization's changes; 0: none
	ChangedAt *time.Time // nil: never
	ChangedBy *uuid.UUID
}

// PermissionSetChange replaces the permissions of a role.
type PermissionSetChange struct {
	Role  Role
	Match patch.Match
	Held  held
}

// essential are the permissions that administrators keep for the whole organization. Without
// them, no user could undo a change.
var essential = []identity.Permission{
	permission.UserRead, permission.UserChange, permission.UserGrant, permission.UserInvite,
	permission.PermissionSetRead, permission.PermissionSetChange,
}

// across are the permissions beyond an organization, which organizations cannot give.
var across = []identity.Permission{
	permission.OrganizationReadAll, permission.OrganizationCreate, permission.OrganizationDisable,
}

// changeable reports whether an organization may change the permissions of the role.
func (r Role) changeable() bool { return r != SuperAdmin && slices.Contains(roles, r) }

// PermissionSets returns the permission sets of the caller's organization in the order of
// [Roles], without the role that reaches beyond the organization.
func (s *Service) PermissionSets(ctx context.Context) ([]PermissionSet, error) {
	return db.Snapshot(ctx, s.database, "permission-set.list", func(ctx context.Context) ([]PermissionSet, error) {
		changed, err := permissionSets(ctx)
		if err != nil {
			return nil, err
		}
		var all []PermissionSet
		for _, role := range roles {
			if role.changeable() {
				all = append(all, setOf(role, changed))
			}
		}
		return all, nil
	})
}

// ChangePermissionSet replaces the permissions of a role in the caller's organization,
// immediately and on every instance. The caller must hold every permission of the set before and
// after the change, so callers can neither give permissions that they lack nor restrict users
// with more permissions. Administrators keep what they need to undo it. Errors:
// [ErrRoleNotFound], [patch.ErrStale], [fault.ErrInvalid], [ErrBeyondOwn].
func (s *Service) ChangePermissionSet(ctx context.Context, c PermissionSetChange) (PermissionSet, error) {
	if !c.Role.changeable() {
		return PermissionSet{}, ErrRoleNotFound
	}
	if fieldErrors := c.check(); len(fieldErrors) > 0 {
		return PermissionSet{}, fault.InvalidFields(fieldErrors...)
	}
	return s.replaceSet(ctx, c.Role, c.Match, func(mine held) (PermissionSet, error) {
		return PermissionSet{Role: c.Role, Held: c.Held}, mine.covers(c.Held)
	})
}

// RestorePermissionSet restores the default permissions of a role. The caller must hold the
// current set and the default one, except the defaults of administrators: otherwise an
// administrators' set that was reduced by mistake could not be repaired. Administrators hold the
// defaults of all other roles. Errors: [ErrRoleNotFound], [patch.ErrStale], [ErrBeyondOwn].
func (s *Service) RestorePermissionSet(ctx context.Context, role Role, match patch.Match) error {
	if !role.changeable() {
		return ErrRoleNotFound
	}
	_, err := s.replaceSet(ctx, role, match, func(mine held) (PermissionSet, error) {
		shipped := PermissionSet{Role: role, Shipped: true, Held: shippedTo(role)}
		if role == Admin {
			return shipped, nil
		}
		return shipped, mine.covers(shipped.Held)
	})
	return err
}

// replaceSet writes the set that decide returns, if it differs from the current one. The caller
// must hold the current set. It works without [db.ProvenBy]: the caller can repeat it after an
// unknown outcome.
func (s *Service) replaceSet(
	ctx context.Context, role Role, match patch.Match, decide func(mine held) (PermissionSet, error),
) (PermissionSet, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return PermissionSet{}, err
	}
	now := s.now()
	return db.Serializable(ctx, s.database, "permission-set.change", func(ctx context.Context) (PermissionSet, error) {
		mine, err := s.callerHolds(ctx, permission.PermissionSetChange)
		if err != nil {
			return PermissionSet{}, err
		}
		changed, err := permissionSets(ctx)
		if err != nil {
			return PermissionSet{}, err
		}
		before := setOf(role, changed)
		if err := match.Check(before.Version); err != nil {
			return PermissionSet{}, err
		}
		if err := mine.covers(before.Held); err != nil {
			return PermissionSet{}, err
		}
		after, err := decide(mine)
		if err != nil {
			return PermissionSet{}, err
		}
		if before.Shipped == after.Shipped && maps.Equal(before.Held, after.Held) {
			return before, nil
		}
		after.Version, after.ChangedAt, after.ChangedBy = before.Version+1, &now, &caller.UserID
		if err := savePermissionSet(ctx, after); err != nil {
			return PermissionSet{}, err
		}
		if err := s.recordSet(ctx, before, after); err != nil {
			return PermissionSet{}, err
		}
		level := int64(1) // of the organization: the number of changes of its sets
		for _, each := range changed {
			level += int64(each.Version)
		}
		return after, s.announce(ctx, caller.OrganizationID, change{subject{ofPermissions, caller.OrganizationID}, level, now})
	})
}

// Possible sets the scopes that each permission can have besides the whole organization: those
// that some route with the permission supports. Call it with the routes of the program before
// using the service. Before that, every permission can be held only for the organization. An
// unsupported scope would have no effect, because every route would refuse it.
func (s *Service) Possible(scopes map[identity.Permission]identity.Scope) { s.possible = scopes }

// possibleOf returns the scopes that a permission can have.
func (s *Service) possibleOf(p identity.Permission) identity.Scope {
	return s.possible[p] | identity.Organization
}

// check returns an error for each invalid entry of a set. The names of permissions and scopes
// were validated before.
func (c PermissionSetChange) check() []fault.Field {
	var fieldErrors []fault.Field
	refuse := func(code, message string) {
		fieldErrors = append(fieldErrors, fault.Field{Field: "permissions", Code: code, Message: message})
	}
	for _, p := range across {
		if c.Held[p] != 0 {
			refuse("across", "must not have "+string(p)+", which applies beyond the organization")
		}
	}
	if c.Role == Admin {
		for _, p := range essential {
			if !c.Held[p].Has(identity.Organization) {
				refuse("essential", "must have "+string(p)+" for the organization, otherwise the change could not be undone")
			}
		}
	}
	return fieldErrors
}

// setOf returns a role's set from the sets that the organization has changed.
func setOf(role Role, among []PermissionSet) PermissionSet {
	for _, set := range among {
		if set.Role == role {
			return set
		}
	}
	return PermissionSet{Role: role, Shipped: true, Held: shippedTo(role)}
}

// shippedTo returns the default permissions of a role.
func shippedTo(role Role) held {
	set := held{}
	for _, row := range shipped {
		if scope := row.of(role); scope != 0 {
			set[row.permission] = scope
		}
	}
	return set
}
