package db_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
)

// copyAll runs a query with COPY in a snapshot.
func copyAll(t *testing.T, c *counters, q db.CopyQuery) error {
	t.Helper()
	_, err := db.Snapshot(t.Context(), c.DB, "copy", func(ctx context.Context) (none, error) {
		return none{}, db.Copy(ctx, q)
	})
	c.idle(t)
	return err
}

func TestCopyDecodesEveryType(t *testing.T) {
	t.Parallel()
	c := newCounters(t)
	id, other := uuid.New(), uuid.New()
	rows := 0
	err := copyAll(t, c, db.CopyQuery{
		Statement: `SELECT $1, -7, $2, 'naïve ' || repeat('x', 70000), true, sha256('x'), date '1987-06-05',
				timestamptz '1999-12-31 23:59:59.000001Z', NULL, ($3)[2], $4 + $10, NULL::uuid, NULL::date, NULL::timestamptz
			FROM generate_series(1, 3)`,
		Arguments: []any{id, int64(-1 << 60), db.UUIDs([]uuid.UUID{id, other}), 5, 0, 0, 0, 0, 0, 7},
		Row: func(r *db.CopyRow) error {
			rows++
			require.Equal(t, id, r.UUID(0))
			require.Equal(t, -7, r.Int(1))
			require.EqualValues(t, -1<<60, r.Bigint(2))
			require.Equal(t, "naïve "+strings.Repeat("x", 70000), r.Text(3))
			require.True(t, r.Bool(4))
			require.Equal(t, byte(0x2d), r.Hash(5)[0])
			require.Equal(t, calendar.NewDate(1987, 6, 5), r.Date(6))
			require.Equal(t, time.Date(1999, 12, 31, 23, 59, 59, 1000, time.UTC), r.Time(7))
			require.True(t, r.IsNull(8))
			require.Nil(t, r.OptionalText(8))
			require.Equal(t, other, *r.OptionalUUID(9))
			require.EqualValues(t, 12, *r.OptionalBigint(10))
			require.Nil(t, r.OptionalUUID(11))
			require.True(t, r.Date(12).IsZero())
			require.Nil(t, r.OptionalTime(13))
			return nil
		},
	})
	require.NoError(t, err)
	require.Equal(t, 3, rows)
}

func TestCopyReportsErrors(t *testing.T) {
	t.Parallel()
	c := newCounters(t)
	ignore := func(*db.CopyRow) error { return nil }
	var server *pgconn.PgError
	errRefused := errors.New("refused")
	require.ErrorAs(t, copyAll(t, c, db.CopyQuery{
		Statement: "SELECT 1 / (n - 2) FROM generate_series(1, 3) n",
		Row:       ignore,
	}), &server)
	require.Equal(t, pgerrcode.DivisionByZero, server.Code)
	require.ErrorContains(t, copyAll(t, c, db.CopyQuery{Statement: "SELECT $1", Arguments: []any{"text"}, Row: ignore}),
		"does not support an argument of type string")
	require.ErrorContains(t, copyAll(t, c, db.CopyQuery{
		Statement: "SELECT 1", Row: func(r *db.CopyRow) error { r.UUID(0); return nil },
	}), "expected format")
	require.ErrorIs(t, copyAll(t, c, db.CopyQuery{
		Statement: "SELECT n FROM generate_series(1, 100000) n", Row: func(*db.CopyRow) error { return errRefused },
	}), errRefused)
	require.ErrorIs(t, db.Copy(t.Context(), db.CopyQuery{Row: ignore}), db.ErrNoTransaction)
}

func TestCopyFollowsRowLevelSecurity(t *testing.T) {
	t.Parallel()
	c := newCounters(t)
	_, err := db.Serializable(t.Context(), c.DB, "create", func(ctx context.Context) (none, error) {
		organization := uuid.New()
		require.NoError(t, db.Admit(ctx, organization))
		require.NoError(t, db.Write(ctx, 1, "INSERT INTO audit_chains (organization_id) VALUES ($1)", organization))
		return none{}, nil
	})
	require.NoError(t, err)
	for want, options := range map[int][]db.Option{0: nil, 1: {db.AllOrganizations()}} {
		seen := 0
		_, err := db.Snapshot(t.Context(), c.DB, "copy", func(ctx context.Context) (none, error) {
			return none{}, db.Copy(ctx, db.CopyQuery{
				Statement: "SELECT organization_id FROM audit_chains",
				Row:       func(*db.CopyRow) error { seen++; return nil },
			})
		}, options...)
		require.NoError(t, err)
		require.Equal(t, want, seen)
	}
}
