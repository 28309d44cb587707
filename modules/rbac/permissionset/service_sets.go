// Package permissionset manages which permissions each role has in an organization. Organizations
// start with the defaults of package rbac and can change the set of every role but SUPER_ADMIN.
package permissionset

import (
	"context"
	"maps"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/revocation"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/patch"
	"omnirapeutic/platform/permission"
	"omnirapeutic/platform/trail"
)

// ErrRoleNotFound is returned for an unknown role, or one whose permissions an organization
// cannot change.
var ErrRoleNotFound = fault.Define(fault.NotFound, "role-not-found", "Role not found, or its permissions cannot be changed.").
	Advising("Reload the permission sets: they list the roles that can be changed.")

// Callers returns what the caller may do now.
type Callers interface {
	// CallerHolds returns the caller's current permissions, read in the transaction of the context.
	// Errors: [identity.ErrUnauthenticated], [identity.ErrForbidden] without the needed permission.
	CallerHolds(ctx context.Context, need identity.Permission) (rbac.Held, error)
}

// Service changes permission sets. It is safe for concurrent use.
type Service struct {
	database    *db.DB
	clock       rbac.Clock
	audit       trail.Recorder
	revocations *revocation.Service
	callers     Callers
	store       store
	// supported are the scopes that each permission can have besides the whole organization.
	supported map[identity.Permission]identity.Scope
}

// New returns the service.
func New(
	database *db.DB, clock rbac.Clock, audit trail.Recorder, revocations *revocation.Service, callers Callers,
) *Service {
	return &Service{database: database, clock: clock, audit: audit, revocations: revocations, callers: callers}
}

// SupportedScopes sets the scopes that each permission can have besides the whole organization:
// all that some route with the permission supports. Call it with the routes of the program before
// using the service. Before that, every permission can be held only for the organization. An
// unsupported scope would have no effect, because every route would refuse it.
func (s *Service) SupportedScopes(scopes map[identity.Permission]identity.Scope) {
	s.supported = scopes
}

// scopesOf returns the scopes that a permission can have.
func (s *Service) scopesOf(p identity.Permission) identity.Scope {
	return s.supported[p] | identity.Organization
}

// List returns the permission sets of the caller's organization in the order of [rbac.Roles],
// without the role that reaches beyond the organization.
func (s *Service) List(ctx context.Context) ([]Set, error) {
	return db.Snapshot(ctx, s.database, "permission-set.list", func(ctx context.Context) ([]Set, error) {
		changed, err := s.store.sets(ctx)
		if err != nil {
			return nil, err
		}
		var all []Set
		for _, role := range allRoles {
			if canChange(role) {
				all = append(all, setOf(role, changed))
			}
		}
		return all, nil
	})
}

// Change replaces the permissions of a role in the caller's organization, immediately and on every
// instance. The caller must hold every permission of the set before and after the change, so
// callers can neither give permissions that they lack nor restrict users with more permissions.
// Administrators keep what they need to undo it. Errors: [ErrRoleNotFound], [patch.ErrStale],
// [fault.ErrInvalid], [identity.ErrBeyondOwn].
func (s *Service) Change(ctx context.Context, c Change) (Set, error) {
	if !canChange(c.Role) {
		return Set{}, ErrRoleNotFound
	}
	if fieldErrors := c.check(); len(fieldErrors) > 0 {
		return Set{}, fault.InvalidFields(fieldErrors...)
	}
	return s.replace(ctx, c.Role, c.Match, func(mine rbac.Held) (Set, error) {
		return Set{Role: c.Role, Held: c.Held}, mine.Covers(c.Held)
	})
}

// Restore restores the default permissions of a role. The caller must hold the current set and the
// default one, except the defaults of administrators: otherwise an administrators' set that was
// reduced by mistake could not be repaired. Administrators hold the defaults of all other roles.
// Errors: [ErrRoleNotFound], [patch.ErrStale], [identity.ErrBeyondOwn].
func (s *Service) Restore(ctx context.Context, role rbac.Role, match patch.Match) error {
	if !canChange(role) {
		return ErrRoleNotFound
	}
	_, err := s.replace(ctx, role, match, func(mine rbac.Held) (Set, error) {
		restored := Set{Role: role, Default: true, Held: role.Defaults()}
		if role == rbac.Admin {
			return restored, nil
		}
		return restored, mine.Covers(restored.Held)
	})
	return err
}

// replace writes the set that decide returns, if it differs from the current one. The caller must
// hold the current set. It works without [db.ProvenBy]: the caller can repeat it after an unknown
// outcome.
func (s *Service) replace(
	ctx context.Context, role rbac.Role, match patch.Match, decide func(mine rbac.Held) (Set, error),
) (Set, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return Set{}, err
	}
	now := s.clock.Now()
	return db.Serializable(ctx, s.database, "permission-set.change", func(ctx context.Context) (Set, error) {
		mine, err := s.callers.CallerHolds(ctx, permission.PermissionSetChange)
		if err != nil {
			return Set{}, err
		}
		changed, err := s.store.sets(ctx)
		if err != nil {
			return Set{}, err
		}
		before := setOf(role, changed)
		if err := match.Check(before.Version); err != nil {
			return Set{}, err
		}
		if err := mine.Covers(before.Held); err != nil {
			return Set{}, err
		}
		after, err := decide(mine)
		if err != nil {
			return Set{}, err
		}
		if before.Default == after.Default && maps.Equal(before.Held, after.Held) {
			return before, nil
		}
		after.Version, after.ChangedAt, after.ChangedBy = before.Version+1, &now, &caller.UserID
		if err := s.store.save(ctx, after); err != nil {
			return Set{}, err
		}
		if err := s.record(ctx, before, after); err != nil {
			return Set{}, err
		}
		version := 1 // of all sets of the organization: the number of changes
		for _, set := range changed {
			version += set.Version
		}
		return after, s.revocations.PermissionsChanged(ctx, caller.OrganizationID, version, now)
	})
}

// recordedSet is a permission set in the audit trail.
type recordedSet struct {
	Role        rbac.Role                      `json:"role"`
	Default     bool                           `json:"shipped"`
	Version     int                            `json:"version"`
	Permissions map[identity.Permission]string `json:"permissions"` // scopes by name
}

// record records a role's permissions before and after the caller's change.
func (s *Service) record(ctx context.Context, before, after Set) error {
	caller, err := identity.From(ctx)
	if err != nil {
		return err
	}
	return trail.RecordBy(ctx, s.audit, trail.Event{
		Action: "permission-set.change", SubjectType: "organization", SubjectID: caller.OrganizationID,
		OccurredAt: *after.ChangedAt,
		Before:     recordedSet{before.Role, before.Default, before.Version, before.Held.Texts()},
		After:      recordedSet{after.Role, after.Default, after.Version, after.Held.Texts()},
	})
}
