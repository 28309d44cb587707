package rbac

import (
	"context"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
)

// held is what somebody may do, and for which records. It is only read.
type held map[identity.Permission]identity.Scope

// Excess are the details of [ErrBeyondOwn].
type Excess = identity.Excess

// covers returns [ErrBeyondOwn] unless whoever holds h holds all of the other's as
// well, each for at least the same records.
func (h held) covers(other held) error {
	for _, row := range shipped { // in the order of [Permissions]
		if !h[row.permission].Covers(other[row.permission]) {
			return ErrBeyondOwn.With(Excess{Exceeds: row.permission},
				"This gives or concerns the permission %s, which you do not hold yourself, or not for as many records.", row.permission)
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

// heldBy returns what the roles may do together in the caller's organization. It reads
// the permission sets in the transaction of the context, so that what is decided by
// them holds when it commits; see [sets] for those that requests are let in by.
func heldBy(ctx context.Context, roles []Role) (held, error) {
	changed, err := permissionSets(ctx)
	if err != nil {
		return nil, err
	}
	g := grants{changed: changedIn(changed)}
	return g.of(combine(names(roles))), nil
}

// callerHolds returns what the caller may do at this moment, read in the transaction
// of the context: the access token may be older than that, and somebody else may be
// taking from the caller at the same time. Errors: [identity.ErrUnauthenticated]
// where the caller is no user any more, [identity.ErrForbidden] where the permission
// is gone.
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

// Presently returns a user of the organization as they would be let in at this moment,
// read in the transaction of the context: for what somebody has left behind, such as a
// link, which is to reach no further than they do. The error is
// [identity.ErrUnauthenticated] where nobody would be let in.
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
