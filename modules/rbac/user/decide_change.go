package user

import (
	"slices"

	"github.com/google/uuid"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/password"
	"omnirapeutic/platform/fault"
)

// NewUser is the request for a user.
type NewUser struct {
	Email    string      // in any case; unique within the organization
	Name     string      // 1 to 100 characters
	Password string      // at least 15 characters, at most 128 bytes
	Roles    []rbac.Role // at least one
}

// check returns an error for each invalid field.
func (n NewUser) check() []fault.Field {
	return slices.Concat(
		rbac.CheckEmail(n.Email), rbac.CheckName(n.Name), rbac.CheckRoles(n.Roles), password.Check(n.Password, n.Email))
}

// isUnchanged reports whether the users have the same changeable fields.
func isUnchanged(a, b rbac.User) bool {
	return a.Name == b.Name && a.Email == b.Email && a.Disabled == b.Disabled &&
		slices.Equal(a.Roles, b.Roles) && equal(a.PractitionerID, b.PractitionerID)
}

func equal(a, b *uuid.UUID) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

// losesAccess reports whether the user's tokens are outdated after the change.
func losesAccess(before, after rbac.User) bool {
	return before.Disabled != after.Disabled || !slices.Equal(before.Roles, after.Roles)
}

// isAdministrator reports whether the user is an active administrator.
func isAdministrator(u rbac.User) bool { return !u.Disabled && slices.Contains(u.Roles, rbac.Admin) }
