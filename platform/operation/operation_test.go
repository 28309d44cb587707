package operation_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/dbtest"
	"omnirapeutic/platform/db/wireproxy"
	"omnirapeutic/platform/operation"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

var memory = operation.In("unit_operations")

// done returns the row of an operation that one call has executed.
func done(t *testing.T, key operation.Key, call uuid.UUID) operation.Done {
	t.Helper()
	outcome, err := json.Marshal(operation.Answer{Call: call})
	require.NoError(t, err)
	return operation.Done{
		Key: key, Kind: "reserve", Fingerprint: []byte("the same"), Outcome: outcome,
		CreatedAt: time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC),
	}
}

func newKey() operation.Key { return operation.Key{OrganizationID: uuid.New(), ID: uuid.New()} }

// once executes the operation, or finds the existing row. It returns the row and the
// number of attempts.
func once(t *testing.T, database *db.DB, row operation.Done) (there operation.Done, attempts int) {
	t.Helper()
	var rows []operation.Done
	there, err := db.Serializable(t.Context(), database, "once", func(ctx context.Context) (operation.Done, error) {
		attempts, rows = attempts+1, nil
		if err := db.Admit(ctx, row.OrganizationID); err != nil {
			return row, err
		}
		if db.InDoubt(ctx) {
			found, err := memory.Find(ctx, row.Key)
			if earlier, ok := found[row.Key]; ok || err != nil {
				return earlier, err
			}
		}
		rows = []operation.Done{row}
		return row, memory.Write(ctx, rows)
	}, append(memory.Once(&rows), db.WritesWithCommit())...)
	require.NoError(t, err)
	return there, attempts
}

func requireSame(t *testing.T, expected, found operation.Done) {
	t.Helper()
	require.WithinDuration(t, expected.CreatedAt, found.CreatedAt, 0)
	found.CreatedAt = expected.CreatedAt // in any time zone
	require.Equal(t, expected, found)
}

func TestOnce(t *testing.T) {
	t.Parallel()

	t.Run("a later call finds the first one", func(t *testing.T) {
		t.Parallel()
		database := dbtest.Open(t)
		first := done(t, newKey(), uuid.New())
		there, attempts := once(t, database, first)
		requireSame(t, first, there)
		require.Equal(t, 1, attempts, "no call reads before it writes")
		there, attempts = once(t, database, done(t, first.Key, uuid.New()))
		requireSame(t, first, there)
		require.Equal(t, 2, attempts)
	})

	t.Run("an id belongs to its organization", func(t *testing.T) {
		t.Parallel()
		database := dbtest.Open(t)
		first := done(t, newKey(), uuid.New())
		others := done(t, operation.Key{OrganizationID: uuid.New(), ID: first.ID}, uuid.New())
		for _, each := range []operation.Done{first, others} {
			there, attempts := once(t, database, each)
			requireSame(t, each, there)
			require.Equal(t, 1, attempts)
		}
	})

	t.Run("a COMMIT without a reply is proven by its own row", func(t *testing.T) {
		t.Parallel()
		place := dbtest.New(t)
		proxy := wireproxy.Start(t, place.AppURL)
		database := place.Open(t, dbtest.Through(proxy.URL))
		proxy.Break(wireproxy.BeforeAnswer, "commit", 1)
		row := done(t, newKey(), uuid.New())
		there, attempts := once(t, database, row)
		requireSame(t, row, there)
		require.Equal(t, 1, attempts)
		require.EqualValues(t, 1, database.Metrics().Snapshot().Operations[0].AmbiguousResolved)
	})

	t.Run("and not by the row of another call, whose outcome is returned", func(t *testing.T) {
		t.Parallel()
		place := dbtest.New(t)
		proxy := wireproxy.Start(t, place.AppURL)
		database := place.Open(t, dbtest.Through(proxy.URL))
		first := done(t, newKey(), uuid.New())
		once(t, place.Open(t), first)
		// The server refuses the statement sent with COMMIT, and its answer is lost.
		proxy.Break(wireproxy.BeforeAnswer, "insert into unit_operations", 1)
		there, attempts := once(t, database, done(t, first.Key, uuid.New()))
		requireSame(t, first, there)
		require.Equal(t, 2, attempts)
		require.EqualValues(t, 1, database.Metrics().Snapshot().Operations[0].AmbiguousResolved)
	})
}

func TestForget(t *testing.T) {
	t.Parallel()
	database := dbtest.Open(t)
	old, recent := done(t, newKey(), uuid.New()), done(t, newKey(), uuid.New())
	recent.CreatedAt = old.CreatedAt.Add(time.Microsecond)
	once(t, database, old)
	once(t, database, recent)
	n, err := memory.Forget(t.Context(), database, "forget", recent.CreatedAt)
	require.NoError(t, err)
	require.EqualValues(t, 1, n)
	found, err := db.Snapshot(t.Context(), database, "find", func(ctx context.Context) (map[operation.Key]operation.Done, error) {
		return memory.Find(ctx, old.Key, recent.Key)
	}, db.AllOrganizations())
	require.NoError(t, err)
	require.Len(t, found, 1)
	requireSame(t, recent, found[recent.Key])
}
