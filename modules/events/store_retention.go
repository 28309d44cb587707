package events

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
)

// streamAge reports whether a stream begins with an old event.
type streamAge struct {
	OrganizationID uuid.UUID
	Old            bool
}

// oldStreams examines up to limit streams after the given organization, in the order of
// organizations. Indexes: the primary keys.
func (store) oldStreams(ctx context.Context, after uuid.UUID, before time.Time, limit int) ([]streamAge, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return nil, err
	}
	var found []streamAge
	err = tx.Raw(`
		SELECT s.organization_id, coalesce((
			SELECT e.occurred_at < $2 FROM events e WHERE e.organization_id = s.organization_id ORDER BY e.position
				LIMIT 1), false) AS old
		FROM event_streams s WHERE s.organization_id > $1 ORDER BY s.organization_id
			LIMIT $3`, after, before, limit).Scan(&found).Error
	return found, err
}

// removalSlice is the section of a stream that one transaction removes from.
type removalSlice struct {
	organization uuid.UUID
	after        int64 // the position up to which everything is removed: its dead index entries are skipped
	before       time.Time
}

// sliceResult is the result of removing a slice.
type sliceResult struct {
	events int64 // removed
	upTo   int64 // all events up to this position are removed
	last   bool  // the stream has no more old events
}

// deleteDeliveries deletes the first deliveries of a range of positions.
var deleteDeliveries = db.ByRows("DELETE FROM webhook_deliveries WHERE {rows}", db.Rows{
	Key: []string{"organization_id", "webhook_id", "position"},
	Query: `SELECT {row} FROM webhook_deliveries
		WHERE organization_id = $1 AND position > $2 AND position <= $3 ORDER BY position LIMIT $4`,
})

// removeSlice removes old events from the beginning of a slice, after their deliveries. If there
// are many deliveries, it leaves the events to the next slice. The primary key leads to the
// oldest events, whose times are compared with the cut-off. Indexes: the primary keys,
// webhook_deliveries_by_event.
func (store) removeSlice(ctx context.Context, s removalSlice) (sliceResult, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return sliceResult{}, err
	}
	var cut struct{ Seen, Old, UpTo int64 }
	err = tx.Raw(`
		WITH slice AS MATERIALIZED (
			SELECT position, occurred_at FROM events WHERE organization_id = $1 AND position > $2 ORDER BY position LIMIT $4
		), kept AS (
			SELECT min(position) AS first FROM slice WHERE occurred_at >= $3
		)
		SELECT count(*) AS seen, count(*) FILTER (WHERE kept.first IS NULL OR position < kept.first) AS old,
			coalesce(max(position) FILTER (WHERE kept.first IS NULL OR position < kept.first), 0) AS up_to
		FROM slice CROSS JOIN kept`, s.organization, s.after, s.before, maxRemovedEvents).Scan(&cut).Error
	if err != nil || cut.Old == 0 {
		return sliceResult{upTo: s.after, last: true}, err
	}
	deliveries := tx.Exec(deleteDeliveries.For(ctx),
		s.organization, s.after, cut.UpTo, maxRemovedDeliveries)
	if deliveries.Error != nil || deliveries.RowsAffected == maxRemovedDeliveries {
		return sliceResult{upTo: s.after}, deliveries.Error
	}
	events := tx.Exec(`DELETE FROM events WHERE organization_id = $1 AND position > $2 AND position <= $3`, s.organization,
		s.after, cut.UpTo)
	return sliceResult{events: events.RowsAffected, upTo: cut.UpTo, last: cut.Old < maxRemovedEvents}, events.Error
}
