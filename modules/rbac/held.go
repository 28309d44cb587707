package rbac

import (
	"context"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
)

// held maps permissions to the records for which they are held. It is read-only.
type held map[identity.Permission]identity.Scope

// Excess are the details of [ErrBeyondOwn].
type Excess = identity.Excess

// covers returns [ErrBeyondOwn] unless h includes every permission of other, for at least the
// same records.
func (h held) covers(other held) error {
	for _, row := range shipped { // in the order of [Permissions]
		if !h[row.permission].Covers(other[row.permission]) {
			return ErrBeyondOwn.With(Excess{Exceeds: row.permission},
				"This requires the permission %s, which you do not hold, or hold for fewer records.", row.permission)
		}
	}
	return nil
}

// opened returns the permissions that a receiver who holds h gains with access to records of the
// scopes: those for the scopes only. They count for the whole organization, because the giver must
// hold them for any records.
func (h held) opened(scopes identity.Scope) held {
	gained := held{}
	for p, scope := range h {
		if scope&scopes != 0 && !scope.Has(identity.Organization) {
			gained[p] = identity.Organization
		}
	}
	return gained
}

// heldBy returns the combined permissions of the roles in the caller's organization. It reads the
// permission sets in the transaction of the context, so that decisions hold at the commit.
// Requests are authorized by the cached [sets] instead.
func heldBy(ctx context.Context, roles []Role) (held, error) {
	changed, err := permissionSets(ctx)
	if err != nil {
		return nil, err
	}
	g := grants{changed: changedIn(changed)}
	return g.of(combine(names(roles))), nil
}

// callerHolds returns the caller's current permissions, read in the transaction of the context.
// The access token may be older, and another request may be changing the permissions. Errors:
// [identity.ErrUnauthenticated] if the caller is no longer an active user,
// [identity.ErrForbidden] if the caller no longer holds need.
func (s *Service) callerHolds(ctx context.Context, need identity.Permission) (held, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return nil, err
	}
	me, err := takeUser(ctx, caller.UserID)
	if db.IsNotFound(err) || err == nil && me.out() != "" {
		return nil, identity.ErrUnauthenticated
	}
	if err != nil {
		return nil, err
	}
	mine, err := heldBy(ctx, me.Roles)
	if err != nil {
		return nil, err
	}
	caller.Permissions = mine
	return mine, caller.Require(need)
}

// Presently returns a user of the organization as a caller with their current permissions, read
// in the transaction of the context. It is for links and the like, which must not allow more than
// their creator may do. The error is [identity.ErrUnauthenticated] if the user may not sign in.
func (s *Service) Presently(ctx context.Context, organization, user uuid.UUID) (identity.Caller, error) {
	ctx = identity.With(ctx, identity.System(organization))
	found, err := takeUser(ctx, user)
	if db.IsNotFound(err) || err == nil && found.out() != "" {
		return identity.Caller{}, identity.ErrUnauthenticated
	}
	if err != nil {
		return identity.Caller{}, err
	}
	permissions, err := heldBy(ctx, found.Roles)
	return identity.Caller{UserID: user, OrganizationID: organization, Roles: names(found.Roles), Permissions: permissions}, err
}
