package appointments

import (
	"context"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/record"
)

// Days are calendar days from the first to the last, both included; a zero date means no limit.
type Days struct{ First, Last calendar.Date }

// in returns the start and the end of the days in the zone; a zero time means no limit.
func (d Days) in(zone *time.Location) Span {
	var s Span
	if !d.First.IsZero() {
		s.Start = dayIn(d.First, zone).Start
	}
	if !d.Last.IsZero() {
		s.End = dayIn(d.Last, zone).End
	}
	return s
}

// narrow limits a query to rows that overlap the span, so that an appointment that crosses midnight
// is on both days. Nothing is longer than [MaxLength], which limits how far back an index by start
// is read.
func (s Span) narrow(tx *gorm.DB) *gorm.DB {
	if !s.Start.IsZero() {
		tx = tx.Where("ends_at > ? AND starts_at > ?", s.Start, s.Start.Add(-MaxLength))
	}
	if !s.End.IsZero() {
		tx = tx.Where("starts_at < ?", s.End)
	}
	return tx
}

// list returns appointments sorted by start. Indexes: appointments_by_start; for practitioners or patients,
// theirs by start; for authorizations, appointment_patients_by_authorization; for a series,
// appointments_by_series.
func (s store) list(ctx context.Context, f Filter, within Span) ([]Appointment, error) {
	tx, organization, err := db.ScopedTenant(ctx, appointmentOwners)
	if err != nil {
		return nil, err
	}
	tx = within.narrow(tx).Where("version > 0") // matches the index condition
	if f.SeriesID != uuid.Nil {
		tx = tx.Where("series_id = ?", f.SeriesID)
	}
	if len(f.Statuses) > 0 {
		tx = tx.Where("status IN ?", f.Statuses)
	}
	if len(f.ServiceCodes) > 0 {
		tx = tx.Where("service_code_id IN ?", f.ServiceCodes)
	}
	if len(f.Locations) > 0 {
		tx = tx.Where("location_id IN ?", f.Locations)
	}
	for _, part := range []struct {
		table, column string
		ids           []uuid.UUID
	}{
		{"appointment_patients", "patient_id", f.Patients},
		{"appointment_patients", "authorization_id", f.Authorizations},
		{"appointment_practitioners", "practitioner_id", f.Practitioners},
	} {
		if len(part.ids) == 0 {
			continue
		}
		handle, err := db.Handle(ctx)
		if err != nil {
			return nil, err
		}
		taking := within.narrow(handle.Table(part.table).Select("appointment_id").
			Where("organization_id = ? AND "+part.column+" IN ?", organization, part.ids))
		tx = tx.Where("id IN (?)", taking)
	}
	rows, err := db.Find[Appointment](ctx, f.Page.Apply(tx))
	if err != nil {
		return nil, err
	}
	return s.withParticipants(ctx, rows)
}

// scheduled returns the SCHEDULED appointments of the caller's organization, sorted by start,
// without participants.
func (store) scheduled(ctx context.Context) ([]Appointment, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	var found []Appointment
	err = tx.Where("version > 0 AND status = ?", Scheduled).Order("starts_at, id").Find(&found).Error
	return found, err
}

// Hold is an appointment's use of an authorization: the units that an open one holds, or that the
// session of a completed one has used.
type Hold struct {
	OrganizationID  uuid.UUID
	AuthorizationID uuid.UUID
	AppointmentID   uuid.UUID
	ReservationID   *uuid.UUID // nil: it has never held any units
	Units           int
	ServiceDate     calendar.Date
	Settled         bool // used by the session; nothing is held
}

// holds returns the units that open appointments hold on the authorizations, and that sessions have
// used. A completed appointment without a session counts as nothing used. OFFSET 0 forces a look-up
// by primary key for each row: without statistics the planner would scan a table for each of them.
// Indexes: appointment_patients_by_authorization, the primary keys.
func (store) holds(ctx context.Context, authorizations []record.Key) ([]Hold, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return nil, err
	}
	var rows []Hold
	err = tx.Raw(`
		SELECT p.organization_id, p.authorization_id, p.appointment_id, p.reservation_id, a.service_date,
			a.status = 'COMPLETED' AS settled,
			CASE a.status WHEN 'COMPLETED' THEN coalesce(s.units - s.unauthorized_units, 0) ELSE p.units END AS units
		FROM unnest($1::uuid[], $2::uuid[]) AS k (organization_id, id)
		JOIN appointment_patients p ON p.organization_id = k.organization_id AND p.authorization_id = k.id AND p.occupies
			AND p.position >= 0
		CROSS JOIN LATERAL (SELECT a.service_date, a.status, a.session_id FROM appointments a
			WHERE a.organization_id = p.organization_id AND a.id = p.appointment_id OFFSET 0) a
		LEFT JOIN LATERAL (SELECT s.units, s.unauthorized_units FROM session_patients s
			WHERE s.organization_id = p.organization_id AND s.session_id = a.session_id
				AND s.patient_id = p.patient_id AND s.authorization_id = p.authorization_id OFFSET 0) s ON true
		WHERE a.status IN ('SCHEDULED', 'IN_PROGRESS', 'COMPLETED')`,
		db.KeyColumns(authorizations)...).Scan(&rows).Error
	return rows, err
}

// consumptions returns the parts of all versions of sessions whose units the authorizations covered.
// OFFSET 0 as in [store.holds]. Indexes: appointment_patients_by_authorization,
// session_version_patients_by_authorization, the primary keys.
func (store) consumptions(ctx context.Context, authorizations []record.Key) (map[record.Key][]consumption, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return nil, err
	}
	var rows []consumption
	err = tx.Raw(`
		SELECT p.organization_id, p.authorization_id, s.session_id, 0 AS version, s.units - s.unauthorized_units AS units,
			s.consumption AS entry, true AS present
		FROM unnest($1::uuid[], $2::uuid[]) AS k (organization_id, id)
		JOIN appointment_patients p ON p.organization_id = k.organization_id AND p.authorization_id = k.id AND p.occupies
			AND p.position >= 0
		CROSS JOIN LATERAL (SELECT a.session_id FROM appointments a
			WHERE a.organization_id = p.organization_id AND a.id = p.appointment_id OFFSET 0) a
		CROSS JOIN LATERAL (SELECT s.session_id, s.units, s.unauthorized_units, s.consumption FROM session_patients s
			WHERE s.organization_id = p.organization_id AND s.session_id = a.session_id
				AND s.patient_id = p.patient_id AND s.authorization_id = p.authorization_id OFFSET 0) s
		WHERE s.consumption IS NOT NULL
		UNION ALL
		SELECT v.organization_id, v.authorization_id, v.session_id, v.version, v.units - v.unauthorized_units,
			v.consumption, false
		FROM unnest($1::uuid[], $2::uuid[]) AS k (organization_id, id)
		JOIN session_version_patients v ON v.organization_id = k.organization_id AND v.authorization_id = k.id
		WHERE v.consumption IS NOT NULL`,
		db.KeyColumns(authorizations)...).Scan(&rows).Error
	found := make(map[record.Key][]consumption, len(authorizations))
	for _, r := range rows {
		key := record.Of(r.OrganizationID, r.AuthorizationID)
		found[key] = append(found[key], r)
	}
	return found, err
}
