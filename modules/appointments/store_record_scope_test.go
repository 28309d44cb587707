package appointments

import (
	"context"
	"database/sql"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/rbac/user"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/dbtest"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/permission"
)

// TestPlansWithALimitedRecordScope checks the plans of lists for callers with a limited record
// scope, in a practice with years of appointments. Both the requested days and the participants
// must be read by index.
func TestPlansWithALimitedRecordScope(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	program := database.Open(t).WithLinks(user.Links())
	owner, err := sql.Open("pgx", database.OwnerURL)
	require.NoError(t, err)
	defer owner.Close()
	owner.SetMaxOpenConns(1) // the session settings apply to all statements
	run := func(statement string, values ...any) {
		_, err := owner.ExecContext(t.Context(), statement, values...)
		require.NoError(t, err, statement)
	}
	organization, user := uuid.New(), uuid.New()
	run("SET omni.organizations = '*'")
	run(`DO $$ DECLARE each record; BEGIN -- the rows need no references for this plan
		FOR each IN SELECT conrelid::regclass AS tab, conname FROM pg_constraint WHERE contype = 'f' AND conrelid::regclass::text = ANY
			(ARRAY['users', 'caseloads', 'appointments', 'appointment_practitioners', 'appointment_patients'])
		LOOP EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', each.tab, each.conname); END LOOP; END $$`)
	run(`INSERT INTO users (organization_id, id, email, name, password_hash, status, version, created_at, updated_at, practitioner_id)
		SELECT $1, CASE n WHEN 1 THEN $2 ELSE gen_random_uuid() END, n || '@a.test', 'A', 'x', 'ACTIVE', 1, now(), now(), md5('staff' || n)::uuid
		FROM generate_series(1, 40) n`, organization, user)
	run(`INSERT INTO caseloads (organization_id, practitioner_id, patient_id, assigned_at, assigned_by)
		SELECT $1, md5('staff' || n % 40)::uuid, md5('patient' || n)::uuid, now(), $2 FROM generate_series(1, 400) n`, organization, user)
	run(`INSERT INTO appointments (organization_id, id, service_code_id, status, starts_at, ends_at, service_date,
		created_by, created_at, updated_at)
		SELECT $1, md5('appointment' || n)::uuid, gen_random_uuid(), 'SCHEDULED', at, at + interval '1 hour', at::date, $2, at, at
		FROM generate_series(1, 40000) n, LATERAL (SELECT '2024-01-01Z'::timestamptz + n * interval '25 minutes' AS at) a`, organization, user)
	run(`INSERT INTO appointment_practitioners (organization_id, appointment_id, position, practitioner_id, starts_at, ends_at, occupies)
		SELECT $1, id, 0, md5('staff' || n % 40)::uuid, starts_at, ends_at, false
		FROM generate_series(1, 40000) n JOIN appointments ON id = md5('appointment' || n)::uuid`, organization)
	run(`INSERT INTO appointment_patients (organization_id, appointment_id, patient_id, position, authorization_id,
		units, minutes, unit_minutes,
			rounding, rounding_starts_on, track, code, starts_at, ends_at, occupies)
		SELECT $1, id, md5('patient' || n % 400)::uuid, 0, gen_random_uuid(), 4, 60, 15, 'CEIL', '2024-01-01', '97153',
		'97153', starts_at, ends_at, false
		FROM generate_series(1, 40000) n JOIN appointments ON id = md5('appointment' || n)::uuid`, organization)
	run("ANALYZE users, caseloads, appointments, appointment_practitioners, appointment_patients")

	for _, scope := range []identity.Scope{identity.Self, identity.Caseload} {
		t.Run(scope.String(), func(t *testing.T) {
			caller := identity.Caller{
				UserID: user, OrganizationID: organization, Acting: permission.AppointmentRead,
				Permissions: map[identity.Permission]identity.Scope{permission.AppointmentRead: scope},
			}
			condition, err := db.Snapshot(identity.With(t.Context(), caller), program, "condition", func(ctx context.Context) (string, error) {
				scope, err := db.RecordScopeOf(ctx)
				return scope.Condition(appointmentOwners), err
			})
			require.NoError(t, err)
			within := strings.NewReplacer("@scope_organization", "'"+organization.String()+"'", "@scope_user", "'"+user.String()+"'").
				Replace(condition)
			rows, err := owner.QueryContext(t.Context(), `EXPLAIN SELECT * FROM appointments
				WHERE organization_id = '`+organization.String()+`' AND `+within+` AND ends_at > '2026-05-04Z'
				AND starts_at > '2026-05-03Z' AND starts_at < '2026-05-11Z' AND version > 0
				ORDER BY CAST(starts_at AS timestamptz), id LIMIT 21`)
			require.NoError(t, err)
			defer func() { _ = rows.Close() }() // rows.Err returns the error
			var plan []string
			for rows.Next() {
				var line string
				require.NoError(t, rows.Scan(&line))
				plan = append(plan, line)
			}
			require.NoError(t, rows.Err())
			text := strings.Join(plan, "\n")
			require.Contains(t, text, "Index Scan using appointments_by_start", "the requested days")
			require.NotContains(t, text, "Seq Scan on appointment", "the participants' appointments")
		})
	}
}
