package rbac

import (
	"context"
	"slices"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/patch"
	"omnirapeutic/platform/permission"
)

// UserFilter narrows a list of users. Zero values match every user.
type UserFilter struct {
	db.Keyset
	Role           Role
	Disabled       *bool
	PractitionerID uuid.UUID
}

// UserChange changes the given fields of a user. Roles are changed with [RolesChange].
type UserChange struct {
	ID             uuid.UUID                  `param:"id"`
	Match          patch.Match                `header:"If-Match"`
	Name           patch.Field[string]        `json:"name" validate:"omitempty,max=100,text"`
	Disabled       patch.Field[bool]          `json:"disabled"`
	PractitionerID patch.Clearable[uuid.UUID] `json:"practitionerId"`
	// APIKeyOwnerID is the new owner of the API keys that this user may no longer own. If it is
	// nil, those keys end.
	APIKeyOwnerID *uuid.UUID `json:"apiKeyOwnerId"`
}

// RolesChange replaces all roles of a user.
type RolesChange struct {
	ID    uuid.UUID   `param:"id"`
	Match patch.Match `header:"If-Match"`
	Roles []Role      `json:"roles" validate:"required,min=1,max=8"`
	// APIKeyOwnerID is the new owner of the API keys that this user may no longer own. If it is
	// nil, those keys end.
	APIKeyOwnerID *uuid.UUID `json:"apiKeyOwnerId"`
}

// ChangedUser is a user after a change.
type ChangedUser struct {
	User
	APIKeys []APIKey // that the change ended or gave another owner
}

// Users lists users of the caller's organization.
func (s *Service) Users(ctx context.Context, f UserFilter) ([]User, error) {
	return db.Snapshot(ctx, s.database, "user.list", func(ctx context.Context) ([]User, error) {
		return findUsers(ctx, f)
	})
}

// User returns a user of the caller's organization. The error is [ErrUserNotFound].
func (s *Service) User(ctx context.Context, id uuid.UUID) (User, error) {
	return db.Snapshot(ctx, s.database, "user.get", func(ctx context.Context) (User, error) {
		return userOf(ctx, id)
	})
}

// ChangeUser changes a user. Errors: [ErrUserNotFound], [patch.ErrStale], [fault.ErrInvalid],
// [ErrBeyondOwn] for a user with more permissions than the caller and for a caller who sets a
// practitioner without the right to read all patients, [ErrLastAdministrator],
// [ErrPractitionerTaken].
func (s *Service) ChangeUser(ctx context.Context, c UserChange) (ChangedUser, error) {
	if c.Name.Given {
		if fieldErrors := checkName(c.Name.Value); len(fieldErrors) > 0 { // not every caller uses HTTP
			return ChangedUser{}, fault.InvalidFields(fieldErrors...)
		}
	}
	return s.administer(ctx, administration{"user.change", permission.UserChange, c.ID, c.Match, c.APIKeyOwnerID}, func(u *User) {
		c.Name.Apply(&u.Name)
		c.Disabled.Apply(&u.Disabled)
		c.PractitionerID.Apply(&u.PractitionerID)
	})
}

// SetRoles replaces the roles of a user. The caller must hold every permission of the roles that
// are added or removed, so callers cannot extend their own permissions. Errors:
// [ErrUserNotFound], [patch.ErrStale], [fault.ErrInvalid], [ErrBeyondOwn],
// [ErrLastAdministrator].
func (s *Service) SetRoles(ctx context.Context, c RolesChange) (ChangedUser, error) {
	if fieldErrors := checkRoles(c.Roles); len(fieldErrors) > 0 {
		return ChangedUser{}, fault.InvalidFields(fieldErrors...)
	}
	return s.administer(ctx, administration{"user.grant", permission.UserGrant, c.ID, c.Match, c.APIKeyOwnerID}, func(u *User) {
		u.Roles = inOrder(c.Roles)
	})
}

// administration is a change of a user, with its action in the audit trail.
type administration struct {
	action string
	need   identity.Permission
	id     uuid.UUID
	match  patch.Match
	heir   *uuid.UUID // new owner of API keys that the user may no longer own; nil: they end
}

// administer applies a change to a user. If the user has changed, it writes the user with the
// next version. It works without [db.ProvenBy]: the caller can repeat it after an unknown
// outcome.
func (s *Service) administer(ctx context.Context, a administration, apply func(*User)) (ChangedUser, error) {
	now := s.now()
	return db.Serializable(ctx, s.database, a.action, func(ctx context.Context) (ChangedUser, error) {
		mine, err := s.callerHolds(ctx, a.need)
		if err != nil {
			return ChangedUser{}, err
		}
		before, err := userOf(ctx, a.id)
		if err != nil {
			return ChangedUser{}, err
		}
		if err := a.match.Check(before.Version); err != nil {
			return ChangedUser{}, err
		}
		after := before
		apply(&after)
		if before.same(after) && a.heir == nil {
			return ChangedUser{User: before}, nil
		}
		if err := s.mayChange(ctx, mine, before, after); err != nil {
			return ChangedUser{}, err
		}
		if before.same(after) { // the keys of a user who was already disabled
			keys, err := s.settleKeys(ctx, mine, before, a.heir, now)
			return ChangedUser{before, keys}, err
		}
		after.Version++
		after.UpdatedAt = now
		if err := updateUser(ctx, before, after); err != nil {
			return ChangedUser{}, err
		}
		var keys []APIKey
		if before.Disabled != after.Disabled || !slices.Equal(before.Roles, after.Roles) { // the user's tokens are outdated
			if after.epoch, err = s.revoke(ctx, after.OrganizationID, a.id); err != nil {
				return ChangedUser{}, err
			}
			if err := s.withdraw(ctx, invitationsBy(a.id)); err != nil { // the user may no longer hold what they give
				return ChangedUser{}, err
			}
			if keys, err = s.settleKeys(ctx, mine, after, a.heir, now); err != nil {
				return ChangedUser{}, err
			}
		}
		return ChangedUser{after, keys}, s.recordChange(ctx, a.action, before, after)
	})
}

// mayChange returns [ErrBeyondOwn] unless the caller, who holds mine, holds the user's permissions
// before and after the change. It returns [ErrLastAdministrator] if no administrator would be left.
func (s *Service) mayChange(ctx context.Context, mine held, before, after User) error {
	for _, each := range []User{before, after} {
		theirs, err := heldBy(ctx, each.Roles)
		if err != nil {
			return err
		}
		if err := mine.covers(theirs); err != nil {
			return err
		}
	}
	if after.PractitionerID != nil && !equal(before.PractitionerID, after.PractitionerID) {
		theirs, err := heldBy(ctx, after.Roles)
		if err != nil {
			return err
		}
		if err := mine.coversOpened(theirs, identity.Self|identity.Caseload); err != nil {
			return err
		}
	}
	if before.administers() && !after.administers() {
		if another, err := anotherAdministrator(ctx, before.ID); err != nil {
			return err
		} else if !another {
			return ErrLastAdministrator
		}
	}
	return nil
}

// same reports whether the users have the same changeable fields.
func (u User) same(other User) bool {
	return u.Name == other.Name && u.Disabled == other.Disabled &&
		slices.Equal(u.Roles, other.Roles) && equal(u.PractitionerID, other.PractitionerID)
}

func equal(a, b *uuid.UUID) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

// administers reports whether the user is an active administrator.
func (u User) administers() bool { return !u.Disabled && slices.Contains(u.Roles, Admin) }

func userOf(ctx context.Context, id uuid.UUID) (User, error) {
	found, err := takeUser(ctx, id)
	if db.IsNotFound(err) {
		err = ErrUserNotFound
	}
	return found, err
}
