package audit

import (
	"context"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
)

// store reads and writes the trail. It takes the transaction from the context and fails without
// one.
type store struct{}

// insert adds events in their order, with their lists, and marks them as unsealed. One marker row
// per organization costs a fraction of a row per event.
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
	lists := listsOf(rows)
	if len(lists) == 0 {
		return db.Write(ctx, len(organizations), "WITH "+insertEvents+insertUnsealed, columns...)
	}
	return db.Write(ctx, len(organizations), "WITH "+insertEvents+insertLists+insertUnsealed,
		append(columns, db.Columns(lists, func(v *db.Values, l list) {
			v.UUID(l.OrganizationID, l.ID).Text(l.Day).Bigint(int64(l.Size)).Text(l.Records)
		})...)...)
}

const (
	insertEvents = `recorded AS (
			INSERT INTO audit_events (organization_id, occurred_at, actor_id, request_id, action, outcome, subject_type,
			                          subject_id, patient_id, address, grant_id, before, after)
			SELECT organization_id, occurred_at, actor_id, request_id, action, outcome, subject_type,
			       subject_id, patient_id, address, grant_id, before, after
			FROM unnest($1::uuid[], $2::timestamptz[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[],
			            $8::uuid[], $9::uuid[], $10::text[], $11::uuid[], $12::text[], $13::text[])
				WITH ORDINALITY AS e (organization_id, occurred_at, actor_id, request_id, action, outcome, subject_type,
				                      subject_id, patient_id, address, grant_id, before, after, n)
			ORDER BY n
			RETURNING organization_id, sequence, occurred_at
		)`
	// insertLists adds the lists that are not stored yet, with their rows for the search. It adds them in the order of
	// their ids, so that concurrent transactions with the same lists do not deadlock.
	insertLists = `, listed AS (
			INSERT INTO audit_lists (organization_id, id, day, size, records)
			SELECT organization_id, id, CAST(day AS date), size, records
			FROM unnest($14::uuid[], $15::uuid[], $16::text[], $17::bigint[], $18::text[])
				AS l (organization_id, id, day, size, records)
			ORDER BY organization_id, id
			ON CONFLICT DO NOTHING
			RETURNING organization_id, id, day, records
		), named AS (
			INSERT INTO audit_list_records (organization_id, record_id, as_patient, day, list_id)
			SELECT l.organization_id, k.record_id, k.as_patient, l.day, l.id FROM listed l ` + recordsOfList + `
		)`
	insertUnsealed = `
		INSERT INTO audit_unsealed (organization_id, sequence, sequences, times)
		SELECT organization_id, min(sequence), array_agg(sequence), array_agg(occurred_at) FROM recorded
			GROUP BY organization_id`
	// recordsOfList joins the distinct records and patients of the list l, as k.
	recordsOfList = `CROSS JOIN LATERAL (
				SELECT DISTINCT i.id::uuid AS record_id, i.as_patient
				FROM json_each(l.records::json) t CROSS JOIN json_each(t.value) p
				CROSS JOIN LATERAL (
					SELECT p.key AS id, true AS as_patient UNION ALL
					SELECT v.id, false FROM json_array_elements_text(p.value) AS v (id)) i) k`
)

// listsOf returns the lists of the rows, each once.
func listsOf(rows []eventRow) []list {
	var lists []list
	seen := map[uuid.UUID]bool{}
	for _, r := range rows {
		if r.List != nil && !seen[r.List.ID] {
			seen[r.List.ID] = true
			lists = append(lists, *r.List)
		}
	}
	return lists
}
