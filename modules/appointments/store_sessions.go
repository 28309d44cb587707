package appointments

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/record"
	"omnirapeutic/platform/scheduling"
)

// session returns a session with its parts, within the caller's record scope. Index: the primary
// key.
func (s store) session(ctx context.Context, id uuid.UUID) (Session, error) {
	tx, _, err := db.ScopedTenant(ctx, sessionOwners)
	if err != nil {
		return Session{}, err
	}
	var found Session
	err = tx.Where("id = ?", id).Take(&found).Error
	if db.IsNotFound(err) {
		return Session{}, ErrSessionNotFound
	}
	if err != nil {
		return Session{}, err
	}
	all, err := s.withParts(ctx, []Session{found})
	if err != nil {
		return Session{}, err
	}
	return all[0], nil
}

// sessions returns sessions sorted by start. Indexes: sessions_by_start, sessions_unauthorized; for
// one patient session_patients_by_patient, for one practitioner the primary key of
// appointment_practitioners.
func (s store) sessions(ctx context.Context, f SessionFilter, within Span, narrow narrowing) ([]Session, error) {
	tx, organization, err := db.ScopedTenant(ctx, sessionOwners)
	if err != nil {
		return nil, err
	}
	if tx, err = narrow.apply(within.narrow(tx)); err != nil {
		return nil, err
	}
	if f.AppointmentID != uuid.Nil {
		tx = tx.Where("appointment_id = ?", f.AppointmentID)
	}
	switch {
	case f.Voided == nil:
	case *f.Voided:
		tx = tx.Where("voided_at IS NOT NULL")
	default:
		tx = tx.Where("voided_at IS NULL")
	}
	switch {
	case f.Unauthorized == nil:
	case *f.Unauthorized:
		tx = tx.Where("unauthorized_units > 0")
	default:
		tx = tx.Where("unauthorized_units = 0")
	}
	if f.PatientID != uuid.Nil {
		tx = tx.Where(`EXISTS (SELECT FROM session_patients p
			WHERE p.organization_id = ? AND p.session_id = sessions.id AND p.patient_id = ?)`, organization, f.PatientID)
	}
	if f.PractitionerID != uuid.Nil {
		tx = tx.Where(`EXISTS (SELECT FROM appointment_practitioners p
			WHERE p.organization_id = ? AND p.appointment_id = sessions.appointment_id
				AND p.practitioner_id = ?)`, organization, f.PractitionerID)
	}
	rows, err := db.Find[Session](ctx, f.Page.Apply(tx))
	if err != nil {
		return nil, err
	}
	return s.withParts(ctx, rows)
}

// sessionPatientRow is the row of a patient's part in a session.
type sessionPatientRow struct {
	OrganizationID uuid.UUID
	SessionID      uuid.UUID
	Version        int // of the session, for earlier versions
	SessionPatient
	RoundingMethod   scheduling.Rounding
	RoundingStartsOn calendar.Date
	RoundingBasis    scheduling.Basis
	StartsAt         *time.Time // the patient's own times
	EndsAt           *time.Time
}

func (r sessionPatientRow) part() SessionPatient {
	p := r.SessionPatient
	p.Own = worked(r.StartsAt, r.EndsAt)
	p.Rounding = scheduling.RoundingRule{
		StartsOn: r.RoundingStartsOn, Method: r.RoundingMethod, Basis: r.RoundingBasis,
	}
	return p
}

// sessionsOf returns the sessions of completed appointments with their patients, by appointment.
// They have no practitioners and addenda. Indexes: sessions_one_for_each_appointment, the primary
// key.
func (store) sessionsOf(ctx context.Context, appointments []record.Key) (map[record.Key]Session, error) {
	found := make(map[record.Key]Session, len(appointments))
	rows, err := lookUp[Session](ctx, appointments, `
		SELECT s.* FROM unnest($1::uuid[], $2::uuid[]) AS k (organization_id, id)
		CROSS JOIN LATERAL (
			SELECT * FROM sessions t WHERE t.organization_id = k.organization_id AND t.appointment_id = k.id
				AND t.voided_at IS NULL OFFSET 0) s`)
	if err != nil || len(rows) == 0 {
		return found, err
	}
	appointmentOf := make(map[record.Key]record.Key, len(rows))
	keys := make([]record.Key, len(rows))
	for i, s := range rows {
		keys[i] = record.Of(s.OrganizationID, s.ID)
		key := record.Of(s.OrganizationID, s.AppointmentID)
		s.Span = s.Span.utc()
		appointmentOf[keys[i]], found[key] = key, s
	}
	patients, err := lookUp[sessionPatientRow](ctx, keys, `
		SELECT p.*, p.rounding AS rounding_method FROM unnest($1::uuid[], $2::uuid[]) AS k (organization_id, id)
		CROSS JOIN LATERAL (
			SELECT * FROM session_patients t WHERE t.organization_id = k.organization_id AND t.session_id = k.id OFFSET 0) p
		ORDER BY p.position`)
	for _, p := range patients {
		key := appointmentOf[record.Of(p.OrganizationID, p.SessionID)]
		s := found[key]
		s.Patients = append(s.Patients, p.part())
		found[key] = s
	}
	return found, err
}

// versions returns the earlier versions of a session, oldest first. Index: the primary keys.
func (store) versions(ctx context.Context, session uuid.UUID) ([]SessionVersion, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	var rows []struct {
		SessionVersion
		SessionID uuid.UUID
		Staff     string
	}
	err = tx.Table("session_versions").Select("*, array_to_string(practitioner_ids, ' ') AS staff").
		Where("session_id = ?", session).Order("version").Scan(&rows).Error
	if err != nil {
		return nil, err
	}
	found := make([]SessionVersion, len(rows))
	for i, r := range rows {
		found[i] = r.SessionVersion
		found[i].ID, found[i].Span, found[i].ChangedAt = r.SessionID, r.Span.utc(), r.ChangedAt.UTC()
		for _, id := range strings.Fields(r.Staff) {
			practitioner, err := uuid.Parse(id)
			if err != nil {
				return nil, err
			}
			found[i].Practitioners = append(found[i].Practitioners, practitioner)
		}
	}
	var patients []sessionPatientRow
	err = tx.Table("session_version_patients").Select("*, rounding AS rounding_method").
		Where("session_id = ?", session).Order("version, position").Scan(&patients).Error
	for _, p := range patients {
		for i := range found {
			if found[i].Version == p.Version {
				found[i].Patients = append(found[i].Patients, p.part())
			}
		}
	}
	return found, err
}

// withParts adds the patients, practitioners and addenda to sessions of one organization, in one round
// trip. OFFSET 0 as in [lookUp].
func (store) withParts(ctx context.Context, rows []Session) ([]Session, error) {
	if len(rows) == 0 {
		return rows, nil
	}
	at, ids := map[uuid.UUID]*Session{}, make([]uuid.UUID, len(rows))
	// An appointment has several sessions if all but one were voided.
	ofAppointment, appointments := map[uuid.UUID][]*Session{}, make([]uuid.UUID, len(rows))
	for i := range rows {
		rows[i].Span = rows[i].Span.utc()
		ids[i], appointments[i] = rows[i].ID, rows[i].AppointmentID
		at[ids[i]] = &rows[i]
		ofAppointment[appointments[i]] = append(ofAppointment[appointments[i]], &rows[i])
	}
	var patients []sessionPatientRow
	var staff []struct{ AppointmentID, PractitionerID uuid.UUID }
	var addenda []struct {
		SessionID uuid.UUID
		Addendum
	}
	organization := rows[0].OrganizationID
	err := db.ReadAll(ctx, db.Into(&patients, `
		SELECT p.*, p.rounding AS rounding_method FROM unnest($2::uuid[]) AS k (id) CROSS JOIN LATERAL (
			SELECT * FROM session_patients t WHERE t.organization_id = $1 AND t.session_id = k.id OFFSET 0) p
		ORDER BY p.position`, organization, db.UUIDs(ids)), db.Into(&staff, `
		SELECT p.appointment_id, p.practitioner_id FROM (SELECT DISTINCT id FROM unnest($2::uuid[]) AS k (id)) k
		CROSS JOIN LATERAL (
			SELECT * FROM appointment_practitioners t WHERE t.organization_id = $1 AND t.appointment_id = k.id OFFSET 0) p
		ORDER BY p.position`, organization, db.UUIDs(appointments)), db.Into(&addenda, `
		SELECT a.* FROM unnest($2::uuid[]) AS k (id) CROSS JOIN LATERAL (
			SELECT * FROM session_addenda t WHERE t.organization_id = $1 AND t.session_id = k.id OFFSET 0) a
		ORDER BY a.signed_at, a.id`, organization, db.UUIDs(ids)))
	if err != nil {
		return nil, err
	}
	for _, p := range patients {
		at[p.SessionID].Patients = append(at[p.SessionID].Patients, p.part())
	}
	for _, p := range staff {
		for _, s := range ofAppointment[p.AppointmentID] {
			s.Practitioners = append(s.Practitioners, p.PractitionerID)
		}
	}
	for _, a := range addenda {
		a.SignedAt = a.SignedAt.UTC()
		at[a.SessionID].Addenda = append(at[a.SessionID].Addenda, a.Addendum)
	}
	return rows, nil
}

// addendumRow is the row of an addendum.
type addendumRow struct {
	OrganizationID uuid.UUID
	SessionID      uuid.UUID
	ID             uuid.UUID
	Text           string
	SignedBy       uuid.UUID
	SignedAt       time.Time
	Hash           []byte
}

// TableName returns the table name for gorm.
func (addendumRow) TableName() string { return "session_addenda" }

func (store) insertAddendum(ctx context.Context, s Session, a Addendum) error {
	tx, err := db.Handle(ctx)
	if err != nil {
		return err
	}
	return tx.Create(&addendumRow{s.OrganizationID, s.ID, a.ID, a.Text, a.SignedBy, a.SignedAt, a.Hash}).Error
}

func (store) hasAddendum(ctx context.Context, session, id uuid.UUID) (bool, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return false, err
	}
	var found int64
	err = tx.Model(&addendumRow{}).Where("session_id = ? AND id = ?", session, id).Count(&found).Error
	return found == 1, err
}
