package audit

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/trail"
)

// organizations returns the organizations that have a trail.
func (store) organizations(ctx context.Context) ([]uuid.UUID, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return nil, err
	}
	var found []uuid.UUID
	err = tx.Raw(`
		WITH RECURSIVE found AS ( -- by leaps through the index
			(SELECT organization_id FROM audit_events ORDER BY organization_id LIMIT 1)
			UNION ALL
			SELECT (SELECT e.organization_id FROM audit_events e WHERE e.organization_id > t.organization_id
			        ORDER BY e.organization_id LIMIT 1)
			FROM found t WHERE t.organization_id IS NOT NULL
		)
		SELECT organization_id FROM found WHERE organization_id IS NOT NULL
		UNION SELECT organization_id FROM audit_chains ORDER BY organization_id`).Scan(&found).Error
	return found, err
}

// chainState reads the head and the checkpoint of a chain. Indexes: the primary keys.
func (store) chainState(ctx context.Context, organization uuid.UUID) (chainState, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return chainState{}, err
	}
	p := chainState{chainHead: head{organization, 0, genesis(organization)}}
	var chains []chainRow
	err = tx.Raw("SELECT organization_id, last_position, last_hash FROM audit_chains WHERE organization_id = ?",
		organization).Scan(&chains).Error
	if err != nil {
		return p, err
	}
	for _, c := range chains {
		p.chainHead = c.head()
	}
	if err := tx.Raw("SELECT coalesce(sum(cardinality(sequences)), 0) FROM audit_unsealed WHERE organization_id = ?",
		organization).Scan(&p.waiting).Error; err != nil {
		return p, err
	}
	var checkpoints []struct {
		Position  int64
		Hash      Hash
		Removed   int64
		RemovedAt time.Time
	}
	err = tx.Raw(`
		SELECT position, hash, sum(removed) OVER () AS removed, removed_at FROM audit_checkpoints
		WHERE organization_id = ? ORDER BY position DESC LIMIT 1`, organization).Scan(&checkpoints).Error
	for _, c := range checkpoints {
		p.checkpoint, p.checkpointAt, p.removed = &head{organization, c.Position, c.Hash}, c.RemovedAt, c.Removed
	}
	return p, err
}

// selectLists returns lists with the hash of their stored content and the number of missing rows for the search.
const selectLists = `
		WITH l AS MATERIALIZED (
			SELECT l.*, sha256(convert_to(
				l.organization_id || E'\n' || to_char(l.day, 'YYYY-MM-DD') || E'\n' || l.records, 'UTF8')) AS hash
			FROM unnest($2::uuid[]) AS w (id) JOIN audit_lists l ON l.organization_id = $1 AND l.id = w.id
		)
		SELECT l.id, l.hash, l.size, CASE WHEN encode(l.hash, 'hex') LIKE replace(l.id::text, '-', '') || '%' THEN (
			SELECT count(*) FILTER (WHERE ( -- not NOT EXISTS, which reads the whole index for each list
				SELECT r.list_id FROM audit_list_records r
				WHERE r.organization_id = l.organization_id AND r.record_id = k.record_id AND r.as_patient = k.as_patient
				  AND r.day = l.day AND r.list_id = l.id) IS NULL)
			FROM (SELECT) one ` + recordsOfList + `)
			ELSE 0 END AS missing
		FROM l`

// lastSeal returns the last seal up to a position, or the genesis hash. Index: the primary key.
func (store) lastSeal(ctx context.Context, organization uuid.UUID, upTo int64) (head, error) {
	found := head{organization, 0, genesis(organization)}
	if upTo == 0 {
		return found, nil
	}
	return found, db.Read(ctx, db.Query{
		Statement: `SELECT position, hash FROM audit_seals WHERE organization_id = $1 AND position <= $2
			ORDER BY position DESC LIMIT 1`,
		Arguments: []any{organization, upTo},
		Row:       func(scan func(targets ...any) error) error { return scan(&found.Position, &found.Hash) },
	})
}

// hashAt returns the hash at a position: of the seal, or of the checkpoint that has replaced it. It returns
// "" if there is neither. Indexes: the primary keys.
func (store) hashAt(ctx context.Context, organization uuid.UUID, position int64) (string, error) {
	var found string
	return found, db.Read(ctx, db.Query{
		Statement: `SELECT hash FROM audit_seals WHERE organization_id = $1 AND position = $2
			UNION SELECT hash FROM audit_checkpoints WHERE organization_id = $1 AND position = $2`,
		Arguments: []any{organization, position},
		Row: func(scan func(targets ...any) error) error {
			var hash Hash
			err := scan(&hash)
			found = hash.String()
			return err
		},
	})
}

// period is a time with a first and a last instant.
type period struct {
	first, last time.Time
}

// periodOf returns when the events of a section occurred, by their seals; nil if there are none. Index: the
// primary key.
func (store) periodOf(ctx context.Context, organization uuid.UUID, of section) (found *period, err error) {
	return found, db.Read(ctx, db.Query{
		Statement: `
			SELECT min(occurred_at), max(occurred_at) FROM audit_seals
			WHERE organization_id = $1 AND position > $2 AND position <= $3 HAVING count(*) > 0`,
		Arguments: []any{organization, of.after, of.last},
		Row: func(scan func(targets ...any) error) error {
			found = &period{}
			return scan(&found.first, &found.last)
		},
	})
}

// links streams the links of a section, in the order of their positions. The link is valid until row
// returns. The statement names the period of the section, so that PostgreSQL opens only its partitions.
// Indexes: the primary keys.
func (s store) links(ctx context.Context, organization uuid.UUID, of section, row func(*link)) error {
	during, err := s.periodOf(ctx, organization, of)
	if err != nil || during == nil {
		return err
	}
	var l link
	return db.Copy(ctx, db.CopyQuery{
		Statement: `
			SELECT s.position, s.sequence, s.hash, e.organization_id, e.sequence, e.occurred_at, e.actor_id, e.request_id,
				e.action, e.outcome, e.subject_type, e.subject_id, e.patient_id, e.address, e.grant_id, e.before::text,
				e.after::text
			FROM audit_seals s LEFT JOIN LATERAL (
				SELECT * FROM audit_events e
				WHERE e.organization_id = s.organization_id AND e.occurred_at = s.occurred_at AND e.sequence = s.sequence
				  AND e.occurred_at >= $4 AND e.occurred_at <= $5
				OFFSET 0) e ON true
			WHERE s.organization_id = $1 AND s.position > $2 AND s.position <= $3
			  AND s.occurred_at >= $4 AND s.occurred_at <= $5
			ORDER BY s.position`,
		Arguments: []any{organization, of.after, of.last, during.first, during.last},
		Row: func(r *db.CopyRow) error {
			l = link{Position: r.Bigint(0), SealSequence: r.Bigint(1), Hash: r.Hash(2), EventExists: !r.IsNull(3)}
			if l.EventExists {
				l.Event = eventRow{
					OrganizationID: r.UUID(3), Sequence: r.Bigint(4), OccurredAt: r.Time(5), ActorID: r.OptionalUUID(6),
					RequestID: r.Text(7), Action: r.Text(8), Outcome: trail.Outcome(r.Text(9)), SubjectType: r.Text(10),
					SubjectID: r.OptionalUUID(11), PatientID: r.OptionalUUID(12), Address: r.Text(13),
					GrantID: r.OptionalUUID(14), Before: r.OptionalText(15), After: r.OptionalText(16),
				}
			}
			row(&l)
			return nil
		},
	})
}

// allSealed reports that every event of an organization is sealed, or was marked as unsealed within the
// given time, provided that every seal has its event. It compares numbers, which takes a fraction of the
// time that [store.overdue] needs. Indexes: the primary keys, and audit_seals_once.
func (store) allSealed(ctx context.Context, organization uuid.UUID, longer time.Duration) (ok bool, err error) {
	return ok, db.Read(ctx, db.Query{
		Statement: `
			WITH marked AS MATERIALIZED (
				SELECT k.sequence, k.occurred_at, u.recorded_at FROM audit_unsealed u
				CROSS JOIN LATERAL unnest(u.sequences, u.times) AS k (sequence, occurred_at)
				WHERE u.organization_id = $1)
			SELECT NOT EXISTS (SELECT FROM marked WHERE recorded_at < now() - make_interval(secs => $2))
				AND (SELECT count(*) FROM audit_events WHERE organization_id = $1) =
					(SELECT count(*) FROM audit_seals WHERE organization_id = $1)
					+ (SELECT count(*) FROM marked m
						WHERE EXISTS (SELECT FROM audit_events e WHERE e.organization_id = $1
							AND e.occurred_at = m.occurred_at AND e.sequence = m.sequence)
						AND NOT EXISTS (SELECT FROM audit_seals s WHERE s.organization_id = $1
							AND s.occurred_at = m.occurred_at AND s.sequence = m.sequence))`,
		Arguments: []any{organization, longer.Seconds()},
		Row:       func(scan func(targets ...any) error) error { return scan(&ok) },
	})
}

// lists returns the lists of the ids, with the hash of their stored content. Indexes: the primary keys.
func (store) lists(ctx context.Context, organization uuid.UUID, ids []uuid.UUID) ([]storedList, error) {
	tx, err := db.Handle(ctx)
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	var found []storedList
	err = tx.Raw(selectLists, organization, db.UUIDs(ids)).Scan(&found).Error
	return found, err
}

// contradiction is a list whose rows for the search contradict it.
type contradiction struct {
	ListID uuid.UUID
	Size   *int // of the list; nil: there is no such list
	Rows   int
}

// contradictions returns lists of an organization with the wrong number of rows for the search. It
// reads all these rows.
func (store) contradictions(ctx context.Context, organization uuid.UUID) ([]contradiction, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return nil, err
	}
	var found []contradiction
	err = tx.Raw(`
		SELECT r.list_id, l.size, r.rows
		FROM (SELECT list_id, count(*) AS rows FROM audit_list_records
			WHERE organization_id = @organization GROUP BY list_id) r
		LEFT JOIN audit_lists l ON l.organization_id = @organization AND l.id = r.list_id
		WHERE l.size IS DISTINCT FROM r.rows
		ORDER BY r.list_id
		LIMIT @limit`, map[string]any{"organization": organization, "limit": maxListedFindings}).Scan(&found).Error
	return found, err
}

// overdueEvent is an event without a seal.
type overdueEvent struct {
	Sequence int64
	Marked   bool
	Since    time.Time
}

// overdue returns events of an organization that are neither sealed nor marked as unsealed, or have
// been marked for longer than the given time. It ignores events that occurred before since. Indexes: the
// primary keys, and audit_seals_once.
func (store) overdue(
	ctx context.Context, organization uuid.UUID, longer time.Duration, since time.Time,
) ([]overdueEvent, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return nil, err
	}
	var found []overdueEvent
	err = tx.Raw(`
		SELECT e.sequence, u.sequence IS NOT NULL AS marked, coalesce(u.recorded_at, e.occurred_at) AS since
		FROM audit_events e
		LEFT JOIN audit_seals s ON s.organization_id = e.organization_id AND s.occurred_at = e.occurred_at
			AND s.sequence = e.sequence
		LEFT JOIN (
			SELECT unnest(w.sequences) AS sequence, w.recorded_at FROM audit_unsealed w WHERE w.organization_id = @organization
		) u ON u.sequence = e.sequence
		WHERE e.organization_id = @organization AND e.occurred_at >= @since AND s.sequence IS NULL
		  AND (u.sequence IS NULL OR u.recorded_at < now() - make_interval(secs => @longer))
		ORDER BY e.sequence
		LIMIT @limit`, map[string]any{
		"organization": organization, "longer": longer.Seconds(), "since": since, "limit": maxListedFindings,
	}).Scan(&found).Error
	return found, err
}

// missing returns the sequence numbers of missing events that are marked as unsealed. Indexes:
// the primary keys.
func (store) missing(ctx context.Context, organization uuid.UUID) ([]int64, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return nil, err
	}
	var found []int64
	err = tx.Raw(`
		SELECT k.sequence FROM audit_unsealed u
		CROSS JOIN LATERAL unnest(u.sequences, u.times) AS k (sequence, occurred_at)
		WHERE u.organization_id = @organization AND NOT EXISTS (
			SELECT FROM audit_events e
			WHERE e.organization_id = u.organization_id AND e.occurred_at = k.occurred_at AND e.sequence = k.sequence)
		ORDER BY k.sequence
		LIMIT @limit`, map[string]any{"organization": organization, "limit": maxListedFindings}).Scan(&found).Error
	return found, err
}
