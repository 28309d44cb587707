package authorization_test

import (
	"context"
	"database/sql"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	_ "github.com/jackc/pgx/v5/stdlib" // to run statements outside the program
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/db/dbtest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// records has rows of two organizations to refer to.
type records struct {
	database     *sql.DB
	organization [2]uuid.UUID
	patient      [2]uuid.UUID
	code         [2]uuid.UUID
	granted      [2]uuid.UUID // authorizations of 10 units
}

// insert writes the rows with plain SQL, as the program's database role.
func insert(t *testing.T) records {
	t.Helper()
	connection, err := sql.Open("pgx", dbtest.WithAllOrganizations(dbtest.New(t).AppURL))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, connection.Close()) })
	r := records{database: connection}
	for i := range 2 {
		r.organization[i], r.patient[i], r.code[i], r.granted[i] = uuid.New(), uuid.New(), uuid.New(), uuid.New()
		r.must(
			t,
			`INSERT INTO organizations (id, name, time_zone, version, created_at, updated_at) VALUES ($1, 'x', 'UTC', 1, now(), now())`,
			r.organization[i],
		)
		r.must(t, `INSERT INTO patients (organization_id, id, first_name, last_name, date_of_birth, status, version, created_at, updated_at)
			VALUES ($1, $2, 'Ada', 'Example', '2019-01-01', 'ACTIVE', 1, now(), now())`, r.organization[i], r.patient[i])
		r.must(t, `INSERT INTO service_codes (organization_id, id, code, description, unit_minutes, active, version, created_at, updated_at)
			VALUES ($1, $2, '97153', 'x', 15, true, 1, now(), now())`, r.organization[i], r.code[i])
		require.NoError(t, r.grant(r.organization[i], r.granted[i], r.patient[i], r.code[i]))
	}
	return r
}

func (r records) must(t *testing.T, statement string, arguments ...any) {
	t.Helper()
	_, err := r.database.ExecContext(t.Context(), statement, arguments...)
	require.NoError(t, err)
}

func (r records) grant(organization, id, patient, code uuid.UUID) error {
	_, err := r.database.ExecContext(context.Background(), `
		INSERT INTO authorizations (organization_id, id, patient_id, service_code_id, initial_units, total_units,
			start_date, end_date, status, last_hash, created_at, updated_at)
		VALUES ($1, $2, $3, $4, 10, 10, '2026-01-01', '2026-12-31', 'ACTIVE', sha256(''), now(), now())`, organization, id, patient, code)
	return err
}

func (r records) reserve(organization, authorization, id uuid.UUID, units, consumed, released int) error {
	_, err := r.database.ExecContext(context.Background(), `
		INSERT INTO unit_reservations (organization_id, id, authorization_id, sequence, units, consumed_units, released_units,
			service_date, created_at, updated_at)
		VALUES ($1, $2, $3, 1, $4, $5, $6, '2026-06-01', now(), now())`, organization, id, authorization, units, consumed, released)
	return err
}

func requireViolates(t *testing.T, constraint string, err error) {
	t.Helper()
	var violation *pgconn.PgError
	require.ErrorAs(t, err, &violation)
	require.Equal(t, constraint, violation.ConstraintName)
}

// TestConstraintsProtectTheCounters bypasses the program: the constraints refuse what the rules
// refuse first.
func TestConstraintsProtectTheCounters(t *testing.T) {
	t.Parallel()
	r := insert(t)
	for name, set := range map[string]string{
		"authorizations_units_within_total":      "used_units = 6, scheduled_units = 5",
		"authorizations_total_not_negative":      "total_units = -1, used_units = 0",
		"authorizations_used_not_negative":       "used_units = -1",
		"authorizations_scheduled_not_negative":  "scheduled_units = -1",
		"authorizations_caps_not_negative":       "cap_total = 0, cap_week = -1, booked_by_date = '{}'",
		"authorizations_booked_by_date_for_caps": "cap_month = 1",
		"authorizations_dates_in_order":          "end_date = '2025-12-31'",
		"authorizations_status_stored":           "status = 'EXPIRED'",
	} {
		t.Run("it refuses "+set, func(t *testing.T) {
			t.Parallel()
			_, err := r.database.ExecContext(t.Context(), "UPDATE authorizations SET "+set+" WHERE id = $1", r.granted[0])
			var violation *pgconn.PgError
			require.ErrorAs(t, err, &violation)
			require.Equal(t, "23514", violation.Code)
			if name != "authorizations_total_not_negative" { // a negative total is also below the used units
				require.Equal(t, name, violation.ConstraintName)
			}
		})
	}
	t.Run("refuses to settle more than is reserved", func(t *testing.T) {
		t.Parallel()
		requireViolates(t, "unit_reservations_settled_within_units", r.reserve(r.organization[0], r.granted[0], uuid.New(), 4, 3, 2))
	})
	t.Run("keeps an authorization with reservations", func(t *testing.T) {
		t.Parallel()
		require.NoError(t, r.reserve(r.organization[1], r.granted[1], uuid.New(), 4, 0, 0))
		_, err := r.database.ExecContext(t.Context(), "DELETE FROM authorizations WHERE id = $1", r.granted[1])
		requireViolates(t, "unit_reservations_authorization", err)
	})
}

// TestRowsOfOneOrganizationDoNotPointAtAnothers inserts references across organizations.
func TestRowsOfOneOrganizationDoNotPointAtAnothers(t *testing.T) {
	t.Parallel()
	r := insert(t)
	own, other := r.organization[0], r.organization[1]
	requireViolates(t, "authorizations_patient", r.grant(own, uuid.New(), r.patient[1], r.code[0]))
	requireViolates(t, "authorizations_service_code", r.grant(own, uuid.New(), r.patient[0], r.code[1]))
	requireViolates(t, "unit_reservations_authorization", r.reserve(own, r.granted[1], uuid.New(), 1, 0, 0))

	reservation := uuid.New()
	require.NoError(t, r.reserve(other, r.granted[1], reservation, 1, 0, 0))
	requireViolates(t, "unit_entries_reservation", r.enter(own, r.granted[0], "reserve", &reservation))
	requireViolates(t, "unit_entries_authorization", r.enter(own, r.granted[1], "adjust", nil))
}

// TestEveryEntryHasAnAuthorization checks the reference of entries with and without a reservation.
func TestEveryEntryHasAnAuthorization(t *testing.T) {
	t.Parallel()
	r := insert(t)
	organization, nobodys := r.organization[0], uuid.New()
	requireViolates(t, "unit_entries_reservation", r.enter(organization, nobodys, "reserve", &nobodys))
	requireViolates(t, "unit_entries_authorization", r.enter(organization, nobodys, "adjust", nil))

	_, err := r.database.ExecContext(t.Context(), "DELETE FROM authorizations WHERE id = $1", r.granted[1])
	require.NoError(t, err, "it has no entries")
	require.NoError(t, r.enter(organization, r.granted[0], "adjust", nil))
	_, err = r.database.ExecContext(t.Context(), "DELETE FROM authorizations WHERE id = $1", r.granted[0])
	requireViolates(t, "unit_entries_authorization", err)
}

// enter appends an entry to the ledger of the authorization.
func (r records) enter(organization, authorization uuid.UUID, kind string, reservation *uuid.UUID) error {
	_, err := r.database.ExecContext(context.Background(), `
		INSERT INTO unit_entries (organization_id, authorization_id, sequence, kind, units, reservation_id, operation_id, actor_id,
			request_id, total_after, used_after, scheduled_after, occurred_at, previous_hash, hash)
		VALUES ($1, $2, 1, $3, 1, $4, $1, $1, '', 10, 0, 1, now(), sha256(''), sha256(''))`, organization, authorization, kind, reservation)
	return err
}

// TestHotStatementsUseTheirIndexes guards against sequential scans: SSI would lock the whole table,
// and transactions on different authorizations would abort each other.
func TestHotStatementsUseTheirIndexes(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	owner, err := sql.Open("pgx", database.OwnerURL)
	require.NoError(t, err)
	defer owner.Close()
	for _, statement := range []string{
		`INSERT INTO organizations (id, name, time_zone, version, created_at, updated_at)
			VALUES ('00000000-0000-7000-8000-00000000000a', 'x', 'UTC', 1, now(), now())`,
		`INSERT INTO patients (organization_id, id, first_name, last_name, date_of_birth, status, version, created_at, updated_at)
			SELECT id, id, 'Ada', 'Example', '2019-01-01', 'ACTIVE', 1, now(), now() FROM organizations`,
		`INSERT INTO service_codes (organization_id, id, code, description, unit_minutes, active, version, created_at, updated_at)
			SELECT id, id, '97153', 'x', 15, true, 1, now(), now() FROM organizations`,
		`INSERT INTO authorizations (organization_id, id, patient_id, service_code_id, initial_units, total_units,
			start_date, end_date, status, last_hash, created_at, updated_at)
			SELECT o.id, gen_random_uuid(), o.id, o.id, 10, 10, '2026-01-01'::date + n, '2026-06-01'::date + n, 'ACTIVE', sha256(''), now(), now()
			FROM organizations o, generate_series(1, 100) n`,
		`INSERT INTO unit_reservations (organization_id, id, authorization_id, sequence, units, service_date, created_at, updated_at)
			SELECT organization_id, gen_random_uuid(), id, n, 1, '2026-06-01', now(), now() FROM authorizations, generate_series(1, 20) n`,
		`INSERT INTO commands (organization_id, id, call_id, kind, fingerprint, answer, created_at)
			SELECT organization_id, id, id, 'reserve', sha256(''), '{}', now() FROM unit_reservations`,
		`INSERT INTO unit_entries (organization_id, authorization_id, sequence, kind, units, operation_id, actor_id,
			request_id, total_after, used_after, scheduled_after, occurred_at, previous_hash, hash)
			SELECT organization_id, id, n, 'adjust', 1, id, id, '', n, 0, 0, now(), sha256(''), sha256('')
			FROM authorizations, generate_series(1, 20) n`,
		`ANALYZE`,
	} {
		_, err := owner.ExecContext(t.Context(), statement)
		require.NoError(t, err)
	}
	const (
		organization = `organization_id = '00000000-0000-7000-8000-00000000000a'`
		id           = `'00000000-0000-7000-8000-00000000000b'`
	)
	for statement, index := range map[string]string{
		`SELECT * FROM authorizations WHERE ` + organization + ` AND id = ` + id:                                        "authorizations_pkey",
		`UPDATE authorizations SET used_units = 1 WHERE ` + organization + ` AND id = ` + id + ` AND last_sequence = 0`: "authorizations_pkey",
		`SELECT * FROM commands WHERE ` + organization + ` AND id = ` + id:                                              "commands_pkey",
		`SELECT * FROM unit_reservations WHERE ` + organization + ` AND authorization_id = ` + id + `
			AND id = ` + id: "unit_reservations_pkey",
		`SELECT * FROM unit_reservations WHERE ` + organization + ` AND authorization_id = ` + id + `
			AND open AND appointment_id IS NULL AND (expires_at IS NULL OR expires_at > now())
			ORDER BY sequence LIMIT 4`: "unit_reservations_open_oldest_first",
		`SELECT organization_id, authorization_id FROM unit_reservations WHERE open AND expires_at IS NOT NULL AND expires_at <= now()
			GROUP BY 1, 2 ORDER BY min(expires_at) LIMIT 100`: "unit_reservations_open_by_expiry",
		`SELECT 1 FROM ONLY unit_entries x WHERE ` + organization + ` AND adjusts = ` + id + ` FOR KEY SHARE OF x`: "unit_entries_adjusting",
	} {
		rows, err := owner.QueryContext(t.Context(), "EXPLAIN "+statement)
		require.NoError(t, err)
		plan := ""
		for rows.Next() {
			var line string
			require.NoError(t, rows.Scan(&line))
			plan += line + "\n"
		}
		require.NoError(t, rows.Err())
		require.Contains(t, plan, index, statement)
		require.NotContains(t, plan, "Seq Scan", statement)
	}
}
