package rbac

import (
	"fmt"
	"slices"
	"sync"
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

// combination is a set of roles: one bit for each, in the order of roles.
type combination uint16

// combine returns the set of the named roles. Unknown names grant nothing.
func combine(names []string) combination {
	var c combination
	for _, name := range names {
		if i := slices.Index(roles, Role(name)); i >= 0 {
			c |= 1 << i
		}
	}
	return c
}

// grants caches the permissions of each combination of roles in an organization. There are at
// most 256 combinations, and few are in use. The zero value has the default permissions. Safe for
// concurrent use.
type grants struct {
	changed map[Role]held // the sets that the organization has changed
	known   sync.Map      // combination → held
}

// of returns the combined permissions of the roles. The map is shared and read-only.
func (g *grants) of(c combination) held {
	if known, ok := g.known.Load(c); ok {
		return known.(held)
	}
	together := held{}
	for i, r := range roles {
		if c&(1<<i) == 0 {
			continue
		}
		set, ok := g.changed[r]
		if !ok {
			set = shippedTo(r)
		}
		for p, scope := range set {
			together[p] |= scope
		}
	}
	first, _ := g.known.LoadOrStore(c, together)
	return first.(held)
}
