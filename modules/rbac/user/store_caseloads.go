package rbac

import (
	"context"

	"github.com/google/uuid"
	"gorm.io/gorm/clause"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
)

// TableName names the table for gorm.
func (Assignment) TableName() string { return "caseloads" }

// TableName names the table for gorm.
func (Guardianship) TableName() string { return "guardians" }

// caseloadOf lists assignments to a practitioner. Index: the primary key.
func caseloadOf(ctx context.Context, practitioner uuid.UUID) ([]Assignment, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	var found []Assignment
	err = tx.Where("practitioner_id = ?", practitioner).Order("patient_id").Find(&found).Error
	return found, err
}

// practitionerExists returns [ErrCaseloadOwnerNotFound] if the organization has no such
// practitioner. Index: the primary key.
func practitionerExists(ctx context.Context, practitioner uuid.UUID) error {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return err
	}
	var there int64
	err = tx.Table("practitioners").Where("id = ?", practitioner).Count(&there).Error
	if err == nil && there == 0 {
		return ErrCaseloadOwnerNotFound
	}
	return err
}

// assignmentOf returns the assignment, nil if there is none.
func assignmentOf(ctx context.Context, practitioner, patient uuid.UUID) (*Assignment, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	var found []Assignment
	err = tx.Where("practitioner_id = ? AND patient_id = ?", practitioner, patient).Find(&found).Error
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}

func insertAssignment(ctx context.Context, a Assignment) error {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return err
	}
	return reachRefusalOf(tx.Create(&a).Error)
}

func deleteAssignment(ctx context.Context, practitioner, patient uuid.UUID) error {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return err
	}
	result := tx.Where("practitioner_id = ? AND patient_id = ?", practitioner, patient).Delete(&Assignment{})
	if result.Error == nil && result.RowsAffected == 0 {
		return ErrNotAssigned
	}
	return result.Error
}

// patientsOf lists guardianships of a user. Index: the primary key.
func patientsOf(ctx context.Context, user uuid.UUID) ([]Guardianship, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	var found []Guardianship
	err = tx.Where("user_id = ?", user).Order("patient_id").Find(&found).Error
	return found, err
}

// guardianshipOf returns the guardianship, nil if there is none.
func guardianshipOf(ctx context.Context, user, patient uuid.UUID) (*Guardianship, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	var found []Guardianship
	err = tx.Where("user_id = ? AND patient_id = ?", user, patient).Find(&found).Error
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}

// saveGuardianship inserts or replaces a guardianship.
func saveGuardianship(ctx context.Context, g Guardianship) error {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return err
	}
	return reachRefusalOf(tx.Clauses(clause.OnConflict{
		Columns:   []clause.Column{{Name: "organization_id"}, {Name: "user_id"}, {Name: "patient_id"}},
		DoUpdates: clause.AssignmentColumns([]string{"relation", "granted_at", "granted_by"}),
	}).Create(&g).Error)
}

func deleteGuardianship(ctx context.Context, user, patient uuid.UUID) (Guardianship, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return Guardianship{}, err
	}
	var gone []Guardianship
	err = tx.Clauses(clause.Returning{}).Where("user_id = ? AND patient_id = ?", user, patient).Delete(&gone).Error
	if err == nil && len(gone) == 0 {
		err = ErrNotGuardian
	}
	if err != nil {
		return Guardianship{}, err
	}
	return gone[0], nil
}

// reachRefusalOf converts the violation of a constraint to an error of this module.
func reachRefusalOf(err error) error {
	switch db.ConstraintOf(err) {
	case "caseloads_practitioner":
		return ErrCaseloadOwnerNotFound.Because(err)
	case "guardians_self_once":
		return ErrSelfTaken.Because(err)
	case "caseloads_patient", "guardians_patient":
		return fault.InvalidFields(fault.Field{Field: "patientId", Code: "reference", Message: "does not exist"}).Because(err)
	}
	return err
}

// rolesOfPractitioner returns the roles of the practitioner's user, none if there is no such user.
// Index: users_practitioner_once.
func rolesOfPractitioner(ctx context.Context, practitioner uuid.UUID) (roles []Role, err error) {
	tx, organization, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	err = tx.Raw(`
		SELECT r.role
		FROM users u
		JOIN user_roles r ON r.organization_id = u.organization_id AND r.user_id = u.id
		WHERE u.organization_id = ? AND u.practitioner_id = ?`, organization, practitioner).Scan(&roles).Error
	return roles, err
}
