package mfa

import (
	"context"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm/clause"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/db"
)

// store reads and writes second factors, recovery codes and policies, in the transaction of the
// context.
type store struct{}

// factor returns the second factor of a user of the caller's organization, or the zero value.
// Index: the primary key.
func (store) factor(ctx context.Context, user uuid.UUID) (found Factor, err error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return Factor{}, err
	}
	err = tx.Where("user_id = ?", user).Take(&found).Error
	if db.IsNotFound(err) {
		err = nil
	}
	return found, err
}

// factors returns the second factors of users of any organizations, by user. It makes one query, also
// without users. Index: the primary key.
func (store) factors(ctx context.Context, users []rbac.User) (map[uuid.UUID]Factor, error) {
	organizations, ids := make([]uuid.UUID, len(users)), make([]uuid.UUID, len(users))
	for i, u := range users {
		organizations[i], ids[i] = u.OrganizationID, u.ID
	}
	rows, err := db.Select[Factor](ctx, `
		SELECT f.*
		FROM unnest($1::uuid[], $2::uuid[]) AS u (organization_id, id)
		JOIN second_factors f ON f.organization_id = u.organization_id AND f.user_id = u.id`,
		db.UUIDs(organizations), db.UUIDs(ids))
	found := make(map[uuid.UUID]Factor, len(rows))
	for _, f := range rows {
		found[f.UserID] = f
	}
	return found, err
}

// putUnconfirmed replaces an unconfirmed second factor. It reports whether it did; a confirmed one
// must be removed first.
func (store) putUnconfirmed(ctx context.Context, f Factor) (bool, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return false, err
	}
	result := tx.Clauses(clause.OnConflict{
		Columns:   []clause.Column{{Name: "organization_id"}, {Name: "user_id"}},
		Where:     clause.Where{Exprs: []clause.Expression{clause.Expr{SQL: "second_factors.confirmed_at IS NULL"}}},
		DoUpdates: clause.AssignmentColumns([]string{"secret", "started_at", "last_step", "wrong_codes"}),
	}).Create(&f)
	return result.RowsAffected == 1, result.Error
}

// confirm turns on the second factor whose enrolment began at the given time, once. Index:
// the primary key.
func (store) confirm(ctx context.Context, f Factor, step int64, now time.Time) (bool, error) {
	rows, err := db.Exec(ctx, `
		UPDATE second_factors SET confirmed_at = ?, last_step = ?, wrong_codes = 0
		WHERE organization_id = ? AND user_id = ? AND confirmed_at IS NULL AND started_at = ?`,
		now, step, f.OrganizationID, f.UserID, f.StartedAt)
	return rows == 1, err
}

// acceptStep stores the step of an accepted code, unless the same or a later step was accepted
// before, and the re-encrypted secret. Index: the primary key.
func (store) acceptStep(ctx context.Context, f Factor, step int64, sealed []byte) (bool, error) {
	rows, err := db.Exec(ctx, `
		UPDATE second_factors SET last_step = ?, wrong_codes = 0, secret = ?
		WHERE organization_id = ? AND user_id = ? AND confirmed_at = ? AND last_step < ?`,
		step, sealed, f.OrganizationID, f.UserID, f.ConfirmedAt, step)
	return rows == 1, err
}

// useRecoveryCode uses a recovery code up and resets the count of wrong codes. Index: primary
// keys.
func (store) useRecoveryCode(ctx context.Context, f Factor, hash []byte, now time.Time) (bool, error) {
	rows, err := db.Exec(ctx, `
		UPDATE recovery_codes SET used_at = ? WHERE organization_id = ? AND user_id = ? AND hash = ? AND used_at IS NULL`,
		now, f.OrganizationID, f.UserID, hash)
	if err != nil || rows != 1 {
		return false, err
	}
	rows, err = db.Exec(ctx, `
		UPDATE second_factors SET wrong_codes = 0 WHERE organization_id = ? AND user_id = ? AND confirmed_at = ?`,
		f.OrganizationID, f.UserID, f.ConfirmedAt)
	return rows == 1, err
}

// countWrongCode increments the count of wrong codes. Index: the primary key.
func (store) countWrongCode(ctx context.Context, f Factor) error {
	_, err := db.Exec(ctx, "UPDATE second_factors SET wrong_codes = wrong_codes + 1 WHERE organization_id = ? AND user_id = ?",
		f.OrganizationID, f.UserID)
	return err
}

// recoveryCodesLeft returns the number of unused codes. Index: the primary key.
func (store) recoveryCodesLeft(ctx context.Context, organization, user uuid.UUID) (int, error) {
	return db.SelectOne[int](ctx, `
		SELECT count(*) FROM recovery_codes WHERE organization_id = ? AND user_id = ? AND used_at IS NULL`,
		organization, user)
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
func (store) replaceRecoveryCodes(ctx context.Context, f Factor, hashes [][]byte) error {
	tx, err := db.Handle(ctx)
	if err != nil {
		return err
	}
	err = tx.Exec("DELETE FROM recovery_codes WHERE organization_id = ? AND user_id = ?", f.OrganizationID, f.UserID).Error
	if err != nil {
		return err
	}
	rows := make([]recoveryRow, len(hashes))
	for i, hash := range hashes {
		rows[i] = recoveryRow{OrganizationID: f.OrganizationID, UserID: f.UserID, Hash: hash}
	}
	return tx.Create(&rows).Error
}

// delete removes a confirmed second factor with its recovery codes, and reports whether
// there was one. Index: the primary key.
func (store) delete(ctx context.Context, organization, user uuid.UUID) (bool, error) {
	rows, err := db.Exec(ctx, `
		DELETE FROM second_factors WHERE organization_id = ? AND user_id = ? AND confirmed_at IS NOT NULL`,
		organization, user)
	return rows == 1, err
}

// policy returns the policy of the caller's organization, or the zero value. Index: the primary key.
func (store) policy(ctx context.Context) (found Policy, err error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return Policy{}, err
	}
	err = tx.Take(&found).Error
	if db.IsNotFound(err) {
		err = nil
	}
	found.UpdatedAt = rbac.InUTC(found.UpdatedAt)
	return found, err
}

// putPolicy inserts or replaces a policy.
func (store) putPolicy(ctx context.Context, p Policy) error {
	tx, err := db.Handle(ctx)
	if err != nil {
		return err
	}
	return tx.Clauses(clause.OnConflict{UpdateAll: true}).Create(&p).Error
}
