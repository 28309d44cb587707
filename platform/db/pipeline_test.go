package db_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgerrcode"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/wireproxy"
	"omnirapeutic/platform/telemetry/logtest"
)

// put writes a counter with db.Write.
func put(ctx context.Context, id int, n int64) error {
	return db.Write(ctx, 1, "UPDATE counters SET n = $1 WHERE id = $2", n, id)
}

// none is the result of bodies without a value.
type none = struct{}

func TestPipeline(t *testing.T) {
	t.Parallel()

	t.Run("it sends fn's writes after fn has returned, in order", func(t *testing.T) {
		t.Parallel()
		logger, log := logtest.Recorder()
		c := newCounters(t, func(config *db.Config) { config.SlowQuery, config.Logger = 1, logger })
		_, err := db.Serializable(t.Context(), c.DB, "together", func(ctx context.Context) (none, error) {
			err := db.Pipeline(ctx, func(ctx context.Context) error {
				require.NoError(t, put(ctx, 1, 10))
				require.NoError(t, db.Pipeline(ctx, func(ctx context.Context) error { return put(ctx, 1, 20) }))
				n, err := get(ctx, 1)
				require.NoError(t, err)
				require.Zero(t, n, "nothing has been sent")
				return db.Write(ctx, 2, "UPDATE counters SET n = n + $1 WHERE id = ANY ($2::int[])", 1, []int{1, 2})
			})
			if err != nil {
				return none{}, err
			}
			n, err := get(ctx, 1)
			require.EqualValues(t, 21, n)
			return none{}, err
		})
		require.NoError(t, err)
		require.EqualValues(t, 1, c.value(t, 2))
		var logged []string
		for _, entry := range log.AllEntries() {
			logged = append(logged, strings.TrimSuffix(entry.Data["sql"].(string), "$")) // gorm adds it
		}
		require.Equal(t, []string{
			"SELECT n FROM counters WHERE id = $1",
			"UPDATE counters SET n = $1 WHERE id = $2", "UPDATE counters SET n = $1 WHERE id = $2",
			"UPDATE counters SET n = n + $1 WHERE id = ANY ($2::int[])", "SELECT n FROM counters WHERE id = $1",
		}, logged, "each is traced separately")
		c.idle(t)
	})

	t.Run("it sends nothing when fn fails", func(t *testing.T) {
		t.Parallel()
		c := newCounters(t)
		_, err := db.Serializable(t.Context(), c.DB, "together", func(ctx context.Context) (none, error) {
			err := db.Pipeline(ctx, func(ctx context.Context) error {
				require.NoError(t, put(ctx, 1, 10))
				return context.Canceled
			})
			require.ErrorIs(t, err, context.Canceled)
			return none{}, nil
		})
		require.NoError(t, err)
		require.Zero(t, c.value(t, 1))
	})

	t.Run("it returns the error of the first statement that fails", func(t *testing.T) {
		t.Parallel()
		c := newCounters(t)
		_, err := db.Serializable(t.Context(), c.DB, "together", func(ctx context.Context) (none, error) {
			err := db.Pipeline(ctx, func(ctx context.Context) error {
				require.NoError(t, put(ctx, 1, 1))
				require.NoError(t, put(ctx, 1, -1))
				return db.Write(ctx, 1, "INSERT INTO counters VALUES ($1, 0)", 1)
			})
			require.Equal(t, "counters_not_negative", db.ConstraintOf(err))
			return none{}, nil // swallowed
		})
		require.Equal(t, "counters_not_negative", db.ConstraintOf(err))
		require.Zero(t, c.value(t, 1))
		c.idle(t)
	})

	t.Run("it fails if a statement writes an unexpected number of rows", func(t *testing.T) {
		t.Parallel()
		c := newCounters(t)
		_, err := db.Serializable(t.Context(), c.DB, "together", func(ctx context.Context) (none, error) {
			return none{}, db.Pipeline(ctx, func(ctx context.Context) error {
				require.NoError(t, put(ctx, 1, 1))
				return put(ctx, 4000, 1)
			})
		})
		var rows *db.RowsError
		require.ErrorAs(t, err, &rows)
		require.EqualValues(t, 1, rows.Want)
		require.Zero(t, rows.Got)
		require.Zero(t, c.value(t, 1))
		c.idle(t)
	})

	t.Run("an attempt is retried when one of them fails with 40001", func(t *testing.T) {
		t.Parallel()
		c := newCounters(t, patient)
		_, err := db.Serializable(t.Context(), c.DB, "overtaken", func(ctx context.Context) (none, error) {
			n, err := get(ctx, 1)
			if err != nil {
				return none{}, err
			}
			if !db.Again(ctx) {
				require.NoError(t, c.overtake(ctx, 1))
			}
			return none{}, db.Pipeline(ctx, func(ctx context.Context) error {
				require.NoError(t, put(ctx, 2, 7))
				require.NoError(t, put(ctx, 1, n+1))
				return put(ctx, 3, 7)
			})
		})
		require.NoError(t, err)
		require.EqualValues(t, 101, c.value(t, 1))
		require.Equal(t, map[string]int64{"2": 1}, c.operation(t, "overtaken").Attempts)
		require.Equal(t, pgerrcode.SerializationFailure, c.operation(t, "overtaken").RetriedAttempts[0].SQLState)
		c.idle(t)
	})

	t.Run("and when their constraint is a retried one", func(t *testing.T) {
		t.Parallel()
		c := newCounters(t)
		id := uuid.New()
		_, err := c.outside.Exec(t.Context(), "INSERT INTO operations VALUES ($1)", id)
		require.NoError(t, err)
		found, err := db.Serializable(t.Context(), c.DB, "once", func(ctx context.Context) (bool, error) {
			if db.InDoubt(ctx) {
				return noted(ctx, id)
			}
			return false, db.Pipeline(ctx, func(ctx context.Context) error {
				return db.Write(ctx, 1, "INSERT INTO operations VALUES ($1)", id)
			})
		}, db.RetryConstraint("operations_pkey"))
		require.NoError(t, err)
		require.True(t, found)
	})

	for side, place := range map[string]wireproxy.Point{
		"before the server sees them": wireproxy.BeforeServer, "before their answer": wireproxy.BeforeAnswer,
	} {
		t.Run("and when the connection breaks "+side, func(t *testing.T) {
			t.Parallel()
			c, proxy := behindProxy(t, patient)
			proxy.Break(place, "update", 1)
			_, err := db.Serializable(t.Context(), c.DB, "broken", func(ctx context.Context) (none, error) {
				return none{}, db.Pipeline(ctx, func(ctx context.Context) error {
					require.NoError(t, db.Write(ctx, 1, "INSERT INTO operations VALUES ($1)", uuid.New()))
					return db.Write(ctx, 1, "UPDATE counters SET n = n + 1 WHERE id = $1", 1)
				})
			})
			require.NoError(t, err)
			require.EqualValues(t, 1, c.value(t, 1))
			require.Equal(t, map[string]int64{"2": 1}, c.operation(t, "broken").Attempts)
			c.idle(t)
		})
	}

	t.Run("nothing is written outside of a transaction", func(t *testing.T) {
		t.Parallel()
		c := newCounters(t)
		require.ErrorIs(t, put(t.Context(), 1, 1), db.ErrNoTransaction)
		var kept context.Context
		_, err := db.Serializable(t.Context(), c.DB, "kept", func(ctx context.Context) (none, error) {
			kept = ctx //nolint:fatcontext // that is the mistake
			return none{}, nil
		})
		require.NoError(t, err)
		require.ErrorIs(t, put(kept, 1, 1), db.ErrTransactionOver)
		require.Zero(t, c.value(t, 1))
	})

	t.Run("nor if the body has ended its transaction itself", func(t *testing.T) {
		t.Parallel()
		c := newCounters(t)
		_, err := db.Serializable(t.Context(), c.DB, "ended", func(ctx context.Context) (none, error) {
			tx, err := db.Handle(ctx)
			require.NoError(t, err)
			require.NoError(t, tx.Exec("ROLLBACK").Error)
			return none{}, put(ctx, 1, 1)
		})
		require.ErrorIs(t, err, db.ErrTransactionOver)
		require.Zero(t, c.value(t, 1))
		c.idle(t)
	})
}

func TestRead(t *testing.T) {
	t.Parallel()
	c := newCounters(t, patient)
	read := func(ctx context.Context, ids ...int) (values []int64, err error) {
		return values, db.Read(ctx, db.Query{
			Statement: "SELECT n FROM counters WHERE id = ANY ($1::int[]) ORDER BY id", Arguments: []any{ids},
			Row: func(scan func(targets ...any) error) error {
				values = append(values, 0)
				return scan(&values[len(values)-1])
			},
		})
	}
	values, err := db.Serializable(t.Context(), c.DB, "read", func(ctx context.Context) ([]int64, error) {
		if err := put(ctx, 2, 7); err != nil {
			return nil, err
		}
		return read(ctx, 2, 1, 4000)
	})
	require.NoError(t, err)
	require.Equal(t, []int64{0, 7}, values)

	_, err = db.Serializable(t.Context(), c.DB, "read", func(ctx context.Context) (none, error) {
		err := db.Read(ctx, db.Query{
			Statement: "SELECT n FROM counters WHERE id < 3",
			Row:       func(func(targets ...any) error) error { return context.Canceled },
		})
		require.ErrorIs(t, err, context.Canceled)
		values, err := read(ctx, 2)
		require.Equal(t, []int64{7}, values, "the connection is free again")
		return none{}, err
	})
	require.NoError(t, err)

	_, err = db.Serializable(t.Context(), c.DB, "read", func(ctx context.Context) (none, error) {
		_ = db.Read(ctx, db.Query{Statement: "SELECT 1 / n FROM counters WHERE id = 1"})
		return none{}, nil // swallowed
	})
	require.Equal(t, pgerrcode.DivisionByZero, db.SQLState(err))
	_, err = read(t.Context(), 1)
	require.ErrorIs(t, err, db.ErrNoTransaction)
	c.idle(t)
}
