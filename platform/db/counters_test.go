package db_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/dbtest"
)

// counters is a database with contended counters, and a connection outside of all
// transactions.
type counters struct {
	*db.DB
	database dbtest.Database
	outside  *pgx.Conn
}

// A table of twenty rows would be scanned, and SSI would lock all of it. The table has
// enough rows for index lookups, and room on each page for new versions, so that an
// update does not change the index.
const countersSchema = `
CREATE TABLE counters (
    id int PRIMARY KEY,
    n  bigint NOT NULL,
    CONSTRAINT counters_not_negative CHECK (n >= 0)
) WITH (fillfactor = 50);
CREATE TABLE operations (id uuid PRIMARY KEY);
INSERT INTO counters SELECT i, 0 FROM generate_series(1, 2000) i;
INSERT INTO operations SELECT gen_random_uuid() FROM generate_series(1, 2000);
ANALYZE counters, operations;
GRANT SELECT, INSERT, UPDATE, DELETE ON counters, operations TO omni_app;`

func newCounters(t testing.TB, options ...dbtest.Option) *counters {
	t.Helper()
	database := dbtest.New(t)
	outside, err := pgx.Connect(t.Context(), database.OwnerURL)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, outside.Close(context.Background())) })
	_, err = outside.Exec(t.Context(), countersSchema)
	require.NoError(t, err)
	return &counters{database.Open(t, options...), database, outside}
}

// patient is a policy with short delays and enough attempts for all tests.
var patient = dbtest.WithPolicy(db.Policy{MaxAttempts: 5, BaseDelay: time.Millisecond, MaxDelay: 20 * time.Millisecond, Jitter: 0.1})

func get(ctx context.Context, id int) (n int64, err error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return 0, err
	}
	err = tx.Raw("SELECT n FROM counters WHERE id = ?", id).Row().Scan(&n)
	return n, err
}

func set(ctx context.Context, id int, n int64) error {
	tx, err := db.Handle(ctx)
	if err != nil {
		return err
	}
	return tx.Exec("UPDATE counters SET n = ? WHERE id = ?", n, id).Error
}

// add is the smallest operation that a concurrent transaction can conflict with.
func add(ctx context.Context, id int) (int64, error) {
	n, err := get(ctx, id)
	if err != nil {
		return 0, err
	}
	return n + 1, set(ctx, id, n+1)
}

// value reads a counter outside of transactions.
func (c *counters) value(t testing.TB, id int) (n int64) {
	t.Helper()
	require.NoError(t, c.outside.QueryRow(t.Context(), "SELECT n FROM counters WHERE id = $1", id).Scan(&n))
	return n
}

// overtake changes a counter outside of transactions. A transaction that has already
// begun to read gets a real 40001 when it changes the counter.
func (c *counters) overtake(ctx context.Context, id int) error {
	_, err := c.outside.Exec(ctx, "UPDATE counters SET n = n + 100 WHERE id = $1", id)
	return err
}

// overtaken adds one to the counter in a transaction that fails once with 40001.
func (c *counters) overtaken(ctx context.Context, id int) error {
	n, err := get(ctx, id)
	if err != nil {
		return err
	}
	if err := c.overtake(ctx, id); err != nil {
		return err
	}
	return set(ctx, id, n+1)
}

// note writes the operation's id; noted reports whether it exists.
func note(ctx context.Context, operation uuid.UUID) error {
	tx, err := db.Handle(ctx)
	if err != nil {
		return err
	}
	return tx.Exec("INSERT INTO operations VALUES (?)", operation).Error
}

func noted(ctx context.Context, operation uuid.UUID) (exists bool, err error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return false, err
	}
	err = tx.Raw("SELECT EXISTS (SELECT FROM operations WHERE id = ?)", operation).Row().Scan(&exists)
	return exists, err
}

func backend(ctx context.Context) (pid int, err error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return 0, err
	}
	err = tx.Raw("SELECT pg_backend_pid()").Row().Scan(&pid)
	return pid, err
}

// idle checks that no connection is in use and that the next one works. Broken ones are
// closed in the background.
func (c *counters) idle(t testing.TB) {
	t.Helper()
	returned := func() {
		require.Eventually(t, func() bool { return c.Pool().Stat().AcquiredConns() == 0 }, 10*time.Second, time.Millisecond,
			"a connection was not returned")
	}
	returned()
	_, err := db.Snapshot(t.Context(), c.DB, "read", func(ctx context.Context) (int64, error) { return get(ctx, 1) })
	require.NoError(t, err)
	returned() // the COMMIT of a read is not awaited
}

// operation returns the metrics of one operation.
func (c *counters) operation(t testing.TB, name string) db.OperationMetrics {
	t.Helper()
	for _, o := range c.Metrics().Snapshot().Operations {
		if o.Operation == name {
			return o
		}
	}
	require.Fail(t, "nothing was counted", name)
	return db.OperationMetrics{}
}

// barrier blocks all callers until the last has arrived.
type barrier struct{ wg sync.WaitGroup }

func newBarrier(parties int) *barrier {
	b := new(barrier)
	b.wg.Add(parties)
	return b
}

func (b *barrier) pass() {
	b.wg.Done()
	b.wg.Wait()
}
