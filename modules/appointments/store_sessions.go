package appointments

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/record"
	"omnirapeutic/platform/scheduling"
)

// session returns a session with its parts, within the caller's record scope, in one round trip. Index:
// the primary keys.
func (s store) session(ctx context.Context, id uuid.UUID) (Session, error) {
	r, err := s.readSession(ctx, id)
	if err != nil {
		return Session{}, err
	}
	if err := db.ReadAll(ctx, r.queries...); err != nil {
		return Session{}, err
	}
	return r.session()
}

// sessionReading reads sessions with their parts.
type sessionReading struct {
	queries []db.Query // of the first round trip

	organization uuid.UUID
	rows         []sessionRow
	patients     []sessionPatientRow
	staff        []struct{ AppointmentID, PractitionerID uuid.UUID }
	addenda      []addendumRow
	signatures   []signatureRow
	services     []struct{ ID, ServiceCodeID uuid.UUID } // of appointments; only of lists, see [sessionReading.servicesOf]
}

// sessionRow is the row of a session. A single one has the service of its appointment.
type sessionRow struct {
	Session
	ServiceCodeID uuid.UUID
}

// readSession returns a reading of a session within the caller's record scope, with its parts and
// signatures, in one round trip.
func (store) readSession(ctx context.Context, id uuid.UUID) (*sessionReading, error) {
	tx, organization, err := db.ScopedTenant(ctx, sessionOwners)
	if err != nil {
		return nil, err
	}
	r, ids := &sessionReading{organization: organization}, []uuid.UUID{id}
	r.queries = []db.Query{
		db.FindInto(&r.rows, tx.Model(&Session{}).Where("sessions.id = ?", id).Select(`sessions.*, (
			SELECT a.service_code_id FROM appointments a
			WHERE a.organization_id = sessions.organization_id AND a.id = sessions.appointment_id) AS service_code_id`)),
		r.patientsOf(ids), r.addendaOf(ids), r.signaturesOf(ids),
		db.Into(&r.staff, `
			SELECT p.appointment_id, p.practitioner_id FROM sessions s
			JOIN appointment_practitioners p ON p.organization_id = s.organization_id
				AND p.appointment_id = s.appointment_id
			WHERE s.organization_id = $1 AND s.id = ANY ($2::uuid[]) ORDER BY p.position`, organization, db.UUIDs(ids)),
	}
	return r, nil
}

// session returns the session that was read. The error is [ErrSessionNotFound].
func (r *sessionReading) session() (Session, error) {
	if len(r.rows) == 0 {
		return Session{}, ErrSessionNotFound
	}
	return r.sessions()[0], nil
}

// readSessions returns a reading of sessions sorted by start. The first round trip reads the sessions and
// their patients; for a worklist, whose conditions are expensive, only the sessions. Indexes:
// sessions_by_start, sessions_unauthorized; for one patient session_patients_by_patient, for one
// practitioner the primary key of appointment_practitioners.
func (store) readSessions(
	ctx context.Context, f SessionFilter, within Span, narrow narrowing,
) (*sessionReading, error) {
	tx, organization, err := db.ScopedTenant(ctx, sessionOwners)
	if err != nil {
		return nil, err
	}
	if tx, err = narrow.apply(within.narrow(tx)); err != nil {
		return nil, err
	}
	tx = f.Page.Apply(f.narrow(tx.Model(&Session{}), organization)).Session(&gorm.Session{})
	r := &sessionReading{organization: organization}
	r.queries = []db.Query{db.FindInto(&r.rows, tx.Select("sessions.*"))}
	if narrow.isWorklist() {
		return r, nil
	}
	handle, err := db.Handle(ctx)
	r.queries = append(r.queries, db.FindInto(&r.patients,
		handle.Table("(?) AS k", tx.Select("sessions.organization_id, sessions.id")).
			Select("p.*, p.rounding AS rounding_method").
			Joins(`CROSS JOIN LATERAL (SELECT * FROM session_patients t
				WHERE t.organization_id = k.organization_id AND t.session_id = k.id OFFSET 0) p`).Order("p.position")))
	return r, err
}

// narrow applies the filter to a query of sessions, apart from its days, conflicts and page.
func (f SessionFilter) narrow(tx *gorm.DB, organization uuid.UUID) *gorm.DB {
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
	if len(f.ServiceCodes) > 0 {
		tx = tx.Where(`EXISTS (SELECT FROM appointments a
			WHERE a.organization_id = ? AND a.id = sessions.appointment_id AND a.service_code_id IN ?)`,
			organization, f.ServiceCodes)
	}
	if len(f.Locations) > 0 {
		tx = tx.Where("location_id IN ?", f.Locations)
	}
	if len(f.Patients) > 0 {
		tx = tx.Where(`EXISTS (SELECT FROM session_patients p
			WHERE p.organization_id = ? AND p.session_id = sessions.id AND p.patient_id IN ?)`, organization, f.Patients)
	}
	if len(f.Authorizations) > 0 {
		tx = tx.Where(`EXISTS (SELECT FROM session_patients p
			WHERE p.organization_id = ? AND p.session_id = sessions.id AND p.authorization_id IN ?)`,
			organization, f.Authorizations)
	}
	if len(f.Practitioners) > 0 {
		tx = tx.Where(`EXISTS (SELECT FROM appointment_practitioners p
			WHERE p.organization_id = ? AND p.appointment_id = sessions.appointment_id
				AND p.practitioner_id IN ?)`, organization, f.Practitioners)
	}
	return tx
}

// ids returns the ids of the sessions that were read.
func (r *sessionReading) ids() []uuid.UUID {
	ids := make([]uuid.UUID, len(r.rows))
	for i, row := range r.rows {
		ids[i] = row.ID
	}
	return ids
}

// authorizations returns the authorizations of the sessions that were read.
func (r *sessionReading) authorizations() []uuid.UUID {
	ids := make([]uuid.UUID, len(r.patients))
	for i, p := range r.patients {
		ids[i] = p.AuthorizationID
	}
	slices.SortFunc(ids, func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) })
	return slices.Compact(ids)
}

// parts returns the queries of practitioners and addenda, for sessions that were read by [store.readSessions].
// OFFSET 0 as in [lookUp].
func (r *sessionReading) parts() []db.Query {
	return []db.Query{r.addendaOf(r.ids()), db.Into(&r.staff, `
		SELECT p.appointment_id, p.practitioner_id FROM (SELECT DISTINCT id FROM unnest($2::uuid[]) AS k (id)) k
		CROSS JOIN LATERAL (
			SELECT * FROM appointment_practitioners t WHERE t.organization_id = $1 AND t.appointment_id = k.id OFFSET 0) p
		ORDER BY p.position`, r.organization, db.UUIDs(r.appointments()))}
}

// servicesOf returns the query of the services of the sessions, for sessions that were read by
// [store.readSessions].
func (r *sessionReading) servicesOf() db.Query {
	return db.Into(&r.services, `
		SELECT a.id, a.service_code_id FROM unnest($2::uuid[]) AS k (id) CROSS JOIN LATERAL (
			SELECT * FROM appointments t WHERE t.organization_id = $1 AND t.id = k.id OFFSET 0) a`,
		r.organization, db.UUIDs(r.appointments()))
}

// serviceOf returns the services of the sessions, by appointment.
func (r *sessionReading) serviceOf() map[uuid.UUID]uuid.UUID {
	found := make(map[uuid.UUID]uuid.UUID, len(r.rows))
	for _, row := range r.rows {
		found[row.AppointmentID] = row.ServiceCodeID
	}
	for _, a := range r.services {
		found[a.ID] = a.ServiceCodeID
	}
	return found
}

// appointments returns the appointments of the sessions that were read.
func (r *sessionReading) appointments() []uuid.UUID {
	ids := make([]uuid.UUID, len(r.rows))
	for i, row := range r.rows {
		ids[i] = row.AppointmentID
	}
	return ids
}

// patientsOf returns the query of the patients of sessions.
func (r *sessionReading) patientsOf(sessions []uuid.UUID) db.Query {
	return db.Into(&r.patients, `
		SELECT p.*, p.rounding AS rounding_method FROM unnest($2::uuid[]) AS k (id) CROSS JOIN LATERAL (
			SELECT * FROM session_patients t WHERE t.organization_id = $1 AND t.session_id = k.id OFFSET 0) p
		ORDER BY p.position`, r.organization, db.UUIDs(sessions))
}

// addendaOf returns the query of the addenda of sessions.
func (r *sessionReading) addendaOf(sessions []uuid.UUID) db.Query {
	return db.Into(&r.addenda, `
		SELECT a.* FROM unnest($2::uuid[]) AS k (id) CROSS JOIN LATERAL (
			SELECT * FROM session_addenda t WHERE t.organization_id = $1 AND t.session_id = k.id OFFSET 0) a
		ORDER BY a.signed_at, a.id`, r.organization, db.UUIDs(sessions))
}

// sessions returns the sessions that were read, with their parts.
func (r *sessionReading) sessions() []Session {
	all, at := make([]Session, len(r.rows)), make(map[uuid.UUID]*Session, len(r.rows))
	// An appointment has several sessions if all but one were voided.
	ofAppointment := make(map[uuid.UUID][]*Session, len(r.rows))
	for i, row := range r.rows {
		all[i] = row.Session
		all[i].Span = row.Span.utc()
		at[row.ID] = &all[i]
		ofAppointment[row.AppointmentID] = append(ofAppointment[row.AppointmentID], &all[i])
	}
	for _, p := range r.patients {
		at[p.SessionID].Patients = append(at[p.SessionID].Patients, p.part())
	}
	for _, p := range r.staff {
		for _, s := range ofAppointment[p.AppointmentID] {
			s.Practitioners = append(s.Practitioners, p.PractitionerID)
		}
	}
	for _, a := range r.addenda {
		at[a.SessionID].Addenda = append(at[a.SessionID].Addenda, Addendum{a.ID, a.Text, a.SignedBy, a.SignedAt.UTC(), a.Hash})
	}
	return all
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

// versionsReading reads the earlier versions of a session, oldest first.
type versionsReading struct {
	rows []struct {
		SessionVersion
		SessionID uuid.UUID
		Staff     string
	}
	patients []sessionPatientRow
}

// queries returns the queries of the versions, for one round trip. Index: the primary keys.
func (r *versionsReading) queries(organization, session uuid.UUID) []db.Query {
	return []db.Query{
		db.Into(&r.rows, `SELECT *, array_to_string(practitioner_ids, ' ') AS staff FROM session_versions
			WHERE organization_id = $1 AND session_id = $2 ORDER BY version`, organization, session),
		db.Into(&r.patients, `SELECT *, rounding AS rounding_method FROM session_version_patients
			WHERE organization_id = $1 AND session_id = $2 ORDER BY version, position`, organization, session),
	}
}

// versions returns the versions that were read.
func (r *versionsReading) versions() ([]SessionVersion, error) {
	found := make([]SessionVersion, len(r.rows))
	for i, row := range r.rows {
		found[i] = row.SessionVersion
		found[i].ID, found[i].Span, found[i].ChangedAt = row.SessionID, row.Span.utc(), row.ChangedAt.UTC()
		for _, id := range strings.Fields(row.Staff) {
			practitioner, err := uuid.Parse(id)
			if err != nil {
				return nil, err
			}
			found[i].Practitioners = append(found[i].Practitioners, practitioner)
		}
	}
	for _, p := range r.patients {
		for i := range found {
			if found[i].Version == p.Version {
				found[i].Patients = append(found[i].Patients, p.part())
			}
		}
	}
	return found, nil
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
