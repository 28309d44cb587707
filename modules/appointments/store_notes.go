package appointments

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"gorm.io/gorm/clause"

	"omnirapeutic/modules/authorization"
	"omnirapeutic/modules/directory"
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

// signaturesOf returns the query of the signatures of sessions, oldest first. OFFSET 0 as in [lookUp].
// Indexes: the primary keys.
func (r *sessionReading) signaturesOf(ids []uuid.UUID) db.Query {
	return db.Into(&r.signatures, `
		SELECT g.*, `+countsSQL+` AS counts FROM unnest($2::uuid[]) AS k (id)
		CROSS JOIN LATERAL (
			SELECT * FROM session_signatures t WHERE t.organization_id = $1 AND t.session_id = k.id OFFSET 0) g
		CROSS JOIN LATERAL (SELECT * FROM sessions t WHERE t.organization_id = $1 AND t.id = k.id OFFSET 0) sessions
		ORDER BY g.signed_at, g.id`, r.organization, db.UUIDs(ids))
}

// signaturesBySession returns the signatures that were read.
func (r *sessionReading) signaturesBySession() map[uuid.UUID][]Signature {
	found := map[uuid.UUID][]Signature{}
	for _, row := range r.signatures {
		row.SignedAt = row.SignedAt.UTC()
		found[row.SessionID] = append(found[row.SessionID], row.Signature)
	}
	return found
}

// signedNotes returns a reading of the texts that were signed, by the hash. Index: the primary key.
func (store) signedNotes(organization, session uuid.UUID) db.Reading[map[string]NoteText] {
	var rows []signedNoteRow
	return db.Reading[map[string]NoteText]{
		Queries: []db.Query{db.Into(&rows,
			"SELECT * FROM session_signed_notes WHERE organization_id = $1 AND session_id = $2", organization, session)},
		Value: func(context.Context) (map[string]NoteText, error) {
			found := make(map[string]NoteText, len(rows))
			for _, r := range rows {
				found[string(r.TextHash)] = NoteText{r.Narrative, r.NoteSections}
			}
			return found, nil
		},
	}
}

// conflictsOf returns a reading of the conflicts of sessions. It reads all sessions of the same days, so a
// transaction that uses it and writes competes with each session that is completed or changed on these days.
func (store) conflictsOf(
	organization uuid.UUID, sessions []uuid.UUID, a conflictArguments,
) (db.Reading[map[uuid.UUID][]ConflictKind], error) {
	named, err := a.named()
	var rows []struct {
		ID    uuid.UUID
		Kinds string
	}
	kinds := strings.NewReplacer("@note_rules", "$3", "@exceeded_caps", "$4", "@service_pairs", "$5", "@now", "$6").
		Replace(kindsSQL())
	return db.Reading[map[uuid.UUID][]ConflictKind]{
		Queries: []db.Query{db.Into(&rows,
			"SELECT sessions.id, "+kinds+` AS kinds FROM unnest($2::uuid[]) AS k (id)
			CROSS JOIN LATERAL (SELECT * FROM sessions t WHERE t.organization_id = $1 AND t.id = k.id OFFSET 0) sessions`,
			organization, db.UUIDs(sessions), named["note_rules"], named["exceeded_caps"], named["service_pairs"], a.now)},
		Value: func(context.Context) (map[uuid.UUID][]ConflictKind, error) {
			found := make(map[uuid.UUID][]ConflictKind, len(rows))
			for _, r := range rows {
				found[r.ID] = []ConflictKind{}
				for _, kind := range strings.Fields(r.Kinds) {
					found[r.ID] = append(found[r.ID], ConflictKind(kind))
				}
			}
			return found, nil
		},
	}, err
}

// candidatesSQL selects the sessions k whose practitioners or patients have other work that overlaps the
// session. It reads no other sessions. They include all sessions that meet overlapSQL: practitioners have
// worked the session's time, and patients are there within it. A function of another table's column would
// keep the earliest start out of the index scan, because of row level security. LIMIT makes each look-up an
// index scan. Indexes: as for overlapSQL.
const candidatesSQL = `
	SELECT k.id FROM unnest($2::uuid[], $3::uuid[], $4::timestamptz[], $5::timestamptz[], $6::timestamptz[])
		AS k (id, appointment_id, earliest, since, until)
	CROSS JOIN LATERAL (SELECT t.practitioner_id FROM appointment_practitioners t
		WHERE t.organization_id = $1 AND t.appointment_id = k.appointment_id OFFSET 0) p
	CROSS JOIN LATERAL (SELECT FROM appointment_practitioners q
		WHERE q.organization_id = $1 AND q.practitioner_id = p.practitioner_id AND q.appointment_id <> k.appointment_id
			AND q.worked_starts_at < k.until AND q.worked_starts_at > k.earliest AND q.worked_ends_at > k.since LIMIT 1) q
	UNION
	SELECT k.id FROM unnest($2::uuid[], $3::uuid[], $4::timestamptz[], $5::timestamptz[], $6::timestamptz[])
		AS k (id, appointment_id, earliest, since, until)
	CROSS JOIN LATERAL (SELECT t.patient_id FROM appointment_patients t
		WHERE t.organization_id = $1 AND t.appointment_id = k.appointment_id OFFSET 0) p
	CROSS JOIN LATERAL (SELECT FROM appointment_patients q
		WHERE q.organization_id = $1 AND q.patient_id = p.patient_id AND q.appointment_id <> k.appointment_id
			AND q.worked_starts_at < k.until AND q.worked_starts_at > k.earliest AND q.worked_ends_at > k.since LIMIT 1) q`

// overlapping returns a reading of the sessions that were read and overlap others. It looks up the sessions
// of candidates only.
func (store) overlapping(r *sessionReading, pairs []directory.ServicePair) (db.Reading[map[uuid.UUID]bool], error) {
	argument, err := pairsArgument(pairs)
	arguments := append([]any{r.organization}, db.Columns(r.rows, func(v *db.Values, row sessionRow) {
		v.UUID(row.ID, row.AppointmentID).Time(row.Start.Add(-MaxLength), row.Start, row.End)
	})...)
	return sessionsThat(candidatesSQL, strings.ReplaceAll(overlapSQL, "@service_pairs", "$7"),
		append(arguments, argument)), err
}

// exceeding returns a reading of the sessions in the periods of exceeded caps.
func (store) exceeding(
	organization uuid.UUID, sessions []uuid.UUID, exceeded []authorization.ExceededCap,
) (db.Reading[map[uuid.UUID]bool], error) {
	argument, err := exceededArgument(exceeded)
	return sessionsThat("SELECT unnest($2::uuid[])", strings.ReplaceAll(capSQL, "@exceeded_caps", "$3"),
		[]any{organization, db.UUIDs(sessions), argument}), err
}

// sessionsThat returns a reading of the sessions with the ids that a query selects, without voided ones, if they
// meet the condition. The first argument is the organization.
func sessionsThat(ids, condition string, arguments []any) db.Reading[map[uuid.UUID]bool] {
	var found []uuid.UUID
	return db.Reading[map[uuid.UUID]bool]{
		Queries: []db.Query{db.Into(&found, `
			SELECT sessions.id FROM (`+ids+`) AS k (id)
			CROSS JOIN LATERAL (SELECT * FROM sessions t WHERE t.organization_id = $1 AND t.id = k.id OFFSET 0) sessions
			WHERE sessions.voided_at IS NULL AND `+condition, arguments...)},
		Value: func(context.Context) (map[uuid.UUID]bool, error) {
			set := make(map[uuid.UUID]bool, len(found))
			for _, id := range found {
				set[id] = true
			}
			return set, nil
		},
	}
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
