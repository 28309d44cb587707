package events

import (
	"database/sql"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/dbtest"
)

// fillEvents writes 400,000 events of one stream, the first 100,000 of them 30 days old,
// each with a delivery.
var fillEvents = []string{
	`INSERT INTO organizations (id, name, time_zone, version, created_at, updated_at) VALUES (gen_random_uuid(), 'x', 'UTC', 1, now(), now())`,
	`INSERT INTO webhooks (organization_id, id, url, secret, types, created_at, updated_at)
		SELECT id, id, 'https://x.test', '\x00', '{}', now(), now() FROM organizations`,
	`INSERT INTO event_streams (organization_id, last_position) SELECT id, 400000 FROM organizations`,
	`INSERT INTO events (organization_id, position, type, subject_id, permission, payload, occurred_at)
		SELECT id, n, 'authorization.balance', id, 'authorization:read', '{"available": 366, "scheduled": 36, "used": 78}',
			now() - CASE WHEN n <= 100000 THEN interval '30 days' ELSE interval '1 hour' END
		FROM organizations, generate_series(1, 400000) n`,
	`INSERT INTO webhook_deliveries (organization_id, webhook_id, position, state, next_attempt_at)
		SELECT organization_id, organization_id, position, 'DELIVERED', occurred_at FROM events`,
	`ANALYZE`,
}

// slowest records the longest duration of an operation, and the number of operations.
type slowest struct {
	longest time.Duration
	count   int
}

func (*slowest) Retried(db.Retry) {}

func (s *slowest) Finished(o db.Outcome) { s.longest, s.count = max(s.longest, o.Elapsed), s.count+1 }

// BenchmarkRetention removes 100,000 old events of 400,000, with their deliveries. It
// reports the time of the whole and of the longest transaction.
func BenchmarkRetention(b *testing.B) {
	var seen slowest
	for b.Loop() {
		b.StopTimer()
		database := dbtest.New(b)
		owner, err := sql.Open("pgx", database.OwnerURL)
		require.NoError(b, err)
		for _, statement := range fillEvents {
			_, err := owner.ExecContext(b.Context(), statement)
			require.NoError(b, err)
		}
		require.NoError(b, owner.Close())
		opened := database.Open(b, func(c *db.Config) { c.Observers = append(c.Observers, &seen) })
		s := New(Dependencies{Database: opened, Clock: time.Now, Retention: 7 * 24 * time.Hour})
		b.StartTimer()

		removed, err := s.Sweep(b.Context())
		require.NoError(b, err)
		require.EqualValues(b, 100_000, removed)
	}
	b.ReportMetric(float64(seen.longest.Milliseconds()), "ms/longest-slice")
	b.ReportMetric(float64(seen.count)/float64(b.N), "slices/op")
}
