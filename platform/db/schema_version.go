package db

import (
	"cmp"
	"context"
	"database/sql"
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
		return fmt.Sprintf("the database's schema is newer (version %d) than this program knows (%d): run a newer "+
			"program", e.Have, e.Want)
	}
	return fmt.Sprintf("the database's schema (version %d) works with programs that know version %d; this one knows "+
		"%d: run a newer program",
		e.Have, e.Oldest, e.Want)
}

// ProfileError is returned if the schema was created with another profile. A schema keeps its profile.
type ProfileError struct{ Schema, Program Profile }

func (e *ProfileError) Error() string {
	return fmt.Sprintf("the database's schema has the profile %s, and this program uses the profile %s: set "+
		"OMNI_DB_PROFILE=%[1]s, or use an empty database", e.Schema, e.Program)
}

// profileOf returns the profile of the database's schema, or "" if it has none yet.
func profileOf(ctx context.Context, owner *sql.DB) (Profile, error) {
	var declared bool
	err := owner.QueryRowContext(ctx, `SELECT EXISTS (SELECT FROM information_schema.columns
		WHERE table_schema = 'public' AND table_name = 'schema_compatibility' AND column_name = 'profile')`).Scan(&declared)
	if err != nil || !declared {
		return "", err
	}
	var profile string
	err = owner.QueryRowContext(ctx, `SELECT profile FROM schema_compatibility`).Scan(&profile)
	return Profile(profile), err
}

// check returns a *[ProfileError] if the schema has another profile.
func (p Profile) check(schema Profile) error {
	if program := cmp.Or(p, PostgreSQL); schema != "" && schema != program {
		return &ProfileError{Schema: schema, Program: program}
	}
	return nil
}

// firstVersion is the version of the first migration. Lower versions belong to schemas from before the
// first release, whose migrations no longer exist.
const firstVersion = 101

// OldSchemaError is returned if the database was created before the first release. No program can
// upgrade it.
type OldSchemaError struct{ Have int64 }

func (e *OldSchemaError) Error() string {
	return fmt.Sprintf("the database was created before the first release (schema version %d) and cannot be upgraded: "+
		"use an empty database, or another data folder (OMNI_DATA_DIR); see \"Databases from before the first release\" "+
		"in docs/operations.md", e.Have)
}

// checkAge returns an *[OldSchemaError] for the version of a schema from before the first release.
func checkAge(version int64) error {
	if version > 0 && version < firstVersion {
		return &OldSchemaError{Have: version}
	}
	return nil
}

// CheckSchema checks that this program can work with the database's schema. The schema must have
// all migrations that the program knows. If it has more, it must declare this program's version, or
// an older one, compatible. Errors: *[SchemaError], *[OldSchemaError], *[ProfileError],
// *[UnavailableError].
func (d *DB) CheckSchema(ctx context.Context) error {
	want, err := newest(Migrations())
	if err != nil {
		return err
	}
	schema := SchemaError{Want: want}
	var migrated, declared bool
	err = d.pool.QueryRow(ctx, `SELECT to_regclass('goose_db_version') IS NOT NULL,
		to_regclass('schema_compatibility') IS NOT NULL`).
		Scan(&migrated, &declared)
	if err == nil && migrated {
		err = d.pool.QueryRow(ctx,
			`SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied`).Scan(&schema.Have)
	}
	var profile string
	if err == nil && declared && schema.Have >= want {
		err = d.pool.QueryRow(ctx, `SELECT oldest_program, profile FROM schema_compatibility`).Scan(&schema.Oldest, &profile)
	}
	if err != nil {
		return newUnavailableError("check the schema", err)
	}
	if err := cmp.Or(checkAge(schema.Have), d.profile().check(Profile(profile))); err != nil {
		return err
	}
	switch {
	case schema.Have == want, schema.Have > want && schema.Oldest > 0 && schema.Oldest <= want:
		return nil
	}
	return &schema
}

// isNewer reports whether the database has migrations after all of the provider's. It returns an
// *[OldSchemaError] for a schema from before the first release.
func isNewer(ctx context.Context, p *goose.Provider) (bool, error) {
	have, err := p.GetDBVersion(ctx)
	if err == nil {
		err = checkAge(have)
	}
	if err != nil {
		return false, err
	}
	sources := p.ListSources()
	return len(sources) > 0 && have > sources[len(sources)-1].Version, nil
}
