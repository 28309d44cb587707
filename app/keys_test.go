package app_test

import (
	"database/sql"
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/db/dbtest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// ofNoOrganization lists the tables that belong to no organization, with the reason. Their keys may lead
// with any column. An engine that distributes rows by organization keeps them in one place, or copies
// them to all.
var ofNoOrganization = map[string]string{
	"anonymous_attempts":      "a refused request without a caller has no organization",
	"audit_spools":            "a file of one instance has events of all organizations",
	"goose_db_version":        "the migrator's table",
	"job_schedule":            "background jobs serve all organizations",
	"organizations":           "its id is the organization of all other tables",
	"password_reset_requests": "a request has an address, which may be unknown",
	"password_salts":          "salts are given to unknown addresses too",
	"replication_history":     "a timeline is that of the server",
	"schema_compatibility":    "the schema serves all organizations",
	"sign_in_failures":        "failures are counted for unknown addresses too",
	"write_lock":              "transactions of all organizations take turns",
}

// TestKeysLeadWithTheOrganization checks each primary, unique and foreign key of the migrated schema. A
// foreign key leads with the organization on both sides.
func TestKeysLeadWithTheOrganization(t *testing.T) {
	t.Parallel()
	owner, err := sql.Open("pgx", dbtest.New(t).OwnerURL)
	require.NoError(t, err)
	defer owner.Close()

	found := map[string]string{}
	collect := func(query string) {
		rows, err := owner.QueryContext(t.Context(), query)
		require.NoError(t, err)
		defer rows.Close() //nolint:errcheck // rows.Err reports it
		for rows.Next() {
			var table, key string
			require.NoError(t, rows.Scan(&table, &key))
			if _, listed := ofNoOrganization[table]; !listed {
				found[table] += key + "\n"
			}
		}
		require.NoError(t, rows.Err())
	}
	collect(`
		SELECT i.indrelid::regclass, pg_get_indexdef(i.indexrelid)
		FROM pg_index i JOIN pg_class r ON r.oid = i.indrelid
		LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
		WHERE i.indisunique AND r.relnamespace = 'public'::regnamespace AND a.attname IS DISTINCT FROM 'organization_id'`)
	collect(`
		SELECT c.conrelid::regclass, c.conname || ' ' || pg_get_constraintdef(c.oid)
		FROM pg_constraint c
		JOIN pg_attribute mine ON mine.attrelid = c.conrelid AND mine.attnum = c.conkey[1]
		JOIN pg_attribute theirs ON theirs.attrelid = c.confrelid AND theirs.attnum = c.confkey[1]
		WHERE c.contype = 'f' AND c.connamespace = 'public'::regnamespace AND (mine.attname <> 'organization_id'
			OR theirs.attname <> CASE WHEN c.confrelid = 'organizations'::regclass THEN 'id' ELSE 'organization_id' END)`)
	collect(`
		SELECT r.oid::regclass, 'no primary key' FROM pg_class r
		WHERE r.relkind IN ('r', 'p') AND NOT r.relispartition AND r.relnamespace = 'public'::regnamespace
			AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conrelid = r.oid AND c.contype = 'p')`)
	require.Empty(t, found, "a key leads with organization_id; a table without it is listed in ofNoOrganization")
}

// TestTablesOfNoOrganizationExist keeps the list of exceptions current.
func TestTablesOfNoOrganizationExist(t *testing.T) {
	t.Parallel()
	owner, err := sql.Open("pgx", dbtest.New(t).OwnerURL)
	require.NoError(t, err)
	defer owner.Close()
	for table := range ofNoOrganization {
		var belongs sql.NullBool
		require.NoError(t, owner.QueryRowContext(t.Context(), `
			SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass($1) AND attname = 'organization_id')
			WHERE to_regclass($1) IS NOT NULL`, table).Scan(&belongs), table)
		require.False(t, belongs.Bool, "%s belongs to an organization", table)
	}
}
