package db_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/db"
)

func TestReadCommitted(t *testing.T) {
	t.Parallel()
	t.Run("it sees commits between its statements, and does not make others fail", func(t *testing.T) {
		t.Parallel()
		c := newCounters(t, patient)
		n, err := db.ReadCommitted(t.Context(), c.DB, "queue", func(ctx context.Context) (int64, error) {
			if _, err := get(ctx, 1); err != nil {
				return 0, err
			}
			if err := c.overtake(ctx, 1); err != nil {
				return 0, err
			}
			return get(ctx, 1)
		})
		require.NoError(t, err)
		require.Equal(t, c.value(t, 1), n)
		require.Zero(t, c.Metrics().Snapshot().Retries)
	})
	t.Run("stronger work cannot join it", func(t *testing.T) {
		t.Parallel()
		c := newCounters(t, patient)
		for _, run := range []func(context.Context) error{
			func(ctx context.Context) error {
				_, err := db.Serializable(ctx, c.DB, "strong", func(ctx context.Context) (int64, error) { return add(ctx, 1) })
				return err
			},
			func(ctx context.Context) error {
				_, err := db.Snapshot(ctx, c.DB, "moment", func(ctx context.Context) (int64, error) { return get(ctx, 1) })
				return err
			},
		} {
			_, err := db.ReadCommitted(t.Context(), c.DB, "weak", func(ctx context.Context) (int, error) { return 0, run(ctx) })
			require.ErrorIs(t, err, db.ErrIsolation)
		}
		require.Zero(t, c.value(t, 1))
	})
}

// ear records notifications.
type ear struct {
	connected, lost atomic.Int64
	heard           chan string
}

func (e *ear) Connected()        { e.connected.Add(1) }
func (e *ear) Notified(p string) { e.heard <- p }
func (e *ear) Lost(error)        { e.lost.Add(1) }
func (e *ear) await(t testing.TB) string {
	t.Helper()
	select {
	case p := <-e.heard:
		return p
	case <-time.After(10 * time.Second):
		require.FailNow(t, "nothing was heard")
		return ""
	}
}

func TestListen(t *testing.T) {
	t.Parallel()
	c := newCounters(t, patient)
	e := &ear{heard: make(chan string, 10)}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); c.Listen(ctx, "a channel", e) }()
	for n := int64(1); n <= 3; n++ {
		require.Eventually(t, func() bool { return e.connected.Load() == n }, 10*time.Second, time.Millisecond)
		_, err := c.outside.Exec(t.Context(), "SELECT pg_notify('a channel', $1)", fmt.Sprint(n))
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint(n), e.await(t))
		require.Equal(t, n-1, e.lost.Load())
		_, err = c.Pool().Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE datname = current_database() AND query LIKE 'LISTEN%'`)
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool { return e.connected.Load() == 4 }, 10*time.Second, time.Millisecond)
	c.idle(t)
	cancel()
	<-ended
	require.EqualValues(t, 3, e.lost.Load(), "a stop is not a failure")
}
