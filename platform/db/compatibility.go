package db

import (
	"context"
	"fmt"

	"github.com/pressly/goose/v3"

	"omnirapeutic/platform/programname"
)

// SchemaError is returned if this program cannot work with the database's schema.
type SchemaError struct {
	Have, Want int64 // versions; Have is 0 for an empty database
	// Oldest is the oldest program version that works with a newer schema; 0 if the schema does not
	// declare one.
	Oldest int64
}

func (e *SchemaError) Error() string {
	switch {
	case e.Have < e.Want:
		return fmt.Sprintf("the database's schema is older (version %d) than this program needs (%d): run %s",
			e.Have, e.Want, programname.Command("migrate up"))
	case e.Oldest == 0:
		return fmt.Sprintf("the database's schema is newer (version %d) than this program knows (%d): run a newer program",
			e.Have, e.Want)
	}
	return fmt.Sprintf("the database's schema (version %d) works with programs that know version %d; this one knows "+
		"%d: run a newer program",
		e.Have, e.Oldest, e.Want)
}

// CheckSchema checks that this program can work with the database's schema. The schema must have
// all migrations that the program knows. If it has more, it must declare this program's version, or
// an older one, compatible. Errors: *[SchemaError], *[UnavailableError].
func (d *DB) CheckSchema(ctx context.Context) error {
	want, err := newest(Migrations())
	if err != nil {
		return err
	}
	schema := SchemaError{Want: want}
	var migrated, declared bool
	err = d.pool.QueryRow(ctx,
		`SELECT to_regclass('goose_db_version') IS NOT NULL, to_regclass('schema_compatibility') IS NOT NULL`).
		Scan(&migrated, &declared)
	if err == nil && migrated {
		err = d.pool.QueryRow(ctx,
			`SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied`).Scan(&schema.Have)
	}
	if err == nil && declared && schema.Have > want {
		err = d.pool.QueryRow(ctx, `SELECT max(oldest_program) FROM schema_compatibility`).Scan(&schema.Oldest)
	}
	switch {
	case err != nil:
		return newUnavailableError("check the schema", err)
	case schema.Have == want, schema.Have > want && schema.Oldest > 0 && schema.Oldest <= want:
		return nil
	}
	return &schema
}

// isNewer reports whether the database has migrations after all of the provider's.
func isNewer(ctx context.Context, p *goose.Provider) (bool, error) {
	have, err := p.GetDBVersion(ctx)
	if err != nil {
		return false, err
	}
	sources := p.ListSources()
	return len(sources) > 0 && have > sources[len(sources)-1].Version, nil
}
