package db_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/dbtest"
	"omnirapeutic/platform/db/wireproxy"
)

// behindProxy is a counters database behind a proxy.
func behindProxy(t testing.TB, options ...dbtest.Option) (*counters, *wireproxy.Proxy) {
	t.Helper()
	c := newCounters(t)
	proxy := wireproxy.Start(t, c.database.AppURL)
	c.DB.Close()
	c.DB = c.database.Open(t, append(options, dbtest.Through(proxy.URL))...)
	return c, proxy
}

// proven adds one to the first counter under an operation id.
func (c *counters) proven(ctx context.Context, operation uuid.UUID, refuseAgain error, effect func()) (int64, error) {
	there := func(ctx context.Context) (bool, error) { return noted(ctx, operation) }
	return db.Serializable(ctx, c.DB, "proven", func(ctx context.Context) (int64, error) {
		if err := db.AfterCommit(ctx, func(context.Context) { effect() }); err != nil {
			return 0, err
		}
		if db.InDoubt(ctx) {
			if done, err := there(ctx); err != nil || done {
				n, getErr := get(ctx, 1)
				return n, errors.Join(err, getErr)
			}
			if refuseAgain != nil {
				return 0, refuseAgain
			}
		}
		n, err := add(ctx, 1)
		return n, errors.Join(err, note(ctx, operation))
	}, db.ProvenBy(there), db.RetryConstraint("operations_pkey"))
}

func TestAmbiguousCommit(t *testing.T) {
	t.Parallel()

	t.Run("it takes effect exactly once when the connection breaks before COMMIT reaches the server", func(t *testing.T) {
		t.Parallel()
		c, proxy := behindProxy(t, patient)
		proxy.Break(wireproxy.BeforeServer, "commit", 1)
		effects := 0
		n, err := c.proven(t.Context(), uuid.New(), nil, func() { effects++ })
		require.NoError(t, err)
		require.Equal(t, int64(1), n)
		require.Equal(t, int64(1), c.value(t, 1))
		require.Equal(t, 1, effects)
		o := c.operation(t, "proven")
		require.Equal(t, int64(1), o.AmbiguousResolved)
		require.Equal(t, []db.RetriedAttempt{{SQLState: "40003", Phase: "commit", Count: 1}}, o.RetriedAttempts)
		c.idle(t)
	})

	t.Run("it takes effect exactly once when the connection breaks after COMMIT", func(t *testing.T) {
		t.Parallel()
		c, proxy := behindProxy(t, patient)
		proxy.Break(wireproxy.BeforeAnswer, "commit", 1)
		effects := 0
		n, err := c.proven(t.Context(), uuid.New(), nil, func() { effects++ })
		require.NoError(t, err)
		require.Equal(t, int64(1), n, "the value of the attempt that was committed")
		require.Equal(t, int64(1), c.value(t, 1))
		require.Equal(t, 1, effects)
		o := c.operation(t, "proven")
		require.Equal(t, int64(1), o.AmbiguousResolved)
		require.Empty(t, o.RetriedAttempts, "the proof was enough")
	})

	t.Run("it takes effect exactly once when COMMIT is still running during the proof", func(t *testing.T) {
		t.Parallel()
		c, proxy := behindProxy(t, patient)
		fault := proxy.Break(wireproxy.InFlight, "commit", 1)
		operation, effects, bodies := uuid.New(), 0, 0
		there := func(ctx context.Context) (bool, error) { return noted(ctx, operation) }
		released := make(chan struct{})
		n, err := db.Serializable(t.Context(), c.DB, "late", func(ctx context.Context) (int64, error) {
			bodies++
			if err := db.AfterCommit(ctx, func(context.Context) { effects++ }); err != nil {
				return 0, err
			}
			if db.InDoubt(ctx) {
				if done, err := there(ctx); err != nil || done {
					return 42, err
				}
				// The proof and this body found nothing; now the first attempt arrives.
				go func() { defer close(released); fault.Release() }()
			}
			return 1, errors.Join(note(ctx, operation), set(ctx, 1, 42))
		}, db.ProvenBy(there), db.RetryConstraint("operations_pkey"))
		require.NoError(t, err)
		<-released
		require.Equal(t, int64(42), n)
		require.Equal(t, 3, bodies, "the second attempt met the first one's key")
		require.Equal(t, 1, effects)
		require.Equal(t, int64(42), c.value(t, 1))
	})

	for name, place := range map[string]wireproxy.Point{
		"before": wireproxy.BeforeServer, "after": wireproxy.BeforeAnswer,
	} {
		t.Run("it is ambiguous without a proof, when the connection breaks "+name+" COMMIT", func(t *testing.T) {
			t.Parallel()
			c, proxy := behindProxy(t, patient)
			proxy.Break(place, "commit", 1)
			_, err := db.Serializable(t.Context(), c.DB, "unproven", func(ctx context.Context) (int64, error) {
				require.NoError(t, db.AfterCommit(ctx, func(context.Context) { t.Error("an effect of a commit that may have failed") }))
				return add(ctx, 1)
			})
			ambiguous, ok := errors.AsType[*db.AmbiguousCommitError](err)
			require.True(t, ok, "%v", err)
			require.Equal(t, "unproven", ambiguous.Operation)
			require.Equal(t, int64(1), c.operation(t, "unproven").AmbiguousUnresolved)
			if place == wireproxy.BeforeAnswer {
				require.Equal(t, int64(1), c.value(t, 1))
			}
			c.idle(t)
		})
	}

	t.Run("it stays ambiguous if the proof is negative and no attempt is left", func(t *testing.T) {
		t.Parallel()
		c, proxy := behindProxy(t, dbtest.WithPolicy(db.Policy{MaxAttempts: 1}))
		proxy.Break(wireproxy.BeforeServer, "commit", 1)
		_, err := c.proven(t.Context(), uuid.New(), nil, func() { t.Error("an effect of a commit that may have failed") })
		_, ok := errors.AsType[*db.AmbiguousCommitError](err)
		require.True(t, ok, "%v", err)
		require.Equal(t, int64(1), c.operation(t, "proven").AmbiguousUnresolved)
	})

	t.Run("it stays ambiguous if the proof cannot be read", func(t *testing.T) {
		t.Parallel()
		c, proxy := behindProxy(t, patient)
		proxy.Break(wireproxy.BeforeServer, "commit", 1000) // the proof's snapshot also ends with a COMMIT
		_, err := c.proven(t.Context(), uuid.New(), nil, func() { t.Error("an effect of a commit that may have failed") })
		_, ok := errors.AsType[*db.AmbiguousCommitError](err)
		require.True(t, ok, "%v", err)
	})

	t.Run("it stays ambiguous if the body refuses the retry", func(t *testing.T) {
		t.Parallel()
		c, proxy := behindProxy(t, patient)
		proxy.Break(wireproxy.BeforeServer, "commit", 1)
		refusal := errors.New("no units left")
		_, err := c.proven(t.Context(), uuid.New(), refusal, func() { t.Error("an effect of a refusal") })
		_, ok := errors.AsType[*db.AmbiguousCommitError](err)
		require.True(t, ok, "the first attempt may still be committed: %v", err)
		require.ErrorIs(t, err, refusal)
	})

	t.Run("it stays ambiguous if the deadline passes first", func(t *testing.T) {
		t.Parallel()
		c, proxy := behindProxy(t, dbtest.WithPolicy(db.Policy{MaxAttempts: 5, BaseDelay: time.Hour, MaxDelay: time.Hour}))
		proxy.Break(wireproxy.BeforeServer, "commit", 1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := c.proven(ctx, uuid.New(), nil, func() {})
		_, ok := errors.AsType[*db.AmbiguousCommitError](err)
		require.True(t, ok, "%v", err)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NoError(t, ctx.Err(), "at once")
		require.Equal(t, int64(1), c.operation(t, "proven").AmbiguousUnresolved)
	})

	t.Run("a snapshot does not wait for the answer to its COMMIT", func(t *testing.T) {
		t.Parallel()
		c, proxy := behindProxy(t, patient)
		commit := proxy.Break(wireproxy.Held, "commit", 1)
		_, err := db.Snapshot(t.Context(), c.DB, "read", func(ctx context.Context) (int64, error) { return get(ctx, 1) })
		require.NoError(t, err)
		commit.Release()
		c.idle(t)
		proxy.Break(wireproxy.BeforeAnswer, "commit", 1)
		_, err = db.Snapshot(t.Context(), c.DB, "read", func(ctx context.Context) (int64, error) { return get(ctx, 1) })
		require.NoError(t, err)
		require.Zero(t, c.operation(t, "read").Retries)
		c.idle(t)
	})

	t.Run("an error reported by the server at COMMIT is not ambiguous", func(t *testing.T) {
		t.Parallel()
		c := newCounters(t, patient)
		_, err := c.outside.Exec(t.Context(), `
			CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '23514'; END $$;
			CREATE CONSTRAINT TRIGGER no AFTER UPDATE ON counters DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION no()`)
		require.NoError(t, err)
		_, err = db.Serializable(t.Context(), c.DB, "no", func(ctx context.Context) (int64, error) { return add(ctx, 1) })
		server, ok := errors.AsType[*pgconn.PgError](err)
		require.True(t, ok, "%v", err)
		require.Equal(t, "23514", server.Code)
		require.Equal(t, int64(1), c.operation(t, "no").Refused)
	})
}
