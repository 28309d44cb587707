package rbac

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm/clause"

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

// lockAttempts returns the attempts of each counter and locks them until the transaction ends. It
// locks them in order, so that no two transactions deadlock. Index: the primary key.
func lockAttempts(ctx context.Context, counters [][]byte, now time.Time) (map[string]attempts, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return nil, err
	}
	var rows []failureRow
	for _, counter := range slices.SortedFunc(slices.Values(counters), bytes.Compare) {
		rows = append(rows, failureRow{Place: counter, LastAt: now, OpenAt: now})
	}
	if err := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&rows).Error; err != nil {
		return nil, err
	}
	var locked []failureRow
	err = tx.Raw("SELECT * FROM sign_in_failures WHERE place IN ? ORDER BY place FOR UPDATE", counters).Scan(&locked).Error
	found := map[string]attempts{}
	for _, row := range locked {
		found[string(row.Place)] = attempts{row.Failures, row.LastAt, row.OpenAt}
	}
	return found, err
}

// updateAttempts writes the attempts of counters that lockAttempts has locked.
func updateAttempts(ctx context.Context, counted map[string]attempts) error {
	tx, err := db.Handle(ctx)
	if err != nil {
		return err
	}
	var rows []failureRow
	for counter, a := range counted {
		rows = append(rows, failureRow{[]byte(counter), a.failures, a.lastAt, a.openAt})
	}
	return tx.Clauses(clause.OnConflict{UpdateAll: true}).Create(&rows).Error
}

// takeBackAttempt removes one attempt of each counter, as if it had not been made. Index: the primary
// key.
func takeBackAttempt(ctx context.Context, counters [][]byte) error {
	tx, err := db.Handle(ctx)
	if err != nil {
		return err
	}
	return tx.Exec(`
		UPDATE sign_in_failures f SET failures = f.failures - 1, open_at = f.last_at
		FROM (SELECT place FROM sign_in_failures WHERE place IN ? ORDER BY place FOR UPDATE) locked
		WHERE f.place = locked.place AND f.failures > 0`, counters).Error
}

// forgetAttempts deletes the attempts of the counters, after one of them led to a sign-in.
func forgetAttempts(ctx context.Context, counters ...[]byte) error {
	tx, err := db.Handle(ctx)
	if err != nil {
		return err
	}
	return tx.Exec("DELETE FROM sign_in_failures WHERE place IN ?", counters).Error
}

// liftLocks stores when the locks of a user of the caller's organization were lifted. Index: the
// primary key.
func liftLocks(ctx context.Context, user uuid.UUID, now time.Time) error {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return err
	}
	return tx.Model(&userRow{}).Where("id = ?", user).UpdateColumn("lifted_at", now).Error
}
