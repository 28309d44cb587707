package audit

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
)

// chainRow is a row of audit_chains.
type chainRow struct {
	OrganizationID uuid.UUID
	LastPosition   int64
	LastHash       *Hash
}

func (c chainRow) head() head {
	if c.LastHash == nil {
		return head{c.OrganizationID, c.LastPosition, genesis(c.OrganizationID)}
	}
	return head{c.OrganizationID, c.LastPosition, *c.LastHash}
}

func headsOf(rows []chainRow) []head {
	heads := make([]head, len(rows))
	for i, r := range rows {
		heads[i] = r.head()
	}
	return heads
}

// lockChains locks the chains with unsealed events that no other instance is working on. It
// ignores the given rows, which cannot be sealed. The unsealed events are read in a later
// statement, which sees the commits of the previous lock holder. Indexes: the primary keys.
func (store) lockChains(ctx context.Context, limit int, except []unsealedRow) ([]head, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return nil, err
	}
	err = tx.Exec(`
		WITH RECURSIVE waiting AS ( -- the organizations that have something waiting, by leaps through its index
			(SELECT organization_id FROM audit_unsealed ORDER BY organization_id LIMIT 1)
			UNION ALL
			SELECT (SELECT u.organization_id FROM audit_unsealed u WHERE u.organization_id > w.organization_id
			        ORDER BY u.organization_id LIMIT 1)
			FROM waiting w WHERE w.organization_id IS NOT NULL
		)
		INSERT INTO audit_chains (organization_id)
		SELECT organization_id FROM waiting w
		WHERE organization_id IS NOT NULL
		  AND NOT EXISTS (SELECT FROM audit_chains c WHERE c.organization_id = w.organization_id)
		ORDER BY organization_id
		ON CONFLICT DO NOTHING`).Error
	if err != nil {
		return nil, err
	}
	var locked []chainRow
	err = tx.Raw(`
		SELECT organization_id, last_position, last_hash FROM audit_chains c
		WHERE EXISTS (SELECT FROM audit_unsealed u WHERE u.organization_id = c.organization_id AND NOT EXISTS (
			SELECT FROM unnest($2::uuid[], $3::bigint[]) AS b (organization_id, sequence)
			WHERE b.organization_id = u.organization_id AND b.sequence = u.sequence))
		ORDER BY organization_id
		LIMIT $1
		FOR UPDATE SKIP LOCKED`, append([]any{limit}, rowColumns(except)...)...).Scan(&locked).Error
	return headsOf(locked), err
}

// rowColumns returns the keys of rows of audit_unsealed as columns.
func rowColumns(rows []unsealedRow) []any {
	return db.Columns(rows, func(v *db.Values, r unsealedRow) { v.UUID(r.OrganizationID).Bigint(r.First) })
}

// eventColumns are the columns of a [eventRow]. As text, json columns are returned byte for byte.
const eventColumns = `e.organization_id, e.sequence, e.occurred_at, e.actor_id, e.request_id, e.action, e.outcome,
	e.subject_type,
	e.subject_id, e.patient_id, e.address, e.grant_id, e.before, e.after`

// unsealedEvent is an unsealed event, in a row of audit_unsealed.
type unsealedEvent struct {
	Owner uuid.UUID // of the row
	First int64     // of the row: the sequence number of its first event
	Event eventRow  `gorm:"embedded"` // zero if missing; named, because gorm ignores unexported embedded types
}

func (n unsealedEvent) row() unsealedRow { return unsealedRow{n.Owner, n.First} }

// unsealed returns the unsealed events of the chains in the order of their sequence numbers,
// ignoring the given rows. For each chain it returns the rows that make up limit events. Indexes:
// the primary keys.
func (store) unsealed(ctx context.Context, chains []head, limit int, except []unsealedRow) ([]unsealedEvent, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return nil, err
	}
	organizations := make([]uuid.UUID, len(chains))
	for i, c := range chains {
		organizations[i] = c.OrganizationID
	}
	var waiting []unsealedEvent
	err = tx.Raw(`
		SELECT w.organization_id AS owner, w.sequence AS first, `+eventColumns+`
		FROM unnest($1::uuid[]) AS c (organization_id)
		CROSS JOIN LATERAL (
			SELECT u.organization_id, u.sequence, u.sequences, u.times, cardinality(u.sequences) AS size,
				sum(cardinality(u.sequences)) OVER (ORDER BY u.sequence) AS so_far
			FROM audit_unsealed u WHERE u.organization_id = c.organization_id AND NOT EXISTS (
				SELECT FROM unnest($3::uuid[], $4::bigint[]) AS b (organization_id, sequence)
				WHERE b.organization_id = u.organization_id AND b.sequence = u.sequence)
			ORDER BY u.sequence LIMIT $2) w
		CROSS JOIN LATERAL unnest(w.sequences, w.times) AS k (sequence, occurred_at)
		LEFT JOIN LATERAL (
			SELECT * FROM audit_events a
			WHERE a.organization_id = w.organization_id AND a.occurred_at = k.occurred_at AND a.sequence = k.sequence
				OFFSET 0) e ON true
		WHERE w.so_far - w.size < $2
		ORDER BY w.organization_id,
			k.sequence`, append([]any{db.UUIDs(organizations), limit}, rowColumns(except)...)...).Scan(&waiting).Error
	return waiting, err
}

// insertSeals writes seals and the new heads of their chains, and deletes the rows that marked
// the events as unsealed.
func (store) insertSeals(ctx context.Context, heads []head, seals []seal, rows []unsealedRow, now time.Time) error {
	tx, err := db.Handle(ctx)
	if err != nil {
		return err
	}
	sealColumns := db.Columns(seals, func(v *db.Values, s seal) {
		v.UUID(s.OrganizationID).Bigint(s.Position).Time(s.OccurredAt).Bigint(s.Sequence).Bytes(s.Hash[:])
	})
	err = tx.Exec(`
		WITH sealed AS (
			INSERT INTO audit_seals (organization_id, position, occurred_at, sequence, hash, sealed_at)
			SELECT s.*, $6::timestamptz
			FROM unnest($1::uuid[], $2::bigint[], $3::timestamptz[], $4::bigint[], $5::bytea[]) AS s
		)
		DELETE FROM audit_unsealed u USING unnest($7::uuid[], $8::bigint[]) AS r (organization_id, sequence)
		WHERE u.organization_id = r.organization_id AND u.sequence = r.sequence`,
		slices.Concat(sealColumns, []any{now}, rowColumns(rows))...).Error
	if err != nil {
		return err
	}
	return tx.Exec(`
		UPDATE audit_chains c SET last_position = h.position, last_hash = h.hash
		FROM unnest($1::uuid[], $2::bigint[], $3::bytea[]) AS h (organization_id, position, hash)
		WHERE c.organization_id = h.organization_id AND h.position > 0`,
		db.Columns(heads,
			func(v *db.Values, h head) {
				v.UUID(h.OrganizationID).Bigint(h.Position).Bytes(h.Hash[:])
			})...).Error
}

func (store) backlog(ctx context.Context) (Backlog, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return Backlog{}, err
	}
	var found struct {
		Waiting int
		Seconds float64
	}
	err = tx.Raw("SELECT coalesce(sum(cardinality(sequences)), 0) AS waiting, " +
		"coalesce(extract(epoch FROM now() - min(recorded_at)), 0) AS seconds FROM audit_unsealed").
		Scan(&found).Error
	return Backlog{found.Waiting, time.Duration(found.Seconds * float64(time.Second))}, err
}

func (store) heads(ctx context.Context) ([]head, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return nil, err
	}
	var found []chainRow
	err = tx.Raw("SELECT organization_id, last_position, last_hash FROM audit_chains ORDER BY " +
		"organization_id").Scan(&found).Error
	return headsOf(found), err
}
