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

// Migrator brings a database's schema up to date, as its owner.
type Migrator struct {
	OwnerURL string
	AppRole  string // gets the privileges of the program, where that role exists and is not the owner
	FS       fs.FS  // nil: those of this program
}

// Migration is one numbered step of the schema.
type Migration struct {
	Version   int64
	Name      string
	Applied   bool
	AppliedAt time.Time // zero where it is not applied
}

// Up applies what is missing, then the privileges of the program's role. Of
// several programs that migrate at once, one does and the others wait. On a schema that is
// newer than this program it does nothing: the privileges are those of the newer program.
func (m Migrator) Up(ctx context.Context) error {
	return m.with(ctx, func(owner *sql.DB, p *goose.Provider) error {
		newer, err := isNewer(ctx, p)
		if err != nil || newer {
			return err
		}
		if _, err := p.Up(ctx); err != nil {
			return err
		}
		return m.grant(ctx, owner)
	})
}

// Down takes the newest migration back.
func (m Migrator) Down(ctx context.Context) error {
	return m.with(ctx, func(_ *sql.DB, p *goose.Provider) error {
		_, err := p.Down(ctx)
		return err
	})
}

// Status lists all migrations in their order.
func (m Migrator) Status(ctx context.Context) ([]Migration, error) {
	var all []Migration
	err := m.with(ctx, func(_ *sql.DB, p *goose.Provider) error {
		found, err := p.Status(ctx)
		for _, s := range found {
			all = append(all, Migration{
				Version: s.Source.Version, Name: strings.TrimSuffix(path.Base(s.Source.Path), ".sql"),
				Applied: s.State == goose.StateApplied, AppliedAt: s.AppliedAt,
			})
		}
		return err
	})
	return all, err
}

func (m Migrator) with(ctx context.Context, fn func(*sql.DB, *goose.Provider) error) error {
	settings, err := pgx.ParseConfig(m.OwnerURL)
	if err != nil {
		return errURL
	}
	// Row level security binds the owner too, and migrations are about all organizations.
	owner := stdlib.OpenDB(*settings, stdlib.OptionAfterConnect(func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, "SET omni.organizations = '*'")
		return err
	}))
	defer owner.Close()
	if err := owner.PingContext(ctx); err != nil {
		return &UnavailableError{Operation: "migrate", cause: err}
	}
	locker, err := lock.NewPostgresSessionLocker()
	if err != nil {
		return err
	}
	files := m.FS
	if files == nil {
		files = Migrations()
	}
	p, err := goose.NewProvider(goose.DialectPostgres, owner, files, goose.WithSessionLocker(locker), goose.WithDisableGlobalRegistry(true),
		goose.WithAllowOutofOrder(true)) // branches that are developed side by side number their migrations apart
	if err != nil {
		return err
	}
	return fn(owner, p)
}

// grant gives the program's role what it needs and no more.
func (m Migrator) grant(ctx context.Context, owner *sql.DB) error {
	var apart bool
	err := owner.QueryRowContext(ctx, `SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1 AND rolname <> current_user)`, m.AppRole).Scan(&apart)
	if err != nil || !apart {
		return err
	}
	_, err = owner.ExecContext(ctx, strings.ReplaceAll(privileges, "{{role}}", pgx.Identifier{m.AppRole}.Sanitize()))
	return err
}

func newest(files fs.FS) (int64, error) {
	names, err := fs.Glob(files, "*.sql")
	if err != nil || len(names) == 0 {
		return 0, fmt.Errorf("db: no migrations: %w", err)
	}
	return goose.NumericComponent(names[len(names)-1])
}
