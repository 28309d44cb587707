package db

import (
	"context"
	"strings"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"omnirapeutic/platform/identity"
)

// RecordScope is the set of records that the caller may read or change in an operation. It follows
// from the scope of the acting permission and from the caller's [Links] in the database. Only this
// type converts it to SQL. Stores apply it to lists and single reads alike, so that both show the
// same records.
//
// The query itself looks up the caller's links, so they are consistent with the rest of its
// snapshot. A caller without links has access to no records.
type RecordScope struct {
	caller identity.Caller
	links  Links
}

// Links are the queries that link a caller to people. Each selects one column of ids and uses the
// named arguments @scope_organization and @scope_user. An empty query means that there are no such
// links.
type Links struct {
	Practitioner string // the user's own practitioner: at most one id
	Caseload     string // patients assigned to that practitioner
	Children     string // patients of whom the user is a guardian, or who are the user
}

// WithLinks returns a DB on the same connections whose transactions look up the callers' links with
// these queries. Without it, only callers with access to the whole organization see records.
func (d *DB) WithLinks(l Links) *DB {
	linked := *d
	linked.links = l
	return &linked
}

// Owners describe how rows of a table are linked to people: conditions with %s in place
// of a subquery of ids, such as "insurances.patient_id IN (%s)". An empty condition
// means there is no such link.
type Owners struct {
	Patient      string
	Practitioner string
	// User matches rows that users created for themselves, with %s in place of the
	// user's id, such as "emergency_grants.user_id = %s".
	User string
}

// Scopes returns the scopes, other than the organization's, under which rows of such a
// table can be in the record scope. It returns none if the table has no links to people.
func (o Owners) Scopes() (scopes identity.Scope) {
	if o.Patient != "" {
		scopes |= identity.Caseload | identity.Child
	}
	if o.Practitioner != "" || o.User != "" {
		scopes |= identity.Self
	}
	return scopes
}

// RecordScopeOf returns the record scope of the caller in the context, with the links of the
// transaction there. It returns [identity.ErrUnauthenticated] if there is no caller.
func RecordScopeOf(ctx context.Context) (RecordScope, error) {
	caller, err := identity.From(ctx)
	scope := RecordScope{caller: caller}
	if a := attemptIn(ctx); a != nil {
		scope.links = a.links
	}
	return scope, err
}

// WholeOrganization reports whether the record scope is the whole organization. Queries then need no
// condition.
func (s RecordScope) WholeOrganization() bool {
	return s.caller.RecordScope().Has(identity.Organization)
}

// never matches no row. A single word would be a column name to gorm.
const never = "(1 = 0)"

// Condition returns the SQL condition for rows in the record scope, with the names of
// [RecordScope.Arguments]: TRUE for the whole organization, never for no records.
func (s RecordScope) Condition(of Owners) string {
	if s.WholeOrganization() {
		return "TRUE"
	}
	held := s.caller.RecordScope()
	var patients, conditions []string
	if held.Has(identity.Caseload) && s.links.Caseload != "" {
		patients = append(patients, s.links.Caseload)
	}
	if held.Has(identity.Child) && s.links.Children != "" {
		patients = append(patients, s.links.Children)
	}
	if held != 0 && s.caller.GrantPatientID != nil {
		patients = append(patients, "SELECT CAST(@scope_grant AS uuid)")
	}
	if of.Patient != "" && len(patients) > 0 {
		conditions = append(conditions, strings.ReplaceAll(of.Patient, "%s", strings.Join(patients, " UNION ALL ")))
	}
	if of.Practitioner != "" && s.links.Practitioner != "" && held.Has(identity.Self) {
		conditions = append(conditions, strings.ReplaceAll(of.Practitioner, "%s", s.links.Practitioner))
	}
	if of.User != "" && held.Has(identity.Self) {
		conditions = append(conditions, strings.ReplaceAll(of.User, "%s", "@scope_user"))
	}
	if len(conditions) == 0 {
		return never
	}
	return "(" + strings.Join(conditions, " OR ") + ")"
}

// Arguments returns the named arguments of [RecordScope.Condition].
func (s RecordScope) Arguments() map[string]any {
	arguments := map[string]any{"scope_organization": s.caller.OrganizationID, "scope_user": s.caller.UserID}
	if s.caller.GrantPatientID != nil {
		arguments["scope_grant"] = *s.caller.GrantPatientID
	}
	return arguments
}

// Apply limits a query to rows in the record scope.
func (s RecordScope) Apply(tx *gorm.DB, of Owners) *gorm.DB {
	if s.WholeOrganization() {
		return tx
	}
	condition := s.Condition(of)
	if condition == never {
		return tx.Where(condition) // gorm would bind unused arguments
	}
	return tx.Where(condition, s.Arguments())
}

// ScopedTenant is [Tenant], limited to the caller's record scope.
func ScopedTenant(ctx context.Context, of Owners) (*gorm.DB, uuid.UUID, error) {
	tx, organization, err := Tenant(ctx)
	if err != nil {
		return nil, uuid.Nil, err
	}
	scope, err := RecordScopeOf(ctx)
	if err != nil {
		return nil, uuid.Nil, err
	}
	return scope.Apply(tx, of).Session(&gorm.Session{}), organization, nil
}

// OwnPractitioner returns the practitioner to whom the caller is linked, or a zero id if there is
// none. It does not depend on the acting permission.
func (s RecordScope) OwnPractitioner(ctx context.Context) (uuid.UUID, error) {
	tx, err := Handle(ctx)
	if err != nil || s.links.Practitioner == "" {
		return uuid.Nil, err
	}
	var found []uuid.UUID
	err = tx.Raw("SELECT own.id FROM ("+s.links.Practitioner+") AS own (id) WHERE own.id IS NOT NULL",
		s.Arguments()).Scan(&found).Error
	if err != nil || len(found) == 0 {
		return uuid.Nil, err
	}
	return found[0], nil
}

// VisiblePeople is the subset of some people that is in the record scope.
type VisiblePeople struct{ Patients, Practitioners map[uuid.UUID]bool }

// Visible returns which of the people are in the record scope, in one statement in the transaction
// of the context. Do not call it for the whole organization.
func (s RecordScope) Visible(ctx context.Context, patients, practitioners []uuid.UUID) (VisiblePeople, error) {
	found := VisiblePeople{map[uuid.UUID]bool{}, map[uuid.UUID]bool{}}
	tx, err := Handle(ctx)
	if err != nil {
		return found, err
	}
	arguments := s.Arguments()
	arguments["scope_patients"], arguments["scope_practitioners"] = uuidText(patients), uuidText(practitioners)
	var rows []struct {
		ID      uuid.UUID
		Patient bool
	}
	err = tx.Raw(`
		SELECT k.id, TRUE AS patient FROM unnest(CAST(@scope_patients AS uuid[])) AS k (id)
		WHERE `+s.Condition(Owners{Patient: "k.id IN (%s)"})+`
		UNION ALL
		SELECT k.id, FALSE FROM unnest(CAST(@scope_practitioners AS uuid[])) AS k (id)
		WHERE `+s.Condition(Owners{Practitioner: "k.id = (%s)"}),
		arguments).Scan(&rows).Error
	for _, row := range rows {
		if row.Patient {
			found.Patients[row.ID] = true
		} else {
			found.Practitioners[row.ID] = true
		}
	}
	return found, err
}
