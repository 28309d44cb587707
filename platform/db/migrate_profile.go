package db

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/google/uuid"
)

// The migrations are one set of files for both profiles. Lines between "-- +postgresql begin" and "-- +postgresql end" are
// for [PostgreSQL] only, and lines between "-- +portable begin" and "-- +portable end" for [Portable] only. A file
// whose first line is "-- +postgresql" has an effect in [PostgreSQL] only.
const (
	onlyPostgreSQL = "-- +postgresql"
	onlyPortable   = "-- +portable"
)

// profileFS has the files of one profile.
type profileFS struct {
	fs.FS
	profile Profile
}

// Open implements fs.FS.
func (p profileFS) Open(name string) (fs.File, error) {
	f, err := p.FS.Open(name)
	if err != nil || !strings.HasSuffix(name, ".sql") {
		return f, err
	}
	defer f.Close() //nolint:errcheck // opened for reading
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(f)
	if err != nil {
		return nil, err
	}
	filtered, err := p.profile.filter(string(text))
	if err != nil {
		return nil, fmt.Errorf("db: migration %s: %w", name, err)
	}
	return filteredFile{info, strings.NewReader(filtered)}, nil
}

// ReadDir implements fs.ReadDirFS.
func (p profileFS) ReadDir(name string) ([]fs.DirEntry, error) { return fs.ReadDir(p.FS, name) }

type filteredFile struct {
	info fs.FileInfo
	*strings.Reader
}

// Stat implements fs.File.
func (f filteredFile) Stat() (fs.FileInfo, error) { return f.info, nil }

// Close implements fs.File.
func (filteredFile) Close() error { return nil }

// filter returns the lines of a migration that are for the profile. In [Portable] it also adds the statement that
// admits all organizations to the transaction, because row level security applies to the owner too.
func (p Profile) filter(text string) (string, error) {
	other := onlyPortable
	if p == Portable {
		other = onlyPostgreSQL
	}
	if strings.HasPrefix(text, other+"\n") {
		return "-- +goose Up\n-- +goose Down\n", nil
	}
	var kept bytes.Buffer
	within := "" // the marker of the block
	for line := range strings.Lines(text) {
		switch trimmed := strings.TrimSpace(line); {
		case trimmed == onlyPostgreSQL+" begin", trimmed == onlyPortable+" begin":
			if within != "" {
				return "", fmt.Errorf("%q is within %q", trimmed, within)
			}
			within = strings.TrimSuffix(trimmed, " begin")
		case trimmed == onlyPostgreSQL+" end", trimmed == onlyPortable+" end":
			if within+" end" != trimmed {
				return "", fmt.Errorf("%q does not end %q", trimmed, within)
			}
			within = ""
		case within != other:
			kept.WriteString(line)
			if p == Portable && (trimmed == "-- +goose Up" || trimmed == "-- +goose Down") {
				kept.WriteString("SELECT set_config('omni.organizations', '*', true);\n")
			}
		}
	}
	if within != "" {
		return "", fmt.Errorf("%q has no end", within+" begin")
	}
	return kept.String(), nil
}

// The lock of the migrator in the profile [Portable] is a row with a lease, which its holder renews.
const (
	migrationLease = time.Minute
	createLock     = `CREATE TABLE IF NOT EXISTS migration_lock (
		singleton boolean NOT NULL, holder uuid NOT NULL, held_until timestamptz NOT NULL, PRIMARY KEY (singleton))`
	takeLock = `
		INSERT INTO migration_lock (singleton, holder, held_until) VALUES (true, $1, now() + $2 * interval '1 second')
		ON CONFLICT (singleton) DO UPDATE SET holder = excluded.holder, held_until = excluded.held_until
		WHERE migration_lock.held_until < now() OR migration_lock.holder = excluded.holder`
	releaseLock = `DELETE FROM migration_lock WHERE holder = $1`
)

// lockedByRow runs fn while no other migrator runs that locks by a row.
func lockedByRow(ctx context.Context, owner *sql.DB, fn func() error) error {
	holder := uuid.New()
	take := func() (bool, error) {
		result, err := owner.ExecContext(ctx, takeLock, holder, int(migrationLease.Seconds()))
		if err != nil {
			return false, err
		}
		n, err := result.RowsAffected()
		return n == 1, err
	}
	if err := createLockTable(ctx, owner); err != nil {
		return err
	}
	for {
		held, err := take()
		if err != nil {
			return fmt.Errorf("take the migration lock: %w", err)
		}
		if held {
			break
		}
		if err := sleep(ctx, lockInterval); err != nil {
			return fmt.Errorf("another program is migrating: %w", err)
		}
	}
	renewing, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for sleep(renewing, migrationLease/4) == nil {
			_, _ = take() // the next renewal is in time too
		}
	}()
	err := fn()
	stop()
	<-ended
	unlocking, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_, _ = owner.ExecContext(unlocking, releaseLock, holder) // otherwise the lease ends
	return err
}

// createLockTable creates the table of the lock. Of several programs that do so at once, some fail and find it
// afterwards.
func createLockTable(ctx context.Context, owner *sql.DB) error {
	exists := func() (found bool, err error) {
		err = owner.QueryRowContext(ctx, `SELECT to_regclass('migration_lock') IS NOT NULL`).Scan(&found)
		return found, err
	}
	if found, err := exists(); found || err != nil {
		return err
	}
	_, err := owner.ExecContext(ctx, createLock)
	if err == nil {
		return nil
	}
	if found, _ := exists(); found {
		return nil
	}
	return err
}
