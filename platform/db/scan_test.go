package db_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/dbtest"
)

type inner struct {
	Start time.Time `gorm:"column:starts_at"`
	Day   calendar.Date
}

type color string

// everyKind has a field of every kind that rows have.
type everyKind struct {
	ID       uuid.UUID
	Maybe    *uuid.UUID
	Never    *uuid.UUID
	Units    int
	Sequence int64
	Absent   int // NULL in the database
	Color    color
	Text     *string
	Flag     bool
	Rate     float64
	Bytes    []byte
	Hash     db.Hash
	inner                      // unexported: gorm ignores it
	Span     inner             `gorm:"embedded"`
	Rules    map[string]string `gorm:"serializer:json"`
	Note     *color
	EndedAt  *time.Time
	Raw      json.RawMessage
}

// TableName names the table for gorm.
func (everyKind) TableName() string { return "every_kind" }

const selectEveryKind = `SELECT '019caed9-434f-7000-8000-000000000001'::uuid AS id, '019caed9-434f-7000-8000-000000000002'::uuid AS maybe,
	NULL::uuid AS never, 4::int AS units, 5::bigint AS sequence, NULL::int AS absent, 'red'::text AS color,
	'text'::text AS text, true AS flag, 1.5::float8 AS rate, '\x0102'::bytea AS bytes, sha256('\x00') AS hash,
	timestamptz '2026-11-30 10:00Z' AS starts_at, date '2026-11-30' AS day, '{"a": "b"}'::jsonb AS rules,
	NULL::text AS note, timestamptz '2026-11-30 11:00:00.123456Z' AS ended_at, '{"c": 1}'::jsonb AS raw, 7 AS unknown
	FROM generate_series(1, 3) n`

// TestScanAgreesWithGorm compares the rows of the package's own scan with gorm's.
func TestScanAgreesWithGorm(t *testing.T) {
	t.Parallel()
	c := newCounters(t)
	_, err := db.Snapshot(t.Context(), c.DB, "scan", func(ctx context.Context) (none, error) {
		tx, err := db.Handle(ctx)
		require.NoError(t, err)
		var want []everyKind
		require.NoError(t, tx.Raw(selectEveryKind).Scan(&want).Error)
		require.Len(t, want, 3)
		require.Equal(t, color("red"), want[0].Color)
		found, err := db.Select[everyKind](ctx, selectEveryKind)
		require.NoError(t, err)
		require.Equal(t, want, found)
		found, err = db.Find[everyKind](ctx, tx.Table("(?) AS every_kind", tx.Raw(selectEveryKind)).Where("units = ?", 4).Limit(2))
		require.NoError(t, err)
		require.Equal(t, want[:2], found)
		return none{}, nil
	})
	require.NoError(t, err)
}

func TestSelectValues(t *testing.T) {
	t.Parallel()
	c := newCounters(t)
	_, err := db.Snapshot(t.Context(), c.DB, "scan", func(ctx context.Context) (none, error) {
		ids, err := db.Select[uuid.UUID](ctx, "SELECT ?::uuid UNION ALL SELECT NULL", uuid.UUID{1})
		require.NoError(t, err)
		require.Equal(t, []uuid.UUID{{1}, {}}, ids)
		days, err := db.Select[calendar.Date](ctx, "SELECT date '2026-11-30'")
		require.NoError(t, err)
		require.Equal(t, "2026-11-30", fmt.Sprint(days[0]))
		times, err := db.Select[time.Time](ctx, "SELECT timestamptz '2026-11-30 10:00Z'")
		require.NoError(t, err)
		require.Equal(t, 10, times[0].UTC().Hour())
		texts, err := db.Select[color](ctx, "SELECT 'a'::text UNION ALL SELECT NULL")
		require.NoError(t, err)
		require.Equal(t, []color{"a", ""}, texts)
		return none{}, nil
	})
	require.NoError(t, err)
}

// TestReadAll reads with several queries in one round trip, with BEGIN.
func TestReadAll(t *testing.T) {
	t.Parallel()
	c, proxy := behindProxy(t, dbtest.WithMaxConns(1))
	read := func() (numbers []int64, ids []int) {
		_, err := db.Snapshot(t.Context(), c.DB, "several", func(ctx context.Context) (none, error) {
			return none{}, db.ReadAll(ctx, db.Into(&numbers, "SELECT n FROM counters WHERE id = $1", 1),
				db.Into(&ids, "SELECT id FROM counters WHERE id = ANY ($1::int[]) ORDER BY id", []int{2, 1}))
		})
		require.NoError(t, err)
		return numbers, ids
	}
	read() // prepares the statements
	read()
	c.idle(t)
	before := proxy.RoundTrips() - proxy.LoneCommits()
	numbers, ids := read()
	require.Equal(t, []int64{0}, numbers)
	require.Equal(t, []int{1, 2}, ids)
	c.idle(t) // with a round trip of its own
	require.Equal(t, 2, proxy.RoundTrips()-proxy.LoneCommits()-before)

	_, err := db.Snapshot(t.Context(), c.DB, "several", func(ctx context.Context) (none, error) {
		return none{}, db.ReadAll(ctx, db.Into(&numbers, "SELECT 1 / $1::int", 0), db.Into(&ids, "SELECT 1"))
	})
	require.Equal(t, "22012", db.SQLState(err))
	c.idle(t)
}
