package account

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/permission"
	"omnirapeutic/platform/telemetry"
	"omnirapeutic/platform/trail"
)

// HeldBy returns the combined permissions of the roles, read in the transaction of the context.
func (s *Service) HeldBy(ctx context.Context, roles []rbac.Role) (rbac.Held, error) {
	return s.permissions.HeldBy(ctx, roles)
}

// CallerHolds returns the caller's current permissions, read in the transaction of the context.
// The access token may be older, and another request may be changing the permissions. Errors:
// [identity.ErrUnauthenticated] if the caller is no longer an active user, [identity.ErrForbidden]
// if the caller no longer holds need.
func (s *Service) CallerHolds(ctx context.Context, need identity.Permission) (rbac.Held, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return nil, err
	}
	current, err := s.CurrentCaller(ctx, caller.OrganizationID, caller.UserID)
	if err != nil {
		return nil, err
	}
	caller.Permissions = current.Permissions
	return current.Permissions, caller.Require(need)
}

// CurrentCaller returns a user of the organization as a caller with their current permissions, read
// in the transaction of the context. It is for links and the like, which must not allow more than
// their creator may do. The error is [identity.ErrUnauthenticated] if the user may not sign in.
func (s *Service) CurrentCaller(ctx context.Context, organization, user uuid.UUID) (identity.Caller, error) {
	ctx = identity.With(ctx, identity.System(organization))
	found, err := s.User(ctx, user)
	if errors.Is(err, rbac.ErrUserNotFound) || err == nil && found.RefusalReason() != "" {
		return identity.Caller{}, identity.ErrUnauthenticated
	}
	if err != nil {
		return identity.Caller{}, err
	}
	permissions, err := s.HeldBy(ctx, found.Roles)
	return identity.Caller{
		UserID: user, OrganizationID: organization, Roles: rbac.RoleNames(found.Roles), Permissions: permissions,
	}, err
}

// AdministeredUser returns a user whom the caller may change: the caller holds user:change and at
// least the user's permissions. Errors: [rbac.ErrUserNotFound], [identity.ErrBeyondOwn], the errors
// of [Service.CallerHolds].
func (s *Service) AdministeredUser(ctx context.Context, id uuid.UUID) (rbac.User, error) {
	held, err := s.CallerHolds(ctx, permission.UserChange)
	if err != nil {
		return rbac.User{}, err
	}
	u, err := s.User(ctx, id)
	if err != nil {
		return rbac.User{}, err
	}
	needed, err := s.HeldBy(ctx, u.Roles)
	if err != nil {
		return rbac.User{}, err
	}
	return u, held.Covers(needed)
}

// Person returns the caller in the context, who must be a user. Errors:
// [identity.ErrUnauthenticated], [identity.ErrPeopleOnly].
func Person(ctx context.Context) (identity.Caller, error) {
	caller, err := identity.From(ctx)
	if err == nil {
		err = caller.RequirePerson()
	}
	return caller, err
}

// AsUser returns a context whose caller is the user. It is for users without an access token, who are
// about to sign in or use a link.
func AsUser(ctx context.Context, u rbac.User) context.Context {
	return identity.With(ctx, identity.Caller{
		UserID: u.ID, OrganizationID: u.OrganizationID, RequestID: telemetry.RequestID(ctx), Address: trail.Address(ctx),
	})
}
