package appointments

import (
	"context"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
)

// missedOwners is the record scope of patients' parts in missed appointments.
var missedOwners = db.Owners{
	Patient: "p.patient_id IN (%s)",
	Practitioner: `a.id IN (SELECT staff.appointment_id FROM appointment_practitioners staff
		WHERE staff.organization_id = @scope_organization AND staff.practitioner_id = (%s))`,
}

// cancellationGroups has the expressions by which missed appointments are grouped.
var cancellationGroups = map[CancellationGroup]string{
	GroupByReason:       "coalesce(CAST(a.cancellation_reason_id AS text), '')",
	GroupByParty:        "coalesce(a.cancellation_party, '')",
	GroupByPatient:      "CAST(p.patient_id AS text)",
	GroupByPractitioner: "CAST(s.practitioner_id AS text)",
	GroupByMonth:        "substr(CAST(a.service_date AS text), 1, 7)",
}

// missedColumns has the sums of a group. The first ones count appointments, the others add up patients' parts.
const missedColumns = ` AS group_key,
	count(DISTINCT CASE WHEN a.status = 'CANCELLED' THEN a.id END) AS cancellations,
	count(DISTINCT CASE WHEN a.status = 'CANCELLED' AND a.late_cancel THEN a.id END) AS late_cancellations,
	count(DISTINCT CASE WHEN a.status = 'NO_SHOW' THEN a.id END) AS no_shows,
	sum(p.minutes) AS missed_minutes, sum(p.units) AS missed_units,
	sum(m.made_up_minutes) AS made_up_minutes, sum(m.made_up_units) AS made_up_units,
	sum(m.planned_minutes) AS planned_minutes, sum(m.planned_units) AS planned_units,
	sum(greatest(p.minutes - m.made_up_minutes - m.planned_minutes, 0)) AS left_minutes,
	sum(greatest(p.units - m.made_up_units - m.planned_units, 0)) AS left_units`

// missedParts joins the patients' parts in missed appointments, the leading practitioner, and the sums of the
// make-ups of each part. Indexes: the primary keys, appointments_by_missed.
const missedParts = `
	JOIN appointment_patients p ON p.organization_id = a.organization_id AND p.appointment_id = a.id
	JOIN appointment_practitioners s ON s.organization_id = a.organization_id AND s.appointment_id = a.id
		AND s.position = 0
	CROSS JOIN LATERAL (
		SELECT coalesce(sum(CASE WHEN u.status = 'COMPLETED' THEN q.minutes END), 0) AS made_up_minutes,
			coalesce(sum(CASE WHEN u.status = 'COMPLETED' THEN q.units END), 0) AS made_up_units,
			coalesce(sum(CASE WHEN u.status <> 'COMPLETED' THEN q.minutes END), 0) AS planned_minutes,
			coalesce(sum(CASE WHEN u.status <> 'COMPLETED' THEN q.units END), 0) AS planned_units
		FROM appointments u
		JOIN appointment_patients q ON q.organization_id = u.organization_id AND q.appointment_id = u.id
		WHERE u.organization_id = a.organization_id AND u.make_up_for = a.id AND q.patient_id = p.patient_id
			AND q.occupies) m`

// missedGroups returns the groups of missed appointments, sorted by their keys. It reads all missed appointments of the
// days. Index: appointments_by_start.
func (store) missedGroups(ctx context.Context, f CancellationFilter, within Span) ([]MissedGroup, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	scope, err := db.RecordScopeOf(ctx)
	if err != nil {
		return nil, err
	}
	handle, err := db.Handle(ctx)
	if err != nil {
		return nil, err
	}
	// Service dates follow the time zone of the location, which may be another one.
	missed := tx.Model(&Appointment{}).Where("version > 0 AND status IN ('CANCELLED', 'NO_SHOW')").
		Where("starts_at >= ? AND starts_at < ?", within.Start.Add(-MaxLength), within.End.Add(MaxLength)).
		Where("service_date >= ? AND service_date <= ?", f.Days.First, f.Days.Last)
	if f.ReasonID != uuid.Nil {
		missed = missed.Where("cancellation_reason_id = ?", f.ReasonID)
	}
	if f.Party != "" {
		missed = missed.Where("cancellation_party = ?", f.Party)
	}
	key := cancellationGroups[f.GroupBy]
	parts := scope.Apply(handle.Table("(?) AS a", missed).Joins(missedParts), missedOwners)
	if f.PatientID != uuid.Nil {
		parts = parts.Where("p.patient_id = ?", f.PatientID)
	}
	if f.PractitionerID != uuid.Nil {
		parts = parts.Where("s.practitioner_id = ?", f.PractitionerID)
	}
	if f.After != nil {
		parts = parts.Where(key+" > ?", f.After.Key)
	}
	var found []MissedGroup
	err = parts.Select(key + missedColumns).Group(key).Order("group_key").Limit(f.Limit).Scan(&found).Error
	return found, err
}
