package appointments

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/record"
)

// deliveredStore reads delivered sessions for billing.
type deliveredStore struct{}

// deliveredReading reads delivered sessions with their patients and practitioners.
type deliveredReading struct {
	queries      []db.Query
	organization uuid.UUID
	rows         []Delivered
	patients     []sessionPatientRow
	staff        []struct{ AppointmentID, PractitionerID uuid.UUID }
}

// read returns a reading of sessions, in one round trip. Indexes: sessions_by_start, whose range is wider
// than the service dates by the time zones; the primary keys.
func (deliveredStore) read(
	ctx context.Context, from, to calendar.Date, ids []uuid.UUID,
) (*deliveredReading, error) {
	_, organization, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	const which = `FROM sessions s WHERE s.organization_id = $1 AND (
		s.starts_at >= $2::date - interval '2 days' AND s.starts_at < $3::date + interval '3 days'
			AND s.service_date BETWEEN $2::date AND $3::date
		OR s.id = ANY ($4::uuid[]))`
	r, arguments := &deliveredReading{organization: organization}, []any{organization, from, to, db.UUIDs(ids)}
	r.queries = []db.Query{
		db.Into(&r.rows, `
			SELECT s.*, (SELECT a.service_code_id FROM appointments a
				WHERE a.organization_id = s.organization_id AND a.id = s.appointment_id) AS service_code_id `+which+`
			ORDER BY s.starts_at, s.id`, arguments...),
		db.Into(&r.patients, `
			SELECT p.*, p.rounding AS rounding_method FROM (SELECT s.id `+which+` OFFSET 0) k CROSS JOIN LATERAL (
				SELECT * FROM session_patients t WHERE t.organization_id = $1 AND t.session_id = k.id OFFSET 0) p
			ORDER BY p.position`, arguments...),
		db.Into(&r.staff, `
			SELECT p.appointment_id, p.practitioner_id FROM (SELECT DISTINCT s.appointment_id AS id `+which+`) k
			CROSS JOIN LATERAL (
				SELECT * FROM appointment_practitioners t WHERE t.organization_id = $1 AND t.appointment_id = k.id OFFSET 0) p
			ORDER BY p.position`, arguments...),
	}
	return r, nil
}

// delivered returns the sessions that were read.
func (r *deliveredReading) delivered() []Delivered {
	bySession, byAppointment := map[uuid.UUID]*Delivered{}, map[uuid.UUID][]*Delivered{}
	for i := range r.rows {
		d := &r.rows[i]
		d.Span = d.Span.utc()
		bySession[d.ID] = d
		byAppointment[d.AppointmentID] = append(byAppointment[d.AppointmentID], d)
	}
	for _, p := range r.patients {
		d := bySession[p.SessionID]
		d.Patients = append(d.Patients, p.part())
	}
	for _, p := range r.staff {
		for _, d := range byAppointment[p.AppointmentID] {
			d.Practitioners = append(d.Practitioners, p.PractitionerID)
		}
	}
	return r.rows
}

// setExported writes the time of the export of sessions. Index: the primary key.
func (deliveredStore) setExported(ctx context.Context, sessions []uuid.UUID, at *time.Time) error {
	tx, err := db.Handle(ctx)
	if err != nil {
		return err
	}
	_, organization, err := db.Tenant(ctx)
	if err != nil {
		return err
	}
	return tx.Exec("UPDATE sessions SET exported_at = $3::timestamptz WHERE organization_id = $1 AND id = ANY ($2::uuid[])",
		organization, db.UUIDs(sessions), at).Error
}

// coveredUnits returns the units of the present and the earlier versions of sessions. OFFSET 0 as in
// [store.holds]. Indexes: session_patients_by_authorization, session_version_patients_by_authorization,
// the primary keys.
func (deliveredStore) coveredUnits(ctx context.Context, authorizations []record.Key) ([]CoveredUnits, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return nil, err
	}
	var found []CoveredUnits
	err = tx.Raw(`
		SELECT v.organization_id, v.authorization_id, v.session_id, s.version, v.units - v.unauthorized_units AS units,
			CASE WHEN s.voided_at IS NULL THEN a.id END AS appointment_id
		FROM unnest($1::uuid[], $2::uuid[]) AS k (organization_id, id)
		JOIN session_patients v ON v.organization_id = k.organization_id AND v.authorization_id = k.id
		CROSS JOIN LATERAL (SELECT s.appointment_id, s.version, s.voided_at FROM sessions s
			WHERE s.organization_id = v.organization_id AND s.id = v.session_id OFFSET 0) s
		CROSS JOIN LATERAL (SELECT a.id FROM appointments a
			WHERE a.organization_id = v.organization_id AND a.id = s.appointment_id AND a.session_id = v.session_id
				OFFSET 0) a
		WHERE EXISTS (SELECT FROM appointment_patients p
			WHERE p.organization_id = v.organization_id AND p.appointment_id = a.id AND p.patient_id = v.patient_id
				AND p.authorization_id = v.authorization_id OFFSET 0)
		UNION ALL
		SELECT v.organization_id, v.authorization_id, v.session_id, v.version, v.units - v.unauthorized_units, NULL
		FROM unnest($1::uuid[], $2::uuid[]) AS k (organization_id, id)
		JOIN session_version_patients v ON v.organization_id = k.organization_id AND v.authorization_id = k.id`,
		db.KeyColumns(authorizations)...).Scan(&found).Error
	return found, err
}
