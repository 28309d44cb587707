package audit

import (
	"database/sql"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/dbtest"
)

// fillMonth writes a month of 1,000,000 sealed events of 100 organizations, and their checkpoints. The hashes are
// invented, because nothing verifies them.
var fillMonth = []string{
	`SELECT split_last_partition(t, '2040-01-01'), split_last_partition(t, '2040-02-01')
		FROM unnest(ARRAY['audit_events', 'audit_seals']::regclass[]) t`,
	`INSERT INTO audit_events (organization_id, occurred_at, actor_id, request_id, action, outcome, subject_type,
			subject_id, patient_id, address)
		SELECT md5((n % 100)::text)::uuid, '2040-01-01'::timestamptz + n * interval '2 seconds', md5((n % 5000)::text)::uuid, '',
			'session.read', 'done', 'session', md5((n % 9000)::text)::uuid, md5((n % 7000)::text)::uuid, '192.0.2.1'
		FROM generate_series(1, 1000000) n`,
	`INSERT INTO audit_seals SELECT organization_id, row_number() OVER (PARTITION BY organization_id ORDER BY sequence),
			occurred_at, sequence, sha256(sequence::text::bytea), now() FROM audit_events`,
	`INSERT INTO audit_checkpoints SELECT DISTINCT ON (organization_id) organization_id, position, hash, position, 'x', now()
		FROM audit_seals ORDER BY organization_id, position DESC`,
	`ANALYZE`,
}

// BenchmarkDropMonth drops a month of 1,000,000 events whose checkpoints are written. It reports the time of each
// part. None of them blocks a writer.
func BenchmarkDropMonth(b *testing.B) {
	var detach, check, drop time.Duration
	for b.Loop() {
		b.StopTimer()
		database := dbtest.New(b)
		owner, err := sql.Open("pgx", database.OwnerURL)
		require.NoError(b, err)
		for _, statement := range fillMonth {
			_, err := owner.ExecContext(b.Context(), statement)
			require.NoError(b, err)
		}
		opened, err := db.Open(b.Context(), db.Config{URL: database.OwnerURL, MaxConns: 2})
		require.NoError(b, err)
		s := New(Dependencies{Database: opened, Clock: time.Now})
		b.StartTimer()

		began := time.Now()
		require.NoError(b, s.detach(b.Context(), eventsTable, "partitions.audit_events_2040_01_01"))
		detach += time.Since(began)
		require.NoError(b, s.finishDetach(b.Context(), eventsTable))
		began = time.Now()
		require.NoError(b, s.finishDetach(b.Context(), sealsTable))
		detach += time.Since(began)
		const events, seals = "partitions.audit_events_2040_01_01", "partitions.audit_seals_2040_01_01"
		began = time.Now()
		kept, err := s.keptRows(b.Context(), events, seals)
		require.NoError(b, err)
		require.Zero(b, kept)
		check += time.Since(began)
		began = time.Now()
		require.NoError(b, s.dropTables(b.Context(), events, seals, kept))
		drop += time.Since(began)

		b.StopTimer()
		opened.Close()
		require.NoError(b, owner.Close())
		b.StartTimer()
	}
	b.ReportMetric(float64(detach.Microseconds())/1000/float64(b.N), "ms-detach/op")
	b.ReportMetric(float64(check.Microseconds())/1000/float64(b.N), "ms-check/op")
	b.ReportMetric(float64(drop.Microseconds())/1000/float64(b.N), "ms-drop/op")
}

// fillLists writes 100,000 lists of 10 records each, of one organization and one month, and 100,000 younger events.
// The lists are invented, because nothing verifies them.
var fillLists = []string{
	`INSERT INTO audit_lists SELECT 'd9567975-0b2c-4c8a-8f6e-2a0b8f7a1c11', md5(n::text)::uuid,
			'2020-01-01'::date + n % 30, 10, repeat('x', 400)
		FROM generate_series(1, 100000) n`,
	`INSERT INTO audit_list_records SELECT 'd9567975-0b2c-4c8a-8f6e-2a0b8f7a1c11', md5((n * 10 + r)::text)::uuid, false,
			'2020-01-01'::date + n % 30, md5(n::text)::uuid
		FROM generate_series(1, 100000) n, generate_series(1, 10) r`,
	`INSERT INTO audit_events (organization_id, occurred_at, actor_id, request_id, action, outcome, subject_type,
			subject_id, address)
		SELECT 'd9567975-0b2c-4c8a-8f6e-2a0b8f7a1c11', '2025-01-01'::timestamptz + n * interval '2 seconds',
			md5((n % 5000)::text)::uuid, '',
			'session.read', 'done', 'list', md5((n + 1000000)::text)::uuid, '192.0.2.1'
		FROM generate_series(1, 100000) n`,
	`ANALYZE`,
}

// BenchmarkRemoveLists removes a month of 100,000 lists with 1,000,000 records after their events.
func BenchmarkRemoveLists(b *testing.B) {
	organization := uuid.MustParse("d9567975-0b2c-4c8a-8f6e-2a0b8f7a1c11")
	for b.Loop() {
		b.StopTimer()
		database := dbtest.New(b)
		owner, err := sql.Open("pgx", database.OwnerURL)
		require.NoError(b, err)
		for _, statement := range fillLists {
			_, err := owner.ExecContext(b.Context(), statement)
			require.NoError(b, err)
		}
		opened, err := db.Open(b.Context(), db.Config{URL: database.OwnerURL, MaxConns: 2})
		require.NoError(b, err)
		s := New(Dependencies{Database: opened, Clock: time.Now})
		b.StartTimer()

		require.NoError(b, s.removeLists(b.Context(), organization, time.Date(2020, 2, 1, 0, 0, 0, 0, time.UTC)))

		b.StopTimer()
		var left int
		require.NoError(b, owner.QueryRowContext(b.Context(), `SELECT count(*) FROM audit_list_records`).Scan(&left))
		require.Zero(b, left)
		opened.Close()
		require.NoError(b, owner.Close())
		b.StartTimer()
	}
}
