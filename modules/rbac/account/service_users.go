// Package account stores users and answers what a caller may do now. The other packages of access
// control read and change users through it.
package account

import (
	"context"

	"github.com/google/uuid"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/permissionset"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/trail"
)

// ErrPractitionerTaken is returned if another user is the practitioner.
var ErrPractitionerTaken = fault.Define(fault.Conflict, "practitioner-has-user",
	"This practitioner already belongs to another user.").
	Advising("Remove the practitioner from the other user first.")

// Service reads and writes users. Unless its methods say otherwise, they act in the organization of
// the caller in the context, and fail without one. It is safe for concurrent use.
type Service struct {
	core        rbac.Core
	directory   rbac.Directory
	permissions *permissionset.Reader
	store       store
}

// New returns the service.
func New(core rbac.Core, directory rbac.Directory, permissions *permissionset.Reader) *Service {
	return &Service{core: core, directory: directory, permissions: permissions}
}

// Account is a user with the hash of the password.
type Account struct {
	User         rbac.User
	Hash         string
	Organization string // its name
}

// Filter narrows a list of users. Zero values match every user.
type Filter struct {
	db.Keyset
	Role           rbac.Role
	Disabled       *bool
	PractitionerID uuid.UUID
}

// Get returns a user. The error is [rbac.ErrUserNotFound].
func (s *Service) Get(ctx context.Context, id uuid.UUID) (rbac.User, error) {
	return db.Snapshot(ctx, s.core.Database, "user.get", func(ctx context.Context) (rbac.User, error) {
		return s.User(ctx, id)
	})
}

// OfCaller returns the caller's own user. The state of the organization is not read, because the check of
// the access token knows it, see [revocation.Service.Check]. The error is [rbac.ErrUserNotFound].
func (s *Service) OfCaller(ctx context.Context, caller identity.Caller) (rbac.User, error) {
	return db.Snapshot(ctx, s.core.Database, "user.get", func(ctx context.Context) (rbac.User, error) {
		found, err := s.store.user(ctx, caller.UserID)
		if db.IsNotFound(err) {
			return rbac.User{}, rbac.ErrUserNotFound
		}
		return found.User, err
	})
}

// User returns a user, read in the transaction of the context. The error is [rbac.ErrUserNotFound].
func (s *Service) User(ctx context.Context, id uuid.UUID) (rbac.User, error) {
	found, err := s.store.user(ctx, id)
	return s.complete(ctx, found.User, err)
}

// UserWithEmail returns the user with the address, read in the transaction of the context. The error
// is [rbac.ErrUserNotFound].
func (s *Service) UserWithEmail(ctx context.Context, email string) (rbac.User, error) {
	found, err := s.store.userWithEmail(ctx, email)
	return s.complete(ctx, found.User, err)
}

// complete adds the state of the organization to a user that was found.
func (s *Service) complete(ctx context.Context, u rbac.User, err error) (rbac.User, error) {
	if db.IsNotFound(err) {
		return rbac.User{}, rbac.ErrUserNotFound
	}
	if err != nil {
		return rbac.User{}, err
	}
	return s.WithOrganization(ctx, u)
}

// Credentials returns an active user with the password hash. The error is [rbac.ErrUserNotFound].
func (s *Service) Credentials(ctx context.Context, id uuid.UUID) (Account, error) {
	return db.Snapshot(ctx, s.core.Database, "user.password", func(ctx context.Context) (Account, error) {
		found, err := s.store.user(ctx, id)
		if db.IsNotFound(err) || err == nil && found.User.Disabled {
			return Account{}, rbac.ErrUserNotFound
		}
		return found, err
	})
}

// AccountsWithEmail returns the accounts of an e-mail address in all organizations, sorted by the
// name of the organization. The number of queries is the same for any number of accounts, so that
// their duration reveals none. The transaction of the context must reach all organizations.
func (s *Service) AccountsWithEmail(ctx context.Context, email string) ([]Account, error) {
	found, err := s.store.accountsWithEmail(ctx, email)
	if err != nil {
		return nil, err
	}
	organizations := make([]uuid.UUID, len(found))
	for i, a := range found {
		organizations[i] = a.User.OrganizationID
	}
	sorted, err := s.directory.Organizations(ctx, organizations)
	if err != nil {
		return nil, err
	}
	all := make([]Account, 0, len(found))
	for _, o := range sorted {
		for _, a := range found {
			if a.User.OrganizationID == o.ID {
				a.Organization, a.User.OrganizationDisabled = o.Name, o.Disabled
				all = append(all, a)
			}
		}
	}
	return all, nil
}

// WithOrganization returns the user with the state of the organization, read in the transaction of
// the context. It needs no caller.
func (s *Service) WithOrganization(ctx context.Context, u rbac.User) (rbac.User, error) {
	disabled, err := s.IsOrganizationDisabled(ctx, u.OrganizationID)
	u.OrganizationDisabled = disabled
	return u, err
}

// List lists a page of users.
func (s *Service) List(ctx context.Context, f Filter) ([]rbac.User, error) {
	return db.Snapshot(ctx, s.core.Database, "user.list", func(ctx context.Context) ([]rbac.User, error) {
		return s.store.list(ctx, f)
	})
}

// SignIn is an active user, of any organization.
type SignIn struct {
	Email          string
	UserID         uuid.UUID `gorm:"column:id"`
	OrganizationID uuid.UUID
}

// SignIns returns the active users with the addresses, in all organizations, sorted by address and
// age. It needs no caller. It is for operators only: sign-in itself never reveals which accounts
// exist.
func (s *Service) SignIns(ctx context.Context, emails []string) ([]SignIn, error) {
	return db.Snapshot(ctx, s.core.Database, "user.sign-ins", func(ctx context.Context) ([]SignIn, error) {
		return s.store.signIns(ctx, emails)
	}, db.AllOrganizations())
}

// HasUsers reports whether there is any user in any organization. It needs no caller.
func (s *Service) HasUsers(ctx context.Context) (bool, error) {
	return db.Snapshot(ctx, s.core.Database, "user.any", s.store.any, db.AllOrganizations())
}

// Exists reports whether the organization has the user, in the transaction of the context. It needs
// no caller.
func (s *Service) Exists(ctx context.Context, organization, id uuid.UUID) (bool, error) {
	return s.store.exists(ctx, organization, id)
}

// Create stores a new user with the hash of the password, and records it as the caller's act or,
// without a caller, the program's. Errors: [rbac.ErrEmailTaken], [fault.ErrInvalid] for an unknown
// organization.
func (s *Service) Create(ctx context.Context, u rbac.User, hash string) error {
	if err := s.store.insert(ctx, u, hash); err != nil {
		return err
	}
	if _, err := identity.From(ctx); err != nil {
		ctx = identity.With(ctx, identity.System(u.OrganizationID))
	}
	return trail.RecordBy(ctx, s.core.Audit, trail.Event{
		Action: "user.create", SubjectType: "user", SubjectID: u.ID, OccurredAt: s.core.Clock.Now(),
		After: grantedRoles{u.Roles},
	})
}

// grantedRoles is the After value of a new user.
type grantedRoles struct {
	Roles []rbac.Role `json:"roles"`
}

// Update writes the changeable fields of a user and the difference of the roles. Errors:
// [ErrPractitionerTaken], [fault.ErrInvalid] for an unknown practitioner.
func (s *Service) Update(ctx context.Context, before, after rbac.User) error {
	return s.store.update(ctx, before, after)
}

// MarkUnlocked stores when the sign-in of a user was unlocked.
func (s *Service) MarkUnlocked(ctx context.Context, id uuid.UUID) error {
	return s.store.markUnlocked(ctx, id, s.core.Clock.Now())
}

// AnotherAdministrator reports whether the organization has another active administrator than the
// user. In a SERIALIZABLE transaction, two administrators who remove each other at the same time
// conflict here.
func (s *Service) AnotherAdministrator(ctx context.Context, user uuid.UUID) (bool, error) {
	return s.store.anotherAdministrator(ctx, user)
}

// RolesOfPractitioner returns the roles of the practitioner's user, none if there is no such user.
func (s *Service) RolesOfPractitioner(ctx context.Context, practitioner uuid.UUID) ([]rbac.Role, error) {
	return s.store.rolesOfPractitioner(ctx, practitioner)
}

// RolesInUse returns the roles of all active users who are not super administrators.
func (s *Service) RolesInUse(ctx context.Context) ([]rbac.Role, error) {
	return s.store.rolesInUse(ctx)
}

// Names returns the names of users by id. The result omits unknown ids.
func (s *Service) Names(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]string, error) {
	return s.store.names(ctx, ids)
}

// IsOrganizationDisabled reports whether the organization is disabled, in the transaction of the
// context. It needs no caller.
func (s *Service) IsOrganizationDisabled(ctx context.Context, id uuid.UUID) (bool, error) {
	found, err := s.directory.Organizations(ctx, []uuid.UUID{id})
	return len(found) == 1 && found[0].Disabled, err
}
