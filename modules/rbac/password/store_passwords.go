package rbac

import (
	"context"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"omnirapeutic/platform/db"
)

// credentialsOfCaller returns the credentials of an active user of the caller's organization.
// Index: the primary key.
func credentialsOfCaller(ctx context.Context, id uuid.UUID) (credentials, error) {
	_, organization, err := db.Tenant(ctx)
	if err != nil {
		return credentials{}, err
	}
	tx, err := db.Handle(ctx)
	if err != nil {
		return credentials{}, err
	}
	found, err := takeFound(tx, "u.organization_id = ? AND u.id = ? AND u.status = 'ACTIVE'", organization, id)
	return credentials{User: found.user(), Hash: found.Row.PasswordHash}, err
}

// updatePassword replaces the hash that was compared. The error is gorm's if the stored hash has
// changed. Index: the primary key.
func updatePassword(ctx context.Context, id uuid.UUID, before, after string, now time.Time) error {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return err
	}
	result := tx.Model(&userRow{}).Where("id = ? AND password_hash = ?", id, before).
		UpdateColumns(map[string]any{"password_hash": after, "version": gorm.Expr("version + 1"), "updated_at": now})
	if result.Error == nil && result.RowsAffected == 0 {
		return gorm.ErrRecordNotFound
	}
	return result.Error
}

// keepSignIn moves a sign-in to the user's new epoch. Index: the primary key.
func keepSignIn(ctx context.Context, in signIn) error {
	tx, err := db.Handle(ctx)
	if err != nil {
		return err
	}
	return tx.Exec("UPDATE sign_ins SET epoch = ? WHERE organization_id = ? AND id = ?", in.Epoch, in.OrganizationID, in.ID).Error
}

// renewHash replaces the hash that a sign-in was compared with by another hash of the same
// password. It changes nothing else. Index: the primary key.
func renewHash(ctx context.Context, known credentials, renewed string) error {
	tx, err := db.Handle(ctx)
	if err != nil {
		return err
	}
	return tx.Exec("UPDATE users SET password_hash = ? WHERE organization_id = ? AND id = ? AND password_hash = ?",
		renewed, known.User.OrganizationID, known.User.ID, known.Hash).Error
}
