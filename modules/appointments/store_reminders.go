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
}

// takeReminders records due reminders as published and returns the ones that were not recorded before,
// at most the given number, of all enabled organizations. A concurrent call waits for this one and
// then finds nothing to publish. Indexes: appointments_by_start, appointment_reminders_pkey.
func (store) takeReminders(ctx context.Context, now time.Time, before time.Duration, most int) ([]dueReminder, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return nil, err
	}
	var rows []dueReminder
	err = tx.Raw(`
		WITH due AS (
			SELECT a.organization_id, a.id, a.starts_at, a.ends_at, a.version FROM organizations o
			CROSS JOIN LATERAL (
				SELECT * FROM appointments t
				WHERE t.organization_id = o.id AND t.starts_at > $1 AND t.starts_at <= $2 AND t.status = 'SCHEDULED'
					AND t.version > 0 OFFSET 0) a
			WHERE NOT o.disabled AND NOT EXISTS (
				SELECT FROM appointment_reminders r WHERE r.organization_id = a.organization_id AND r.appointment_id = a.id
					AND r.starts_at = a.starts_at AND r.minutes_before = $3)
			ORDER BY a.organization_id, a.id LIMIT $4),
		published AS (
			INSERT INTO appointment_reminders (organization_id, appointment_id, starts_at, minutes_before, published_at)
			SELECT organization_id, id, starts_at, $3, $1 FROM due
			ON CONFLICT DO NOTHING RETURNING organization_id, appointment_id)
		SELECT d.organization_id, d.id AS appointment_id, d.starts_at, d.ends_at, d.version, $3::int AS minutes_before
		FROM due d JOIN published t ON t.organization_id = d.organization_id AND t.appointment_id = d.id`,
		now, now.Add(before), int(before/time.Minute), most).Scan(&rows).Error
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
