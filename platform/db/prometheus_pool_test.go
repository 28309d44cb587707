package db_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/dbtest"
)

// TestPoolMetricsShowTransactionsThatWaitForAConnection fills a pool of one connection.
func TestPoolMetricsShowTransactionsThatWaitForAConnection(t *testing.T) {
	t.Parallel()
	d := dbtest.Open(t, dbtest.WithMaxConns(1))
	inside, leave := make(chan struct{}), make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		_, err := db.Snapshot(t.Context(), d, "test.hold", func(ctx context.Context) (struct{}, error) {
			_, err := db.Handle(ctx)
			close(inside)
			<-leave
			return struct{}{}, err
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-inside
	require.InDelta(t, 0, sums(t, d.PoolMetrics())["omnirapeutic_pool_waiting"], 0)
	running.Go(func() {
		_, err := db.Snapshot(t.Context(), d, "test.wait", func(ctx context.Context) (struct{}, error) {
			_, err := db.Handle(ctx)
			return struct{}{}, err
		})
		if err != nil {
			t.Error(err)
		}
	})
	require.Eventually(t, func() bool { return sums(t, d.PoolMetrics())["omnirapeutic_pool_waiting"] == 1 },
		10*time.Second, time.Millisecond)
	require.InDelta(t, 1, sums(t, d.PoolMetrics())["omnirapeutic_pool_connections_max"], 0)
	close(leave)
	running.Wait()
	after := sums(t, d.PoolMetrics())
	require.InDelta(t, 0, after["omnirapeutic_pool_waiting"], 0)
	require.Positive(t, after["omnirapeutic_pool_waits_total"])
	require.Positive(t, after["omnirapeutic_pool_wait_seconds_total"])
}

// TestLockMetricsShowTheHolderAndTheWaitingTransactions holds the table's lock in one transaction while another
// one waits for it.
func TestLockMetricsShowTheHolderAndTheWaitingTransactions(t *testing.T) {
	t.Parallel()
	c := newCounters(t, dbtest.WithMaxConns(2)) // the waiting transaction has a connection
	inside, leave := make(chan struct{}), make(chan struct{})
	var running sync.WaitGroup
	locking := func(body func()) {
		running.Go(func() {
			_, err := db.Serializable(t.Context(), c.DB, "test.lock", func(context.Context) (struct{}, error) {
				body()
				return struct{}{}, nil
			}, db.Locking("write_lock"))
			if err != nil {
				t.Error(err)
			}
		})
	}
	locking(func() { close(inside); <-leave })
	<-inside
	locking(func() {})
	value := func(name string) float64 { return sums(t, c.Metrics())[name] }
	require.Eventually(t, func() bool { return value("omnirapeutic_lock_waiting_transactions") == 1 },
		10*time.Second, time.Millisecond)
	require.Positive(t, value("omnirapeutic_lock_hold_seconds"))
	close(leave)
	running.Wait()
	require.InDelta(t, 0, value("omnirapeutic_lock_waiting_transactions"), 0)
	require.InDelta(t, 0, value("omnirapeutic_lock_hold_seconds"), 0)
	require.Positive(t, value("omnirapeutic_lock_held_seconds_total"))
}

func TestServerFactsAreReadWithTheProgramsRole(t *testing.T) {
	t.Parallel()
	facts, err := dbtest.Open(t).ServerFacts(t.Context())
	require.NoError(t, err)
	require.False(t, facts.ReadOnly)
	wanted, err := db.WantedSchemaVersion()
	require.NoError(t, err)
	require.Equal(t, wanted, facts.SchemaVersion)
	require.NotNil(t, facts.Standbys)
	require.Zero(t, *facts.Standbys)
	require.Nil(t, facts.ReplicationLag, "there is no standby")
}
