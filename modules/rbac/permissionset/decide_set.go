package permissionset

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/patch"
	"omnirapeutic/platform/permission"
)

// Set holds the permissions of a role in an organization and their scopes.
type Set struct {
	Role      rbac.Role
	Default   bool // not changed, or restored
	Held      rbac.Held
	Version   int        // counts the organization's changes; 0: none
	ChangedAt *time.Time // nil: never
	ChangedBy *uuid.UUID
}

// Change replaces the permissions of a role.
type Change struct {
	Role  rbac.Role
	Match patch.Match
	Held  rbac.Held
}

// essential are the permissions that administrators keep for the whole organization. Without
// them, no user could undo a change.
var essential = []identity.Permission{
	permission.UserRead, permission.UserChange, permission.UserGrant, permission.UserInvite,
	permission.PermissionSetRead, permission.PermissionSetChange,
}

// beyondOrganization are the permissions that organizations cannot give.
var beyondOrganization = []identity.Permission{
	permission.OrganizationReadAll, permission.OrganizationCreate, permission.OrganizationDisable,
}

// canChange reports whether an organization may change the permissions of the role.
func canChange(r rbac.Role) bool { return r != rbac.SuperAdmin && slices.Contains(allRoles, r) }

// check returns an error for each invalid entry of a set. The names of permissions and scopes
// were validated before.
func (c Change) check() []fault.Field {
	var fieldErrors []fault.Field
	refuse := func(code, message string) {
		fieldErrors = append(fieldErrors, fault.Field{Field: "permissions", Code: code, Message: message})
	}
	for _, p := range beyondOrganization {
		if c.Held[p] != 0 {
			refuse("across", "must not have "+string(p)+", which applies beyond the organization")
		}
	}
	if c.Role == rbac.Admin {
		for _, p := range essential {
			if !c.Held[p].Has(identity.Organization) {
				refuse("essential", "must have "+string(p)+" for the organization, otherwise the change could not be undone")
			}
		}
	}
	return fieldErrors
}

// setOf returns a role's set from the sets that the organization has changed.
func setOf(role rbac.Role, changed []Set) Set {
	for _, set := range changed {
		if set.Role == role {
			return set
		}
	}
	return Set{Role: role, Default: true, Held: role.Defaults()}
}

// changedIn returns the sets that differ from the defaults, by role.
func changedIn(sets []Set) map[rbac.Role]rbac.Held {
	changed := map[rbac.Role]rbac.Held{}
	for _, set := range sets {
		if !set.Default {
			changed[set.Role] = set.Held
		}
	}
	return changed
}
