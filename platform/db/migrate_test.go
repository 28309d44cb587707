package db_test

import (
	"context"
	"errors"
	"io/fs"
	"strconv"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/dbtest"
	"omnirapeutic/platform/postgres"
)

func applied(t testing.TB, m db.Migrator) (n int) {
	t.Helper()
	all, err := m.Status(t.Context())
	require.NoError(t, err)
	for _, step := range all {
		if step.Applied {
			n++
		}
	}
	return n
}

func TestMigrator(t *testing.T) {
	t.Parallel()
	files, err := fs.Glob(db.Migrations(), "*.sql")
	require.NoError(t, err)
	steps := len(files)
	versions := make([]int64, steps+1) // by the number of applied migrations; numbers may be skipped
	for i, name := range files {
		versions[i+1], err = strconv.ParseInt(name[:5], 10, 64)
		require.NoError(t, err)
	}

	t.Run("it reverts and repeats every migration, several at once", func(t *testing.T) {
		t.Parallel()
		database := dbtest.New(t)
		m := db.Migrator{OwnerURL: database.OwnerURL, AppRole: postgres.AppRole}
		d := database.Open(t)
		for n := steps; n > 0; n-- {
			require.Equal(t, n, applied(t, m))
			require.NoError(t, m.Down(t.Context()))
			schema, ok := errors.AsType[*db.SchemaError](d.CheckSchema(t.Context()))
			require.True(t, ok)
			require.Equal(t, db.SchemaError{Have: versions[n-1], Want: versions[steps]}, *schema)
			require.ErrorContains(t, schema, "older")
		}
		up := func() error { return m.Up(t.Context()) }
		require.NoError(t, twice(up, up))
		require.Equal(t, steps, applied(t, m))
		require.NoError(t, d.CheckSchema(t.Context()))
	})

	t.Run("it stops at a failing migration, which leaves nothing behind", func(t *testing.T) {
		t.Parallel()
		m := db.Migrator{OwnerURL: dbtest.New(t).OwnerURL, FS: fstest.MapFS{
			"00901_good.sql": {Data: []byte("-- +goose Up\nCREATE TABLE good ();\n-- +goose Down\nDROP TABLE good;")},
			"00902_bad.sql":  {Data: []byte("-- +goose Up\nCREATE TABLE half ();\nSELECT 1/0;")},
		}}
		require.ErrorContains(t, m.Up(t.Context()), "version:902")
		require.Equal(t, 1, applied(t, m))
		owner, err := pgx.Connect(t.Context(), m.OwnerURL)
		require.NoError(t, err)
		defer owner.Close(context.Background())
		var half bool
		require.NoError(t, owner.QueryRow(t.Context(), "SELECT to_regclass('half') IS NOT NULL").Scan(&half))
		require.False(t, half)
	})

	t.Run("a program works with a newer schema that declares it compatible, and refuses others", func(t *testing.T) {
		t.Parallel()
		c := newCounters(t)
		newest := versions[steps]
		exec := func(statement string, arguments ...any) {
			t.Helper()
			_, err := c.outside.Exec(t.Context(), statement, arguments...)
			require.NoError(t, err)
		}
		exec("INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, true)")
		for _, oldest := range []int64{versions[1], newest} {
			exec("UPDATE schema_compatibility SET oldest_program = $1", oldest)
			require.NoError(t, c.CheckSchema(t.Context()))
		}
		exec("UPDATE schema_compatibility SET oldest_program = 998")
		schema, ok := errors.AsType[*db.SchemaError](c.CheckSchema(t.Context()))
		require.True(t, ok)
		require.Equal(t, db.SchemaError{Have: 999, Want: newest, Oldest: 998}, *schema)
		require.ErrorContains(t, schema, "run a newer program")
		exec("DROP TABLE schema_compatibility")
		schema, ok = errors.AsType[*db.SchemaError](c.CheckSchema(t.Context()))
		require.True(t, ok)
		require.Equal(t, db.SchemaError{Have: 999, Want: newest}, *schema)
		require.ErrorContains(t, schema, "newer")
	})

	t.Run("a schema from before the first release is refused and left unchanged", func(t *testing.T) {
		t.Parallel()
		c := newCounters(t)
		_, err := c.outside.Exec(t.Context(), "DELETE FROM goose_db_version; INSERT INTO goose_db_version (version_id, "+
			"is_applied) VALUES (0, true), (55, true)")
		require.NoError(t, err)
		m := db.Migrator{OwnerURL: c.database.OwnerURL, AppRole: postgres.AppRole}
		for _, run := range []func(context.Context) error{c.CheckSchema, m.Up, m.Down} {
			err := run(t.Context())
			old, ok := errors.AsType[*db.OldSchemaError](err)
			require.True(t, ok, "%v", err)
			require.EqualValues(t, 55, old.Have)
			require.ErrorContains(t, err, "use an empty database")
		}
		require.Equal(t, 2, scalar[int](t, c.outside, "SELECT count(*)::int FROM goose_db_version"))
	})

	t.Run("an older program does not change a newer schema or its privileges", func(t *testing.T) {
		t.Parallel()
		database := dbtest.New(t)
		owner, err := pgx.Connect(t.Context(), database.OwnerURL)
		require.NoError(t, err)
		defer owner.Close(context.Background())
		_, err = owner.Exec(t.Context(), "CREATE TABLE sealed (); INSERT INTO goose_db_version (version_id, is_applied) "+
			"VALUES (999, true)")
		require.NoError(t, err)
		require.NoError(t, db.Migrator{OwnerURL: database.OwnerURL, AppRole: postgres.AppRole}.Up(t.Context()))
		var granted bool
		require.NoError(t, owner.QueryRow(t.Context(), "SELECT has_table_privilege($1, 'sealed', 'DELETE')",
			postgres.AppRole).Scan(&granted))
		require.False(t, granted)
	})

	t.Run("it returns an error if the database does not answer", func(t *testing.T) {
		t.Parallel()
		err := db.Migrator{OwnerURL: "postgres://owner@/x?host=" + t.TempDir()}.Up(t.Context())
		_, ok := errors.AsType[*db.UnavailableError](err)
		require.True(t, ok, "%v", err)
	})

	t.Run("it grants the program's role exactly the privileges it needs", func(t *testing.T) {
		t.Parallel()
		app, err := pgx.Connect(t.Context(), dbtest.New(t).AppURL)
		require.NoError(t, err)
		defer app.Close(context.Background())
		for _, statement := range []string{
			"SELECT FROM goose_db_version", "SELECT FROM unit_entries", "UPDATE authorizations SET notes = NULL",
			"DELETE FROM patients",
		} {
			_, err := app.Exec(t.Context(), statement)
			require.NoError(t, err, statement)
		}
		for _, statement := range []string{
			"UPDATE unit_entries SET units = 1", "DELETE FROM unit_entries", "TRUNCATE unit_entries", "TRUNCATE patients",
			"DELETE FROM goose_db_version", "CREATE TABLE mine ()", "ALTER TABLE patients DISABLE TRIGGER ALL",
			"DROP TABLE unit_entries",
		} {
			_, err := app.Exec(t.Context(), statement)
			denied, ok := errors.AsType[*pgconn.PgError](err)
			require.True(t, ok, "%s: %v", statement, err)
			require.Equal(t, "42501", denied.Code, statement)
		}
	})
}
