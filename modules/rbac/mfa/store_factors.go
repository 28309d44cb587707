package rbac

import (
	"context"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm/clause"

	"omnirapeutic/platform/db"
)

// takeFactor returns the second factor of a user of the caller's organization, or the zero value.
// Index: the primary key.
func takeFactor(ctx context.Context, user uuid.UUID) (found factor, err error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return factor{}, err
	}
	err = tx.Where("user_id = ?", user).Take(&found).Error
	return found, ignoreNotFound(err)
}

// putFactor replaces an unconfirmed second factor. It reports whether it did; a confirmed one
// must be removed first.
func putFactor(ctx context.Context, f factor) (bool, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return false, err
	}
	result := tx.Clauses(clause.OnConflict{
		Columns:   []clause.Column{{Name: "organization_id"}, {Name: "user_id"}},
		Where:     clause.Where{Exprs: []clause.Expression{clause.Expr{SQL: "second_factors.confirmed_at IS NULL"}}},
		DoUpdates: clause.AssignmentColumns([]string{"secret", "begun_at", "last_step", "wrong_codes"}),
	}).Create(&f)
	return result.RowsAffected == 1, result.Error
}

// confirmFactor turns on the second factor whose enrolment began at the given time, once. Index:
// the primary key.
func confirmFactor(ctx context.Context, f factor, step int64, now time.Time) (bool, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return false, err
	}
	result := tx.Exec(`
		UPDATE second_factors SET confirmed_at = ?, last_step = ?, wrong_codes = 0
		WHERE organization_id = ? AND user_id = ? AND confirmed_at IS NULL AND begun_at = ?`,
		now, step, f.OrganizationID, f.UserID, f.BegunAt)
	return result.RowsAffected == 1, result.Error
}

// acceptStep stores the step of an accepted code, unless the same or a later step was accepted
// before, and the re-encrypted secret. Index: the primary key.
func acceptStep(ctx context.Context, f factor, step int64, sealed []byte) (bool, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return false, err
	}
	result := tx.Exec(`
		UPDATE second_factors SET last_step = ?, wrong_codes = 0, secret = ?
		WHERE organization_id = ? AND user_id = ? AND confirmed_at = ? AND last_step < ?`,
		step, sealed, f.OrganizationID, f.UserID, f.ConfirmedAt, step)
	return result.RowsAffected == 1, result.Error
}

// useRecoveryCode uses a recovery code up and resets the count of wrong codes. Index: primary
// keys.
func useRecoveryCode(ctx context.Context, f factor, hash []byte, now time.Time) (bool, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return false, err
	}
	result := tx.Exec(`
		UPDATE recovery_codes SET used_at = ? WHERE organization_id = ? AND user_id = ? AND hash = ? AND used_at IS NULL`,
		now, f.OrganizationID, f.UserID, hash)
	if result.Error != nil || result.RowsAffected != 1 {
		return false, result.Error
	}
	result = tx.Exec(`
		UPDATE second_factors SET wrong_codes = 0 WHERE organization_id = ? AND user_id = ? AND confirmed_at = ?`,
		f.OrganizationID, f.UserID, f.ConfirmedAt)
	return result.RowsAffected == 1, result.Error
}

// countWrongCode increments the count of wrong codes. Index: the primary key.
func countWrongCode(ctx context.Context, f factor) error {
	tx, err := db.Handle(ctx)
	if err != nil {
		return err
	}
	return tx.Exec("UPDATE second_factors SET wrong_codes = wrong_codes + 1 WHERE organization_id = ? AND user_id = ?",
		f.OrganizationID, f.UserID).Error
}

// recoveryCodesLeft returns the number of unused codes. Index: the primary key.
func recoveryCodesLeft(ctx context.Context, organization, user uuid.UUID) (left int, err error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return 0, err
	}
	err = tx.Raw("SELECT count(*) FROM recovery_codes WHERE organization_id = ? AND user_id = ? AND used_at IS NULL",
		organization, user).Scan(&left).Error
	return left, err
}

// recoveryRow is a row of recovery_codes.
type recoveryRow struct {
	OrganizationID uuid.UUID `gorm:"primaryKey"`
	UserID         uuid.UUID `gorm:"primaryKey"`
	Hash           []byte    `gorm:"primaryKey"`
	UsedAt         *time.Time
}

// TableName names the table for gorm.
func (recoveryRow) TableName() string { return "recovery_codes" }

// replaceRecoveryCodes replaces all recovery codes of a user. Index: the primary key.
func replaceRecoveryCodes(ctx context.Context, f factor, hashes [][]byte) error {
	tx, err := db.Handle(ctx)
	if err != nil {
		return err
	}
	if err := tx.Exec("DELETE FROM recovery_codes WHERE organization_id = ? AND user_id = ?", f.OrganizationID, f.UserID).Error; err != nil {
		return err
	}
	rows := make([]recoveryRow, len(hashes))
	for i, each := range hashes {
		rows[i] = recoveryRow{OrganizationID: f.OrganizationID, UserID: f.UserID, Hash: each}
	}
	return tx.Create(&rows).Error
}

// deleteFactor removes a confirmed second factor with its recovery codes, and reports whether
// there was one. Index: the primary key.
func deleteFactor(ctx context.Context, organization, user uuid.UUID) (bool, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return false, err
	}
	result := tx.Exec("DELETE FROM second_factors WHERE organization_id = ? AND user_id = ? AND confirmed_at IS NOT NULL", organization, user)
	return result.RowsAffected == 1, result.Error
}
