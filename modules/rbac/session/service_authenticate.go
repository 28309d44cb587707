package session

import (
	"context"
	"errors"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/account"
	"omnirapeutic/modules/rbac/throttle"
	"omnirapeutic/platform/identity"
)

// Authenticate returns the caller of an access token with the permissions of the roles. It needs
// no query, except to load an organization's permission sets after a change: revocations are in
// memory, see [revocation.Service.LoadRevocations]. Errors: [identity.ErrUnauthenticated], whose
// text says only whether the token is invalid, expired or revoked; [revocation.ErrTokenNotChecked].
func (s *Service) Authenticate(ctx context.Context, token string) (identity.Caller, error) {
	caller, err := s.tokens.check(token)
	if err != nil && !isExpired(err) {
		err = s.Throttle.CountInvalid(ctx, throttle.AccessToken, err)
	}
	if err == nil {
		err = s.Revocations.Check(caller)
	}
	if err == nil && !caller.EnrolOnly { // an enrol-only session has no permissions
		caller.Permissions, err = s.Permissions.Cached(ctx, caller.OrganizationID, caller.Roles)
	}
	if err != nil {
		return identity.Caller{}, err
	}
	return caller, nil
}

// Me returns the signed-in user, from memory if this instance hears of changes of users, as it does of
// revocations. The error is [identity.ErrUnauthenticated] if the caller is no
// longer an active user, and [identity.ErrPeopleOnly] if the caller is an API key.
func (s *Service) Me(ctx context.Context) (rbac.User, error) {
	caller, err := account.Person(ctx)
	if err != nil {
		return rbac.User{}, err
	}
	read := func() (rbac.User, error) { return s.Accounts.OfCaller(ctx, caller) }
	var me rbac.User
	if s.Revocations.HasLoaded() {
		me, err = s.accounts.Get(caller.UserID, s.Clock.Now(), read)
	} else {
		me, err = read()
	}
	if errors.Is(err, rbac.ErrUserNotFound) ||
		err == nil && (me.OrganizationID != caller.OrganizationID || me.RefusalReason() != "") {
		return rbac.User{}, identity.ErrUnauthenticated
	}
	return me, err
}
