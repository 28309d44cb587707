package audit

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
)

// store reads and writes the trail. It takes the transaction from the context and fails without
// one.
type store struct{}

// insert adds events in their order and marks them as unsealed. One marker row per organization
// costs a fraction of a row per event.
func (store) insert(ctx context.Context, rows []eventRow) error {
	n := len(rows)
	organizations := make([]uuid.UUID, n)
	actors, subjects, patients, grants := make([]*uuid.UUID, n), make([]*uuid.UUID, n), make([]*uuid.UUID,
		n), make([]*uuid.UUID, n)
	times := make([]time.Time, n)
	requests, actions, outcomes := make([]string, n), make([]string, n), make([]string, n)
	types, addresses := make([]string, n), make([]string, n)
	befores, afters := make([]*string, n), make([]*string, n)
	organizationSet := map[uuid.UUID]bool{}
	for i, r := range rows {
		organizationSet[r.OrganizationID] = true
		organizations[i], times[i], actors[i], subjects[i] = r.OrganizationID, r.OccurredAt, r.ActorID, r.SubjectID
		patients[i], grants[i], requests[i], actions[i] = r.PatientID, r.GrantID, r.RequestID, r.Action
		outcomes[i], types[i], addresses[i] = string(r.Outcome), r.SubjectType, r.Address
		befores[i], afters[i] = r.Before, r.After
	}
	return db.Write(ctx, len(organizationSet), `
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
		SELECT organization_id, min(sequence), array_agg(sequence), array_agg(occurred_at) FROM recorded GROUP BY organization_id`,
		db.UUIDs(organizations), times, db.NullableUUIDs(actors), requests, actions, outcomes, types,
		db.NullableUUIDs(subjects), db.NullableUUIDs(patients), addresses, db.NullableUUIDs(grants), befores, afters)
}
