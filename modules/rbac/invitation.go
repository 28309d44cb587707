package rbac

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
)

// The refusals of invitations.
var (
	// ErrInvitationNotFound: no such invitation in the caller's organization, or none
	// that could still be accepted with the token: whether it has never been, is over,
	// was revoked or was accepted before, nobody can tell apart.
	ErrInvitationNotFound = fault.Define(fault.NotFound, "invitation-not-found", "There is no such invitation, or it holds no more.").
				Advising("Ask whoever has invited you for another one.")
	// ErrInvitationAccepted: what has become a user is not revoked any more.
	ErrInvitationAccepted = fault.Define(fault.Conflict, "invitation-accepted", "The invitation was accepted: there is a user now.").
				Advising("Disable the user instead.")
)

// Invitation lets somebody become a user of an organization, once.
type Invitation struct {
	OrganizationID uuid.UUID
	ID             uuid.UUID
	Email          string
	Name           string
	Roles          roleList
	TokenHash      []byte // SHA-256
	InvitedBy      uuid.UUID
	CreatedAt      time.Time
	ExpiresAt      time.Time
	AcceptedAt     *time.Time
	UserID         *uuid.UUID // who it became
	RevokedAt      *time.Time
}

// InvitationState says whether an invitation can be accepted, and if not, why.
type InvitationState string

// The states of invitations.
const (
	InvitationOpen     InvitationState = "OPEN"
	InvitationAccepted InvitationState = "ACCEPTED"
	InvitationRevoked  InvitationState = "REVOKED"
	InvitationExpired  InvitationState = "EXPIRED"
)

// State returns the state at a moment.
func (i Invitation) State(now time.Time) InvitationState {
	switch {
	case i.AcceptedAt != nil:
		return InvitationAccepted
	case i.RevokedAt != nil:
		return InvitationRevoked
	case !now.Before(i.ExpiresAt):
		return InvitationExpired
	}
	return InvitationOpen
}

// NewInvitation is what is told of somebody who is invited.
type NewInvitation struct {
	Email string `json:"email" validate:"required,max=254"`
	Name  string `json:"name" validate:"required,max=100,text"`
	Roles []Role `json:"roles" validate:"required,min=1,max=8"`
}

// InvitationFilter narrows a list of invitations; zero values do not narrow it.
type InvitationFilter struct {
	db.Keyset
	State InvitationState
}

// Invite makes an invitation, and returns it with its token: 256 random bits, of
// which only the hash is kept. It takes the place of an open one to the same
// address. Errors: [fault.ErrInvalid], [ErrBeyondOwn], [ErrEmailTaken] where a user
// of the organization has the address; of others it does not tell.
func (s *Service) Invite(ctx context.Context, n NewInvitation) (Invitation, string, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return Invitation{}, "", err
	}
	n.Email = normalizeTypedEmail(n.Email)
	if wrong := n.check(); len(wrong) > 0 {
		return Invitation{}, "", fault.InvalidFields(wrong...)
	}
	const bytes = 32
	secret := make([]byte, bytes)
	_, _ = rand.Read(secret) // never fails
	token := base64.RawURLEncoding.EncodeToString(secret)
	now := s.now()
	made := Invitation{
		OrganizationID: caller.OrganizationID, ID: s.newID(), Email: n.Email, Name: n.Name, Roles: inOrder(n.Roles), TokenHash: hashOfToken(token),
		InvitedBy: caller.UserID, CreatedAt: now, ExpiresAt: now.Add(s.invitations),
	}
	there := func(ctx context.Context) (bool, error) { return invitationExists(ctx, made.ID) }
	_, err = db.Serializable(ctx, s.database, "invitation.create", func(ctx context.Context) (struct{}, error) {
		if db.InDoubt(ctx) { // an attempt before this one may have done it: see db.ProvenBy
			if done, err := there(ctx); done || err != nil {
				return struct{}{}, err
			}
		}
		mine, err := s.callerHolds(ctx, userInvite)
		if err != nil {
			return struct{}{}, err
		}
		theirs, err := heldBy(ctx, made.Roles)
		if err != nil {
			return struct{}{}, err
		}
		if err := mine.covers(theirs); err != nil {
			return struct{}{}, err
		}
		if taken, err := emailIsColleagues(ctx, made.Email); err != nil {
			return struct{}{}, err
		} else if taken {
			return struct{}{}, ErrEmailTaken
		}
		if err := s.withdraw(ctx, invitationsTo(made.Email)); err != nil {
			return struct{}{}, err
		}
		if err := insertInvitation(ctx, made); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, s.recordInvitation(ctx, "invitation.create", made, now)
	}, db.ProvenBy(there))
	if err != nil {
		return Invitation{}, "", err
	}
	return made, token, nil
}

func (n NewInvitation) check() []fault.Field {
	return slices.Concat(checkEmail(n.Email), checkName(n.Name), checkRoles(n.Roles))
}

func hashOfToken(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

// Invitations lists invitations of the caller's organization, in the order in which
// they were made.
func (s *Service) Invitations(ctx context.Context, f InvitationFilter) ([]Invitation, error) {
	return db.Snapshot(ctx, s.database, "invitation.list", func(ctx context.Context) ([]Invitation, error) {
		return findInvitations(ctx, f, s.now())
	})
}

// RevokeInvitation takes an invitation back: its token is worth nothing from now on.
// One that was revoked before stays as it was. Errors: [ErrInvitationNotFound],
// [ErrInvitationAccepted].
func (s *Service) RevokeInvitation(ctx context.Context, id uuid.UUID) error {
	_, err := db.Serializable(ctx, s.database, "invitation.revoke", func(ctx context.Context) (struct{}, error) {
		if _, err := s.callerHolds(ctx, userInvite); err != nil {
			return struct{}{}, err
		}
		found, err := takeInvitation(ctx, id)
		switch {
		case err != nil:
			return struct{}{}, err
		case found.AcceptedAt != nil:
			return struct{}{}, ErrInvitationAccepted
		case found.RevokedAt != nil:
			return struct{}{}, nil
		}
		return struct{}{}, s.withdraw(ctx, invitationOf(id))
	})
	return err
}

// withdraw revokes those of the organization's open invitations that are meant, in
// the caller's name.
func (s *Service) withdraw(ctx context.Context, which meant) error {
	now := s.now()
	gone, err := revokeInvitations(ctx, which, now)
	for _, each := range gone {
		if err == nil {
			err = s.recordInvitation(ctx, "invitation.revoke", each, now)
		}
	}
	return err
}
