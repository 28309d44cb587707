package appointments

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"gorm.io/gorm/clause"

	"omnirapeutic/platform/db"
)

// signatureRow is the row of a signature.
type signatureRow struct {
	OrganizationID uuid.UUID
	SessionID      uuid.UUID
	Signature
}

// TableName returns the table name for gorm.
func (signatureRow) TableName() string { return "session_signatures" }

// signedNoteRow is the row of a note as it was signed.
type signedNoteRow struct {
	OrganizationID uuid.UUID
	SessionID      uuid.UUID
	TextHash       []byte
	Narrative      *string
	NoteSections   NoteSections `gorm:"serializer:json"`
}

// TableName returns the table name for gorm.
func (signedNoteRow) TableName() string { return "session_signed_notes" }

// signatures returns the signatures of sessions, oldest first, by session. Indexes: the primary keys.
func (store) signatures(ctx context.Context, sessions []uuid.UUID) (map[uuid.UUID][]Signature, error) {
	_, organization, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	tx, err := db.Handle(ctx)
	if err != nil {
		return nil, err
	}
	var rows []signatureRow
	err = tx.Raw(`
		SELECT g.*, `+countsSQL+` AS counts FROM session_signatures g
		JOIN sessions ON sessions.organization_id = g.organization_id AND sessions.id = g.session_id
		WHERE g.organization_id = ? AND g.session_id IN ? ORDER BY g.signed_at, g.id`,
		organization, sessions).Scan(&rows).Error
	found := map[uuid.UUID][]Signature{}
	for _, r := range rows {
		r.SignedAt = r.SignedAt.UTC()
		found[r.SessionID] = append(found[r.SessionID], r.Signature)
	}
	return found, err
}

// signedNotes returns the texts that were signed, by the hash. Index: the primary key.
func (store) signedNotes(ctx context.Context, session uuid.UUID) (map[string]NoteText, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	var rows []signedNoteRow
	err = tx.Where("session_id = ?", session).Find(&rows).Error
	found := map[string]NoteText{}
	for _, r := range rows {
		found[string(r.TextHash)] = NoteText{r.Narrative, r.NoteSections}
	}
	return found, err
}

// services returns the service codes of sessions. Indexes: the primary keys.
func (store) services(ctx context.Context, sessions []uuid.UUID) (map[uuid.UUID]uuid.UUID, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	var rows []struct{ ID, ServiceCodeID uuid.UUID }
	err = tx.Model(&Session{}).Select(`sessions.id, (
			SELECT a.service_code_id FROM appointments a
			WHERE a.organization_id = sessions.organization_id AND a.id = sessions.appointment_id) AS service_code_id`).
		Where("sessions.id IN ?", sessions).Scan(&rows).Error
	found := map[uuid.UUID]uuid.UUID{}
	for _, r := range rows {
		found[r.ID] = r.ServiceCodeID
	}
	return found, err
}

// conflictsOf returns the conflicts of sessions. It reads all sessions of the same days, so a transaction
// that calls it and writes competes with each session that is completed or changed on these days.
func (store) conflictsOf(
	ctx context.Context, sessions []uuid.UUID, a conflictArguments,
) (map[uuid.UUID][]ConflictKind, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	named, err := a.named()
	if err != nil {
		return nil, err
	}
	var rows []struct {
		ID    uuid.UUID
		Kinds string
	}
	err = tx.Model(&Session{}).Select(`sessions.id, `+kindsSQL()+` AS kinds`, named).
		Where("sessions.id IN ?", sessions).Scan(&rows).Error
	found := map[uuid.UUID][]ConflictKind{}
	for _, r := range rows {
		found[r.ID] = []ConflictKind{}
		for _, kind := range strings.Fields(r.Kinds) {
			found[r.ID] = append(found[r.ID], ConflictKind(kind))
		}
	}
	return found, err
}

// saveNote writes the note of a session. It makes no new version of the session.
func (store) saveNote(ctx context.Context, changed Session) error {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return err
	}
	var sections *string
	if len(changed.NoteSections) > 0 {
		text, err := json.Marshal(changed.NoteSections)
		if err != nil {
			return err
		}
		sections = new(string(text))
	}
	result := tx.Model(&Session{}).Where("id = ?", changed.ID).UpdateColumns(map[string]any{
		"narrative": changed.Narrative, "note_sections": sections, "note_version": changed.NoteVersion,
		"note_changed_at": changed.NoteChangedAt, "note_changed_by": changed.NoteChangedBy,
	})
	if result.Error == nil && result.RowsAffected != 1 {
		return fmt.Errorf("appointments: a change of one note touched %d rows", result.RowsAffected)
	}
	return result.Error
}

// insertSignature writes a signature and, unless an earlier one has the same text, the signed text.
func (store) insertSignature(ctx context.Context, s Session, g Signature) error {
	tx, err := db.Handle(ctx)
	if err != nil {
		return err
	}
	text := s.noteText()
	err = tx.Clauses(clause.OnConflict{DoNothing: true}).
		Create(&signedNoteRow{s.OrganizationID, s.ID, g.TextHash, text.Narrative, text.Sections}).Error
	if err != nil {
		return err
	}
	return tx.Create(&signatureRow{s.OrganizationID, s.ID, g}).Error
}

func (store) hasSignature(ctx context.Context, session, id uuid.UUID) (bool, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return false, err
	}
	var found int64
	err = tx.Model(&signatureRow{}).Where("session_id = ? AND id = ?", session, id).Count(&found).Error
	return found == 1, err
}
