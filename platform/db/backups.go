package db

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"omnirapeutic/platform/db/pgurl"
)

// The rows of job_schedule in which a backup is recorded. Its schedule is outside of the program, so that no
// instance claims them.
const (
	backupRun       = "backup"           // the last one
	backupSucceeded = "backup-succeeded" // the last one that succeeded
)

// RecordBackup records a backup in the database at the URL, where every instance and later starts of the program
// find it.
func RecordBackup(ctx context.Context, url string, succeeded bool) error {
	settings, err := pgurl.Parse(url)
	if err != nil {
		return errURL
	}
	c, err := pgx.ConnectConfig(ctx, settings)
	if err != nil {
		return newUnavailableError("record the backup", err)
	}
	defer func() { _ = c.Close(context.WithoutCancel(ctx)) }()
	names := []string{backupRun}
	if succeeded {
		names = append(names, backupSucceeded)
	}
	_, err = c.Exec(ctx, `
		INSERT INTO job_schedule (name, started_at) SELECT name, now() FROM unnest($1::text[]) AS n (name)
		ON CONFLICT (name) DO UPDATE SET started_at = excluded.started_at`, names)
	return err
}

// BackupFacts are the times of the last backup that was recorded; nil: none.
type BackupFacts struct{ RunAt, SucceededAt *time.Time }

func (d *DB) backupFacts(ctx context.Context) (f BackupFacts, err error) {
	err = d.pool.QueryRow(ctx, `
		SELECT max(started_at) FILTER (WHERE name = $1), max(started_at) FILTER (WHERE name = $2)
		FROM job_schedule WHERE name IN ($1, $2)`, backupRun, backupSucceeded).Scan(&f.RunAt, &f.SucceededAt)
	return f, err
}
