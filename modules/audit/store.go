package audit

import (
	"context"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
)

// store reads and writes the trail. It takes the transaction from the context and fails without
// one.
type store struct{}

// insert adds events in their order and marks them as unsealed. One marker row per organization
// costs a fraction of a row per event.
func (store) insert(ctx context.Context, rows []eventRow) error {
	organizations := map[uuid.UUID]bool{}
	for _, r := range rows {
		organizations[r.OrganizationID] = true
	}
	columns := db.Columns(rows, func(v *db.Values, r eventRow) {
		v.UUID(r.OrganizationID).Time(r.OccurredAt).OptionalUUID(r.ActorID)
		v.Text(r.RequestID).Text(r.Action).Text(string(r.Outcome)).Text(r.SubjectType)
		v.OptionalUUID(r.SubjectID).OptionalUUID(r.PatientID).Text(r.Address).OptionalUUID(r.GrantID)
		v.OptionalText(r.Before).OptionalText(r.After)
	})
	return db.Write(ctx, len(organizations), `
		WITH recorded AS (
			INSERT INTO audit_events (organization_id, occurred_at, actor_id, request_id, action, outcome, subject_type,
			                          subject_id, patient_id, address, grant_id, before, after)
			SELECT organization_id, occurred_at, actor_id, request_id, action, outcome, subject_type,
			       subject_id, patient_id, address, grant_id, CAST(before AS json), CAST(after AS json)
			FROM unnest($1::uuid[], $2::timestamptz[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[],
			            $8::uuid[], $9::uuid[], $10::text[], $11::uuid[], $12::text[], $13::text[])
				WITH ORDINALITY AS e (organization_id, occurred_at, actor_id, request_id, action, outcome, subject_type,
				                      subject_id, patient_id, address, grant_id, before, after, n)
			ORDER BY n
			RETURNING organization_id, sequence, occurred_at
		)
		INSERT INTO audit_unsealed (organization_id, sequence, sequences, times)
		SELECT organization_id, min(sequence), array_agg(sequence), array_agg(occurred_at) FROM recorded
			GROUP BY organization_id`,
		columns...)
}
