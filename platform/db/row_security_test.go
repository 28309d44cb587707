package db_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/dbtest"
	"omnirapeutic/platform/postgres"
)

// session is a connection for a test's own SQL.
type session struct{ *pgx.Conn }

func connect(t *testing.T, url string) session {
	t.Helper()
	c, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close(context.Background())) })
	return session{c}
}

func (s session) texts(t *testing.T, query string, arguments ...any) []string {
	t.Helper()
	rows, err := s.Query(t.Context(), query, arguments...)
	require.NoError(t, err)
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return found
}

func (s session) run(t *testing.T, statement string, arguments ...any) {
	t.Helper()
	_, err := s.Exec(t.Context(), statement, arguments...)
	require.NoError(t, err, statement)
}

// tenantTables are all tables with an organization_id.
const tenantTables = `
	SELECT c.relname::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
	WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND a.attname = 'organization_id'
	AND NOT a.attisdropped
	ORDER BY 1`

// TestForeignKeysStayInTheOrganization checks that a row can only refer to rows of its
// organization, even without a check in the program.
func TestForeignKeysStayInTheOrganization(t *testing.T) {
	t.Parallel()
	owner := connect(t, dbtest.New(t).OwnerURL)
	require.Empty(t, owner.texts(t, `
		WITH tenant AS (SELECT attrelid AS oid, attnum FROM pg_attribute WHERE attname = 'organization_id'
		AND NOT attisdropped)
		SELECT f.conrelid::regclass || '.' || f.conname FROM pg_constraint f
		JOIN tenant here ON here.oid = f.conrelid
		JOIN tenant there ON there.oid = f.confrelid
		WHERE f.contype = 'f' AND NOT EXISTS ( -- the one column against the other
			SELECT FROM unnest(f.conkey, f.confkey) AS k (here, there) WHERE k.here = here.attnum AND k.there = there.attnum)`),
		"foreign keys between organizations' tables begin with organization_id; there are no exceptions")
	require.NotEmpty(t, owner.texts(t, "SELECT conname::text FROM pg_constraint WHERE contype = 'f'"))
}

func TestEveryTableIsHeldToItsOrganizations(t *testing.T) {
	t.Parallel()
	owner := connect(t, dbtest.New(t).OwnerURL)
	all := owner.texts(t, tenantTables)
	require.Contains(t, all, "patients")
	require.Equal(t, all, owner.texts(t, `
		SELECT c.relname::text FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relrowsecurity
		AND c.relforcerowsecurity ORDER BY 1`),
		"a migration that adds a table with organization_id ends with: SELECT hold_to_organizations('the_table')")
	require.Equal(t, all, owner.texts(t, `
		SELECT c.relname::text FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
		WHERE p.polname = 'of_organizations' AND p.polcmd = '*' AND p.polpermissive AND p.polroles = '{0}'
		AND p.polwithcheck IS NULL AND NOT c.relispartition ORDER BY 1`))
	require.Empty(t, owner.texts(t, `
		SELECT c.relname::text FROM pg_class c WHERE c.relispartition AND c.relkind = 'r'
		AND NOT (c.relrowsecurity AND c.relforcerowsecurity
			AND 1 = (SELECT count(*) FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = 'of_organizations'))`),
		"partitions have the rule too")
	require.Len(t, owner.texts(t, "SELECT DISTINCT pg_get_expr(polqual, polrelid) FROM pg_policy"), 1,
		"the same rule everywhere")
	require.Len(t, owner.texts(t, "SELECT polname::text FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid "+
		"WHERE NOT c.relispartition"), len(all),
		"and no other policy, which would grant further access")
}

// TestProgramRoleCannotBypassRowSecurity tries, as the program's role, operations to which
// policies do not apply, or which would remove policies.
func TestProgramRoleCannotBypassRowSecurity(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	role, owner := connect(t, database.AppURL), connect(t, database.OwnerURL)
	for _, statement := range []string{
		"ALTER TABLE patients DISABLE ROW LEVEL SECURITY",
		"ALTER TABLE patients NO FORCE ROW LEVEL SECURITY",
		"CREATE POLICY everything ON patients USING (true)",
		"ALTER POLICY of_organizations ON patients USING (true)",
		"DROP POLICY of_organizations ON patients",
		"SELECT hold_to_organizations('patients')",
		"SET ROLE " + postgres.OwnerRole,
		"SET SESSION AUTHORIZATION " + postgres.OwnerRole,
		"ALTER ROLE " + postgres.AppRole + " BYPASSRLS",
		"ALTER ROLE " + postgres.AppRole + " SUPERUSER",
		"TRUNCATE patients CASCADE",                             // policies do not apply to it
		"CREATE VIEW unfiltered AS SELECT * FROM patients",      // policies do not apply to the owner's views
		"CREATE TABLE notes (LIKE patients)",                    // the role cannot create tables
		"COPY patients FROM STDIN",                              // refused by row level security
		"SET row_security = off; SELECT count(*) FROM patients", // fails instead of returning fewer rows
	} {
		t.Run(statement, func(t *testing.T) {
			_, err := role.PgConn().Exec(t.Context(), statement).ReadAll()
			var refused *pgconn.PgError
			require.ErrorAs(t, err, &refused)
			require.Contains(t, []string{"42501", "0A000"}, refused.Code, refused.Message)
		})
	}
	require.Empty(t, owner.texts(t, `
		SELECT table_name || ': ' || privilege_type FROM information_schema.role_table_grants
		WHERE grantee = $1 AND privilege_type NOT IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE')`, postgres.AppRole))
}

// TestRowsOfOtherOrganizationsAreInvisible has rows of two organizations in every table, and queries
// them with every setting, as the program's role and as the owner.
func TestRowsOfOtherOrganizationsAreInvisible(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	owner := connect(t, database.OwnerURL)
	tables := owner.texts(t, tenantTables)
	mine, theirs := uuid.New(), uuid.New()
	fillEveryTable(t, owner, tables, mine, theirs)
	for name, url := range map[string]string{
		"the program": database.AppURL,
		"the owner":   strings.Replace(database.OwnerURL, "omni.organizations", "omni.something", 1),
	} {
		role := connect(t, url)
		for _, setting := range []struct {
			value string
			sees  int
		}{
			{"unset", 0},
			{"", 0},
			{"{}", 0},
			{uuid.Nil.String(), 0},
			{"{" + uuid.NewString() + "}", 0},
			{"**", 0},
			{"{" + theirs.String() + "}", 1},
			{"{" + uuid.NewString() + "," + theirs.String() + "}", 1},
			{"*", 2},
		} {
			for _, table := range tables {
				t.Run(fmt.Sprintf("%s, %q, %s", name, setting.value, table), func(t *testing.T) {
					within(t, role, setting.value, func(run func(statement string, arguments ...any) (int64, error)) {
						seen := func(statement string, arguments ...any) int {
							n, err := run(statement, arguments...)
							require.NoError(t, err)
							return int(n)
						}
						require.Equal(t, setting.sees, seen("SELECT FROM "+table))
						require.Equal(t, max(0, setting.sees-1), seen("SELECT FROM "+table+" WHERE organization_id = $1", mine))
						require.Equal(t, setting.sees, seen("UPDATE "+table+" SET organization_id = organization_id"))
						require.Equal(t, max(0, setting.sees-1), seen("DELETE FROM "+table+" WHERE organization_id = $1", mine))
					})
					if setting.value == "*" {
						return
					}
					for _, refused := range []string{
						"INSERT INTO " + table + " SELECT (copied).* FROM (SELECT jsonb_populate_record(NULL::" + table +
							", $1::jsonb) AS copied) c",
						"UPDATE " + table + " SET organization_id = '" + mine.String() + "'", // moves a row to another organization
					} {
						within(t, role, setting.value, func(run func(string, ...any) (int64, error)) {
							var arguments []any
							if strings.HasPrefix(refused, "INSERT") {
								if len(generated(t, owner, table)) > 0 {
									return // it rejects values for some columns; statements without them suffice
								}
								arguments = []any{owner.texts(t, "SELECT to_jsonb(t)::text FROM "+table+" t WHERE organization_id = $1", mine)[0]}
							} else if setting.sees == 0 {
								return
							}
							_, err := run(refused, arguments...)
							var policy *pgconn.PgError
							require.ErrorAs(t, err, &policy, refused)
							require.Contains(t, policy.Message, "row-level security", refused)
						})
					}
				})
			}
		}
	}
}

// within runs statements in a transaction with the setting, and rolls it back.
func within(t *testing.T, role session, setting string, fn func(run func(string, ...any) (int64, error))) {
	t.Helper()
	tx, err := role.Begin(t.Context())
	require.NoError(t, err)
	defer func() { require.NoError(t, tx.Rollback(context.Background())) }()
	if setting != "unset" {
		_, err = tx.Exec(t.Context(), "SELECT set_config('omni.organizations', $1, true)", setting)
		require.NoError(t, err)
	}
	fn(func(statement string, arguments ...any) (int64, error) {
		tag, err := tx.Exec(t.Context(), statement, arguments...)
		return tag.RowsAffected(), err
	})
}

func generated(t *testing.T, owner session, table string) []string {
	t.Helper()
	return owner.texts(t, `SELECT attname::text FROM pg_attribute
		WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped AND (attgenerated <> ''
		OR attidentity = 'a')`, table)
}

// fillEveryTable adds a row of each organization to every table. It first drops all
// constraints except column types, because only the organization matters.
func fillEveryTable(t *testing.T, owner session, tables []string, organizations ...uuid.UUID) {
	t.Helper()
	for _, drop := range owner.texts(t, `
		SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname) FROM pg_constraint
		WHERE contype IN ('f', 'c', 'x') AND conrelid::regclass::text = ANY ($1)`, tables) {
		owner.run(t, drop)
	}
	for _, table := range tables {
		owner.run(t, "ALTER TABLE "+table+" DISABLE TRIGGER USER")
		// Privileges are not tested here.
		owner.run(t, "GRANT SELECT, INSERT, UPDATE, DELETE ON "+table+" TO "+postgres.AppRole)
		columns := owner.texts(t, `SELECT attname || ' ' || format_type(atttypid, NULL) FROM pg_attribute
			WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped AND attnotnull AND attgenerated = ''
			AND attidentity = ''`, table)
		var names, values []string
		for _, column := range columns {
			name, kind, _ := strings.Cut(column, " ")
			names, values = append(names, name), append(values, sampleOf(t, name, kind))
		}
		for _, organization := range organizations {
			owner.run(t, fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM (SELECT $1::uuid AS organization) o",
				table, strings.Join(names, ", "), strings.Join(values, ", ")), organization)
		}
	}
}

// sampleOf returns an SQL expression for a value of a type.
func sampleOf(t *testing.T, column, kind string) string {
	t.Helper()
	if column == "organization_id" {
		return "organization"
	}
	samples := []struct {
		kinds []string
		value string
	}{
		{[]string{"uuid"}, "gen_random_uuid()"},
		{[]string{"text", "character varying"}, "gen_random_uuid()::text"},
		{[]string{"smallint", "integer", "bigint", "numeric", "double precision"}, "1"},
		{[]string{"boolean"}, "false"},
		{[]string{"date", "timestamp with time zone"}, "now()"},
		{[]string{"bytea"}, "sha256(gen_random_uuid()::text::bytea)"},
		{[]string{"json", "jsonb"}, "'{}'"},
		{[]string{"xid8"}, "pg_current_xact_id()"},
	}
	for _, s := range samples {
		if slices.Contains(s.kinds, kind) {
			return s.value
		}
	}
	require.True(t, strings.HasSuffix(kind, "[]"), "a sample of the type %s (column %s) is missing here", kind, column)
	return "'{}'"
}

// TestMigrationsSeeEveryOrganization checks that migrations see all rows. Policies
// apply to the owner too, and a migration must not silently skip rows.
func TestMigrationsSeeEveryOrganization(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	owner := connect(t, database.OwnerURL)
	owner.run(t, `INSERT INTO organizations (id, name, time_zone, created_at, updated_at)
		SELECT gen_random_uuid(), name, 'UTC', now(), now() FROM unnest('{A,B}'::text[]) AS name`)
	owner.run(t, `INSERT INTO payers (organization_id, id, name, created_at, updated_at)
		SELECT id, gen_random_uuid(), 'before', now(), now() FROM organizations`)
	m := db.Migrator{
		OwnerURL: strings.Replace(database.OwnerURL, "omni.organizations", "omni.something", 1),
		FS: fstest.MapFS{
			"90000_rename.sql": {Data: []byte("-- +goose Up\nUPDATE payers SET name = 'after';\n")},
		},
	}
	require.NoError(t, m.Up(t.Context()))
	require.Equal(t, []string{"after", "after"}, owner.texts(t, "SELECT name FROM payers"))
}
