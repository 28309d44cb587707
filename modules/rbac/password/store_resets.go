package rbac

import (
	"context"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm/clause"

	"omnirapeutic/platform/db"
)

// passwordReset is a row of password_resets.
type passwordReset struct {
	OrganizationID uuid.UUID `gorm:"primaryKey"`
	UserID         uuid.UUID `gorm:"primaryKey"`
	TokenHash      []byte    // SHA-256
	CreatedBy      *uuid.UUID
	CreatedAt      time.Time
	ExpiresAt      time.Time
}

// TableName names the table for gorm.
func (passwordReset) TableName() string { return "password_resets" }

// savePasswordReset stores a reset and replaces the user's earlier one.
func savePasswordReset(ctx context.Context, r passwordReset) error {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return err
	}
	return tx.Clauses(clause.OnConflict{UpdateAll: true}).Create(&r).Error
}

// passwordResetWith returns the unexpired reset with the token, of any organization. The error is
// [ErrPasswordResetNotFound]. Index: password_resets_token.
func passwordResetWith(ctx context.Context, tokenHash []byte, now time.Time) (passwordReset, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return passwordReset{}, err
	}
	var found []passwordReset
	if err := tx.Where("token_hash = ?", tokenHash).Find(&found).Error; err != nil {
		return passwordReset{}, err
	}
	if len(found) == 0 {
		return passwordReset{}, ErrPasswordResetNotFound.Because(errGuess)
	}
	if !found[0].ExpiresAt.After(now) {
		return passwordReset{}, ErrPasswordResetNotFound
	}
	return found[0], nil
}

// deletePasswordReset deletes the reset of a user, if any. Index: the primary key.
func deletePasswordReset(ctx context.Context, organization, user uuid.UUID) error {
	tx, err := db.Handle(ctx)
	if err != nil {
		return err
	}
	return tx.Exec("DELETE FROM password_resets WHERE organization_id = ? AND user_id = ?", organization, user).Error
}

// usersWithEmail returns the users of all organizations with the address. Index: users_email_once.
func usersWithEmail(ctx context.Context, email string) (users []User, err error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return nil, err
	}
	var rows []foundUser
	err = tx.Raw(selectUser+" WHERE u.email = ? ORDER BY u.organization_id", email).Scan(&rows).Error
	for _, row := range rows {
		users = append(users, row.user())
	}
	return users, err
}

// setPassword replaces the hash of a user's password unconditionally. Index: the primary key.
func setPassword(ctx context.Context, u User, hash string, now time.Time) error {
	tx, err := db.Handle(ctx)
	if err != nil {
		return err
	}
	return tx.Exec(`
		UPDATE users SET password_hash = ?, version = version + 1, updated_at = ?
		WHERE organization_id = ? AND id = ?`, hash, now, u.OrganizationID, u.ID).Error
}
