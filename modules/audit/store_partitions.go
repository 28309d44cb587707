package audit

import (
	"context"
	"time"

	"omnirapeutic/platform/db"
)

// addPartition adds a missing month to a table of the trail, and returns whether it did. It waits for a lock
// for at most 100 ms.
func (store) addPartition(ctx context.Context) (added bool, err error) {
	return added, db.Read(ctx, db.Query{
		Statement: `SELECT add_partition()`,
		Row:       func(scan func(targets ...any) error) error { return scan(&added) },
	})
}

// partitionsEnd returns the time from which on a table of the trail has only its last partition, which is never
// dropped; nil if there are no partitions. It reads the catalog.
func (store) partitionsEnd(ctx context.Context) (end *time.Time, err error) {
	return end, db.Read(ctx, db.Query{
		Statement: `
			SELECT min(p.begins_at) FROM unnest(ARRAY['audit_events', 'audit_seals']::regclass[]) AS t (name)
			CROSS JOIN LATERAL partitions_of(t.name) p WHERE p.ends_at = 'infinity'`,
		Row: func(scan func(targets ...any) error) error { return scan(&end) },
	})
}
