package invitation

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/account"
	"omnirapeutic/modules/rbac/password"
	"omnirapeutic/modules/rbac/throttle"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
)

// Accept creates a user from the open invitation with the token. The user chooses the password;
// the address, the name and the roles are the invitation's. Accept needs no caller: the token
// authorizes it, once. Errors: [ErrNotFound], [fault.ErrInvalid] for the password,
// [rbac.ErrEmailTaken], [password.ErrBusy].
func (s *Service) Accept(ctx context.Context, token, chosen string) (rbac.User, error) {
	return throttle.Limited(ctx, s.Throttle, throttle.Invitation, throttle.NetworkSource(ctx),
		func() (rbac.User, error) { return s.accept(ctx, token, chosen) })
}

func (s *Service) accept(ctx context.Context, token, chosen string) (rbac.User, error) {
	tokenHash := hashOfToken(token)
	found, err := db.Snapshot(ctx, s.Database, "invitation.find", func(ctx context.Context) (Invitation, error) {
		return s.ifOpen(ctx)(s.store.withToken(ctx, tokenHash))
	}, db.AllOrganizations())
	if err != nil {
		return rbac.User{}, err
	}
	if fieldErrors := password.Check(chosen, found.Email); len(fieldErrors) > 0 {
		return rbac.User{}, fault.InvalidFields(fieldErrors...)
	}
	hash, err := s.Passwords.Hash(ctx, found.Email, chosen)
	if err != nil {
		return rbac.User{}, err
	}
	created := found.user(s.NewID(), s.Clock.Now())
	ctx = account.AsUser(ctx, created)
	stored := func(ctx context.Context) (bool, error) {
		return s.Accounts.Exists(ctx, created.OrganizationID, created.ID)
	}
	return db.Serializable(ctx, s.Database, "invitation.accept", func(ctx context.Context) (rbac.User, error) {
		if db.InDoubt(ctx) { // an earlier attempt may have committed: see db.ProvenBy
			if done, err := stored(ctx); done || err != nil {
				return created, err
			}
		}
		invited, err := s.ifOpen(ctx)(s.store.lockWithToken(ctx, tokenHash))
		if err != nil {
			return rbac.User{}, err
		}
		return created, s.createUser(ctx, invited, created, hash)
	}, db.ProvenBy(stored))
}

// createUser creates the user of an open, locked invitation, in the transaction of the context.
func (s *Service) createUser(ctx context.Context, invited Invitation, created rbac.User, hash string) error {
	invited.AcceptedAt, invited.UserID = &created.CreatedAt, &created.ID
	if err := s.record(ctx, "invitation.accept", invited, created.CreatedAt); err != nil {
		return err
	}
	if err := s.Accounts.Create(ctx, created, hash); err != nil {
		return err
	}
	return s.store.accept(ctx, invited)
}

// AcceptVerified creates a user with the id from the open invitation to the address, in the
// transaction of the context. The organization's own identity provider has verified the address. The
// user has an unusable password. The error is [ErrNotFound] if there is no such invitation. An
// invitation with permissions beyond the organization, or beyond the permissions of the user who set the
// provider, needs its token.
func (s *Service) AcceptVerified(ctx context.Context, setBy *uuid.UUID, id uuid.UUID, email string, now time.Time) (rbac.User, error) {
	invited, err := s.ifOpen(ctx)(s.store.lockOpenTo(ctx, email, now))
	if err == nil && slices.Contains(invited.Roles, rbac.SuperAdmin) {
		err = ErrNotFound
	}
	if err == nil {
		err = s.setterCovers(ctx, setBy, invited)
	}
	if err != nil {
		return rbac.User{}, err
	}
	hash, err := s.Passwords.UnusableHash(ctx, email)
	if err != nil {
		return rbac.User{}, err
	}
	created := invited.user(id, now)
	return created, s.createUser(account.AsUser(ctx, created), invited, created, hash)
}

// setterCovers returns [ErrNotFound] unless the user who set the identity provider is active and holds
// every permission of the roles now. The provider can say that it has verified any address, so it must
// not give more than its setter has. The invited person can still use the invitation's link.
func (s *Service) setterCovers(ctx context.Context, setBy *uuid.UUID, invited Invitation) error {
	if setBy == nil {
		return ErrNotFound
	}
	setter, err := s.Accounts.CurrentCaller(ctx, invited.OrganizationID, *setBy)
	if errors.Is(err, identity.ErrUnauthenticated) {
		return ErrNotFound
	}
	if err != nil {
		return err
	}
	given, err := s.Accounts.HeldBy(ctx, invited.Roles)
	if err != nil {
		return err
	}
	if rbac.Held(setter.Permissions).Covers(given) != nil {
		return ErrNotFound
	}
	return nil
}

// ifOpen returns a function that returns a found invitation if it can be accepted and its organization
// is not disabled, otherwise [ErrNotFound].
func (s *Service) ifOpen(ctx context.Context) func(Invitation, error) (Invitation, error) {
	return func(found Invitation, err error) (Invitation, error) {
		if err != nil {
			return Invitation{}, err
		}
		disabled, err := s.Accounts.IsOrganizationDisabled(ctx, found.OrganizationID)
		switch {
		case err != nil:
			return Invitation{}, err
		case disabled:
			return Invitation{}, ErrNotFound.Because(throttle.ErrGuess)
		case found.State(s.Clock.Now()) != Open:
			return Invitation{}, ErrNotFound
		}
		return found, nil
	}
}
