package emergency

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
)

// store reads and writes grants. It takes the transaction and the organization from the context
// and fails without them.
type store struct{}

// TableName names the table for gorm.
func (Grant) TableName() string { return "emergency_grants" }

// owners is the record scope of grants: users may read and end their own.
var owners = db.Owners{User: "emergency_grants.user_id = %s"}

func (store) insert(ctx context.Context, g Grant) error {
	tx, err := db.Handle(ctx)
	if err != nil {
		return err
	}
	err = tx.Create(&g).Error
	if db.ConstraintOf(err) == "emergency_grants_patient" {
		return fault.InvalidFields(fault.Field{Field: "patientId", Code: "reference", Message: "does not exist"}).Because(err)
	}
	return err
}

func (store) exists(ctx context.Context, id uuid.UUID) (bool, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return false, err
	}
	var found int64
	err = tx.Model(&Grant{}).Where("id = ?", id).Count(&found).Error
	return found == 1, err
}

// list returns grants within the caller's record scope. Indexes: the primary key,
// emergency_grants_unreviewed.
func (store) list(ctx context.Context, f Filter, now time.Time) ([]Grant, error) {
	tx, _, err := db.ScopedTenant(ctx, owners)
	if err != nil {
		return nil, err
	}
	if f.PatientID != uuid.Nil {
		tx = tx.Where("patient_id = ?", f.PatientID)
	}
	if f.UserID != uuid.Nil {
		tx = tx.Where("user_id = ?", f.UserID)
	}
	if f.Reviewed != nil {
		tx = tx.Where(map[bool]string{true: "reviewed_at IS NOT NULL", false: "reviewed_at IS NULL"}[*f.Reviewed])
	}
	if f.Open != nil {
		tx = tx.Where("(revoked_at IS NULL AND expires_at > ?) = ?", now, *f.Open)
	}
	var found []Grant
	err = f.Page.Apply(tx).Find(&found).Error
	return found, err
}

// get returns a grant within the caller's record scope. Index: the primary key.
func (store) get(ctx context.Context, id uuid.UUID) (Grant, error) {
	tx, _, err := db.ScopedTenant(ctx, owners)
	if err != nil {
		return Grant{}, err
	}
	var g Grant
	err = tx.Where("id = ?", id).Take(&g).Error
	if db.IsNotFound(err) {
		return Grant{}, ErrNotFound
	}
	return g, err
}

// open returns the patient of the user's grant if the grant applies now. Index: the primary key.
func (store) open(ctx context.Context, id, user uuid.UUID, now time.Time) (uuid.UUID, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return uuid.Nil, err
	}
	var found []Grant
	err = tx.Where("id = ? AND user_id = ?", id, user).Find(&found).Error
	if err == nil && (len(found) == 0 || !found[0].OpenAt(now)) {
		err = ErrNotOpen
	}
	if err != nil {
		return uuid.Nil, err
	}
	return found[0].PatientID, nil
}

// update writes the end of a grant and its review. Other columns never change.
func (store) update(ctx context.Context, g Grant) error {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return err
	}
	result := tx.Model(&Grant{}).Where("id = ?", g.ID).UpdateColumns(map[string]any{
		"revoked_at": g.RevokedAt, "revoked_by": g.RevokedBy, "reviewed_at": g.ReviewedAt, "reviewed_by": g.ReviewedBy,
		"justified": g.Justified, "review_note": g.ReviewNote,
	})
	if result.Error == nil && result.RowsAffected != 1 {
		return &db.RowsError{Statement: "UPDATE emergency_grants", Want: 1, Got: result.RowsAffected}
	}
	return result.Error
}
