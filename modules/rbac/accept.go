package rbac

import (
	"context"

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
	hashed, err := s.passwords.hash(ctx, password) // before the transaction: no connection waits for it
	if err != nil {
		return User{}, err
	}
	now := s.now()
	created := User{
		ID: s.newID(), OrganizationID: found.OrganizationID, Email: found.Email, Name: found.Name,
		Roles: inOrder(found.Roles), Version: 1, CreatedAt: now, UpdatedAt: now,
	}
	ctx = identity.With(ctx, identity.Caller{ // it is their own doing
		UserID: created.ID, OrganizationID: created.OrganizationID, RequestID: telemetry.RequestID(ctx), Address: trail.Address(ctx),
	})
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
		if err := insertUser(ctx, created, hashed); err != nil {
			return User{}, err
		}
		invited.AcceptedAt, invited.UserID = &now, &created.ID
		if err := acceptInvitation(ctx, invited); err != nil {
			return User{}, err
		}
		if err := s.recordInvitation(ctx, "invitation.accept", invited, now); err != nil {
			return User{}, err
		}
		return created, s.recordUser(ctx, created)
	}, db.ProvenBy(there))
}

// ifOpen returns what was found where it can be accepted.
func (s *Service) ifOpen(found Invitation, err error) (Invitation, error) {
	if err == nil && found.State(s.now()) != InvitationOpen {
		err = ErrInvitationNotFound
	}
	return found, err
}
