package identity

import (
	"fmt"
	"strings"
)

// Scope says for which records a permission is held: a set, since roles add up.
// The zero value is the empty set: the permission is not held. What records
// stand for each of them, the package reach says.
type Scope uint8

// The members of a [Scope].
const (
	// Organization: every record of the caller's organization.
	Organization Scope = 1 << iota
	// Caseload: of the patients who are assigned to the user's practitioner.
	Caseload
	// Self: of the user's own practitioner, as the appointments that they deliver.
	Self
	// Child: of the patients whose guardian the user is, or who they are themselves.
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
	return 0, fmt.Errorf("%q is not a scope; the scopes are %v", name, strings.Split((Organization|Caseload|Self|Child).String(), "+"))
}

// String names the members of the set, as "CASELOAD+SELF"; "" where there is none.
func (s Scope) String() string { return strings.Join(s.Names(), "+") }

// Names returns the names of the members, widest first, as ["CASELOAD", "SELF"].
func (s Scope) Names() []string {
	var names []string
	for _, each := range scopeNames {
		if s.Has(each.scope) {
			names = append(names, each.name)
		}
	}
	return names
}

// Has reports whether the set holds all of the other's members.
func (s Scope) Has(other Scope) bool { return s&other == other }

// Covers reports whether whoever holds s holds other as well: the organization's
// is all there is.
func (s Scope) Covers(other Scope) bool { return s.Has(Organization) || s.Has(other) }
