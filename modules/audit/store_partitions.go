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
			SELECT min(substring(pg_get_expr(c.relpartbound, c.oid) FROM 'FROM \(''([^'']+)''\) TO \(MAXVALUE')::timestamptz)
			FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
			WHERE i.inhparent IN ('audit_events'::regclass, 'audit_seals'::regclass)`,
		Row: func(scan func(targets ...any) error) error { return scan(&end) },
	})
}
