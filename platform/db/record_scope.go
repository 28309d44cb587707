package db

import (
	"context"
	"strings"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"omnirapeutic/platform/identity"
)

// Reach is the record scope of an operation: the records that the caller may read or
// change. It follows from the scope of the acting permission and from the caller's
// links in the database. Only this type converts it to SQL. Stores apply it to lists
// and single reads alike, so that both show the same records.
//
// The query itself looks up the caller's links, so they are consistent with the rest of
// its snapshot. A caller without links has access to no records.
type Reach struct{ caller identity.Caller }

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
// table can be in reach. It returns none if the table has no links to people.
func (o Owners) Scopes() (scopes identity.Scope) {
	if o.Patient != "" {
		scopes |= identity.Caseload | identity.Child
	}
	if o.Practitioner != "" || o.User != "" {
		scopes |= identity.Self
	}
	return scopes
}

// ReachOf returns the reach of the caller in the context. It returns
// [identity.ErrUnauthenticated] if there is no caller.
func ReachOf(ctx context.Context) (Reach, error) {
	caller, err := identity.From(ctx)
	return Reach{caller}, err
}

// Everything reports whether the reach is the whole organization. Queries then need no
// condition.
func (r Reach) Everything() bool { return r.caller.Reach().Has(identity.Organization) }

// Subqueries of the ids in reach. Indexes: users_pkey, caseloads_pkey, guardians_pkey.
const (
	ownPractitionerSQL = `SELECT reach_user.practitioner_id FROM users reach_user
		WHERE reach_user.organization_id = @reach_organization AND reach_user.id = @reach_user`
	caseloadSQL = `SELECT reach_load.patient_id FROM caseloads reach_load
		WHERE reach_load.organization_id = @reach_organization AND reach_load.practitioner_id = (` + ownPractitionerSQL + `)`
	childrenSQL = `SELECT reach_child.patient_id FROM guardians reach_child
		WHERE reach_child.organization_id = @reach_organization AND reach_child.user_id = @reach_user`
)

// never matches no row. A single word would be a column name to gorm.
const never = "(1 = 0)"

// Condition returns the SQL condition for rows in reach, with the names of
// [Reach.Arguments]: TRUE for everything, never for nothing.
func (r Reach) Condition(of Owners) string {
	if r.Everything() {
		return "TRUE"
	}
	scope := r.caller.Reach()
	var patients, any []string
	if scope.Has(identity.Caseload) {
		patients = append(patients, caseloadSQL)
	}
	if scope.Has(identity.Child) {
		patients = append(patients, childrenSQL)
	}
	if scope != 0 && r.caller.GrantPatientID != nil {
		patients = append(patients, "SELECT CAST(@reach_grant AS uuid)")
	}
	if of.Patient != "" && len(patients) > 0 {
		any = append(any, strings.ReplaceAll(of.Patient, "%s", strings.Join(patients, " UNION ALL ")))
	}
	if of.Practitioner != "" && scope.Has(identity.Self) {
		any = append(any, strings.ReplaceAll(of.Practitioner, "%s", ownPractitionerSQL))
	}
	if of.User != "" && scope.Has(identity.Self) {
		any = append(any, strings.ReplaceAll(of.User, "%s", "@reach_user"))
	}
	if len(any) == 0 {
		return never
	}
	return "(" + strings.Join(any, " OR ") + ")"
}

// Arguments returns the named arguments of [Reach.Condition].
func (r Reach) Arguments() map[string]any {
	arguments := map[string]any{"reach_organization": r.caller.OrganizationID, "reach_user": r.caller.UserID}
	if r.caller.GrantPatientID != nil {
		arguments["reach_grant"] = *r.caller.GrantPatientID
	}
	return arguments
}

// Narrow limits a query to rows in reach.
func (r Reach) Narrow(tx *gorm.DB, of Owners) *gorm.DB {
	if r.Everything() {
		return tx
	}
	condition := r.Condition(of)
	if condition == never {
		return tx.Where(condition) // gorm would bind unused arguments
	}
	return tx.Where(condition, r.Arguments())
}

// Reachable is [Tenant], limited to the caller's reach.
func Reachable(ctx context.Context, of Owners) (*gorm.DB, uuid.UUID, error) {
	tx, organization, err := Tenant(ctx)
	if err != nil {
		return nil, uuid.Nil, err
	}
	reach, err := ReachOf(ctx)
	if err != nil {
		return nil, uuid.Nil, err
	}
	return reach.Narrow(tx, of).Session(&gorm.Session{}), organization, nil
}

// Reached is the subset of some people that is in reach.
type Reached struct{ Patients, Practitioners map[uuid.UUID]bool }

// Among returns which of the people are in reach, in one statement in the transaction
// of the context. Do not call it if the reach is everything.
func (r Reach) Among(ctx context.Context, patients, practitioners []uuid.UUID) (Reached, error) {
	found := Reached{map[uuid.UUID]bool{}, map[uuid.UUID]bool{}}
	tx, err := Handle(ctx)
	if err != nil {
		return found, err
	}
	arguments := r.Arguments()
	arguments["reach_patients"], arguments["reach_practitioners"] = uuidText(patients), uuidText(practitioners)
	var rows []struct {
		ID      uuid.UUID
		Patient bool
	}
	err = tx.Raw(`
		SELECT k.id, TRUE AS patient FROM unnest(CAST(@reach_patients AS uuid[])) AS k (id) WHERE `+r.Condition(Owners{Patient: "k.id IN (%s)"})+`
		UNION ALL
		SELECT k.id, FALSE FROM unnest(CAST(@reach_practitioners AS uuid[])) AS k (id) WHERE `+r.Condition(Owners{Practitioner: "k.id = (%s)"}),
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
