package events

import (
	"context"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
)

// Limits of one transaction of the retention.
const (
	maxRemovedStreams    = 1000 // streams that are examined
	maxRemovedEvents     = 500
	maxRemovedDeliveries = 1000
)

// Sweep removes the events of all organizations that are older than the retention, with their
// deliveries, and returns their number. It removes from the beginning of each stream up to the
// first event that is kept, so the rest has no gap. Each of its transactions removes a slice and
// takes some milliseconds.
func (s *Service) Sweep(ctx context.Context) (removed int64, err error) {
	before := s.now().Add(-s.retention)
	var after uuid.UUID
	for {
		streams, err := db.ReadCommitted(ctx, s.database, "events.sweep", func(ctx context.Context) ([]streamAge, error) {
			return s.store.oldStreams(ctx, after, before, maxRemovedStreams)
		}, db.AllOrganizations())
		if err != nil {
			return removed, err
		}
		for _, stream := range streams {
			if !stream.Old {
				continue
			}
			n, err := s.sweepStream(ctx, removalSlice{organization: stream.OrganizationID, before: before})
			removed += n
			if err != nil {
				return removed, err
			}
		}
		if len(streams) < maxRemovedStreams {
			return removed, nil
		}
		after = streams[len(streams)-1].OrganizationID
	}
}

// sweepStream removes the old events of one stream.
func (s *Service) sweepStream(ctx context.Context, next removalSlice) (removed int64, err error) {
	for {
		result, err := db.ReadCommitted(ctx, s.database, "events.sweep", func(ctx context.Context) (sliceResult, error) {
			if err := db.Admit(ctx, next.organization); err != nil {
				return sliceResult{}, err
			}
			return s.store.removeSlice(ctx, next)
		})
		removed += result.events
		if err != nil || result.last {
			return removed, err
		}
		next.after = result.upTo
	}
}
