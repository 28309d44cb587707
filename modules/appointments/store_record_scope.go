package appointments

import (
	"context"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/record"
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

// inScope returns the existing appointments within the caller's record scope. Index: the primary
// key.
func (store) inScope(ctx context.Context, ids []uuid.UUID) ([]uuid.UUID, error) {
	tx, _, err := db.ScopedTenant(ctx, appointmentOwners)
	if err != nil {
		return nil, err
	}
	var found []uuid.UUID
	err = tx.Model(&Appointment{}).Where("appointments.id IN ?", ids).Pluck("appointments.id", &found).Error
	return found, err
}

// requireInScope returns [ErrNotFound] if one of the appointments is outside the caller's record
// scope, by the same condition as in lists. It runs no query if the scope is the organization, and
// does not check that the appointments exist.
func (s store) requireInScope(ctx context.Context, ids []uuid.UUID) error {
	scope, err := db.RecordScopeOf(ctx)
	if err != nil || scope.WholeOrganization() {
		return err
	}
	visible, err := s.inScope(ctx, ids)
	if err == nil && len(visible) < len(ids) {
		err = ErrNotFound
	}
	return err
}

// requireAppointment returns [ErrNotFound] unless the caller's organization has the appointment and
// it is within the caller's record scope.
func (s store) requireAppointment(ctx context.Context, id uuid.UUID) error {
	caller, err := identity.From(ctx)
	if err != nil {
		return err
	}
	if err := s.requireInScope(ctx, []uuid.UUID{id}); err != nil {
		return err
	}
	key := record.Of(caller.OrganizationID, id)
	found, err := s.several(ctx, []record.Key{key})
	if _, ok := found[key]; err == nil && !ok {
		err = ErrNotFound
	}
	return err
}
