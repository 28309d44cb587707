// Package invitation manages invitations, by which a person becomes a user of an organization.
package invitation

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"net/url"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/account"
	"omnirapeutic/modules/rbac/password"
	"omnirapeutic/modules/rbac/throttle"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/mail"
	"omnirapeutic/platform/permission"
	"omnirapeutic/platform/trail"
)

// The errors of invitations.
var (
	// ErrNotFound is returned if the caller's organization has no such invitation, or no open one has
	// the token. Unknown, expired, revoked and accepted invitations look the same.
	ErrNotFound = fault.Define(fault.NotFound, "invitation-not-found", "Invitation not found, or no longer valid.").
			Advising("Ask the person who invited you for another invitation.")
	// ErrAccepted is returned if an accepted invitation is revoked.
	ErrAccepted = fault.Define(fault.Conflict, "invitation-accepted",
		"The invitation has been accepted, and the user exists.").
		Advising("Disable the user instead.")
)

// Service manages invitations. It is safe for concurrent use.
type Service struct {
	Dependencies

	store store
}

// Dependencies are the dependencies of the service.
type Dependencies struct {
	rbac.Core

	Accounts  *account.Service
	Passwords *password.Service
	Throttle  *throttle.Service
	// Lifetime is how long an invitation can be accepted.
	Lifetime time.Duration
	// FrontendURL is the page of the links in mail. Mail requires it.
	FrontendURL string
}

// New returns the service.
func New(d Dependencies) *Service { return &Service{Dependencies: d} }

// Filter narrows a list of invitations. Zero values match every invitation.
type Filter struct {
	db.Keyset
	State State
}

// Invited is a new invitation.
type Invited struct {
	Invitation

	Token  string // the secret; empty if the invitation is sent by mail
	Mailed bool
}

// Invite creates an invitation. Its token has 256 random bits, of which only the hash is stored. If
// mail can reach the address, the person gets a link with the token, and the caller does not see it.
// The invitation replaces an open one to the same address. Errors: [fault.ErrInvalid],
// [identity.ErrBeyondOwn], [rbac.ErrEmailTaken] if a user of this organization has the address. It
// does not reveal users of other organizations.
func (s *Service) Invite(ctx context.Context, n Invitee) (Invited, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return Invited{}, err
	}
	n.Email = rbac.NormalizeTypedEmail(n.Email)
	if fieldErrors := n.check(); len(fieldErrors) > 0 {
		return Invited{}, fault.InvalidFields(fieldErrors...)
	}
	const bytes = 32
	secret := make([]byte, bytes)
	_, _ = rand.Read(secret) // never fails
	token := base64.RawURLEncoding.EncodeToString(secret)
	now := s.Clock.Now()
	created := Invitation{
		OrganizationID: caller.OrganizationID, ID: s.NewID(), Email: n.Email, Name: n.Name, Roles: rbac.InOrder(n.Roles),
		TokenHash: hashOfToken(token), InvitedBy: caller.UserID, CreatedAt: now, ExpiresAt: now.Add(s.Lifetime),
	}
	stored := func(ctx context.Context) (bool, error) { return s.store.exists(ctx, created.ID) }
	mailed, err := db.Serializable(ctx, s.Database, "invitation.create", func(ctx context.Context) (bool, error) {
		mailed, err := s.Mail.CanReach(ctx, created.Email)
		if err != nil {
			return false, err
		}
		if db.InDoubt(ctx) { // an earlier attempt may have committed: see db.ProvenBy
			if done, err := stored(ctx); done || err != nil {
				return mailed, err
			}
		}
		return mailed, s.create(ctx, created, token, mailed)
	}, db.ProvenBy(stored))
	switch {
	case err != nil:
		return Invited{}, err
	case mailed:
		return Invited{Invitation: created, Mailed: true}, nil
	}
	return Invited{Invitation: created, Token: token}, nil
}

// create stores an invitation in the transaction of the context, and queues the mail with its link.
func (s *Service) create(ctx context.Context, created Invitation, token string, mailed bool) error {
	if err := s.mayInvite(ctx, created); err != nil {
		return err
	}
	if err := s.revoke(ctx, toEmail(created.Email)); err != nil {
		return err
	}
	if err := s.store.insert(ctx, created); err != nil {
		return err
	}
	if mailed {
		err := s.Mail.Queue(ctx, mail.Message{
			OrganizationID: created.OrganizationID, To: created.Email, Kind: mail.Invitation, ExpiresAt: created.ExpiresAt,
			Values: mail.Values{
				Name: created.Name, Until: created.ExpiresAt,
				Link: s.FrontendURL + "#invitation=" + url.QueryEscape(token),
			},
		})
		if err != nil {
			return err
		}
	}
	return s.record(ctx, "invitation.create", created, created.CreatedAt)
}

// mayInvite returns [identity.ErrBeyondOwn] unless the caller holds every permission of the roles,
// and [rbac.ErrEmailTaken] if the organization has a user with the address.
func (s *Service) mayInvite(ctx context.Context, i Invitation) error {
	held, err := s.Accounts.CallerHolds(ctx, permission.UserInvite)
	if err != nil {
		return err
	}
	needed, err := s.Accounts.HeldBy(ctx, i.Roles)
	if err != nil {
		return err
	}
	if err := held.Covers(needed); err != nil {
		return err
	}
	_, err = s.Accounts.UserWithEmail(ctx, i.Email)
	switch {
	case err == nil:
		return rbac.ErrEmailTaken
	case errors.Is(err, rbac.ErrUserNotFound):
		return nil
	}
	return err
}

// List lists invitations of the caller's organization in the order of their creation.
func (s *Service) List(ctx context.Context, f Filter) ([]Invitation, error) {
	return db.Snapshot(ctx, s.Database, "invitation.list", func(ctx context.Context) ([]Invitation, error) {
		return s.store.list(ctx, f, s.Clock.Now())
	})
}

// Revoke revokes an invitation; its token becomes invalid. Revoking a revoked invitation changes
// nothing. Errors: [ErrNotFound], [ErrAccepted].
func (s *Service) Revoke(ctx context.Context, id uuid.UUID) error {
	_, err := db.Serializable(ctx, s.Database, "invitation.revoke", func(ctx context.Context) (struct{}, error) {
		if _, err := s.Accounts.CallerHolds(ctx, permission.UserInvite); err != nil {
			return struct{}{}, err
		}
		found, err := s.store.invitation(ctx, id)
		switch {
		case err != nil:
			return struct{}{}, err
		case found.AcceptedAt != nil:
			return struct{}{}, ErrAccepted
		case found.RevokedAt != nil:
			return struct{}{}, nil
		}
		return struct{}{}, s.revoke(ctx, withID(id))
	})
	return err
}

// RevokeOf revokes the open invitations that the user has created, in the transaction of the context
// and in the caller's name.
func (s *Service) RevokeOf(ctx context.Context, inviter uuid.UUID) error {
	return s.revoke(ctx, invitedBy(inviter))
}

// revoke revokes the selected open invitations of the organization in the caller's name.
func (s *Service) revoke(ctx context.Context, c condition) error {
	now := s.Clock.Now()
	revoked, err := s.store.revoke(ctx, c, now)
	for _, i := range revoked {
		if err == nil {
			err = s.record(ctx, "invitation.revoke", i, now)
		}
	}
	return err
}

// RolesOfOpen returns the roles of all open invitations of the caller's organization, in the
// transaction of the context. Invitations of super administrators do not count.
func (s *Service) RolesOfOpen(ctx context.Context) ([]rbac.Role, error) {
	return s.store.rolesOfOpen(ctx, s.Clock.Now())
}

// recordedInvitation is the part of an invitation that the audit trail stores. It omits the address.
type recordedInvitation struct {
	Roles     []rbac.Role `json:"roles"`
	ExpiresAt time.Time   `json:"expiresAt"`
	UserID    *uuid.UUID  `json:"userId,omitempty"` // the user that was created
}

// record records that the caller has created, revoked or accepted an invitation.
func (s *Service) record(ctx context.Context, action string, i Invitation, now time.Time) error {
	return trail.RecordBy(ctx, s.Audit, trail.Event{
		Action: action, SubjectType: "invitation", SubjectID: i.ID, OccurredAt: now,
		After: recordedInvitation{i.Roles, i.ExpiresAt, i.UserID},
	})
}
