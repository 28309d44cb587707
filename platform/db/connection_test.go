package db_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/dbtest"
	"omnirapeutic/platform/db/wireproxy"
)

func TestLostConnection(t *testing.T) {
	t.Parallel()

	t.Run("it retries on a new connection when its own is killed in the body", func(t *testing.T) {
		t.Parallel()
		c := newCounters(t, patient)
		var pids []int
		_, err := db.Serializable(t.Context(), c.DB, "killed", func(ctx context.Context) (int64, error) {
			pid, err := backend(ctx)
			if err != nil {
				return 0, err
			}
			pids = append(pids, pid)
			if !db.Again(ctx) {
				_, err := c.outside.Exec(ctx, "SELECT pg_terminate_backend($1, 10000)", pid)
				require.NoError(t, err)
			}
			return add(ctx, 1)
		})
		require.NoError(t, err)
		require.Len(t, pids, 2)
		require.NotEqual(t, pids[0], pids[1])
		require.Equal(t, int64(1), c.value(t, 1))
		c.idle(t)
	})

	for name, statement := range map[string]string{"at BEGIN": "begin", "at a statement of the body": "update"} {
		for side, place := range map[string]wireproxy.Point{
			"before the server sees it": wireproxy.BeforeServer, "before its answer": wireproxy.BeforeAnswer,
		} {
			t.Run("it retries when the connection breaks "+name+", "+side, func(t *testing.T) {
				t.Parallel()
				c, proxy := behindProxy(t, patient)
				proxy.Break(place, statement, 2)
				_, err := db.Serializable(t.Context(), c.DB, "broken",
					func(ctx context.Context) (int64, error) { return add(ctx, 1) })
				require.NoError(t, err)
				require.Equal(t, int64(1), c.value(t, 1))
				require.Equal(t, map[string]int64{"3": 1}, c.operation(t, "broken").Attempts)
				c.idle(t)
			})
		}
		t.Run("it gives up when the third connection breaks "+name, func(t *testing.T) {
			t.Parallel()
			c, proxy := behindProxy(t, patient)
			proxy.Break(wireproxy.BeforeAnswer, statement, 3)
			_, err := db.Serializable(t.Context(), c.DB, "broken",
				func(ctx context.Context) (int64, error) { return add(ctx, 1) })
			unavailable, ok := errors.AsType[*db.UnavailableError](err)
			require.True(t, ok, "%v", err)
			require.Equal(t, "broken", unavailable.Operation)
			require.Equal(t, int64(1), c.operation(t, "broken").Unavailable)
			require.Zero(t, c.value(t, 1))
			c.idle(t)
		})
	}

	t.Run("it does not retry on a read-only database", func(t *testing.T) {
		t.Parallel()
		c := newCounters(t, patient)
		_, err := db.Serializable(t.Context(), c.DB, "read-only", func(ctx context.Context) (int64, error) {
			tx, err := db.Handle(ctx)
			if err != nil {
				return 0, err
			}
			if err := tx.Exec("SET TRANSACTION READ ONLY").Error; err != nil {
				return 0, err
			}
			return add(ctx, 1)
		})
		_, ok := errors.AsType[*db.UnavailableError](err)
		require.True(t, ok, "%v", err)
		require.Equal(t, "25006", db.SQLState(err))
		require.Equal(t, map[string]int64{"1": 1}, c.operation(t, "read-only").Attempts)
		require.Equal(t, int64(1), c.operation(t, "read-only").Unavailable)
		c.idle(t)
	})

	for _, parameter := range []string{"in_hot_standby", "default_transaction_read_only"} {
		t.Run("it writes behind a pooler that reports an old "+parameter, func(t *testing.T) {
			t.Parallel()
			c := newCounters(t)
			proxy := wireproxy.Start(t, c.database.AppURL)
			proxy.Claim(parameter, "on")
			c.DB.Close()
			c.DB = c.database.Open(t, dbtest.WithMaxConns(1), dbtest.Through(proxy.URL))
			write := func() {
				_, err := db.Serializable(t.Context(), c.DB, "claimed",
					func(ctx context.Context) (int64, error) { return add(ctx, 1) })
				require.NoError(t, err)
			}
			write()
			asked := proxy.RoundTrips()
			write()
			later := proxy.RoundTrips() - asked
			write()
			require.Equal(t, later, proxy.RoundTrips()-asked-later)
			require.Equal(t, map[string]int64{"1": 3}, c.operation(t, "claimed").Attempts)
			require.Equal(t, int64(3), c.value(t, 1))
			require.LessOrEqual(t, later, 4, "the first transaction has asked, and the pool keeps its connection")
			c.idle(t)
		})
	}

	t.Run("it survives the loss of all connections of the pool", func(t *testing.T) {
		t.Parallel()
		c := newCounters(t, patient, dbtest.WithMaxConns(8))
		all := newBarrier(8)
		done := make(chan error)
		for range 8 {
			go func() {
				_, err := db.Snapshot(t.Context(), c.DB, "fill", func(ctx context.Context) (int64, error) {
					all.pass()
					return get(ctx, 1)
				})
				done <- err
			}()
		}
		for range 8 {
			require.NoError(t, <-done)
		}
		_, err := c.outside.Exec(t.Context(), `SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
			WHERE datname = current_database() AND pid <> pg_backend_pid()`)
		require.NoError(t, err)
		_, err = db.Serializable(t.Context(), c.DB, "after", func(ctx context.Context) (int64, error) { return add(ctx, 1) })
		require.NoError(t, err)
	})

	t.Run("it distinguishes the body's network errors from the database's", func(t *testing.T) {
		t.Parallel()
		c := newCounters(t, patient)
		calls := 0
		_, err := db.Serializable(t.Context(), c.DB, "other", func(context.Context) (int, error) {
			calls++
			return 0, context.DeadlineExceeded // as from a request to another server; it is a net.Error
		})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 1, calls)
		require.Equal(t, int64(1), c.operation(t, "other").Refused)
	})
}

func TestContext(t *testing.T) {
	t.Parallel()

	t.Run("it cancels a statement at the server and keeps the connection", func(t *testing.T) {
		t.Parallel()
		c := newCounters(t, patient, dbtest.WithMaxConns(1))
		_, err := c.outside.Exec(t.Context(), "SELECT pg_advisory_lock(1)")
		require.NoError(t, err)
		var before int
		ctx, cancel := context.WithCancel(t.Context())
		_, err = db.Serializable(ctx, c.DB, "wait", func(ctx context.Context) (int, error) {
			tx, err := db.Handle(ctx)
			if err != nil {
				return 0, err
			}
			if before, err = backend(ctx); err != nil {
				return 0, err
			}
			go func() {
				defer cancel()
				c.waitUntilWaiting(t, before)
			}()
			return 0, tx.Exec("SELECT pg_advisory_xact_lock(1)").Error
		})
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, int64(1), c.operation(t, "wait").Cancelled)
		after, err := db.Snapshot(t.Context(), c.DB, "after", backend)
		require.NoError(t, err)
		require.Equal(t, before, after)
		require.Equal(t, int64(1), c.Pool().Stat().NewConnsCount())
	})

	t.Run("it rolls back and keeps the connection when the body returns after its context has ended", func(t *testing.T) {
		t.Parallel()
		c := newCounters(t, patient, dbtest.WithMaxConns(1))
		ctx, cancel := context.WithCancel(t.Context())
		_, err := db.Serializable(ctx, c.DB, "late", func(ctx context.Context) (int64, error) {
			n, err := add(ctx, 1)
			cancel()
			return n, err
		})
		require.ErrorIs(t, err, context.Canceled)
		require.Zero(t, c.value(t, 1), "abandoned work is not committed")
		c.idle(t)
		require.Equal(t, int64(1), c.Pool().Stat().NewConnsCount())
	})

	t.Run("it returns at once when the next delay would cross the deadline, with the database's error", func(t *testing.T) {
		t.Parallel()
		c := newCounters(t, dbtest.WithPolicy(db.Policy{MaxAttempts: 5, BaseDelay: time.Hour, MaxDelay: time.Hour}))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := db.Serializable(ctx, c.DB, "slow", func(ctx context.Context) (int, error) { return 0, c.overtaken(ctx, 1) })
		require.NoError(t, ctx.Err())
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, "40001", db.SQLState(err))
	})

	t.Run("it stops waiting for a connection with its context", func(t *testing.T) {
		t.Parallel()
		c := newCounters(t, patient, dbtest.WithMaxConns(1))
		_, err := db.Serializable(t.Context(), c.DB, "holder", func(context.Context) (int, error) {
			impatient, cancel := context.WithTimeout(context.Background(), time.Millisecond)
			defer cancel()
			return db.Snapshot(impatient, c.DB, "waiter", func(context.Context) (int, error) { return 0, nil })
		})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, int64(1), c.operation(t, "waiter").Cancelled)
	})

	t.Run("it stops waiting for a table lock with its context", func(t *testing.T) {
		t.Parallel()
		c := newCounters(t, patient)
		holder, err := c.outside.Begin(t.Context())
		require.NoError(t, err)
		_, err = holder.Exec(t.Context(), "LOCK TABLE write_lock IN EXCLUSIVE MODE")
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			defer cancel()
			for waiting := false; !waiting; {
				if err := holder.QueryRow(t.Context(), waitsForLock).Scan(&waiting); err != nil {
					t.Error(err)
					return
				}
			}
		}()
		_, err = db.Serializable(ctx, c.DB, "queue", func(context.Context) (int, error) {
			t.Error("another transaction holds the lock")
			return 0, nil
		}, db.Locking("write_lock"))
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, int64(1), c.operation(t, "queue").Cancelled)
		c.idle(t)
	})
}

// waitUntilWaiting returns once the connection waits for a lock.
func (c *counters) waitUntilWaiting(t testing.TB, pid int) {
	for waiting := false; !waiting; {
		err := c.outside.QueryRow(t.Context(),
			"SELECT EXISTS (SELECT FROM pg_locks WHERE pid = $1 AND NOT granted)", pid).Scan(&waiting)
		if err != nil {
			t.Error(err)
			return
		}
	}
}

func TestPoolOfOne(t *testing.T) {
	t.Parallel()

	t.Run("it serves many concurrent changes of one row", func(t *testing.T) {
		t.Parallel()
		c := newCounters(t, patient, dbtest.WithMaxConns(1))
		const callers = 20
		done := make(chan error)
		for range callers {
			go func() {
				_, err := db.Serializable(t.Context(), c.DB, "add", func(ctx context.Context) (int64, error) {
					return db.Serializable(ctx, c.DB, "joined", func(ctx context.Context) (int64, error) { return add(ctx, 1) })
				})
				done <- err
			}()
		}
		for range callers {
			require.NoError(t, <-done)
		}
		require.Equal(t, int64(callers), c.value(t, 1))
	})

	t.Run("it holds no connection during a delay", func(t *testing.T) {
		t.Parallel()
		c := newCounters(t, dbtest.WithMaxConns(1),
			dbtest.WithPolicy(db.Policy{MaxAttempts: 2, BaseDelay: time.Hour, MaxDelay: time.Hour}))
		ctx, cancel := context.WithCancel(t.Context())
		failed, done := make(chan struct{}), make(chan error)
		go func() {
			_, err := db.Serializable(ctx, c.DB, "sleeper", func(ctx context.Context) (int, error) {
				defer close(failed)
				return 0, c.overtaken(ctx, 1)
			})
			done <- err
		}()
		<-failed
		_, err := db.Serializable(t.Context(), c.DB, "other", func(ctx context.Context) (int64, error) { return add(ctx, 2) })
		require.NoError(t, err, "the only connection is free for an hour")
		cancel()
		err = <-done
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, "40001", db.SQLState(err))
	})
}

// Not parallel, because it inspects all goroutines.
func TestSleeperLeavesNoGoroutine(t *testing.T) {
	c := newCounters(t, dbtest.WithPolicy(db.Policy{MaxAttempts: 2, BaseDelay: time.Hour, MaxDelay: time.Hour}))
	c.idle(t) // the pool has its connection
	before := goleak.IgnoreCurrent()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := db.Serializable(ctx, c.DB, "sleeper", func(ctx context.Context) (int, error) {
			context.AfterFunc(ctx, func() {})
			return 0, c.overtaken(ctx, 1)
		})
		done <- err
	}()
	require.Eventually(t,
		func() bool { return c.Pool().Stat().AcquireCount() > 1 && c.Pool().Stat().AcquiredConns() == 0 },
		time.Minute, time.Millisecond)
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
	goleak.VerifyNone(t, before)
}

func TestBodyThatDoesNotReturn(t *testing.T) {
	t.Parallel()

	t.Run("it is rolled back when it panics, and the panic continues", func(t *testing.T) {
		t.Parallel()
		c := newCounters(t, patient, dbtest.WithMaxConns(1))
		require.PanicsWithValue(t, "bug", func() {
			_, _ = db.Serializable(t.Context(), c.DB, "panic", func(ctx context.Context) (int64, error) {
				if _, err := add(ctx, 1); err != nil {
					return 0, err
				}
				panic("bug")
			})
		})
		require.Zero(t, c.value(t, 1))
		c.idle(t)
	})

	t.Run("it is rolled back when it ends its goroutine", func(t *testing.T) {
		t.Parallel()
		c := newCounters(t, patient, dbtest.WithMaxConns(1))
		ended, returned := make(chan struct{}), false
		go func() {
			defer close(ended)
			_, _ = db.Serializable(t.Context(), c.DB, "exit", func(ctx context.Context) (int64, error) {
				if _, err := add(ctx, 1); err != nil {
					return 0, err
				}
				runtime.Goexit()
				return 0, nil
			})
			returned = true
		}()
		<-ended
		require.False(t, returned, "it goes on")
		require.Zero(t, c.value(t, 1))
		c.idle(t)
	})
}
