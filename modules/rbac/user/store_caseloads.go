package user

import (
	"context"

	"github.com/google/uuid"
	"gorm.io/gorm/clause"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
)

// store reads and writes caseloads and guardianships, in the transaction of the context.
type store struct{}

// TableName names the table for gorm.
func (Assignment) TableName() string { return "caseloads" }

// TableName names the table for gorm.
func (Guardianship) TableName() string { return "guardians" }

// caseload lists assignments to a practitioner. Index: the primary key.
func (store) caseload(ctx context.Context, practitioner uuid.UUID) ([]Assignment, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	var found []Assignment
	err = tx.Where("practitioner_id = ?", practitioner).Order("patient_id").Find(&found).Error
	return found, err
}

// assignment returns the assignment, nil if there is none.
func (store) assignment(ctx context.Context, practitioner, patient uuid.UUID) (*Assignment, error) {
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

func (store) insertAssignment(ctx context.Context, a Assignment) error {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return err
	}
	return refusalOf(tx.Create(&a).Error)
}

func (store) deleteAssignment(ctx context.Context, practitioner, patient uuid.UUID) error {
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

// guardianships lists guardianships of a user. Index: the primary key.
func (store) guardianships(ctx context.Context, user uuid.UUID) ([]Guardianship, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	var found []Guardianship
	err = tx.Where("user_id = ?", user).Order("patient_id").Find(&found).Error
	return found, err
}

// families returns the active users with the role PATIENT who are guardians of the patients. Index:
// guardians_by_patient.
func (store) families(ctx context.Context, organizations, patients []uuid.UUID) ([]Family, error) {
	return db.Select[Family](ctx, `
		SELECT g.organization_id, g.patient_id, g.user_id, u.email, u.name
		FROM guardians g
		JOIN users u ON u.organization_id = g.organization_id AND u.id = g.user_id AND u.status = 'ACTIVE'
		WHERE g.organization_id IN ? AND g.patient_id IN ? AND EXISTS (
			SELECT FROM user_roles r
			WHERE r.organization_id = g.organization_id AND r.user_id = g.user_id AND r.role = 'PATIENT')
		ORDER BY g.organization_id, g.user_id, g.patient_id`, organizations, patients)
}

// guardianship returns the guardianship, nil if there is none.
func (store) guardianship(ctx context.Context, user, patient uuid.UUID) (*Guardianship, error) {
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
func (store) saveGuardianship(ctx context.Context, g Guardianship) error {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return err
	}
	return refusalOf(tx.Clauses(clause.OnConflict{
		Columns:   []clause.Column{{Name: "organization_id"}, {Name: "user_id"}, {Name: "patient_id"}},
		DoUpdates: clause.AssignmentColumns([]string{"relation", "granted_at", "granted_by"}),
	}).Create(&g).Error)
}

func (store) deleteGuardianship(ctx context.Context, user, patient uuid.UUID) (Guardianship, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return Guardianship{}, err
	}
	var removed []Guardianship
	err = tx.Clauses(clause.Returning{}).Where("user_id = ? AND patient_id = ?", user, patient).Delete(&removed).Error
	if err == nil && len(removed) == 0 {
		err = ErrNotGuardian
	}
	if err != nil {
		return Guardianship{}, err
	}
	return removed[0], nil
}

// refusalOf converts the violation of a constraint to an error of this module.
func refusalOf(err error) error {
	switch db.ConstraintOf(err) {
	case "caseloads_practitioner":
		return ErrPractitionerNotFound.Because(err)
	case "guardians_self_once":
		return ErrSelfTaken.Because(err)
	case "caseloads_patient", "guardians_patient":
		return fault.InvalidFields(fault.Field{Field: "patientId", Code: "reference", Message: "does not exist"}).Because(err)
	}
	return err
}
