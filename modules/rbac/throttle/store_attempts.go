package throttle

import (
	"bytes"
	"context"
	"slices"
	"time"

	"gorm.io/gorm/clause"

	"omnirapeutic/platform/db"
)

// store reads and writes counts of attempts, in the transaction of the context.
type store struct{}

// countRow is a row of sign_in_failures.
type countRow struct {
	ThrottleKey []byte `gorm:"primaryKey"`
	Failures    int
	LastAt      time.Time
	RetryAt     time.Time
}

// TableName names the table for gorm.
func (countRow) TableName() string { return "sign_in_failures" }

// lock returns the attempts of each counter and locks them until the transaction ends. It locks them
// in order, so that no two transactions deadlock. Index: the primary key.
func (store) lock(ctx context.Context, counters [][]byte, now time.Time) (map[string]attempts, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return nil, err
	}
	var rows []countRow
	for _, counter := range slices.SortedFunc(slices.Values(counters), bytes.Compare) {
		rows = append(rows, countRow{ThrottleKey: counter, LastAt: now, RetryAt: now})
	}
	if err := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&rows).Error; err != nil {
		return nil, err
	}
	locked, err := db.Select[countRow](ctx,
		"SELECT * FROM sign_in_failures WHERE throttle_key IN ? ORDER BY throttle_key FOR UPDATE", counters)
	found := map[string]attempts{}
	for _, row := range locked {
		found[string(row.ThrottleKey)] = attempts{row.Failures, row.LastAt, row.RetryAt}
	}
	return found, err
}

// update writes the attempts of counters that lock has locked.
func (store) update(ctx context.Context, counted map[string]attempts) error {
	tx, err := db.Handle(ctx)
	if err != nil {
		return err
	}
	var rows []countRow
	for counter, a := range counted {
		rows = append(rows, countRow{[]byte(counter), a.failures, a.lastAt, a.openAt})
	}
	return tx.Clauses(clause.OnConflict{UpdateAll: true}).Create(&rows).Error
}

// takeBack removes one attempt of each counter. Index: the primary key.
func (store) takeBack(ctx context.Context, counters [][]byte) error {
	_, err := db.Exec(ctx, `
		UPDATE sign_in_failures f SET failures = f.failures - 1, retry_at = f.last_at
		FROM (SELECT throttle_key FROM sign_in_failures WHERE throttle_key IN ? ORDER BY throttle_key FOR UPDATE) locked
		WHERE f.throttle_key = locked.throttle_key AND f.failures > 0`, counters)
	return err
}

// delete deletes the counters. Index: the primary key.
func (store) delete(ctx context.Context, counters [][]byte) error {
	_, err := db.Exec(ctx, "DELETE FROM sign_in_failures WHERE throttle_key IN ?", counters)
	return err
}
