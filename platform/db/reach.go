package db

import (
	"context"
	"strings"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"omnirapeutic/platform/identity"
)

// Reach is for which records a caller may do what it is about to do: it follows
// from the scope of the permission under which it acts, and from what the database
// says of the caller. This is the one place where that becomes a condition; a store
// adds it to lists and single reads alike, so that a list is what single reads allow.
//
// What links a caller to records is looked up by the query itself: it is as true as
// the rest of what the query sees, and a caller whom nothing links reaches nothing.
type Reach struct{ caller identity.Caller }

// Owners say where a table keeps whose its rows are: conditions with %s in the place
// of a subquery of ids, such as "insurances.patient_id IN (%s)". Empty: it does not.
type Owners struct {
	Patient      string
	Practitioner string
	// User is of what users have made for themselves, with %s in the place of the user's
	// id: such as "emergency_grants.user_id = %s".
	User string
}

// Scopes returns the scopes that can reach rows of such a table, beside the
// organization's: none, where it does not keep whose they are.
func (o Owners) Scopes() (scopes identity.Scope) {
	if o.Patient != "" {
		scopes |= identity.Caseload | identity.Child
	}
	if o.Practitioner != "" || o.User != "" {
		scopes |= identity.Self
	}
	return scopes
}

// ReachOf returns the reach of the caller in the context. The error is
// [identity.ErrUnauthenticated] where there is none.
func ReachOf(ctx context.Context) (Reach, error) {
	caller, err := identity.From(ctx)
	return Reach{caller}, err
}

// Everything reports whether it is all of the organization: then there is nothing to
// ask for, and nothing to be paid for it.
func (r Reach) Everything() bool { return r.caller.Reach().Has(identity.Organization) }

// The ids that a reach leads to. Indexes: users_pkey, caseloads_pkey, guardians_pkey.
const (
	ownPractitionerSQL = `SELECT reach_user.practitioner_id FROM users reach_user
		WHERE reach_user.organization_id = @reach_organization AND reach_user.id = @reach_user`
	caseloadSQL = `SELECT reach_load.patient_id FROM caseloads reach_load
		WHERE reach_load.organization_id = @reach_organization AND reach_load.practitioner_id = (` + ownPractitionerSQL + `)`
	childrenSQL = `SELECT reach_child.patient_id FROM guardians reach_child
		WHERE reach_child.organization_id = @reach_organization AND reach_child.user_id = @reach_user`
)

// never is no row; a single word would be a column to gorm.
const never = "(1 = 0)"

// Condition returns what must be true of a row, in SQL with the names of
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

// Arguments returns the values of the names in [Reach.Condition].
func (r Reach) Arguments() map[string]any {
	arguments := map[string]any{"reach_organization": r.caller.OrganizationID, "reach_user": r.caller.UserID}
	if r.caller.GrantPatientID != nil {
		arguments["reach_grant"] = *r.caller.GrantPatientID
	}
	return arguments
}

// Narrow leaves the rows of a query that are within the reach.
func (r Reach) Narrow(tx *gorm.DB, of Owners) *gorm.DB {
	if r.Everything() {
		return tx
	}
	condition := r.Condition(of)
	if condition == never {
		return tx.Where(condition) // gorm binds what nothing names
	}
	return tx.Where(condition, r.Arguments())
}

// Reachable is [Tenant], narrowed to what is within the caller's reach.
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

// Reached are those of some people who are within a reach.
type Reached struct{ Patients, Practitioners map[uuid.UUID]bool }

// Among returns which of the people are within the reach, in one statement in the
// transaction of the context. Not to be asked where it is everything.
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
