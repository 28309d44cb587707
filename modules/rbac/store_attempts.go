package rbac

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
)

// failureRow is a row of sign_in_failures.
type failureRow struct {
	Place    []byte `gorm:"primaryKey"`
	Failures int
	LastAt   time.Time
	OpenAt   time.Time
}

// TableName names the table for gorm.
func (failureRow) TableName() string { return "sign_in_failures" }

// lockAttempts returns the attempts of a place, and keeps others from them until the
// transaction ends. Index: the primary key.
func lockAttempts(ctx context.Context, place []byte, now time.Time) (attempts, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return attempts{}, err
	}
	err = tx.Exec("INSERT INTO sign_in_failures (place, failures, last_at, open_at) VALUES ($1, 0, $2, $2) ON CONFLICT (place) DO NOTHING", place, now).Error
	if err != nil {
		return attempts{}, err
	}
	var row failureRow
	err = tx.Raw("SELECT * FROM sign_in_failures WHERE place = ? FOR UPDATE", place).Scan(&row).Error
	return attempts{row.Failures, row.LastAt, row.OpenAt}, err
}

func updateAttempts(ctx context.Context, place []byte, a attempts) error {
	tx, err := db.Handle(ctx)
	if err != nil {
		return err
	}
	return tx.Exec("UPDATE sign_in_failures SET failures = ?, last_at = ?, open_at = ? WHERE place = ?", a.failures, a.lastAt, a.openAt, place).Error
}

// forgetAttempts forgets those of a place: one of them has led to a sign-in.
func forgetAttempts(ctx context.Context, place []byte) error {
	tx, err := db.Handle(ctx)
	if err != nil {
		return err
	}
	return tx.Exec("DELETE FROM sign_in_failures WHERE place = ?", place).Error
}

// liftLocks notes when the locks of a user of the caller's organization were lifted.
// Index: the primary key.
func liftLocks(ctx context.Context, user uuid.UUID, now time.Time) error {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return err
	}
	return tx.Model(&userRow{}).Where("id = ?", user).UpdateColumn("lifted_at", now).Error
}
