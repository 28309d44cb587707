package rbac

import (
	"database/sql/driver"
	"fmt"
	"slices"
	"strings"

	"omnirapeutic/platform/fault"
)

// Role is a named set of permissions that a user holds in an organization.
type Role string

// The roles.
const (
	Admin        Role = "ADMIN"
	Scheduler    Role = "SCHEDULER"
	Practitioner Role = "PRACTITIONER" // a behavior analyst (BCBA)
	Technician   Role = "TECHNICIAN"   // a behavior technician (RBT)
	Biller       Role = "BILLER"
	Auditor      Role = "AUDITOR"
	Patient      Role = "PATIENT" // a patient or guardian
	SuperAdmin   Role = "SUPER_ADMIN"
)

var roles = []Role{Admin, Scheduler, Practitioner, Technician, Biller, Auditor, Patient, SuperAdmin}

// Roles returns every role, in the order in which documents show them.
func Roles() []Role { return slices.Clone(roles) }

// ParseRole returns the role with the name, such as "ADMIN".
func ParseRole(name string) (Role, error) {
	if r := Role(name); slices.Contains(roles, r) {
		return r, nil
	}
	return "", fmt.Errorf("%q is not a role; the roles are %v", name, roles)
}

// InOrder returns the roles in the order of [Roles], each once.
func InOrder(given []Role) []Role {
	var ordered []Role
	for _, r := range roles {
		if slices.Contains(given, r) {
			ordered = append(ordered, r)
		}
	}
	return ordered
}

// RoleNames returns the names of the roles.
func RoleNames(given []Role) []string {
	names := make([]string, len(given))
	for i, r := range given {
		names[i] = string(r)
	}
	return names
}

// CheckRoles returns an error for each invalid role of a user or an invitation.
func CheckRoles(given []Role) []fault.Field {
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
			refuse(field, "oneof", "must be one of "+strings.Join(RoleNames(roles), ", "))
		} else if slices.Contains(given[:i], role) {
			refuse(field, "unique", "must not be repeated")
		}
	}
	return fieldErrors
}

// RoleList is a text[] of roles in the database. No role needs quoting.
type RoleList []Role

// Value writes the list to the database.
func (l RoleList) Value() (driver.Value, error) {
	return "{" + strings.Join(RoleNames(l), ",") + "}", nil
}

// Scan reads the list from the database.
func (l *RoleList) Scan(value any) error {
	text, ok := value.(string)
	if !ok {
		return fmt.Errorf("rbac: cannot read roles from %T", value)
	}
	*l = RoleList{}
	for name := range strings.SplitSeq(strings.Trim(text, "{}"), ",") {
		*l = append(*l, Role(name))
	}
	return nil
}
