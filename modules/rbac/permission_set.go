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
)

// ErrRoleNotFound says that there is no such role, or not one whose permissions an organization changes.
var ErrRoleNotFound = fault.Define(fault.NotFound, "role-not-found", "There is no such role whose permissions could be changed.")

// PermissionSet is what a role may do in an organization, and for which records.
type PermissionSet struct {
	Role      Role
	Shipped   bool // it is what is shipped: the organization has not changed it, or has gone back
	Held      held
	Version   int        // counts the organization's changes; 0: none
	ChangedAt *time.Time // nil: never
	ChangedBy *uuid.UUID
}

// PermissionSetChange replaces what a role may do.
type PermissionSetChange struct {
	Role  Role
	Match patch.Match
	Held  held
}

// essential are what administrators keep for the whole organization: without, nobody
// could ever take anything back.
var essential = []identity.Permission{userRead, userChange, userGrant, userInvite, permissionSetRead, permissionSetChange}

// across are what reaches beyond an organization: no organization gives it to anybody.
var across = []identity.Permission{organizationReadAll, organizationCreate, organizationDisable}

// changeable reports whether an organization may change what the role does.
func (r Role) changeable() bool { return r != SuperAdmin && slices.Contains(roles, r) }

// PermissionSets returns what each role may do in the caller's organization, in the
// order of [Roles], without the role that reaches beyond it.
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

// ChangePermissionSet replaces what a role may do in the caller's organization, at
// once and on every instance. Nobody changes a set that holds what they do not hold
// themselves, before or after: so nobody gives what they have not, nor takes from those
// who may do more. Administrators keep what they need to take it back. Errors: [ErrRoleNotFound],
// [patch.ErrStale], [fault.ErrInvalid], [ErrBeyondOwn].
func (s *Service) ChangePermissionSet(ctx context.Context, c PermissionSetChange) (PermissionSet, error) {
	if !c.Role.changeable() {
		return PermissionSet{}, ErrRoleNotFound
	}
	if wrong := c.check(); len(wrong) > 0 {
		return PermissionSet{}, fault.InvalidFields(wrong...)
	}
	return s.replaceSet(ctx, c.Role, c.Match, func(mine held) (PermissionSet, error) {
		return PermissionSet{Role: c.Role, Held: c.Held}, mine.covers(c.Held)
	})
}

// RestorePermissionSet gives a role back what is shipped. As with a change, the caller
// must hold what is there and what is shipped, but for what is shipped to administrators:
// whoever has taken too much from them could not mend it otherwise, and they hold what all
// others are shipped with. Errors: [ErrRoleNotFound], [patch.ErrStale], [ErrBeyondOwn].
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

// replaceSet writes what decide makes of the set that is there, if anything is
// different then. The caller must hold what is there. Without [db.ProvenBy]: it can be sent again when nobody knows whether
// it was committed.
func (s *Service) replaceSet(ctx context.Context, role Role, match patch.Match, decide func(mine held) (PermissionSet, error)) (PermissionSet, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return PermissionSet{}, err
	}
	now := s.now()
	return db.Serializable(ctx, s.database, "permission-set.change", func(ctx context.Context) (PermissionSet, error) {
		mine, err := s.callerHolds(ctx, permissionSetChange)
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
		level := int64(1) // of the organization: rises with each change of a role's set
		for _, each := range changed {
			level += int64(each.Version)
		}
		return after, s.announce(ctx, caller.OrganizationID, change{subject{ofPermissions, caller.OrganizationID}, level, now})
	})
}

// Possible says for which records permissions can be held at all, beside the whole
// organization: for those of the scopes to which some route keeps that asks for them.
// Whoever knows the routes says it, before anything else is asked of the service.
// Until then each can be held for the organization only. A scope that is not possible
// would look in a set as if it gave something, and be refused by every route.
func (s *Service) Possible(scopes map[identity.Permission]identity.Scope) { s.possible = scopes }

// possibleOf returns for which records a permission can be held.
func (s *Service) possibleOf(p identity.Permission) identity.Scope {
	return s.possible[p] | identity.Organization
}

// check returns what is wrong with a set. Which permissions there are, and which
// scopes, was checked before.
func (c PermissionSetChange) check() []fault.Field {
	var wrong []fault.Field
	refuse := func(code, message string) {
		wrong = append(wrong, fault.Field{Field: "permissions", Code: code, Message: message})
	}
	for _, p := range across {
		if c.Held[p] != 0 {
			refuse("across", "must not have "+string(p)+", which reaches beyond the organization")
		}
	}
	if c.Role == Admin {
		for _, p := range essential {
			if !c.Held[p].Has(identity.Organization) {
				refuse("essential", "must have "+string(p)+" for the organization: without it, nobody could take this back")
			}
		}
	}
	return wrong
}

// setOf returns a role's set, among those that the organization has ever changed.
func setOf(role Role, among []PermissionSet) PermissionSet {
	for _, set := range among {
		if set.Role == role {
			return set
		}
	}
	return PermissionSet{Role: role, Shipped: true, Held: shippedTo(role)}
}

// shippedTo returns what the role may do in an organization that has changed nothing.
func shippedTo(role Role) held {
	set := held{}
	for _, row := range shipped {
		if scope := row.of(role); scope != 0 {
			set[row.permission] = scope
		}
	}
	return set
}
