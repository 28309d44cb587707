package appointments

import (
	"context"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
)

// The record scopes of appointments, sessions and calendar feeds. Indexes:
// appointment_patients_by_start, appointment_practitioners_by_start, session_patients_by_patient.
var (
	appointmentOwners = db.Owners{
		Patient: `appointments.id IN (SELECT part.appointment_id FROM appointment_patients part
			WHERE part.organization_id = @scope_organization AND part.patient_id IN (%s))`,
		Practitioner: `appointments.id IN (SELECT staff.appointment_id FROM appointment_practitioners staff
			WHERE staff.organization_id = @scope_organization AND staff.practitioner_id = (%s))`,
	}
	sessionOwners = db.Owners{
		Patient: `sessions.id IN (SELECT part.session_id FROM session_patients part
			WHERE part.organization_id = @scope_organization AND part.patient_id IN (%s))`,
		Practitioner: `sessions.appointment_id IN (SELECT staff.appointment_id FROM appointment_practitioners staff
			WHERE staff.organization_id = @scope_organization AND staff.practitioner_id = (%s))`,
	}
	feedOwners = db.Owners{
		Patient:      "calendar_feeds.patient_id IN (%s)",
		Practitioner: "calendar_feeds.practitioner_id = (%s)",
	}
)

// reachable returns the existing appointments within the caller's record scope. Index: the primary
// key.
func (store) reachable(ctx context.Context, ids []uuid.UUID) ([]uuid.UUID, error) {
	tx, _, err := db.ScopedTenant(ctx, appointmentOwners)
	if err != nil {
		return nil, err
	}
	var found []uuid.UUID
	err = tx.Model(&Appointment{}).Where("appointments.id IN ?", ids).Pluck("appointments.id", &found).Error
	return found, err
}
