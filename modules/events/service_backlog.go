package events

import (
	"context"
	"sync/atomic"
	"time"

	"omnirapeutic/platform/db"
)

// maxCounted limits the rows that [Service.Backlog] reads of each table.
const maxCounted = 10_000

// Backlog is the number of events and deliveries of all organizations that wait. Each number is at most
// ten thousand: more are not counted.
type Backlog struct {
	Outbox int           // events that the relay has not moved
	Oldest time.Duration // age of the oldest of the counted ones
	// Deliveries to webhooks that have not succeeded yet, also to inactive webhooks.
	Deliveries int
}

// Backlog returns the backlog of all organizations.
func (s *Service) Backlog(ctx context.Context) (Backlog, error) {
	return db.Snapshot(ctx, s.database, "events.backlog", func(ctx context.Context) (Backlog, error) {
		return s.store.backlog(ctx, s.now(), maxCounted)
	}, db.AllOrganizations())
}

// DeliveryCounts counts the attempts to deliver on this instance, by their result.
type DeliveryCounts struct {
	Delivered int64
	Retried   int64 // failed, and due again later
	Dead      int64 // failed for the last time
	Withheld  int64 // not sent: the responsible user may not read the event
}

// deliveryCounters are the counters of [DeliveryCounts].
type deliveryCounters struct{ delivered, retried, dead, withheld atomic.Int64 }

// count counts the result of an attempt.
func (c *deliveryCounters) count(state DeliveryState) {
	switch state {
	case DeliveryDelivered:
		c.delivered.Add(1)
	case DeliveryDead:
		c.dead.Add(1)
	default:
		c.retried.Add(1)
	}
}

// DeliveryCounts returns the number of attempts of this instance.
func (s *Service) DeliveryCounts() DeliveryCounts {
	return DeliveryCounts{
		Delivered: s.delivered.delivered.Load(),
		Retried:   s.delivered.retried.Load(),
		Dead:      s.delivered.dead.Load(),
		Withheld:  s.delivered.withheld.Load(),
	}
}
