package audit

import (
	"context"
	"time"

	"omnirapeutic/platform/db"
)

// AddPartitions adds the missing months to the tables of the trail, and returns their number. There are
// partitions for the current month and the two months after it. Each addition is a transaction of some
// milliseconds. If it does not get its lock within 100 ms, AddPartitions returns an error, and a later call
// tries again.
func (s *Service) AddPartitions(ctx context.Context) (added int64, err error) {
	for {
		more, err := db.ReadCommitted(ctx, s.database, "audit.add-partition", s.store.addPartition)
		if err != nil || !more {
			return added, err
		}
		added++
	}
}

// PartitionsEnd returns the end of the last month with partitions. Events after it are stored too, but in a
// partition without an end, which is never dropped.
func (s *Service) PartitionsEnd(ctx context.Context) (*time.Time, error) {
	return db.Snapshot(ctx, s.database, "audit.partitions", s.store.partitionsEnd)
}
