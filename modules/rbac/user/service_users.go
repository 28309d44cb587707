// Package user administers the users of an organization, the caseloads of practitioners, and the
// guardians of patients.
package user

import (
	"context"

	"github.com/google/uuid"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/account"
	"omnirapeutic/modules/rbac/apikey"
	"omnirapeutic/modules/rbac/invitation"
	"omnirapeutic/modules/rbac/password"
	"omnirapeutic/modules/rbac/revocation"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/mail"
	"omnirapeutic/platform/patch"
	"omnirapeutic/platform/permission"
	"omnirapeutic/platform/trail"
)

// ErrLastAdministrator is returned if no active administrator would be left.
var ErrLastAdministrator = fault.Define(fault.Conflict, "last-administrator",
	"This is the last administrator of the organization.").
	Advising("Make another user an administrator first.")

// ErrOwnEmail is returned to administrators who change their own address.
var ErrOwnEmail = fault.Define(fault.Forbidden, "own-email",
	"Ask another administrator to change your own e-mail address.").
	Advising("Do not offer this for the signed-in user.")

// Service administers users. It is safe for concurrent use.
type Service struct {
	Dependencies

	store store
}

// Dependencies are the dependencies of the service.
type Dependencies struct {
	rbac.Core

	Directory   rbac.Directory
	Accounts    *account.Service
	APIKeys     *apikey.Service
	Invitations *invitation.Service
	Passwords   *password.Service
	Revocations *revocation.Service
}

// New returns the service.
func New(d Dependencies) *Service { return &Service{Dependencies: d} }

// Change changes the given fields of a user. Roles are changed with [RolesChange].
type Change struct {
	ID             uuid.UUID
	Match          patch.Match
	Name           patch.Field[string]
	Email          patch.Field[string]
	Disabled       patch.Field[bool]
	PractitionerID patch.Clearable[uuid.UUID]
	// APIKeyOwnerID is the new owner of the API keys that this user may no longer own. If it is
	// nil, those keys end.
	APIKeyOwnerID *uuid.UUID
}

// RolesChange replaces all roles of a user.
type RolesChange struct {
	ID    uuid.UUID
	Match patch.Match
	Roles []rbac.Role
	// APIKeyOwnerID is as in [Change].
	APIKeyOwnerID *uuid.UUID
}

// Changed is a user after a change.
type Changed struct {
	rbac.User

	APIKeys []apikey.Key // that the change ended or gave another owner
}

// Create creates a user of the organization. It needs no caller in the context, because the first
// administrator is created before any user can sign in. No route calls it. Errors:
// [fault.ErrInvalid], also for an unknown organization, [rbac.ErrEmailTaken].
func (s *Service) Create(ctx context.Context, organization uuid.UUID, n NewUser) (rbac.User, error) {
	n.Email = rbac.NormalizeTypedEmail(n.Email)
	if fieldErrors := n.check(); len(fieldErrors) > 0 {
		return rbac.User{}, fault.InvalidFields(fieldErrors...)
	}
	hash, err := s.Passwords.Hash(ctx, n.Email, n.Password)
	if err != nil {
		return rbac.User{}, err
	}
	now := s.Clock.Now()
	created := rbac.User{
		ID: s.NewID(), OrganizationID: organization, Email: n.Email, Name: n.Name,
		Roles: rbac.InOrder(n.Roles), Version: 1, CreatedAt: now, UpdatedAt: now,
	}
	stored := func(ctx context.Context) (bool, error) {
		if err := db.Admit(ctx, organization); err != nil {
			return false, err
		}
		return s.Accounts.Exists(ctx, organization, created.ID)
	}
	return db.Serializable(ctx, s.Database, "user.create", func(ctx context.Context) (rbac.User, error) {
		if db.InDoubt(ctx) { // an earlier attempt may have committed: see db.ProvenBy
			if done, err := stored(ctx); done || err != nil {
				return created, err
			}
		}
		if err := db.Admit(ctx, organization); err != nil {
			return rbac.User{}, err
		}
		return created, s.Accounts.Create(ctx, created, hash)
	}, db.ProvenBy(stored))
}

// Change changes a user. Errors: [rbac.ErrUserNotFound], [patch.ErrStale], [fault.ErrInvalid],
// [ErrLastAdministrator], [account.ErrPractitionerTaken], [rbac.ErrEmailTaken], [ErrOwnEmail]. The error
// is [identity.ErrBeyondOwn] for a user with more permissions than the caller, and for a caller who sets
// a practitioner without the right to read all patients.
//
// With another address the password becomes invalid and all sessions end, because the holder of the new
// mailbox has proven nothing. The user sets a new password with a link.
func (s *Service) Change(ctx context.Context, c Change) (Changed, error) {
	if c.Name.Given {
		if fieldErrors := rbac.CheckName(c.Name.Value); len(fieldErrors) > 0 { // not every caller uses HTTP
			return Changed{}, fault.InvalidFields(fieldErrors...)
		}
	}
	a := administration{"user.change", permission.UserChange, c.ID, c.Match, c.APIKeyOwnerID, ""}
	if c.Email.Given {
		c.Email.Value = rbac.NormalizeTypedEmail(c.Email.Value)
		if fieldErrors := rbac.CheckEmail(c.Email.Value); len(fieldErrors) > 0 {
			return Changed{}, fault.InvalidFields(fieldErrors...)
		}
		var err error
		if a.unusable, err = s.Passwords.UnusableHash(ctx, c.Email.Value); err != nil {
			return Changed{}, err
		}
	}
	return s.administer(ctx, a, func(u *rbac.User) {
		c.Name.Apply(&u.Name)
		c.Email.Apply(&u.Email)
		c.Disabled.Apply(&u.Disabled)
		c.PractitionerID.Apply(&u.PractitionerID)
	})
}

// SetRoles replaces the roles of a user. The caller must hold every permission of the roles that
// are added or removed, so callers cannot extend their own permissions. Errors:
// [rbac.ErrUserNotFound], [patch.ErrStale], [fault.ErrInvalid], [identity.ErrBeyondOwn],
// [ErrLastAdministrator].
func (s *Service) SetRoles(ctx context.Context, c RolesChange) (Changed, error) {
	if fieldErrors := rbac.CheckRoles(c.Roles); len(fieldErrors) > 0 {
		return Changed{}, fault.InvalidFields(fieldErrors...)
	}
	a := administration{"user.grant", permission.UserGrant, c.ID, c.Match, c.APIKeyOwnerID, ""}
	return s.administer(ctx, a, func(u *rbac.User) { u.Roles = rbac.InOrder(c.Roles) })
}

// administration is a change of a user, with its action in the audit trail.
type administration struct {
	action   string
	need     identity.Permission
	id       uuid.UUID
	match    patch.Match
	newOwner *uuid.UUID // of API keys that the user may no longer own; nil: they end
	unusable string     // password hash of a user with another address
}

// administer applies a change to a user. If the user has changed, it writes the user with the
// next version. It works without [db.ProvenBy]: the caller can repeat it after an unknown
// outcome.
func (s *Service) administer(ctx context.Context, a administration, apply func(*rbac.User)) (Changed, error) {
	now := s.Clock.Now()
	return db.Serializable(ctx, s.Database, a.action, func(ctx context.Context) (Changed, error) {
		held, err := s.Accounts.CallerHolds(ctx, a.need)
		if err != nil {
			return Changed{}, err
		}
		before, err := s.Accounts.User(ctx, a.id)
		if err != nil {
			return Changed{}, err
		}
		if err := a.match.Check(before.Version); err != nil {
			return Changed{}, err
		}
		after := before
		apply(&after)
		if isUnchanged(before, after) && a.newOwner == nil {
			return Changed{User: before}, nil
		}
		if err := s.mayChange(ctx, held, before, after); err != nil {
			return Changed{}, err
		}
		if isUnchanged(before, after) { // the keys of a user who was already disabled
			keys, err := s.APIKeys.Settle(ctx, held, before, a.newOwner, now)
			return Changed{before, keys}, err
		}
		after.Version++
		after.UpdatedAt = now
		if err := s.Accounts.Update(ctx, before, after); err != nil {
			return Changed{}, err
		}
		err = s.Revocations.AccountChanged(ctx, after.OrganizationID, after.ID, after.Version, now)
		if err != nil {
			return Changed{}, err
		}
		if err := s.moveAddress(ctx, before, after, a.unusable); err != nil {
			return Changed{}, err
		}
		keys, err := s.endAccess(ctx, held, before, after, a.newOwner)
		if err != nil {
			return Changed{}, err
		}
		return Changed{after, keys}, s.record(ctx, a.action, before, after)
	})
}

// endAccess ends what a user with other roles, or who was disabled or enabled, may no longer have:
// sessions and access tokens, open invitations by the user, and API keys. It returns the changed
// keys.
func (s *Service) endAccess(
	ctx context.Context, held rbac.Held, before, after rbac.User, newOwner *uuid.UUID,
) ([]apikey.Key, error) {
	if !losesAccess(before, after) {
		return nil, nil
	}
	if _, err := s.Revocations.RevokeUser(ctx, after.OrganizationID, after.ID); err != nil {
		return nil, err
	}
	if err := s.Invitations.RevokeOf(ctx, after.ID); err != nil { // the user may no longer hold what they give
		return nil, err
	}
	return s.APIKeys.Settle(ctx, held, after, newOwner, after.UpdatedAt)
}

// moveAddress ends the password and the sessions of a user with another address, and sends notices to
// both addresses, in the transaction of the context. The old address no longer counts as refused. It
// returns [ErrOwnEmail] for the caller's own address.
func (s *Service) moveAddress(ctx context.Context, before, after rbac.User, unusable string) error {
	if before.Email == after.Email {
		return nil
	}
	caller, err := identity.From(ctx)
	if err != nil {
		return err
	}
	if caller.UserID == after.ID {
		return ErrOwnEmail
	}
	if err := s.Passwords.Invalidate(ctx, after, unusable); err != nil {
		return err
	}
	if _, err := s.Revocations.RevokeUser(ctx, after.OrganizationID, after.ID); err != nil {
		return err
	}
	for _, u := range []rbac.User{before, after} {
		if err := rbac.NotifyChange(ctx, s.Core, u, mail.EmailChanged); err != nil {
			return err
		}
	}
	return s.Mail.Corrected(ctx, before.Email)
}

// mayChange returns [identity.ErrBeyondOwn] unless the caller, who holds the given permissions, holds the user's
// permissions before and after the change. It returns [ErrLastAdministrator] if no administrator
// would be left.
func (s *Service) mayChange(ctx context.Context, held rbac.Held, before, after rbac.User) error {
	var needed rbac.Held
	for _, u := range []rbac.User{before, after} {
		var err error
		if needed, err = s.Accounts.HeldBy(ctx, u.Roles); err != nil {
			return err
		}
		if err := held.Covers(needed); err != nil {
			return err
		}
	}
	if after.PractitionerID != nil && !equal(before.PractitionerID, after.PractitionerID) {
		if err := held.CoversRecords(needed, identity.Self|identity.Caseload); err != nil {
			return err
		}
	}
	if isAdministrator(before) && !isAdministrator(after) {
		if another, err := s.Accounts.AnotherAdministrator(ctx, before.ID); err != nil {
			return err
		} else if !another {
			return ErrLastAdministrator
		}
	}
	return nil
}

// recordedUser is the part of a user that the audit trail stores: what decides about permissions, and
// whether the name or the address has changed.
type recordedUser struct {
	Roles          []rbac.Role `json:"roles"`
	Disabled       bool        `json:"disabled"`
	PractitionerID *uuid.UUID  `json:"practitionerId"`
	Version        int         `json:"version"`
	Changed        []string    `json:"changed,omitempty"`
}

// record records a user before and after the caller's change.
func (s *Service) record(ctx context.Context, action string, before, after rbac.User) error {
	var changed []string
	if before.Name != after.Name {
		changed = append(changed, "name")
	}
	if before.Email != after.Email {
		changed = append(changed, "email")
	}
	return trail.RecordBy(ctx, s.Audit, trail.Event{
		Action: action, SubjectType: "user", SubjectID: after.ID, OccurredAt: after.UpdatedAt,
		Before: recordedUser{before.Roles, before.Disabled, before.PractitionerID, before.Version, nil},
		After:  recordedUser{after.Roles, after.Disabled, after.PractitionerID, after.Version, changed},
	})
}
