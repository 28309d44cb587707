package invitation

import (
	"crypto/sha256"
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/fault"
)

// Invitation lets a person become a user of an organization, once.
type Invitation struct {
	OrganizationID uuid.UUID
	ID             uuid.UUID
	Email          string
	Name           string
	Roles          rbac.RoleList
	TokenHash      []byte // SHA-256
	InvitedBy      uuid.UUID
	CreatedAt      time.Time
	ExpiresAt      time.Time
	AcceptedAt     *time.Time
	UserID         *uuid.UUID // the user that was created
	RevokedAt      *time.Time
}

// State is the state of an invitation.
type State string

// The states of invitations.
const (
	Open     State = "OPEN"
	Accepted State = "ACCEPTED"
	Revoked  State = "REVOKED"
	Expired  State = "EXPIRED"
)

// State returns the state at the given time.
func (i Invitation) State(now time.Time) State {
	switch {
	case i.AcceptedAt != nil:
		return Accepted
	case i.RevokedAt != nil:
		return Revoked
	case !now.Before(i.ExpiresAt):
		return Expired
	}
	return Open
}

// user returns the user that the invitation creates.
func (i Invitation) user(id uuid.UUID, now time.Time) rbac.User {
	return rbac.User{
		ID: id, OrganizationID: i.OrganizationID, Email: i.Email, Name: i.Name,
		Roles: rbac.InOrder(i.Roles), Version: 1, CreatedAt: now, UpdatedAt: now,
	}
}

// Invitee is a person to invite.
type Invitee struct {
	Email string
	Name  string
	Roles []rbac.Role
}

// check returns an error for each invalid field.
func (n Invitee) check() []fault.Field {
	return slices.Concat(rbac.CheckEmail(n.Email), rbac.CheckName(n.Name), rbac.CheckRoles(n.Roles))
}

func hashOfToken(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}
