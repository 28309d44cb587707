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
	"omnirapeutic/platform/permission"
)

// The errors of invitations.
var (
	// ErrInvitationNotFound is returned if the caller's organization has no such invitation, or no
	// open one has the token. Unknown, expired, revoked and accepted invitations look the same.
	ErrInvitationNotFound = fault.Define(fault.NotFound, "invitation-not-found", "Invitation not found, or no longer valid.").
				Advising("Ask the person who invited you for another invitation.")
	// ErrInvitationAccepted is returned if an accepted invitation is revoked.
	ErrInvitationAccepted = fault.Define(fault.Conflict, "invitation-accepted", "The invitation has been accepted, and the user exists.").
				Advising("Disable the user instead.")
)

// Invitation lets a person become a user of an organization, once.
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
	UserID         *uuid.UUID // the user that was created
	RevokedAt      *time.Time
}

// InvitationState is the state of an invitation.
type InvitationState string

// The states of invitations.
const (
	InvitationOpen     InvitationState = "OPEN"
	InvitationAccepted InvitationState = "ACCEPTED"
	InvitationRevoked  InvitationState = "REVOKED"
	InvitationExpired  InvitationState = "EXPIRED"
)

// State returns the state at the given time.
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

// NewInvitation is the request for an invitation.
type NewInvitation struct {
	Email string `json:"email" validate:"required,max=254"`
	Name  string `json:"name" validate:"required,max=100,text"`
	Roles []Role `json:"roles" validate:"required,min=1,max=8"`
}

// InvitationFilter narrows a list of invitations. Zero values match every invitation.
type InvitationFilter struct {
	db.Keyset
	State InvitationState
}

// Invite creates an invitation and returns it with its token: 256 random bits, of which only the
// hash is stored. It replaces an open invitation to the same address. Errors: [fault.ErrInvalid],
// [ErrBeyondOwn], [ErrEmailTaken] if a user of this organization has the address. It does not
// reveal users of other organizations.
func (s *Service) Invite(ctx context.Context, n NewInvitation) (Invitation, string, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return Invitation{}, "", err
	}
	n.Email = normalizeTypedEmail(n.Email)
	if fieldErrors := n.check(); len(fieldErrors) > 0 {
		return Invitation{}, "", fault.InvalidFields(fieldErrors...)
	}
	const bytes = 32
	secret := make([]byte, bytes)
	_, _ = rand.Read(secret) // never fails
	token := base64.RawURLEncoding.EncodeToString(secret)
	now := s.now()
	created := Invitation{
		OrganizationID: caller.OrganizationID, ID: s.newID(), Email: n.Email, Name: n.Name, Roles: inOrder(n.Roles),
		TokenHash: hashOfToken(token),
		InvitedBy: caller.UserID, CreatedAt: now, ExpiresAt: now.Add(s.invitations),
	}
	stored := func(ctx context.Context) (bool, error) { return invitationExists(ctx, created.ID) }
	_, err = db.Serializable(ctx, s.database, "invitation.create", func(ctx context.Context) (struct{}, error) {
		if db.InDoubt(ctx) { // an earlier attempt may have committed: see db.ProvenBy
			if done, err := stored(ctx); done || err != nil {
				return struct{}{}, err
			}
		}
		mine, err := s.callerHolds(ctx, permission.UserInvite)
		if err != nil {
			return struct{}{}, err
		}
		theirs, err := heldBy(ctx, created.Roles)
		if err != nil {
			return struct{}{}, err
		}
		if err := mine.covers(theirs); err != nil {
			return struct{}{}, err
		}
		if taken, err := emailIsColleagues(ctx, created.Email); err != nil {
			return struct{}{}, err
		} else if taken {
			return struct{}{}, ErrEmailTaken
		}
		if err := s.withdraw(ctx, invitationsTo(created.Email)); err != nil {
			return struct{}{}, err
		}
		if err := insertInvitation(ctx, created); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, s.recordInvitation(ctx, "invitation.create", created, now)
	}, db.ProvenBy(stored))
	if err != nil {
		return Invitation{}, "", err
	}
	return created, token, nil
}

func (n NewInvitation) check() []fault.Field {
	return slices.Concat(checkEmail(n.Email), checkName(n.Name), checkRoles(n.Roles))
}

func hashOfToken(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

// Invitations lists invitations of the caller's organization in the order of their creation.
func (s *Service) Invitations(ctx context.Context, f InvitationFilter) ([]Invitation, error) {
	return db.Snapshot(ctx, s.database, "invitation.list", func(ctx context.Context) ([]Invitation, error) {
		return findInvitations(ctx, f, s.now())
	})
}

// RevokeInvitation revokes an invitation; its token becomes invalid. Revoking a revoked
// invitation changes nothing. Errors: [ErrInvitationNotFound], [ErrInvitationAccepted].
func (s *Service) RevokeInvitation(ctx context.Context, id uuid.UUID) error {
	_, err := db.Serializable(ctx, s.database, "invitation.revoke", func(ctx context.Context) (struct{}, error) {
		if _, err := s.callerHolds(ctx, permission.UserInvite); err != nil {
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

// withdraw revokes the selected open invitations of the organization in the caller's name.
func (s *Service) withdraw(ctx context.Context, which invitationCondition) error {
	now := s.now()
	revoked, err := revokeInvitations(ctx, which, now)
	for _, each := range revoked {
		if err == nil {
			err = s.recordInvitation(ctx, "invitation.revoke", each, now)
		}
	}
	return err
}
