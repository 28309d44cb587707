package appointments

import (
	"context"
	"database/sql"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/dbtest"
)

// fillAppointments inserts appointments of five practices, each with its own patient and
// practitioner. It drops foreign keys, because the rows that they refer to do not exist.
const fillAppointments = `
	DO $$ DECLARE c record; BEGIN
		FOR c IN SELECT conrelid::regclass AS name, conname FROM pg_constraint
			WHERE contype = 'f' AND conrelid::regclass::text LIKE 'appointment%' LOOP
			EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', c.name, c.conname);
		END LOOP; END $$;
	INSERT INTO appointments (organization_id, id, service_code_id, status, starts_at, ends_at, service_date,
	created_by, created_at, updated_at)
	SELECT md5((n % 5)::text)::uuid, gen_random_uuid(), gen_random_uuid(), 'SCHEDULED', at, at + interval '1 hour',
	at::date, gen_random_uuid(), at, at
	FROM generate_series(1, 2000) n, LATERAL (SELECT '2026-01-01Z'::timestamptz + n * interval '1 hour' AS at) a;
	INSERT INTO appointment_patients (organization_id, appointment_id, patient_id, position, authorization_id, units, minutes, unit_minutes,
		rounding, rounding_starts_on, track, code, starts_at, ends_at, occupies)
	SELECT organization_id, id, id, 0, id, 4, 60, 15, 'CEILING', '0001-01-01', 'x', '97153', starts_at, ends_at, true FROM appointments;
	INSERT INTO appointment_practitioners (organization_id, appointment_id, practitioner_id, position, starts_at, ends_at, occupies)
	SELECT organization_id, id, id, 0, starts_at, ends_at, true FROM appointments;
	ANALYZE`

// TestPlans checks that rows are found by index: under SERIALIZABLE, everything that a plan reads
// is locked.
func TestPlans(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	owner, err := sql.Open("pgx", database.OwnerURL)
	require.NoError(t, err)
	defer owner.Close()
	_, err = owner.ExecContext(t.Context(), fillAppointments)
	require.NoError(t, err)
	opened := database.Open(t)
	const organization = "c4ca4238-a0b9-2382-0dcc-509a6f75849b" // md5('1')
	id := uuid.NewString()
	for _, test := range []struct{ it, query, index string }{
		{
			"finds an appointment by its id", `SELECT * FROM appointments t WHERE t.organization_id = '` + organization +
				`' AND t.id = '` + id + `'`,
			"appointments_pkey",
		},
		{
			"finds the patients of an appointment",
			`SELECT * FROM appointment_patients t
				WHERE t.organization_id = '` + organization + `' AND t.appointment_id = '` + id + `'`,
			"appointment_patients_pkey",
		},
		{
			"finds a practitioner's day by its start",
			`SELECT * FROM appointment_practitioners t WHERE t.organization_id = '` + organization + `' AND t.practitioner_id = '` + id + `'
				AND t.starts_at < now() AND t.starts_at > now() - interval '1 day' AND t.ends_at > now() AND t.occupies`,
			"appointment_practitioners_by_start",
		},
		{
			"finds a patient's day by its start",
			`SELECT * FROM appointment_patients t WHERE t.organization_id = '` + organization + `' AND t.patient_id = '` + id + `'
				AND t.starts_at < now() AND t.starts_at > now() - interval '1 day' AND t.ends_at > now() AND t.occupies`,
			"appointment_patients_by_start",
		},
		{
			"finds the leading practitioner",
			`SELECT * FROM appointment_practitioners t
				WHERE t.organization_id = '` + organization + `' AND t.appointment_id = '` + id + `' AND t.position = 0`,
			"appointment_practitioners_pkey",
		},
	} {
		t.Run("it "+test.it, func(t *testing.T) {
			t.Parallel()
			plan, err := db.Snapshot(t.Context(), opened, "plan", func(ctx context.Context) (string, error) {
				tx, err := db.Handle(ctx)
				if err != nil {
					return "", err
				}
				var lines []string
				err = tx.Raw("EXPLAIN " + test.query).Scan(&lines).Error
				return strings.Join(lines, "\n"), err
			})
			require.NoError(t, err)
			require.Contains(t, plan, test.index)
			require.NotContains(t, plan, "Seq Scan")
		})
	}
}

// TestPlanOfTheCalendar checks the plan of a week of one of several practices with years of
// appointments.
func TestPlanOfTheCalendar(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	owner, err := sql.Open("pgx", database.OwnerURL)
	require.NoError(t, err)
	defer owner.Close()
	_, err = owner.ExecContext(t.Context(), `
		ALTER TABLE appointments DROP CONSTRAINT appointments_service_code; -- the rows belong to no organization
		INSERT INTO appointments (organization_id, id, service_code_id, status, starts_at, ends_at, service_date,
		created_by, created_at, updated_at)
		SELECT md5((n % 5)::text)::uuid, gen_random_uuid(), gen_random_uuid(), 'SCHEDULED', at, at + interval '1 hour',
		at::date, gen_random_uuid(), at, at
		FROM generate_series(1, 20000) n, LATERAL (SELECT '2026-01-01Z'::timestamptz + n * interval '1 hour' AS at) a;
		ANALYZE appointments`)
	require.NoError(t, err)
	rows, err := owner.QueryContext(t.Context(), `
		EXPLAIN SELECT * FROM appointments WHERE organization_id = md5('1')::uuid
			AND ends_at > '2026-05-04Z' AND starts_at > '2026-05-03Z' AND starts_at < '2026-05-11Z' AND version > 0
			AND (CAST(starts_at AS timestamptz), id) > (CAST('2026-05-05T00:00:00Z' AS timestamptz), gen_random_uuid())
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
	require.Contains(t, strings.Join(plan, "\n"), "Index Scan using appointments_by_start")
}
