package rbac

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/telemetry"
	"omnirapeutic/platform/trail"
)

// Accept creates a user from the open invitation with the token. The user chooses the password;
// the address, the name and the roles are the invitation's. Accept needs no caller: the token
// authorizes it, once. Errors: [ErrInvitationNotFound], [fault.ErrInvalid] for the password,
// [ErrEmailTaken], [ErrSignInBusy].
func (s *Service) Accept(ctx context.Context, token, password string) (User, error) {
	return limited(ctx, s, failedInvitation, networkSource(ctx), func() (User, error) { return s.accept(ctx, token, password) })
}

func (s *Service) accept(ctx context.Context, token, password string) (User, error) {
	hash := hashOfToken(token)
	found, err := db.Snapshot(ctx, s.database, "invitation.find", func(ctx context.Context) (Invitation, error) {
		return s.ifOpen(invitationWith(ctx, hash))
	}, db.AllOrganizations())
	if err != nil {
		return User{}, err
	}
	if fieldErrors := checkPassword(password, found.Email); len(fieldErrors) > 0 {
		return User{}, fault.InvalidFields(fieldErrors...)
	}
	hashed, err := s.hashFor(ctx, found.Email, password)
	if err != nil {
		return User{}, err
	}
	now := s.now()
	created := User{
		ID: s.newID(), OrganizationID: found.OrganizationID, Email: found.Email, Name: found.Name,
		Roles: inOrder(found.Roles), Version: 1, CreatedAt: now, UpdatedAt: now,
	}
	ctx = byThemselves(ctx, created)
	stored := func(ctx context.Context) (bool, error) { return userExists(ctx, created.OrganizationID, created.ID) }
	return db.Serializable(ctx, s.database, "invitation.accept", func(ctx context.Context) (User, error) {
		if db.InDoubt(ctx) { // an earlier attempt may have committed: see db.ProvenBy
			if done, err := stored(ctx); done || err != nil {
				return created, err
			}
		}
		invited, err := s.ifOpen(lockInvitation(ctx, hash))
		if err != nil {
			return User{}, err
		}
		return created, s.become(ctx, invited, created, hashed)
	}, db.ProvenBy(stored))
}

// become creates the user of an open, locked invitation, in the transaction of the context.
func (s *Service) become(ctx context.Context, invited Invitation, created User, hashed string) error {
	if err := insertUser(ctx, created, hashed); err != nil {
		return err
	}
	invited.AcceptedAt, invited.UserID = &created.CreatedAt, &created.ID
	if err := acceptInvitation(ctx, invited); err != nil {
		return err
	}
	if err := s.recordInvitation(ctx, "invitation.accept", invited, created.CreatedAt); err != nil {
		return err
	}
	return s.recordUser(ctx, created)
}

// byThemselves returns a context whose caller is the user who was just created.
func byThemselves(ctx context.Context, u User) context.Context {
	return identity.With(ctx, identity.Caller{
		UserID: u.ID, OrganizationID: u.OrganizationID, RequestID: telemetry.RequestID(ctx), Address: trail.Address(ctx),
	})
}

// acceptVerified creates a user from the open invitation to the address, in the transaction of
// the context. The organization's own identity provider has verified the address. The user has an
// unusable password. The error is [ErrInvitationNotFound] if there is no such invitation. An
// invitation with permissions beyond the organization, or beyond those of the user who set the
// provider, needs its token.
func (s *Service) acceptVerified(ctx context.Context, p IdentityProvider, id uuid.UUID, email string, now time.Time) (User, error) {
	invited, err := lockInvitationTo(ctx, email, now)
	if err == nil && slices.Contains(invited.Roles, SuperAdmin) {
		err = ErrInvitationNotFound
	}
	if err == nil {
		err = setterCovers(ctx, p, invited.Roles)
	}
	if err != nil {
		return User{}, err
	}
	salt, err := s.saltOf(ctx, email)
	if err != nil {
		return User{}, err
	}
	created := User{
		ID: id, OrganizationID: invited.OrganizationID, Email: invited.Email, Name: invited.Name,
		Roles: inOrder(invited.Roles), Version: 1, CreatedAt: now, UpdatedAt: now,
	}
	return created, s.become(byThemselves(ctx, created), invited, created, s.passwords.unusable(salt))
}

// setterCovers returns [ErrInvitationNotFound] unless the user who set the identity provider is active
// and holds every permission of the roles now. The provider can say that it has verified any address,
// so it must not give more than its setter has. The invited person can still use the invitation's link.
func setterCovers(ctx context.Context, p IdentityProvider, roles []Role) error {
	if p.setBy == nil {
		return ErrInvitationNotFound
	}
	setter, err := takeUser(ctx, *p.setBy)
	if db.IsNotFound(err) || err == nil && setter.out() != "" {
		return ErrInvitationNotFound
	}
	if err != nil {
		return err
	}
	mine, err := heldBy(ctx, setter.Roles)
	if err != nil {
		return err
	}
	given, err := heldBy(ctx, roles)
	if err != nil {
		return err
	}
	if mine.covers(given) != nil {
		return ErrInvitationNotFound
	}
	return nil
}

// ifOpen returns the invitation if it can be accepted, otherwise [ErrInvitationNotFound].
func (s *Service) ifOpen(found Invitation, err error) (Invitation, error) {
	if err == nil && found.State(s.now()) != InvitationOpen {
		err = ErrInvitationNotFound
	}
	return found, err
}
