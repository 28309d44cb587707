package rbac

import (
	"context"
	"slices"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/patch"
)

// UserFilter narrows a list of users; zero values do not narrow it.
type UserFilter struct {
	db.Keyset
	Role           Role
	Disabled       *bool
	PractitionerID uuid.UUID
}

// UserChange changes what is given of a user. Roles have a change of their own.
type UserChange struct {
	ID             uuid.UUID                  `param:"id"`
	Match          patch.Match                `header:"If-Match"`
	Name           patch.Field[string]        `json:"name" validate:"omitempty,max=100,text"`
	Disabled       patch.Field[bool]          `json:"disabled"`
	PractitionerID patch.Clearable[uuid.UUID] `json:"practitionerId"`
}

// RolesChange replaces all roles of a user.
type RolesChange struct {
	ID    uuid.UUID   `param:"id"`
	Match patch.Match `header:"If-Match"`
	Roles []Role      `json:"roles" validate:"required,min=1,max=8"`
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

// ChangeUser changes a user. Errors: [ErrUserNotFound], [patch.ErrStale],
// [fault.ErrInvalid], [ErrBeyondOwn] for somebody who may do more than the caller, and
// where callers who may not read all patients say which practitioner somebody is,
// [ErrLastAdministrator], [ErrPractitionerTaken].
func (s *Service) ChangeUser(ctx context.Context, c UserChange) (User, error) {
	if c.Name.Given {
		if wrong := checkName(c.Name.Value); len(wrong) > 0 { // not every caller comes over HTTP
			return User{}, fault.InvalidFields(wrong...)
		}
	}
	return s.administer(ctx, "user.change", userChange, c.ID, c.Match, func(u *User) {
		c.Name.Apply(&u.Name)
		c.Disabled.Apply(&u.Disabled)
		c.PractitionerID.Apply(&u.PractitionerID)
	})
}

// SetRoles replaces the roles of a user. Nobody gives a role, or takes one away,
// that may do what they may not do themselves: so nobody raises themselves either.
// Errors: [ErrUserNotFound], [patch.ErrStale], [fault.ErrInvalid], [ErrBeyondOwn],
// [ErrLastAdministrator].
func (s *Service) SetRoles(ctx context.Context, c RolesChange) (User, error) {
	if wrong := checkRoles(c.Roles); len(wrong) > 0 {
		return User{}, fault.InvalidFields(wrong...)
	}
	return s.administer(ctx, "user.grant", userGrant, c.ID, c.Match, func(u *User) { u.Roles = inOrder(c.Roles) })
}

// administer applies a change to a user and writes it, with the version counted up,
// if anything is different then. Without [db.ProvenBy]: it can be sent again when
// nobody knows whether it was committed.
func (s *Service) administer(ctx context.Context, action string, need identity.Permission, id uuid.UUID, match patch.Match, apply func(*User)) (User, error) {
	now := s.now()
	return db.Serializable(ctx, s.database, action, func(ctx context.Context) (User, error) {
		mine, err := s.callerHolds(ctx, need)
		if err != nil {
			return User{}, err
		}
		before, err := userOf(ctx, id)
		if err != nil {
			return User{}, err
		}
		if err := match.Check(before.Version); err != nil {
			return User{}, err
		}
		after := before
		apply(&after)
		if before.same(after) {
			return before, nil
		}
		for _, each := range []User{before, after} {
			theirs, err := heldBy(ctx, each.Roles)
			if err != nil {
				return User{}, err
			}
			if err := mine.covers(theirs); err != nil {
				return User{}, err
			}
		}
		if after.PractitionerID != nil && !equal(before.PractitionerID, after.PractitionerID) { // it opens that one's caseload
			if err := mine.covers(seesAllPatients); err != nil {
				return User{}, err
			}
		}
		if before.administers() && !after.administers() {
			if another, err := anotherAdministrator(ctx, id); err != nil {
				return User{}, err
			} else if !another {
				return User{}, ErrLastAdministrator
			}
		}
		after.Version++
		after.UpdatedAt = now
		if err := updateUser(ctx, before, after); err != nil {
			return User{}, err
		}
		if before.Disabled != after.Disabled || !slices.Equal(before.Roles, after.Roles) { // tokens say what no longer holds
			if after.epoch, err = s.revoke(ctx, after.OrganizationID, id); err != nil {
				return User{}, err
			}
			if err := s.withdraw(ctx, invitationsBy(id)); err != nil { // which they could not make any more, perhaps
				return User{}, err
			}
		}
		return after, s.recordChange(ctx, action, before, after)
	})
}

// same reports whether a change has come to nothing.
func (u User) same(other User) bool {
	return u.Name == other.Name && u.Disabled == other.Disabled && slices.Equal(u.Roles, other.Roles) && equal(u.PractitionerID, other.PractitionerID)
}

func equal(a, b *uuid.UUID) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

// administers reports whether the user keeps the organization from having no
// administrator.
func (u User) administers() bool { return !u.Disabled && slices.Contains(u.Roles, Admin) }

func userOf(ctx context.Context, id uuid.UUID) (User, error) {
	found, err := takeUser(ctx, id)
	if db.IsNotFound(err) {
		err = ErrUserNotFound
	}
	return found, err
}
