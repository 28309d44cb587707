package identity

import (
	"fmt"
	"strings"
)

// Scope is the set of records for which a permission is held. It is a set because roles
// add up. The zero value is the empty set: the permission is not held. A store maps each
// member to records with a db.RecordScope.
type Scope uint8

// The members of a [Scope].
const (
	// Organization: every record of the caller's organization.
	Organization Scope = 1 << iota
	// Caseload: records of patients assigned to the user's practitioner.
	Caseload
	// Self: records of the user's own practitioner, such as the appointments they
	// deliver.
	Self
	// Child: records of patients of whom the user is a guardian, or who are the user.
	Child
)

var scopeNames = []struct {
	scope Scope
	name  string
}{{Organization, "ORGANIZATION"}, {Caseload, "CASELOAD"}, {Self, "SELF"}, {Child, "CHILD"}}

// Scopes returns the single scopes, widest first.
func Scopes() []Scope { return []Scope{Organization, Caseload, Self, Child} }

// ParseScope returns the single scope of the name, as "CASELOAD".
func ParseScope(name string) (Scope, error) {
	for _, s := range scopeNames {
		if s.name == name {
			return s.scope, nil
		}
	}
	return 0, fmt.Errorf("%q is not a scope; the scopes are %v", name,
		strings.Split((Organization|Caseload|Self|Child).String(), "+"))
}

// String returns the names of the members, such as "CASELOAD+SELF", or "" for the empty
// set.
func (s Scope) String() string { return strings.Join(s.Names(), "+") }

// Names returns the names of the members, widest first, such as ["CASELOAD", "SELF"].
func (s Scope) Names() []string {
	var names []string
	for _, single := range scopeNames {
		if s.Has(single.scope) {
			names = append(names, single.name)
		}
	}
	return names
}

// Has reports whether s contains all members of the other set.
func (s Scope) Has(other Scope) bool { return s&other == other }

// Covers reports whether a holder of s also has access to the records of other.
// Organization covers every scope.
func (s Scope) Covers(other Scope) bool { return s.Has(Organization) || s.Has(other) }
