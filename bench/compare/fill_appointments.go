package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// practitioners deliver the appointments of a filled practice. Each has ten hours a day, from 8:00 UTC,
// so that half of the days are in the past.
const (
	practitioners   = 50
	hoursEach       = 10
	firstHour       = 8
	appointmentsDay = practitioners * hoursEach
)

// fillAppointments inserts the practitioners and appointments of one hour each. The past ones are
// completed and have a session. They are too short for a unit, so the ledger stays as it is.
func fillAppointments(ctx context.Context, c *pgx.Conn, n size, today time.Time) error {
	if n.appointments == 0 {
		return nil
	}
	first := today.AddDate(0, 0, -n.appointments/appointmentsDay/2)
	start := fmt.Sprintf("($2::timestamptz + n / %d * interval '1 day' + (%d + n / %d %% %d) * interval '1 hour')",
		appointmentsDay, firstHour, practitioners, hoursEach)
	end := "(" + start + " + interval '1 hour')"
	past := end + " <= $3::timestamptz"
	generated := fmt.Sprintf(" FROM generate_series(0, %d) n ", n.appointments-1)
	numbered := func(kind byte, count int) string {
		return fmt.Sprintf("(SELECT %s FROM (SELECT n %% %d) AS m (n))", idOf(kind), count)
	}
	patient, authorization, practitioner := numbered('T', n.patients), numbered('A', n.authorizations),
		numbered('S', practitioners)
	worked := "CASE WHEN " + past + " THEN " + start + " END, CASE WHEN " + past + " THEN " + end + " END"
	const rule = "15, 'MIDPOINT', date '2015-01-01'"
	for _, statement := range []string{
		`INSERT INTO practitioners (organization_id, id, first_name, last_name, created_at, updated_at)
			SELECT $1::uuid, ` + idOf('S') + `, 'Given ' || n, 'Family ' || n, $2::timestamptz, $3::timestamptz` +
			fmt.Sprintf(" FROM generate_series(0, %d) n", practitioners-1),
		`INSERT INTO appointments (organization_id, id, service_code_id, status, starts_at, ends_at, service_date, session_id,
				created_by, created_at, updated_at)
			SELECT $1::uuid, ` + idOf('B') + ", " + numbered('C', serviceCodes) + ", CASE WHEN " + past +
			" THEN 'COMPLETED' ELSE 'SCHEDULED' END, " + start + ", " + end + ", (" + start + " AT TIME ZONE 'UTC')::date, CASE WHEN " +
			past + " THEN " + idOf('D') + " END, '" + actor.String() + "', $2, $2" + generated,
		`INSERT INTO appointment_patients (organization_id, appointment_id, patient_id, position, authorization_id, units, minutes,
				unit_minutes, rounding, rounding_starts_on, track, code, starts_at, ends_at, occupies, worked_starts_at, worked_ends_at)
			SELECT $1::uuid, ` + idOf('B') + ", " + patient + ", 0, " + authorization + ", 0, 60, " + rule + ", 'DIRECT', '97153', " +
			start + ", " + end + ", true, " + worked + generated,
		`INSERT INTO appointment_practitioners (organization_id, appointment_id, position, practitioner_id, starts_at, ends_at,
				occupies, worked_starts_at, worked_ends_at)
			SELECT $1::uuid, ` + idOf('B') + ", 0, " + practitioner + ", " + start + ", " + end + ", true, " + worked + generated,
		`INSERT INTO sessions (organization_id, id, appointment_id, starts_at, ends_at, service_date, unauthorized_units, created_by,
				created_at, updated_at)
			SELECT $1::uuid, ` + idOf('D') + ", " + idOf('B') + ", " + start + ", " + end + ", (" + start +
			" AT TIME ZONE 'UTC')::date, 0, '" + actor.String() + "', $2, $2" + generated + "WHERE " + past,
		`INSERT INTO session_patients (organization_id, session_id, patient_id, position, authorization_id, minutes, units,
				unauthorized_units, unit_minutes, rounding, rounding_starts_on)
			SELECT $1::uuid, ` + idOf('D') + ", " + patient + ", 0, " + authorization + ", 60, 0, 0, " + rule + generated + "WHERE " + past,
	} {
		if _, err := c.Exec(ctx, statement, organization, first, today); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}
