package db

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
)

// history remembers positions of the primary's write-ahead log and when they were current. A standby that has
// replayed a position shows everything that was committed at that time. Unlike the time of the last replayed
// transaction, this needs no common clock, and it is right for an idle primary and for a standby that is
// disconnected. Safe for concurrent use.
//
// Positions of different histories cannot be compared: after a failover, a server may continue the old primary's
// log beyond the point at which the new primary has taken over. Each timeline therefore has an id in a table,
// which is written by the first program that finds the timeline new. Only servers that follow the primary
// have it.
type history struct {
	primary *pgxpool.Pool
	keep    time.Duration

	mu      sync.Mutex
	id      string // of the primary's timeline; "" before the first sample
	role    string // of the program at the primary
	samples []sample
}

// sample is a position of the primary's log: everything committed at the time is before it.
type sample struct {
	bytes int64
	at    time.Time
}

// position is where a standby is.
type position struct {
	id    string
	role  string
	bytes int64 // the replayed position
}

func newHistory(primary *pgxpool.Pool, keep time.Duration) *history {
	return &history{primary: primary, keep: keep}
}

// sampleQuery reads the position of the primary, its timeline, and the timeline's id. It fails on a standby.
// Commits are flushed before they become visible. Source: PostgreSQL manual, "System Administration Functions".
const sampleQuery = `
	SELECT left(pg_walfile_name(w.flushed), 8), (w.flushed - '0/0'::pg_lsn)::bigint, current_user::text,
		coalesce(h.timeline, ''), coalesce(h.id::text, '')
	FROM (SELECT pg_current_wal_flush_lsn() AS flushed) w LEFT JOIN replication_history h ON true`

// writeTimeline gives a new timeline an id.
const writeTimeline = `
	INSERT INTO replication_history (one, timeline, id, began_at) VALUES (true, $1, $2, now())
	ON CONFLICT (one) DO UPDATE SET timeline = excluded.timeline, id = excluded.id, began_at = excluded.began_at
	WHERE replication_history.timeline <> excluded.timeline`

// sample reads the primary's position.
func (h *history) sample(ctx context.Context) error {
	for {
		at := time.Now()
		var timeline, role, known, id string
		var bytes int64
		err := h.primary.QueryRow(ctx, sampleQuery).Scan(&timeline, &bytes, &role, &known, &id)
		if err != nil {
			return err
		}
		if known == timeline {
			h.add(id, role, sample{bytes, at})
			return nil
		}
		if _, err := h.primary.Exec(ctx, writeTimeline, timeline, uuid.New()); err != nil {
			return err
		}
	}
}

func (h *history) add(id, role string, s sample) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if id != h.id {
		h.id, h.samples = id, nil
	}
	h.role = role
	// One sample that is older than all usable lags stays, so that lags can be named.
	for len(h.samples) > 1 && s.at.Sub(h.samples[1].at) > h.keep {
		h.samples = h.samples[1:]
	}
	h.samples = append(h.samples, s)
}

// lagOf returns how old the state at the position is, at most. If it is unknown, it returns a reason.
func (h *history) lagOf(p position, now time.Time) (time.Duration, FallbackReason) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.id == "":
		return 0, Lagging
	case p.id != h.id:
		return 0, OtherHistory
	case p.role != h.role:
		return 0, OtherRole
	}
	for i := len(h.samples) - 1; i >= 0; i-- {
		if h.samples[i].bytes <= p.bytes {
			return now.Sub(h.samples[i].at), ""
		}
	}
	return 0, Lagging
}
