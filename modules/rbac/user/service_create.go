package rbac

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
)

// NewUser is the request for a user.
type NewUser struct {
	Email    string // in any case; unique within the organization
	Name     string // 1 to 100 characters
	Password string // at least 15 characters, at most 128 bytes
	Roles    []Role // at least one
}

// CreateUser creates a user of the organization. It needs no caller in the context, because the
// first administrator is created before any user can sign in. No route calls it. Errors:
// [fault.ErrInvalid], also for an unknown organization, [ErrEmailTaken].
func (s *Service) CreateUser(ctx context.Context, organization uuid.UUID, n NewUser) (User, error) {
	n.Email = normalizeTypedEmail(n.Email)
	if fieldErrors := n.check(); len(fieldErrors) > 0 {
		return User{}, fault.InvalidFields(fieldErrors...)
	}
	hash, err := s.hashFor(ctx, n.Email, n.Password)
	if err != nil {
		return User{}, err
	}
	now := s.now()
	created := User{
		ID: s.newID(), OrganizationID: organization, Email: n.Email, Name: n.Name,
		Roles: inOrder(n.Roles), Version: 1, CreatedAt: now, UpdatedAt: now,
	}
	stored := func(ctx context.Context) (bool, error) {
		if err := db.Admit(ctx, organization); err != nil {
			return false, err
		}
		return userExists(ctx, organization, created.ID)
	}
	return db.Serializable(ctx, s.database, "user.create", func(ctx context.Context) (User, error) {
		if db.InDoubt(ctx) { // an earlier attempt may have committed: see db.ProvenBy
			if done, err := stored(ctx); done || err != nil {
				return created, err
			}
		}
		if err := db.Admit(ctx, organization); err != nil {
			return User{}, err
		}
		if err := insertUser(ctx, created, hash); err != nil {
			return User{}, err
		}
		return created, s.recordUser(ctx, created)
	}, db.ProvenBy(stored))
}

// HasUsers reports whether there is any user in any organization. It needs no caller in the
// context.
func (s *Service) HasUsers(ctx context.Context) (bool, error) {
	return db.Snapshot(ctx, s.database, "user.any", anyUser, db.AllOrganizations())
}

// SignInAccount is an active user, of any organization.
type SignInAccount struct {
	Email          string
	UserID         uuid.UUID `gorm:"column:id"`
	OrganizationID uuid.UUID
}

// SignIns returns the active users with the addresses, in all organizations, sorted by address and
// age. It needs no caller in the context. It is for operators only: sign-in itself never reveals
// which accounts exist.
func (s *Service) SignIns(ctx context.Context, emails []string) ([]SignInAccount, error) {
	return db.Snapshot(ctx, s.database, "user.sign-ins", func(ctx context.Context) ([]SignInAccount, error) {
		return activeAccounts(ctx, emails)
	}, db.AllOrganizations())
}

func (n NewUser) check() []fault.Field {
	return slices.Concat(checkEmail(n.Email), checkName(n.Name), checkRoles(n.Roles), checkPassword(n.Password, n.Email))
}

func checkName(name string) []fault.Field {
	const maxName = 100
	if strings.TrimSpace(name) == "" || utf8.RuneCountInString(name) > maxName ||
		!utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return []fault.Field{{Field: "name", Code: "text", Message: "must be one line of 1 to 100 characters"}}
	}
	return nil
}

// checkRoles returns an error for each invalid role.
func checkRoles(given []Role) []fault.Field {
	var fieldErrors []fault.Field
	refuse := func(field, code, message string) {
		fieldErrors = append(fieldErrors, fault.Field{Field: field, Code: code, Message: message})
	}
	if len(given) == 0 {
		refuse("roles", "required", "must have at least 1 entry")
	}
	for i, role := range given {
		field := fmt.Sprintf("roles[%d]", i)
		if _, err := ParseRole(string(role)); err != nil {
			refuse(field, "oneof", "must be one of "+strings.Join(names(roles), ", "))
		} else if slices.Contains(given[:i], role) {
			refuse(field, "unique", "must not be repeated")
		}
	}
	return fieldErrors
}

// inOrder returns the roles in the order of [Roles].
func inOrder(held []Role) []Role {
	var ordered []Role
	for _, r := range roles {
		if slices.Contains(held, r) {
			ordered = append(ordered, r)
		}
	}
	return ordered
}
