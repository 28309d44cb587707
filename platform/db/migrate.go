package db

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"omnirapeutic/platform/db/pgurl"
)

//go:embed migrations/*.sql
var migrations embed.FS

//go:embed privileges.sql
var privileges string

// Migrations returns the migrations of this program, numbered SQL files.
func Migrations() fs.FS {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // the folder is embedded above
	}
	return sub
}

// Migrator migrates a database's schema, as its owner.
type Migrator struct {
	OwnerURL string
	AppRole  string  // receives the program's privileges, if the role exists and is not the owner
	Profile  Profile // of the schema; the zero value is PostgreSQL
	FS       fs.FS   // nil: the migrations of this program
}

// Migration is one numbered step of the schema.
type Migration struct {
	Version   int64
	Name      string
	Applied   bool
	AppliedAt time.Time // zero if not applied
}

// Up applies the missing migrations, then corrects the privileges of the program's role. If several
// programs migrate at once, one does and the others wait. If the schema is newer than this program,
// it does nothing, because the privileges are the newer program's. Errors: *[OwnerError] if the role of
// OwnerURL may not change the schema, *[OldSchemaError], *[ProfileError].
func (m Migrator) Up(ctx context.Context) error {
	return m.with(ctx, func(owner *sql.DB, p *goose.Provider) error {
		newer, err := isNewer(ctx, p)
		if err != nil || newer {
			return m.explain(ctx, owner, err)
		}
		applied, err := p.Up(ctx)
		if err != nil {
			return m.explain(ctx, owner, err)
		}
		return m.explain(ctx, owner, m.grant(ctx, owner, len(applied) > 0))
	})
}

// Down reverts the newest migration. It returns the same errors as [Migrator.Up].
func (m Migrator) Down(ctx context.Context) error {
	return m.with(ctx, func(owner *sql.DB, p *goose.Provider) error {
		_, err := isNewer(ctx, p)
		if err == nil {
			_, err = p.Down(ctx)
		}
		return m.explain(ctx, owner, err)
	})
}

// Status lists all migrations in order.
func (m Migrator) Status(ctx context.Context) ([]Migration, error) {
	var all []Migration
	err := m.with(ctx, func(owner *sql.DB, p *goose.Provider) error {
		found, err := p.Status(ctx)
		for _, s := range found {
			all = append(all, Migration{
				Version: s.Source.Version, Name: strings.TrimSuffix(path.Base(s.Source.Path), ".sql"),
				Applied: s.State == goose.StateApplied, AppliedAt: s.AppliedAt,
			})
		}
		return m.explain(ctx, owner, err)
	})
	return all, err
}

func (m Migrator) with(ctx context.Context, fn func(*sql.DB, *goose.Provider) error) error {
	settings, err := pgurl.Parse(m.OwnerURL)
	if err != nil {
		return errURL
	}
	// Row level security applies to the owner too, and migrations concern all
	// organizations.
	owner := stdlib.OpenDB(*settings, stdlib.OptionAfterConnect(func(ctx context.Context, c *pgx.Conn) error {
		if m.Profile == Portable {
			return nil // each migration sets it, see [Profile.filter]
		}
		_, err := c.Exec(ctx, "SET omni.organizations = '*'")
		return err
	}))
	defer owner.Close()
	if err := owner.PingContext(ctx); err != nil {
		return newUnavailableError("migrate", err)
	}
	files := m.FS
	if files == nil {
		files = Migrations()
	}
	profile, err := profileOf(ctx, owner)
	if err == nil {
		err = m.Profile.check(profile)
	}
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectPostgres, owner, profileFS{files, m.Profile},
		goose.WithDisableGlobalRegistry(true),
		goose.WithAllowOutofOrder(true)) // parallel branches number their migrations independently
	if err != nil {
		return err
	}
	lock := locked
	if m.Profile == Portable {
		lock = lockedByRow
	}
	return lock(ctx, owner, func() error { return fn(owner, p) })
}

// lockInterval is how often a waiting migrator polls for the lock. It does not wait in the
// database, because a waiting statement would block CREATE INDEX CONCURRENTLY.
const lockInterval = 100 * time.Millisecond

// locked runs fn while no other migrator runs. It takes the same lock as a program that leaves the
// locking to goose.
func locked(ctx context.Context, owner *sql.DB, fn func() error) error {
	connection, err := owner.Conn(ctx)
	if err != nil {
		return err
	}
	defer connection.Close() //nolint:errcheck // closing owner ends the session and its lock
	for {
		var held bool
		if err := connection.QueryRowContext(ctx, `SELECT pg_try_advisory_lock($1)`,
			lock.DefaultLockID).Scan(&held); err != nil {
			return fmt.Errorf("take the migration lock: %w", err)
		}
		if held {
			break
		}
		if err := sleep(ctx, lockInterval); err != nil {
			return fmt.Errorf("another program is migrating: %w", err)
		}
	}
	err = fn()
	unlocking, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	// Otherwise the end of the session releases it.
	_, _ = connection.ExecContext(unlocking, `SELECT pg_advisory_unlock($1)`, lock.DefaultLockID)
	return err
}

func newest(files fs.FS) (int64, error) {
	names, err := fs.Glob(files, "*.sql")
	if err != nil || len(names) == 0 {
		return 0, fmt.Errorf("db: no migrations: %w", err)
	}
	return goose.NumericComponent(names[len(names)-1])
}
