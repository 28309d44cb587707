package db_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/dbtest"
	"omnirapeutic/platform/postgres"
)

func scalar[T any](t testing.TB, c *pgx.Conn, query string) T {
	t.Helper()
	var v T
	require.NoError(t, c.QueryRow(t.Context(), query).Scan(&v))
	return v
}

func dial(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

func TestEightMigratorsAtOnce(t *testing.T) {
	t.Parallel()
	const rounds, migrators = 5, 8
	database := dbtest.New(t)
	owner := dial(t, database.OwnerURL)
	for round := range rounds {
		if round%2 == 1 { // privileges differ: one migrator must grant them again
			_, err := owner.Exec(t.Context(), "REVOKE SELECT ON patients FROM "+postgres.AppRole)
			require.NoError(t, err)
		}
		if round == 2 {
			require.NoError(t, db.Migrator{OwnerURL: database.OwnerURL}.Down(t.Context()))
		}
		var begin, done sync.WaitGroup
		begin.Add(migrators)
		failed := make([]error, migrators)
		for i := range migrators {
			done.Go(func() {
				begin.Done()
				begin.Wait()
				failed[i] = db.Migrator{OwnerURL: database.OwnerURL, AppRole: postgres.AppRole}.Up(t.Context())
			})
		}
		done.Wait()
		require.NoError(t, errors.Join(failed...), "round %d", round)
		require.True(t, scalar[bool](t, owner, "SELECT has_table_privilege('"+postgres.AppRole+"', 'patients', 'SELECT')"))
	}
}

func TestPrivilegesAreGrantedOnlyWhereTheyDiffer(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	m := db.Migrator{OwnerURL: database.OwnerURL, AppRole: postgres.AppRole}
	owner := dial(t, database.OwnerURL)
	version := func() string {
		return scalar[string](t, owner,
			"SELECT string_agg(relname || xmin::text, ',' ORDER BY relname) FROM pg_class WHERE relname IN ('patients', 'unit_entries')")
	}
	require.NoError(t, m.Up(t.Context()))
	granted := version()
	require.NoError(t, m.Up(t.Context()))
	require.Equal(t, granted, version(), "nothing differs")
	for _, change := range []string{
		"REVOKE INSERT ON patients FROM " + postgres.AppRole,
		"GRANT DELETE ON unit_entries TO " + postgres.AppRole,
		"CREATE TABLE extra ()",
	} {
		_, err := owner.Exec(t.Context(), change)
		require.NoError(t, err)
		require.NoError(t, m.Up(t.Context()))
		require.NotEqual(t, granted, version(), change)
		granted = version()
	}
	for privilege, want := range map[string]bool{
		"'patients', 'INSERT'": true, "'unit_entries', 'DELETE'": false, "'extra', 'SELECT'": true,
	} {
		require.Equal(t, want, scalar[bool](t, owner,
			fmt.Sprintf("SELECT has_table_privilege('%s', %s)", postgres.AppRole, privilege)), privilege)
	}
}

func TestMigratingAsAnotherRoleNamesTheOwner(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	next := fstest.MapFS{"99999_next.sql": {Data: []byte("-- +goose Up\nALTER TABLE patients ADD COLUMN next text;")}}
	program := db.Migrator{OwnerURL: database.AppURL, AppRole: postgres.AppRole, FS: next}
	for name, try := range map[string]func(context.Context) error{
		"up": program.Up, "down": db.Migrator{OwnerURL: database.AppURL}.Down,
	} {
		wrong, ok := errors.AsType[*db.OwnerError](try(t.Context()))
		require.True(t, ok, name)
		require.Equal(t, postgres.AppRole, wrong.Role)
		require.Equal(t, postgres.OwnerRole, wrong.Owner)
		require.ErrorContains(t, wrong, "name omni_owner in OMNI_MIGRATE_URL")
	}

	_, err := dial(t, database.OwnerURL).Exec(t.Context(), "DROP TABLE goose_db_version")
	require.NoError(t, err)
	err = program.Up(t.Context())
	require.ErrorContains(t, err, "omni_app may not create tables: name the database's owner in OMNI_MIGRATE_URL")
}
