package db_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/dbtest"
	"omnirapeutic/platform/postgres"
)

// back takes steps back until the schema has a version.
func back(t testing.TB, m db.Migrator, version int) {
	t.Helper()
	for applied(t, m) > version {
		require.NoError(t, m.Down(t.Context()))
	}
}

// TestMigrationsKeepWhatIsThere fills tables as they were before a step.
func TestMigrationsKeepWhatIsThere(t *testing.T) {
	t.Parallel()
	t.Run("of payers and service codes, when rules for bookings come, and when they go", func(t *testing.T) {
		t.Parallel()
		m := db.Migrator{OwnerURL: dbtest.New(t).OwnerURL, AppRole: postgres.AppRole}
		back(t, m, 8)
		owner, err := pgx.Connect(t.Context(), m.OwnerURL)
		require.NoError(t, err)
		defer owner.Close(context.Background())
		run := func(statement string) {
			t.Helper()
			_, err := owner.Exec(t.Context(), statement)
			require.NoError(t, err, statement)
		}
		read := func(statement string) []string {
			t.Helper()
			rows, err := owner.Query(t.Context(), statement)
			require.NoError(t, err)
			found, err := pgx.CollectRows(rows, pgx.RowTo[string])
			require.NoError(t, err)
			return found
		}
		run(`INSERT INTO organizations (id, name, time_zone, created_at, updated_at)
			SELECT gen_random_uuid(), name, 'UTC', now(), now() FROM unnest('{A,B}'::text[]) AS name`)
		run(`INSERT INTO payers (organization_id, id, name, rounding, created_at, updated_at)
			SELECT id, gen_random_uuid(), method, method, now(), now() FROM organizations, unnest('{CEIL,FLOOR,MIDPOINT,CMS_TOTAL}'::text[]) AS method`)
		run(`INSERT INTO service_codes (organization_id, id, code, description, created_at, updated_at)
			SELECT id, gen_random_uuid(), code, 'x', now(), now() FROM organizations, unnest('{97151,97153,97155,97156,97157,0362T}'::text[]) AS code`)

		require.NoError(t, m.Up(t.Context()))
		require.Equal(t, []string{"A 24 false 72", "B 24 false 72"},
			read(`SELECT concat_ws(' ', name, late_cancel_hours, no_show_consumes::text, session_edit_hours) FROM organizations ORDER BY name`))
		require.Equal(t, []string{"A 97153 97155", "B 97153 97155"},
			read(`SELECT concat_ws(' ', o.name, code, other_code) FROM service_pairs p JOIN organizations o ON o.id = p.organization_id ORDER BY 1`))
		require.Equal(t, []string{"0362T DIRECT 2", "97151 ASSESSMENT 2", "97153 DIRECT 2", "97155 SUPERVISION 2", "97156 CAREGIVER 2", "97157 CAREGIVER 2"},
			read(`SELECT concat_ws(' ', code, lane, count(*)) FROM service_codes GROUP BY code, lane ORDER BY 1`))
		require.Equal(t, []string{"CEIL CEIL 0001-01-01 2", "CMS_TOTAL CMS_TOTAL 0001-01-01 2", "FLOOR FLOOR 0001-01-01 2", "MIDPOINT MIDPOINT 0001-01-01 2"},
			read(`SELECT concat_ws(' ', p.name, r.method, r.starts_on, count(*))
				FROM payers p JOIN payer_rounding_rules r ON r.organization_id = p.organization_id AND r.payer_id = p.id
				GROUP BY p.name, r.method, r.starts_on ORDER BY 1`))

		// One has begun since, and one will.
		run(`INSERT INTO payer_rounding_rules SELECT organization_id, id, current_date, 'FLOOR' FROM payers WHERE name = 'CEIL'`)
		run(`INSERT INTO payer_rounding_rules SELECT organization_id, id, current_date + 2, 'FLOOR' FROM payers WHERE name = 'MIDPOINT'`)
		back(t, m, 8)
		require.Equal(t, []string{"CEIL FLOOR", "CMS_TOTAL CMS_TOTAL", "FLOOR FLOOR", "MIDPOINT MIDPOINT"},
			read(`SELECT DISTINCT name || ' ' || rounding FROM payers ORDER BY 1`))
	})
}
