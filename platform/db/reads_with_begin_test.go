package db_test

import (
	"context"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgerrcode"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/dbtest"
	"omnirapeutic/platform/db/wireproxy"
	"omnirapeutic/platform/identity"
)

// ahead is the rows that a transaction has read with BEGIN, or nil.
type ahead struct{ values []int64 }

// first begins a transaction with a query of counters.
func (a *ahead) first(query string, organizations ...uuid.UUID) db.Option {
	return db.ReadsWithBegin(organizations, func() []db.Query {
		a.values = []int64{}
		return []db.Query{{Statement: query, Row: func(scan func(targets ...any) error) error {
			a.values = append(a.values, 0)
			return scan(&a.values[len(a.values)-1])
		}}}
	})
}

// waitsForLock reports whether a session waits for the lock that instances share. It looks at this
// database only: its copies have tables with the same OID.
const waitsForLock = `SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'write_lock'::regclass AND NOT granted
	AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))`

const firstTwo = "SELECT n FROM counters WHERE id <= 2 ORDER BY id"

func TestReadsWithBegin(t *testing.T) {
	t.Parallel()

	t.Run("it needs no round trip for the first query, and the body has its rows", func(t *testing.T) {
		t.Parallel()
		c, proxy := behindProxy(t, dbtest.WithMaxConns(1))
		var a ahead
		read := func() int {
			before := proxy.RoundTrips()
			_, err := db.Serializable(t.Context(), c.DB, "read", func(ctx context.Context) (none, error) {
				require.Equal(t, []int64{0, 0}, a.values)
				return none{}, put(ctx, 1, 0)
			}, a.first(firstTwo), db.WritesWithCommit(), db.Locking("write_lock"))
			require.NoError(t, err)
			return proxy.RoundTrips() - before
		}
		read() // prepares the statements
		require.Equal(t, 2, read(), "BEGIN with LOCK and SELECT, and UPDATE with COMMIT")
	})

	t.Run("it reads the commit of the previous lock holder", func(t *testing.T) {
		t.Parallel()
		c := newCounters(t)
		holder, err := c.outside.Begin(t.Context())
		require.NoError(t, err)
		_, err = holder.Exec(t.Context(), "LOCK TABLE write_lock IN EXCLUSIVE MODE")
		require.NoError(t, err)
		var released sync.WaitGroup
		released.Go(func() {
			for waiting := false; !waiting; {
				if err := holder.QueryRow(t.Context(), waitsForLock).Scan(&waiting); err != nil {
					t.Error(err)
					return
				}
			}
			if _, err := holder.Exec(t.Context(), "UPDATE counters SET n = 7 WHERE id = 1; COMMIT"); err != nil {
				t.Error(err)
			}
		})
		var a ahead
		_, err = db.Serializable(t.Context(), c.DB, "after", func(ctx context.Context) (int64, error) { return add(ctx, 1) },
			a.first(firstTwo), db.Locking("write_lock"))
		released.Wait()
		require.NoError(t, err)
		require.Equal(t, []int64{7, 0}, a.values)
		require.Empty(t, c.operation(t, "after").RetriedAttempts, "its snapshot is younger than its wait")
	})

	t.Run("each attempt reads again", func(t *testing.T) {
		t.Parallel()
		c := newCounters(t, patient)
		var a ahead
		_, err := db.Serializable(t.Context(), c.DB, "overtaken", func(ctx context.Context) (none, error) {
			n := a.values[0]
			if !db.Again(ctx) {
				require.NoError(t, c.overtake(ctx, 1))
			}
			return none{}, put(ctx, 1, n+1)
		}, a.first(firstTwo))
		require.NoError(t, err)
		require.Equal(t, []int64{100, 0}, a.values)
		require.EqualValues(t, 101, c.value(t, 1))
		require.Equal(t, []db.RetriedAttempt{{SQLState: pgerrcode.SerializationFailure, Phase: "body", Count: 1}},
			c.operation(t, "overtaken").RetriedAttempts)
	})

	t.Run("also when the connection breaks at it", func(t *testing.T) {
		t.Parallel()
		for side, place := range map[string]wireproxy.Point{
			"before": wireproxy.BeforeServer, "after": wireproxy.BeforeAnswer, "amid": wireproxy.InAnswer,
		} {
			t.Run(side, func(t *testing.T) {
				t.Parallel()
				c, proxy := behindProxy(t, patient)
				proxy.Break(place, firstTwo, 1)
				var a ahead
				_, err := db.Serializable(t.Context(), c.DB, "broken",
					func(ctx context.Context) (none, error) { return none{}, put(ctx, 1, 1) },
					a.first(firstTwo))
				require.NoError(t, err)
				require.Equal(t, []int64{0, 0}, a.values)
				require.EqualValues(t, 1, c.value(t, 1))
				c.idle(t)
			})
		}
	})

	t.Run("the server's error is returned, and the body is not run", func(t *testing.T) {
		t.Parallel()
		c := newCounters(t, dbtest.WithMaxConns(1))
		for range 2 {
			var a ahead
			_, err := db.Serializable(t.Context(), c.DB, "refused", func(context.Context) (none, error) {
				t.Error("the body is run")
				return none{}, nil
			}, a.first("SELECT 1 / n FROM counters WHERE id = 1"), db.Locking("write_lock"))
			require.Equal(t, pgerrcode.DivisionByZero, db.SQLState(err))
		}
		require.EqualValues(t, 2, c.operation(t, "refused").Refused)
		c.idle(t)
	})

	t.Run("the transaction admits the organizations of the query and of the caller", func(t *testing.T) {
		t.Parallel()
		c := newCounters(t)
		ours, theirs := uuid.New(), uuid.New()
		var a ahead
		set, err := db.Serializable(identity.With(t.Context(), identity.System(ours)), c.DB, "organizations",
			func(ctx context.Context) (string, error) {
				require.NoError(t, db.Admit(ctx, theirs), "known already")
				return setting(t, ctx), nil
			}, a.first("SELECT array_length(current_setting('omni.organizations')::uuid[], 1)", theirs))
		require.NoError(t, err)
		require.Equal(t, []int64{2}, a.values)
		require.Contains(t, set, ours.String())
		require.Contains(t, set, theirs.String())
	})

	t.Run("work that joins a transaction reads nothing with BEGIN", func(t *testing.T) {
		t.Parallel()
		c := newCounters(t)
		var a ahead
		_, err := db.Serializable(t.Context(), c.DB, "outer", func(ctx context.Context) (none, error) {
			return db.Serializable(ctx, c.DB, "inner", func(context.Context) (none, error) { return none{}, nil },
				a.first(firstTwo))
		})
		require.NoError(t, err)
		require.Nil(t, a.values)
	})
}
