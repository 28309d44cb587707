package db_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgerrcode"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/dbtest"
	"omnirapeutic/platform/db/wireproxy"
)

// last adds one to the first counter under an operation id, with writes sent with
// COMMIT. It returns the value read, or -1 if the operation was executed before.
func (c *counters) last(
	ctx context.Context, name string, operation uuid.UUID, meanwhile func(ctx context.Context),
) (int64, error) {
	there := func(ctx context.Context) (bool, error) { return noted(ctx, operation) }
	return db.Serializable(ctx, c.DB, name, func(ctx context.Context) (int64, error) {
		if db.InDoubt(ctx) {
			if done, err := there(ctx); err != nil || done {
				return -1, err
			}
		}
		n, err := get(ctx, 1)
		if err != nil {
			return 0, err
		}
		meanwhile(ctx)
		return n, db.Pipeline(ctx, func(ctx context.Context) error {
			return errors.Join(
				db.Write(ctx, 1, "UPDATE counters SET n = $1 WHERE id = $2", n+1, 1),
				db.Write(ctx, 1, "INSERT INTO operations VALUES ($1)", operation),
			)
		})
	}, db.WritesWithCommit(), db.ProvenBy(there), db.RetryConstraint("operations_pkey"))
}

func quietly(context.Context) {}

func TestWritesWithCommit(t *testing.T) {
	t.Parallel()

	t.Run("it needs no round trip for writes", func(t *testing.T) {
		t.Parallel()
		c, proxy := behindProxy(t, dbtest.WithMaxConns(1))
		_, err := c.last(t.Context(), "first", uuid.New(), quietly) // prepares the statements
		require.NoError(t, err)
		before := proxy.RoundTrips()
		_, err = c.last(t.Context(), "second", uuid.New(), quietly)
		require.NoError(t, err)
		require.Equal(t, 2, proxy.RoundTrips()-before, "BEGIN with SELECT, and all the rest")
	})

	t.Run("nothing is visible before COMMIT, and nothing is written if the body fails", func(t *testing.T) {
		t.Parallel()
		c := newCounters(t)
		_, err := db.Serializable(t.Context(), c.DB, "fails", func(ctx context.Context) (none, error) {
			require.NoError(t, put(ctx, 1, 1))
			n, err := get(ctx, 1)
			require.NoError(t, err)
			require.Zero(t, n)
			return none{}, context.Canceled
		}, db.WritesWithCommit())
		require.ErrorIs(t, err, context.Canceled)
		require.Zero(t, c.value(t, 1))
		c.idle(t)
	})

	t.Run("the first failing statement is the error, and nothing is committed", func(t *testing.T) {
		t.Parallel()
		c := newCounters(t)
		_, err := db.Serializable(t.Context(), c.DB, "refused", func(ctx context.Context) (none, error) {
			return none{}, errors.Join(put(ctx, 2, 1), put(ctx, 1, -1),
				db.Write(ctx, 1, "INSERT INTO counters VALUES ($1, 0)", 1))
		}, db.WritesWithCommit())
		require.Equal(t, "counters_not_negative", db.ConstraintOf(err))
		require.Zero(t, c.value(t, 2))
		require.Equal(t, int64(1), c.operation(t, "refused").Refused)
		c.idle(t)
	})

	t.Run("an attempt is retried when a statement fails with 40001", func(t *testing.T) {
		t.Parallel()
		c := newCounters(t, patient)
		_, err := c.last(t.Context(), "overtaken", uuid.New(), func(ctx context.Context) {
			if !db.Again(ctx) {
				require.NoError(t, c.overtake(ctx, 1))
			}
		})
		require.NoError(t, err)
		require.EqualValues(t, 101, c.value(t, 1))
		require.Equal(t, []db.RetriedAttempt{{SQLState: pgerrcode.SerializationFailure, Phase: "body", Count: 1}},
			c.operation(t, "overtaken").RetriedAttempts)
		c.idle(t)
	})

	t.Run("and, in doubt, when its constraint is a retried one", func(t *testing.T) {
		t.Parallel()
		c := newCounters(t)
		operation := uuid.New()
		_, err := c.last(t.Context(), "once", operation, quietly)
		require.NoError(t, err)
		found, err := c.last(t.Context(), "once", operation, quietly)
		require.NoError(t, err)
		require.EqualValues(t, -1, found)
		require.EqualValues(t, 1, c.value(t, 1))
		c.idle(t)
	})

	for _, statement := range []string{"update", "insert", "commit"} {
		for side, place := range map[string]wireproxy.Point{
			"before": wireproxy.BeforeServer, "after": wireproxy.BeforeAnswer, "in the answer to": wireproxy.InAnswer,
		} {
			t.Run("it takes effect exactly once when the connection breaks "+side+" "+statement, func(t *testing.T) {
				t.Parallel()
				c, proxy := behindProxy(t, patient)
				proxy.Break(place, statement, 1)
				n, err := c.last(t.Context(), "broken", uuid.New(), quietly)
				require.NoError(t, err)
				require.Zero(t, n)
				require.EqualValues(t, 1, c.value(t, 1))
				require.Equal(t, int64(1), c.operation(t, "broken").AmbiguousResolved,
					"the client does not know how far the server got")
				c.idle(t)
			})
		}
	}

	t.Run("joined work follows the options of the outermost work", func(t *testing.T) {
		t.Parallel()
		c := newCounters(t)
		joined := func(ctx context.Context, options ...db.Option) (n int64, err error) {
			return db.Serializable(ctx, c.DB, "joined", func(ctx context.Context) (int64, error) {
				if err := put(ctx, 1, 7); err != nil {
					return 0, err
				}
				return get(ctx, 1)
			}, options...)
		}
		n, err := db.Serializable(t.Context(), c.DB, "at once",
			func(ctx context.Context) (int64, error) { return joined(ctx, db.WritesWithCommit()) })
		require.NoError(t, err)
		require.EqualValues(t, 7, n)
		n, err = db.Serializable(t.Context(), c.DB, "last", func(ctx context.Context) (int64, error) {
			n, err := joined(ctx)
			return n, errors.Join(err, put(ctx, 1, 8))
		}, db.WritesWithCommit())
		require.NoError(t, err)
		require.EqualValues(t, 7, n)
		require.EqualValues(t, 8, c.value(t, 1))
	})

	t.Run("a wrong row count is reported after the commit", func(t *testing.T) {
		t.Parallel()
		c := newCounters(t)
		_, err := db.Serializable(t.Context(), c.DB, "miscounted", func(ctx context.Context) (none, error) {
			return none{}, errors.Join(put(ctx, 4000, 1), put(ctx, 1, 1))
		}, db.WritesWithCommit())
		var rows *db.RowsError
		require.ErrorAs(t, err, &rows)
		require.Zero(t, rows.Got)
		require.EqualValues(t, 1, c.value(t, 1))
		c.idle(t)
	})

	t.Run("nothing is written if the body has ended its transaction itself", func(t *testing.T) {
		t.Parallel()
		c := newCounters(t)
		_, err := db.Serializable(t.Context(), c.DB, "ended", func(ctx context.Context) (none, error) {
			tx, err := db.Handle(ctx)
			require.NoError(t, err)
			require.NoError(t, tx.Exec("ROLLBACK").Error)
			return none{}, put(ctx, 1, 1)
		}, db.WritesWithCommit())
		require.ErrorIs(t, err, db.ErrTransactionOver)
		require.Zero(t, c.value(t, 1))
		c.idle(t)
	})
}
