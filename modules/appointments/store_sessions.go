package appointments

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
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
func (s store) sessions(ctx context.Context, f SessionFilter, within Span) ([]Session, error) {
	tx, organization, err := db.ScopedTenant(ctx, sessionOwners)
	if err != nil {
		return nil, err
	}
	tx = within.narrow(tx)
	if f.AppointmentID != uuid.Nil {
		tx = tx.Where("appointment_id = ?", f.AppointmentID)
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
			WHERE p.organization_id = ? AND p.appointment_id = sessions.appointment_id AND p.practitioner_id = ?)`, organization, f.PractitionerID)
	}
	var rows []Session
	if err := f.Page.Apply(tx).Find(&rows).Error; err != nil {
		return nil, err
	}
	return s.withParts(ctx, rows)
}

// sessionPatientRow is the row of a patient's part in a session.
type sessionPatientRow struct {
	SessionID uuid.UUID
	SessionPatient
	RoundingMethod   scheduling.Rounding
	RoundingStartsOn calendar.Date
}

// withParts adds the patients, practitioners and addenda to sessions of the caller's organization.
func (store) withParts(ctx context.Context, rows []Session) ([]Session, error) {
	if len(rows) == 0 {
		return rows, nil
	}
	tx, organization, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	at, ids := map[uuid.UUID]*Session{}, make([]uuid.UUID, len(rows))
	ofAppointment, appointments := map[uuid.UUID]*Session{}, make([]uuid.UUID, len(rows))
	for i := range rows {
		rows[i].Span = rows[i].Span.utc()
		ids[i], appointments[i] = rows[i].ID, rows[i].AppointmentID
		at[ids[i]], ofAppointment[appointments[i]] = &rows[i], &rows[i]
	}
	var patients []sessionPatientRow
	err = tx.Table("session_patients").Select("*, rounding AS rounding_method").
		Where("session_id IN ?", ids).Order("position").Scan(&patients).Error
	if err != nil {
		return nil, err
	}
	for _, p := range patients {
		p.Rounding = scheduling.RoundingRule{StartsOn: p.RoundingStartsOn, Method: p.RoundingMethod}
		at[p.SessionID].Patients = append(at[p.SessionID].Patients, p.SessionPatient)
	}
	var staff []struct{ AppointmentID, PractitionerID uuid.UUID }
	err = tx.Table("appointment_practitioners").
		Where("organization_id = ? AND appointment_id IN ?", organization, appointments).Order("position").Scan(&staff).Error
	if err != nil {
		return nil, err
	}
	for _, p := range staff {
		s := ofAppointment[p.AppointmentID]
		s.Practitioners = append(s.Practitioners, p.PractitionerID)
	}
	var addenda []struct {
		SessionID uuid.UUID
		Addendum
	}
	err = tx.Table("session_addenda").Where("session_id IN ?", ids).Order("signed_at, id").Scan(&addenda).Error
	for _, a := range addenda {
		a.SignedAt = a.SignedAt.UTC()
		at[a.SessionID].Addenda = append(at[a.SessionID].Addenda, a.Addendum)
	}
	return rows, err
}

func (store) saveNarrative(ctx context.Context, s Session) error {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return err
	}
	result := tx.Model(&Session{}).Where("id = ?", s.ID).UpdateColumns(map[string]any{
		"narrative": s.Narrative, "version": s.Version, "updated_at": s.UpdatedAt,
	})
	if result.Error == nil && result.RowsAffected != 1 {
		return fmt.Errorf("appointments: a change of one session touched %d rows", result.RowsAffected)
	}
	return result.Error
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
