package jobs

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
)

// table is the shared schedule, with a row for each job. Index: the primary key.
type table struct {
	database *db.DB
	instance uuid.UUID
}

// claim implements schedule. Most turns only read.
func (t table) claim(
	ctx context.Context, name string, every time.Duration,
) (claimed bool, wait time.Duration, err error) {
	_, err = db.ReadCommitted(ctx, t.database, "jobs.claim", func(ctx context.Context) (struct{}, error) {
		claimed, wait = false, 0
		tx, err := db.Handle(ctx)
		if err != nil {
			return struct{}{}, err
		}
		var seconds []float64 // until it is due, and until its lease expires
		err = tx.Raw(`
			SELECT extract(epoch FROM greatest(started_at + $2 * interval '1 second', lease_until) - now())
			FROM job_schedule WHERE name = $1`, name, every.Seconds()).Scan(&seconds).Error
		if err != nil {
			return struct{}{}, err
		}
		if len(seconds) > 0 && seconds[0] > 0 {
			wait = time.Duration(seconds[0] * float64(time.Second))
			return struct{}{}, nil
		}
		result := tx.Exec(`
			INSERT INTO job_schedule AS j (name, started_at, instance, lease_until)
			VALUES ($1, now(), $2, now() + $3 * interval '1 second')
			ON CONFLICT (name) DO UPDATE SET started_at = now(), instance = $2, lease_until = now() + $3 * interval '1 second'
			WHERE greatest(j.started_at + $4 * interval '1 second', j.lease_until) <= now()`,
			name, t.instance, leaseTime.Seconds(), every.Seconds())
		claimed, wait = result.RowsAffected == 1, every
		return struct{}{}, result.Error
	})
	return claimed, wait, err
}

// renew implements schedule.
func (t table) renew(ctx context.Context, name string) (held bool, err error) {
	return t.update(ctx, "jobs.renew", `
		UPDATE job_schedule SET lease_until = now() + $3 * interval '1 second' WHERE name = $1 AND instance = $2`,
		name, t.instance, leaseTime.Seconds())
}

// release implements schedule.
func (t table) release(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, atStop)
	defer cancel()
	_, err := t.update(ctx, "jobs.release", `
		UPDATE job_schedule SET lease_until = NULL, instance = NULL WHERE name = $1 AND instance = $2`, name, t.instance)
	return err
}

func (t table) update(ctx context.Context, operation, statement string, arguments ...any) (bool, error) {
	return db.ReadCommitted(ctx, t.database, operation, func(ctx context.Context) (bool, error) {
		tx, err := db.Handle(ctx)
		if err != nil {
			return false, err
		}
		result := tx.Exec(statement, arguments...)
		return result.RowsAffected == 1, result.Error
	})
}
