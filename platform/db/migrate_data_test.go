package db_test

import (
	"context"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/dbtest"
	"omnirapeutic/platform/postgres"
)

// back reverts migrations down to a schema version.
func back(t testing.TB, m db.Migrator, version int) {
	t.Helper()
	for {
		all, err := m.Status(t.Context())
		require.NoError(t, err)
		all = slices.DeleteFunc(all, func(step db.Migration) bool { return !step.Applied })
		if int(all[len(all)-1].Version) <= version {
			return
		}
		require.NoError(t, m.Down(t.Context()))
	}
}

// before returns a database at the version before a migration, and functions that run
// and read statements as its owner.
func before(t *testing.T, step int) (m db.Migrator, run func(statement string), read func(statement string) []string) {
	t.Helper()
	m = db.Migrator{OwnerURL: dbtest.New(t).OwnerURL, AppRole: postgres.AppRole}
	back(t, m, step-1)
	owner, err := pgx.Connect(t.Context(), m.OwnerURL)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, owner.Close(context.Background())) })
	_, err = owner.Exec(t.Context(), "SET omni.organizations = '*'")
	require.NoError(t, err)
	run = func(statement string) {
		t.Helper()
		_, err := owner.Exec(t.Context(), statement)
		require.NoError(t, err, statement)
	}
	read = func(statement string) []string {
		t.Helper()
		rows, err := owner.Query(t.Context(), statement)
		require.NoError(t, err)
		found, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		return found
	}
	return m, run, read
}

// TestMigrationsKeepData fills tables of the version before a migration.
func TestMigrationsKeepData(t *testing.T) {
	t.Parallel()
	t.Run("of payers and service codes, when booking rules are added and removed", func(t *testing.T) {
		t.Parallel()
		m, run, read := before(t, 9)
		run(`INSERT INTO organizations (id, name, time_zone, created_at, updated_at)
			SELECT gen_random_uuid(), name, 'UTC', now(), now() FROM unnest('{A,B}'::text[]) AS name`)
		run(`INSERT INTO payers (organization_id, id, name, rounding, created_at, updated_at)
			SELECT id, gen_random_uuid(), method, method, now(), now()
			FROM organizations, unnest('{CEIL,FLOOR,MIDPOINT,CMS_TOTAL}'::text[]) AS method`)
		run(`INSERT INTO service_codes (organization_id, id, code, description, created_at, updated_at)
			SELECT id, gen_random_uuid(), code, 'x', now(), now()
			FROM organizations, unnest('{97151,97153,97155,97156,97157,0362T}'::text[]) AS code`)

		require.NoError(t, m.Up(t.Context()))
		require.Equal(t, []string{"A 24 false 72", "B 24 false 72"},
			read(`SELECT concat_ws(' ', name, late_cancel_hours, no_show_consumes::text, session_edit_hours) FROM organizations
				ORDER BY name`))
		require.Equal(t, []string{"A 97153 97155", "B 97153 97155"},
			read(`SELECT concat_ws(' ', o.name, code, other_code) FROM service_pairs p
				JOIN organizations o ON o.id = p.organization_id ORDER BY 1`))
		require.Equal(t,
			[]string{
				"0362T DIRECT 2", "97151 ASSESSMENT 2", "97153 DIRECT 2", "97155 SUPERVISION 2", "97156 CAREGIVER 2",
				"97157 CAREGIVER 2",
			},
			read(`SELECT concat_ws(' ', code, track, count(*)) FROM service_codes GROUP BY code, track ORDER BY 1`))
		require.Equal(t,
			[]string{
				"CEIL CEIL 0001-01-01 2", "CMS_TOTAL CMS_TOTAL 0001-01-01 2", "FLOOR FLOOR 0001-01-01 2",
				"MIDPOINT MIDPOINT 0001-01-01 2",
			},
			read(`SELECT concat_ws(' ', p.name, r.method, r.starts_on, count(*))
				FROM payers p JOIN payer_rounding_rules r ON r.organization_id = p.organization_id AND r.payer_id = p.id
				GROUP BY p.name, r.method, r.starts_on ORDER BY 1`))

		// One has begun since, and one begins in the future.
		run(`INSERT INTO payer_rounding_rules SELECT organization_id, id, current_date, 'FLOOR' FROM payers
			WHERE name = 'CEIL'`)
		run(`INSERT INTO payer_rounding_rules SELECT organization_id, id, current_date + 2, 'FLOOR' FROM payers
			WHERE name = 'MIDPOINT'`)
		back(t, m, 8)
		require.Equal(t, []string{"CEIL FLOOR", "CMS_TOTAL CMS_TOTAL", "FLOOR FLOOR", "MIDPOINT MIDPOINT"},
			read(`SELECT DISTINCT name || ' ' || rounding FROM payers ORDER BY 1`))
	})
	t.Run("of unsealed events, when rows combine several events, and when each has its own row again", func(t *testing.T) {
		t.Parallel()
		m, run, read := before(t, 25)
		run(`INSERT INTO audit_unsealed (organization_id, sequence, occurred_at, recorded_at)
			SELECT uuid_nil, n, timestamptz '2026-01-01' + n * interval '1 day', '2026-02-01'
			FROM generate_series(1, 2) n, (VALUES ('00000000-0000-0000-0000-000000000000'::uuid)) AS nobody (uuid_nil)`)
		each := `SELECT concat_ws(' ', sequence, occurred_at::date, recorded_at::date) FROM audit_unsealed ORDER BY 1`
		were := read(each)

		require.NoError(t, m.Up(t.Context()))
		require.Equal(t, []string{"1 {1} 2026-01-02 2026-02-01", "2 {2} 2026-01-03 2026-02-01"},
			read(`SELECT concat_ws(' ', sequence, sequences, times[1]::date, recorded_at::date) FROM audit_unsealed ORDER BY 1`))
		run(`DELETE FROM audit_unsealed WHERE sequence = 2`)
		run(`UPDATE audit_unsealed SET sequences = '{1,2}', times = times || timestamptz '2026-01-03'`)
		back(t, m, 24)
		require.Equal(t, were, read(each))
	})
	t.Run("of webhooks, when each gets a responsible user", func(t *testing.T) {
		t.Parallel()
		m, run, read := before(t, 26)
		run(`INSERT INTO organizations (id, name, time_zone, created_at, updated_at)
			VALUES (gen_random_uuid(), 'A', 'UTC', now(), now())`)
		run(`INSERT INTO users (organization_id, id, email, name, password_hash, created_at, updated_at)
			SELECT o.id, gen_random_uuid(), who || '@a.test', who, 'x', now(), now()
			FROM organizations o, unnest('{ann,bea,cy}'::text[]) AS who`)
		run(`INSERT INTO webhooks (organization_id, id, url, secret, types, created_at, updated_at)
			SELECT id, gen_random_uuid(), url, 'x', '{}', now(), now()
			FROM organizations, unnest('{made,moved,stopped,started,rotated,old,machine}'::text[]) AS url`)
		run(`INSERT INTO audit_events (organization_id, occurred_at, actor_id, request_id, action, outcome,
				subject_type, subject_id, address, after)
			SELECT w.organization_id, timestamptz '2026-01-01' + n * interval '1 day', coalesce(u.id, gen_random_uuid()), '', action,
				'done', 'webhook', w.id, '', after::json
			FROM (VALUES (1, 'made', 'ann', 'webhook.create', '{"active":true}'),
				(1, 'moved', 'ann', 'webhook.create', '{"active":true}'), (2, 'moved', 'bea', 'webhook.change', '{"active":true,"changed":["url"]}'),
				(3, 'moved', 'cy', 'webhook.change', '{"active":false,"changed":["active"]}'),
				(1, 'stopped', 'ann', 'webhook.create', '{"active":true}'),
				(2, 'stopped', 'cy', 'webhook.change', '{"active":false,"changed":["active"]}'),
				(1, 'started', 'ann', 'webhook.create', '{"active":true}'),
				(2, 'started', 'cy', 'webhook.change', '{"active":true,"changed":["active"]}'),
				(1, 'rotated', 'ann', 'webhook.create', '{"active":true}'),
				(2, 'rotated', 'cy', 'webhook.rotate', '{"active":true,"changed":["secret"]}'),
				(1, 'machine', 'nobody', 'webhook.create', '{"active":true}')) AS e (n, url, who, action, after)
			JOIN webhooks w USING (url) LEFT JOIN users u ON u.name = e.who`)

		require.NoError(t, m.Up(t.Context()))
		require.Equal(t, []string{"machine", "made ann", "moved bea", "old", "rotated ann", "started cy", "stopped ann"},
			read(`SELECT concat_ws(' ', url, u.name) FROM webhooks w LEFT JOIN users u ON u.id = w.answered_by ORDER BY 1`))
		back(t, m, 25)
		require.Equal(t, []string{"7"}, read(`SELECT count(*)::text FROM webhooks`))
	})
}
