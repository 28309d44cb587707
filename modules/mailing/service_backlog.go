package mailing

import (
	"context"
	"sync/atomic"
	"time"

	"omnirapeutic/platform/db"
)

// maxCounted limits the rows that [Service.Backlog] reads.
const maxCounted = 10_000

// Backlog is the waiting mail of all organizations. At most ten thousand are counted.
type Backlog struct {
	Queued int
	Oldest time.Duration // age of the oldest of the counted ones
}

// Backlog returns the backlog of all organizations.
func (s *Service) Backlog(ctx context.Context) (Backlog, error) {
	return db.Snapshot(ctx, s.Database, "mail.backlog", func(ctx context.Context) (Backlog, error) {
		return s.store.backlog(ctx, s.now(), maxCounted)
	}, db.AllOrganizations())
}

// Counts counts the attempts to send on this instance, by their result.
type Counts struct {
	Sent     int64
	Retried  int64 // failed, and due again later
	Failed   int64 // failed for the last time
	Refused  int64 // the recipient was refused
	Withheld int64 // not sent: the address had refused earlier mail
	Expired  int64 // not sent: too late
}

// counters are the counters of [Counts].
type counters struct{ sent, retried, failed, refused, withheld, expired atomic.Int64 }

// count counts the result of an attempt.
func (c *counters) count(state State) {
	switch state {
	case Queued:
		c.retried.Add(1)
	case Sent:
		c.sent.Add(1)
	case Failed:
		c.failed.Add(1)
	case Refused:
		c.refused.Add(1)
	case Withheld:
		c.withheld.Add(1)
	case Expired:
		c.expired.Add(1)
	}
}

// Counts returns the number of attempts of this instance.
func (s *Service) Counts() Counts {
	return Counts{
		Sent:     s.tried.sent.Load(),
		Retried:  s.tried.retried.Load(),
		Failed:   s.tried.failed.Load(),
		Refused:  s.tried.refused.Load(),
		Withheld: s.tried.withheld.Load(),
		Expired:  s.tried.expired.Load(),
	}
}
