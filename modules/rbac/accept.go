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

// Accept makes a user of whoever has the token of an open invitation, with the
// password that they choose, and the address, the name and the roles that the
// invitation says: nobody chooses their own role. It needs no caller: the token is what
// lets one in, and once only. Errors: [ErrInvitationNotFound], [fault.ErrInvalid]
// for the password, [ErrEmailTaken], [ErrSignInBusy].
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
	if wrong := checkPassword(password, found.Email); len(wrong) > 0 {
		return User{}, fault.InvalidFields(wrong...)
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
	there := func(ctx context.Context) (bool, error) { return userExists(ctx, created.OrganizationID, created.ID) }
	return db.Serializable(ctx, s.database, "invitation.accept", func(ctx context.Context) (User, error) {
		if db.InDoubt(ctx) { // an attempt before this one may have done it: see db.ProvenBy
			if done, err := there(ctx); done || err != nil {
				return created, err
			}
		}
		invited, err := s.ifOpen(lockInvitation(ctx, hash))
		if err != nil {
			return User{}, err
		}
		return created, s.become(ctx, invited, created, hashed)
	}, db.ProvenBy(there))
}

// become makes the user of an invitation that is open and locked, in the transaction
// of the context.
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

// byThemselves is the context of what somebody does who becomes a user by it.
func byThemselves(ctx context.Context, u User) context.Context {
	return identity.With(ctx, identity.Caller{
		UserID: u.ID, OrganizationID: u.OrganizationID, RequestID: telemetry.RequestID(ctx), Address: trail.Address(ctx),
	})
}

// acceptVerified makes a user of whoever has the address of an open invitation of the
// caller's organization, as the organization's own identity provider has verified, in
// the transaction of the context. They have no password that anybody knows. The error
// is [ErrInvitationNotFound] where there is no such invitation; one that reaches
// beyond the organization needs its token.
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

// ifOpen returns what was found where it can be accepted.
func (s *Service) ifOpen(found Invitation, err error) (Invitation, error) {
	if err == nil && found.State(s.now()) != InvitationOpen {
		err = ErrInvitationNotFound
	}
	return found, err
}
