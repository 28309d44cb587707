package appointments

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/record"
)

// dueReminder is an appointment with a due reminder.
type dueReminder struct {
	OrganizationID uuid.UUID
	AppointmentID  uuid.UUID
	Span
	Version       int
	MinutesBefore int
	Published     bool // by another instance, meanwhile
}

// longestChange is the longest time that a change of an organization takes to commit.
const longestChange = time.Minute

// takeReminders records due reminders as published and returns the ones that were not recorded before,
// at most the given number, of all enabled organizations. A concurrent call waits for this one. It reads
// the appointments that have come near in the run, the changed ones, and all near ones of changed
// organizations, which may have been enabled. Indexes: appointments_by_start, appointment_reminders_pkey, the
// primary keys.
func (store) takeReminders(
	ctx context.Context, run reminderRun, before time.Duration, most int,
) ([]dueReminder, error) {
	const near = `t.status = 'SCHEDULED' AND t.version > 0
		AND t.starts_at > $1::timestamptz AND t.starts_at <= $2::timestamptz`
	columns := db.KeyColumns(run.changed)
	var rows []dueReminder
	err := db.Read(ctx, db.Into(&rows, `
		WITH near AS (
			SELECT a.* FROM organizations o CROSS JOIN LATERAL (
				SELECT t.organization_id, t.id, t.starts_at, t.ends_at, t.version FROM appointments t
				WHERE t.organization_id = o.id AND `+near+`
					AND t.starts_at > CASE WHEN o.updated_at > $8::timestamptz THEN $1::timestamptz
						ELSE $5::timestamptz END OFFSET 0) a
			UNION
			SELECT a.* FROM unnest($6::uuid[], $7::uuid[]) AS k (organization_id, id) CROSS JOIN LATERAL (
				SELECT t.organization_id, t.id, t.starts_at, t.ends_at, t.version FROM appointments t
				WHERE t.organization_id = k.organization_id AND t.id = k.id AND `+near+` OFFSET 0) a),
		due AS (
			SELECT a.* FROM near a JOIN organizations o ON o.id = a.organization_id
			WHERE NOT o.disabled AND NOT EXISTS (
				SELECT FROM appointment_reminders r WHERE r.organization_id = a.organization_id AND r.appointment_id = a.id
					AND r.starts_at = a.starts_at AND r.minutes_before = $3::int)
			ORDER BY a.organization_id, a.id LIMIT $4::int),
		published AS (
			INSERT INTO appointment_reminders (organization_id, appointment_id, starts_at, minutes_before, published_at)
			SELECT organization_id, id, starts_at, $3::int, $1::timestamptz FROM due
			ON CONFLICT DO NOTHING RETURNING organization_id, appointment_id)
		SELECT d.organization_id, d.id AS appointment_id, d.starts_at, d.ends_at, d.version, $3::int AS minutes_before,
			t.appointment_id IS NULL AS published
		FROM due d LEFT JOIN published t ON t.organization_id = d.organization_id AND t.appointment_id = d.id`,
		run.now, run.now.Add(before), int(before/time.Minute), most, run.after(before), columns[0], columns[1],
		run.since.Add(-longestChange)))
	return rows, err
}

// patientsOfReminders returns the patients of appointments, by appointment. Index: the primary key.
func (store) patientsOfReminders(ctx context.Context, due []dueReminder) (map[record.Key][]uuid.UUID, error) {
	organizations, appointments := make([]uuid.UUID, len(due)), make([]uuid.UUID, len(due))
	for i, d := range due {
		organizations[i], appointments[i] = d.OrganizationID, d.AppointmentID
	}
	type patient struct{ OrganizationID, AppointmentID, PatientID uuid.UUID }
	rows, err := db.Select[patient](ctx, `
		SELECT organization_id, appointment_id, patient_id
		FROM appointment_patients
		WHERE organization_id IN ? AND appointment_id IN ?
		ORDER BY organization_id, appointment_id, position`, organizations, appointments)
	patients := map[record.Key][]uuid.UUID{}
	for _, r := range rows {
		key := record.Of(r.OrganizationID, r.AppointmentID)
		patients[key] = append(patients[key], r.PatientID)
	}
	return patients, err
}
