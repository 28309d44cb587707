package postgres_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/postgres"
)

func TestSettings(t *testing.T) {
	t.Parallel()
	dir := scratch(t)
	s := start(t, postgres.Options{Dir: dir, MaxConnections: 33})
	for name, want := range map[string]string{
		"fsync":                               "on",
		"synchronous_commit":                  "on",
		"full_page_writes":                    "on",
		"data_checksums":                      "on",
		"wal_level":                           "replica",
		"listen_addresses":                    "",
		"max_connections":                     "33",
		"TimeZone":                            "UTC",
		"log_timezone":                        "UTC",
		"jit":                                 "off",
		"random_page_cost":                    "1.1",
		"lock_timeout":                        "30s",
		"server_encoding":                     "UTF8",
		"password_encryption":                 "scram-sha-256",
		"log_error_verbosity":                 "terse",
		"log_min_messages":                    "log",
		"log_min_error_statement":             "panic",
		"log_parameter_max_length_on_error":   "0",
		"idle_in_transaction_session_timeout": "1min",
	} {
		require.Equal(t, want, value[string](t, s.AppURL(s.Database()), "SHOW "+name), name)
	}
	buffers := value[int64](t, s.OwnerURL(s.Database()), "SELECT pg_size_bytes(current_setting('shared_buffers'))")
	require.GreaterOrEqual(t, buffers, int64(16<<20))
	require.LessOrEqual(t, buffers, int64(1<<30))
	info, err := os.Stat(filepath.Join(dir, "socket"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
}

func TestVolatile(t *testing.T) {
	t.Parallel()
	s := start(t, postgres.Options{Dir: scratch(t), Volatile: true})
	require.Equal(t, "off", value[string](t, s.AppURL(s.Database()), "SHOW fsync"))
}

// Values may be health data. Each of these statements fails in another way that would
// reveal them.
func TestValuesStayOutOfTheLog(t *testing.T) {
	t.Parallel()
	dir := scratch(t)
	s := start(t, postgres.Options{Dir: dir, Volatile: true})
	owner := s.OwnerURL(s.Database())
	execute(t, owner, "CREATE TABLE notes (note text PRIMARY KEY CHECK (note <> 'secret-2'), day date)")
	execute(t, owner, "INSERT INTO notes VALUES ('secret-1', NULL); GRANT ALL ON notes TO omni_app")
	for _, url := range []string{owner, s.AppURL(s.Database())} {
		conn := connect(t, url)
		for _, failing := range []struct {
			query string
			value string
		}{
			{"INSERT INTO notes (note) VALUES ($1)", "secret-1"},                          // DETAIL: Key (note)=(…)
			{"INSERT INTO notes (note) VALUES ($1)", "secret-2"},                          // DETAIL: Failing row contains (…)
			{"INSERT INTO notes (note, day) VALUES ('x', $1::text::date)", "secret-3"},    // ERROR: invalid input syntax … "…"
			{"SELECT 1/0, 'secret-4', $1::text", "secret-5"},                              // STATEMENT: and CONTEXT:
			{"DO $$ BEGIN RAISE WARNING 'secret-6'; PERFORM 'secret-7'::int; END $$", ""}, // WARNING:
		} {
			arguments := []any{failing.value}
			if failing.value == "" {
				arguments = nil
			}
			_, err := conn.Exec(t.Context(), failing.query, arguments...)
			require.Error(t, err, failing.query)
		}
	}
	require.NotContains(t, readLog(t, dir), "secret")
}

func TestAppRole(t *testing.T) {
	t.Parallel()
	s := start(t, postgres.Options{Dir: scratch(t), Volatile: true})
	app, owner := s.AppURL(s.Database()), s.OwnerURL(s.Database())
	execute(t, owner, "CREATE DATABASE another")
	execute(t, owner, "CREATE TABLE notes (note text)")
	require.Equal(t, postgres.AppRole, value[string](t, app, "SELECT current_user"))
	require.False(t, value[bool](t, app, `SELECT rolsuper OR rolbypassrls OR rolcreatedb OR rolcreaterole OR rolreplication
		FROM pg_roles WHERE rolname = current_user`))
	require.Zero(t, value[int64](t, app, `SELECT count(*) FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member
		WHERE r.rolname = current_user`), "it is a member of no other role")
	require.Zero(t, value[int64](t, app, `SELECT count(*) FROM pg_shdepend d JOIN pg_roles r ON r.oid = d.refobjid
		WHERE r.rolname = current_user AND d.deptype = 'o'`), "it owns nothing")
	for _, url := range []string{app, s.AppURL("another")} {
		for _, statement := range []string{
			"CREATE TABLE public.mine ()", "CREATE SCHEMA mine", "CREATE DATABASE mine", "CREATE ROLE mine",
			"SET ROLE " + postgres.OwnerRole, "ALTER SYSTEM SET fsync = off", "SET log_min_messages = debug5",
		} {
			require.Equal(t, "42501", failure(t, url, statement), statement) // insufficient_privilege
		}
	}
	require.Equal(t, "42501", failure(t, app, "SELECT * FROM notes"), "it has no privileges")
	_, err := pgx.Connect(t.Context(), s.AppURL("postgres"))
	require.ErrorContains(t, err, "permission denied")
	_, err = pgx.Connect(t.Context(), strings.Replace(app, postgres.AppRole+":", postgres.AppRole+":x", 1))
	require.ErrorContains(t, err, "password authentication failed")
}

func TestOwnerRole(t *testing.T) {
	t.Parallel()
	s := start(t, postgres.Options{Dir: scratch(t), Volatile: true})
	owner := s.OwnerURL(s.Database())
	require.False(t, value[bool](t, owner, `SELECT rolsuper OR rolbypassrls OR rolcreaterole OR rolreplication
		FROM pg_roles WHERE rolname = current_user`))
	require.Equal(t, postgres.OwnerRole, value[string](t, owner,
		"SELECT pg_get_userbyid(datdba)::text FROM pg_database WHERE datname = current_database()"))
	execute(t, owner, "CREATE DATABASE template_of_tests")
	execute(t, owner, "CREATE DATABASE clone TEMPLATE template_of_tests STRATEGY FILE_COPY")
	execute(t, s.OwnerURL("clone"), "CREATE TABLE public.notes ()")

	session := connect(t, s.AppURL("clone"))
	require.True(t, value[bool](t, owner, fmt.Sprintf("SELECT pg_terminate_backend(%d)", session.PgConn().PID())))
	eventually(t, "the program's session ends", func() bool { return session.Ping(t.Context()) != nil })
	execute(t, owner, "DROP DATABASE clone WITH (FORCE)")
}

// failure returns the code of the error of a statement.
func failure(t testing.TB, url, statement string) string {
	t.Helper()
	_, err := connect(t, url).Exec(t.Context(), statement)
	var answer *pgconn.PgError
	require.ErrorAs(t, err, &answer, statement)
	return answer.Code
}
