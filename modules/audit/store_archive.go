package audit

import (
	"context"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
)

// archivedLists returns the lists of the ids. Index: the primary key.
func (store) archivedLists(ctx context.Context, organization uuid.UUID, ids []uuid.UUID) ([]archivedList, error) {
	return db.Select[archivedList](ctx, `
		SELECT id, to_char(day, 'YYYY-MM-DD') AS day, size, records FROM audit_lists
		WHERE organization_id = $1 AND id = ANY ($2::uuid[]) ORDER BY id`, organization, db.UUIDs(ids))
}

// checkpoints returns the checkpoints of all trails.
func (store) checkpoints(ctx context.Context) ([]head, error) {
	return db.Select[head](ctx, `SELECT organization_id, position, hash FROM audit_checkpoints`)
}

// restoreEvents adds events of an archive, unless they are restored already.
func (store) restoreEvents(ctx context.Context, archive string, rows []restoredRow) error {
	columns := db.Columns(rows, func(v *db.Values, r restoredRow) {
		e := r.event
		v.UUID(r.organization).Bigint(e.Sequence).Time(e.OccurredAt).OptionalUUID(e.ActorID).Text(e.RequestID)
		v.Text(e.Action).Text(string(e.Outcome)).Text(e.SubjectType).OptionalUUID(e.SubjectID).OptionalUUID(e.PatientID)
		v.Text(e.Address).OptionalUUID(e.GrantID).OptionalText(e.Before).OptionalText(e.After)
		v.Bigint(e.Position).Text(e.Hash)
	})
	_, err := db.Exec(ctx, `
		INSERT INTO audit_restored_events (organization_id, sequence, occurred_at, actor_id, request_id, action, outcome,
			subject_type, subject_id, patient_id, address, grant_id, before, after, position, hash, archive)
		SELECT organization_id, sequence, occurred_at, actor_id, request_id, action, outcome, subject_type, subject_id,
			patient_id, address, grant_id, before, after, position, decode(hash, 'hex'), decode($17, 'hex')
		FROM unnest($1::uuid[], $2::bigint[], $3::timestamptz[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[],
			$9::uuid[], $10::uuid[], $11::text[], $12::uuid[], $13::text[], $14::text[], $15::bigint[], $16::text[])
			AS r (organization_id, sequence, occurred_at, actor_id, request_id, action, outcome, subject_type, subject_id,
				patient_id, address, grant_id, before, after, position, hash)
		ON CONFLICT DO NOTHING`, append(columns, archive)...)
	return err
}

// restoreList adds a list with its rows for the search, unless it exists.
func (store) restoreList(ctx context.Context, l list) error {
	_, err := db.Exec(ctx, `
		WITH listed AS (
			INSERT INTO audit_lists (organization_id, id, day, size, records)
			VALUES ($1, $2, CAST($3 AS date), $4, $5)
			ON CONFLICT DO NOTHING
			RETURNING organization_id, id, day, records
		)
		INSERT INTO audit_list_records (organization_id, record_id, as_patient, day, list_id)
		SELECT l.organization_id, k.record_id, k.as_patient, l.day, l.id FROM listed l `+recordsOfList,
		l.OrganizationID, l.ID, l.Day, l.Size, l.Records)
	return err
}
