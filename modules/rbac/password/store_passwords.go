package password

import (
	"context"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/throttle"
	"omnirapeutic/platform/db"
)

// store reads and writes salts, hashes and resets, in the transaction of the context.
type store struct{}

// salt returns the salt of an address, and stores the given one if it has none yet. Index: the
// primary key.
func (store) salt(ctx context.Context, email string, otherwise []byte) (salt []byte, err error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return nil, err
	}
	err = tx.Raw(`
		INSERT INTO password_salts (email, salt) VALUES (?, ?)
		ON CONFLICT (email) DO UPDATE SET email = excluded.email
		RETURNING salt`, email, otherwise).Row().Scan(&salt)
	return salt, err
}

// change replaces the hash that was compared. The error is gorm's if the stored hash has changed.
// Index: the primary key.
func (store) change(ctx context.Context, u rbac.User, before, after string, now time.Time) error {
	rows, err := db.Exec(ctx, `
		UPDATE users SET password_hash = ?, version = version + 1, updated_at = ?
		WHERE organization_id = ? AND id = ? AND password_hash = ?`, after, now, u.OrganizationID, u.ID, before)
	if err == nil && rows == 0 {
		return gorm.ErrRecordNotFound
	}
	return err
}

// set replaces the hash of a user's password unconditionally. Index: the primary key.
func (store) set(ctx context.Context, u rbac.User, hash string, now time.Time) error {
	_, err := db.Exec(ctx, `
		UPDATE users SET password_hash = ?, version = version + 1, updated_at = ?
		WHERE organization_id = ? AND id = ?`, hash, now, u.OrganizationID, u.ID)
	return err
}

// invalidate replaces the hash of a user whose version is written by the caller. Index: the primary key.
func (store) invalidate(ctx context.Context, u rbac.User, unusable string) error {
	_, err := db.Exec(ctx, "UPDATE users SET password_hash = ? WHERE organization_id = ? AND id = ?", unusable,
		u.OrganizationID, u.ID)
	return err
}

// replace replaces a hash by another hash of the same password. It changes nothing else. Index: the
// primary key.
func (store) replace(ctx context.Context, u rbac.User, before, after string) error {
	_, err := db.Exec(ctx, "UPDATE users SET password_hash = ? WHERE organization_id = ? AND id = ? AND password_hash = ?",
		after, u.OrganizationID, u.ID, before)
	return err
}

// resetRow is a row of password_resets.
type resetRow struct {
	OrganizationID uuid.UUID `gorm:"primaryKey"`
	UserID         uuid.UUID `gorm:"primaryKey"`
	TokenHash      []byte    // SHA-256
	CreatedBy      *uuid.UUID
	CreatedAt      time.Time
	ExpiresAt      time.Time
}

// TableName names the table for gorm.
func (resetRow) TableName() string { return "password_resets" }

// saveReset stores a reset and replaces the user's earlier one.
func (store) saveReset(ctx context.Context, r resetRow) error {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return err
	}
	return tx.Clauses(clause.OnConflict{UpdateAll: true}).Create(&r).Error
}

// reset returns the unexpired reset with the token, of any organization. The error is
// [ErrResetNotFound]. Index: password_resets_by_token.
func (store) reset(ctx context.Context, tokenHash []byte, now time.Time) (resetRow, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return resetRow{}, err
	}
	var found []resetRow
	if err := tx.Where("token_hash = ?", tokenHash).Find(&found).Error; err != nil {
		return resetRow{}, err
	}
	if len(found) == 0 {
		return resetRow{}, ErrResetNotFound.Because(throttle.ErrGuess)
	}
	if !found[0].ExpiresAt.After(now) {
		return resetRow{}, ErrResetNotFound
	}
	return found[0], nil
}

// deleteReset deletes the reset of a user, if any. Index: the primary key.
func (store) deleteReset(ctx context.Context, organization, user uuid.UUID) error {
	_, err := db.Exec(ctx, "DELETE FROM password_resets WHERE organization_id = ? AND user_id = ?", organization, user)
	return err
}
