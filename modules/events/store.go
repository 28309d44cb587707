package events

import (
	"context"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/outbox"
)

// store reads and writes events. It takes the transaction from the context and fails without one.
type store struct{}

// tenantHandle returns the transaction for SQL that names the caller's organization itself.
func tenantHandle(ctx context.Context) (*gorm.DB, uuid.UUID, error) {
	_, organization, err := db.Tenant(ctx)
	if err != nil {
		return nil, uuid.Nil, err
	}
	tx, err := db.Handle(ctx)
	return tx, organization, err
}

// publish writes rows of the outbox, in their order.
func (store) publish(ctx context.Context, messages []outbox.Message, payloads []string) error {
	columns := db.Columns(messages, func(v *db.Values, m outbox.Message) {
		v.UUID(m.OrganizationID).Text(m.Type).UUID(m.SubjectID).Text(string(m.Permission)).Time(m.OccurredAt)
	})
	return db.Write(ctx, len(messages), `
		INSERT INTO outbox (organization_id, type, subject_id, permission, payload, occurred_at)
		SELECT organization_id, type, subject_id, permission, payload, occurred_at
		FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[], $5::timestamptz[], $6::text[])
			WITH ORDINALITY AS m (organization_id, type, subject_id, permission, occurred_at, payload, n)
		ORDER BY n`,
		append(columns, payloads)...)
}

// head is the newest position of an organization's stream.
type head struct {
	OrganizationID uuid.UUID
	LastPosition   int64
}

// moveResult is the result of one transaction of the relay for a stream.
type moveResult struct {
	OrganizationID uuid.UUID
	LastPosition   int64
	Events         int
	Deliveries     int // to webhooks, now due
}

func (m moveResult) head() head { return head{m.OrganizationID, m.LastPosition} }

// lockStreams locks up to limit streams that have events in the outbox and that no other instance
// is working on. Their events are read in a later statement, which sees the commits of the
// previous lock holder. Indexes: the primary keys.
func (store) lockStreams(ctx context.Context, limit int) ([]uuid.UUID, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return nil, err
	}
	var waiting []struct {
		OrganizationID uuid.UUID
		Streams        bool // whether it has a stream
	}
	err = tx.Raw(`
		WITH RECURSIVE waiting AS ( -- the organizations in the outbox, by leaps through its index
			(SELECT organization_id FROM outbox ORDER BY organization_id LIMIT 1)
			UNION ALL
			SELECT (SELECT o.organization_id FROM outbox o WHERE o.organization_id > w.organization_id
			        ORDER BY o.organization_id LIMIT 1)
			FROM waiting w WHERE w.organization_id IS NOT NULL
		)
		SELECT organization_id, EXISTS (SELECT FROM event_streams s WHERE s.organization_id = w.organization_id) AS streams
		FROM waiting w WHERE organization_id IS NOT NULL`).Scan(&waiting).Error
	if err != nil || len(waiting) == 0 {
		return nil, err
	}
	var all, first []uuid.UUID
	for _, w := range waiting {
		all = append(all, w.OrganizationID)
		if !w.Streams {
			first = append(first, w.OrganizationID)
		}
	}
	if len(first) > 0 {
		err := tx.Exec(`INSERT INTO event_streams (organization_id) SELECT * FROM unnest($1::uuid[]) ON CONFLICT DO NOTHING`,
			db.UUIDs(first)).Error
		if err != nil {
			return nil, err
		}
	}
	var locked []uuid.UUID
	err = tx.Raw(`
		SELECT organization_id FROM event_streams WHERE organization_id = ANY ($1::uuid[])
		ORDER BY organization_id LIMIT $2 FOR UPDATE SKIP LOCKED`, db.UUIDs(all), limit).Scan(&locked).Error
	return locked, err
}

// moveEvents assigns positions to the outbox events of locked streams.
var moveEvents = db.ByRows(`
		WITH taken AS (
			DELETE FROM outbox WHERE {rows}
			RETURNING *
		), heads AS (
			UPDATE event_streams s SET last_position = s.last_position + t.events
			FROM (SELECT organization_id, count(*) AS events FROM taken GROUP BY organization_id) t
			WHERE s.organization_id = t.organization_id AND s.organization_id = ANY ($1::uuid[])
			RETURNING s.organization_id, s.last_position, t.events
		), written AS (
			INSERT INTO events (organization_id, position, type, subject_id, permission, payload, occurred_at)
			SELECT organization_id, h.last_position - h.events + row_number() OVER (PARTITION BY organization_id
				ORDER BY t.sequence),
			       t.type, t.subject_id, t.permission, t.payload, t.occurred_at
			FROM taken t JOIN heads h USING (organization_id)
			RETURNING organization_id, position, type
		), handed AS (
			INSERT INTO webhook_deliveries (organization_id, webhook_id, position, next_attempt_at)
			SELECT w.organization_id, w.id, e.position, $3::timestamptz
			FROM written e JOIN webhooks w USING (organization_id)
			WHERE w.active AND (w.types = '{}' OR e.type = ANY (w.types))
			FOR KEY SHARE OF w -- so that none is deleted meanwhile
			RETURNING organization_id
		)
		SELECT h.organization_id, h.last_position, h.events,
			(SELECT count(*) FROM handed d WHERE d.organization_id = h.organization_id) AS deliveries,
			{notify $4, h.organization_id || ' ' || h.last_position}
		FROM heads h`, db.Rows{
	Key: []string{"organization_id", "sequence"},
	Query: `SELECT o.{row} FROM unnest($1::uuid[]) AS s (organization_id) CROSS JOIN LATERAL (
		SELECT t.{row} FROM outbox t WHERE t.organization_id = s.organization_id ORDER BY t.sequence LIMIT $2) o`,
}).WithNotify()

// move assigns positions to up to limit outbox events of each locked stream, creates their
// deliveries to webhooks, and notifies the other instances. It looks up the rows one by one,
// independent of the planner's estimates; no other transaction takes from a locked stream. Index:
// the primary keys.
func (store) move(ctx context.Context, locked []uuid.UUID, limit int, now time.Time) ([]moveResult, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return nil, err
	}
	var results []moveResult
	err = tx.Raw(moveEvents.For(ctx), db.UUIDs(locked), limit, now, notifyChannel).Scan(&results).Error
	return results, err
}

// heads returns the newest positions of the organizations' streams.
func (store) heads(ctx context.Context, organizations []uuid.UUID) ([]head, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return nil, err
	}
	var found []head
	err = tx.Raw(`SELECT organization_id, last_position FROM event_streams WHERE organization_id IN ?`, organizations).
		Scan(&found).Error
	return found, err
}

// oldestAndNewest returns the positions of the oldest kept and the newest event of the caller's
// organization. If no event is kept, oldest is the next position.
func (store) oldestAndNewest(ctx context.Context) (oldest, newest int64, err error) {
	tx, organization, err := tenantHandle(ctx)
	if err != nil {
		return 0, 0, err
	}
	var row struct{ Oldest, Newest int64 }
	err = tx.Raw(`
		SELECT s.last_position AS newest, coalesce(
			(SELECT min(e.position) FROM events e WHERE e.organization_id = s.organization_id), s.last_position + 1) AS oldest
		FROM event_streams s WHERE s.organization_id = ?`, organization).Scan(&row).Error
	return max(row.Oldest, 1), row.Newest, err
}

// eventColumns are the columns of an [Event]. The payload is read as bytes, as the answer needs it.
const eventColumns = "organization_id, position, type, subject_id, permission, convert_to(payload, 'UTF8') AS payload, " +
	"occurred_at"

// eventsAfter returns events of the caller's organization within a range of positions. With a filter
// it returns only events that pass it.
func (store) eventsAfter(
	ctx context.Context, position, upTo int64, filter *streamFilter, limit int,
) ([]Event, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	tx = tx.Table("events").Select(eventColumns).Where("position > ? AND position <= ?", position, upTo)
	if filter != nil {
		tx = tx.Where("permission IN ?", filter.permissions)
		if len(filter.types) > 0 {
			tx = tx.Where("type IN ?", filter.types)
		}
	}
	var found []Event
	err = tx.Order("position").Limit(limit).Find(&found).Error
	return found, err
}
