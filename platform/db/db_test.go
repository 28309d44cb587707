package db_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/dbtest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

func TestOpen(t *testing.T) {
	t.Parallel()

	t.Run("it opens the migrated database, in UTC", func(t *testing.T) {
		t.Parallel()
		d := dbtest.Open(t)
		require.NoError(t, d.CheckSchema(t.Context()))
		zone, err := db.Snapshot(t.Context(), d, "zone", func(ctx context.Context) (zone string, err error) {
			tx, err := db.Handle(ctx)
			if err != nil {
				return "", err
			}
			err = tx.Raw("SHOW timezone").Row().Scan(&zone)
			return zone, err
		})
		require.NoError(t, err)
		require.Equal(t, "UTC", zone)
	})

	for _, mode := range []string{"exec", "cache_describe"} {
		t.Run("it supports the exec mode "+mode, func(t *testing.T) {
			t.Parallel()
			c := newCounters(t, func(c *db.Config) { c.ExecMode = mode })
			n, err := db.Serializable(t.Context(), c.DB, "add", func(ctx context.Context) (int64, error) { return add(ctx, 1) })
			require.NoError(t, err)
			require.Equal(t, int64(1), n)
		})
	}

	for _, mode := range []string{"exec", "cache_describe", "describe_exec", "cache_statement"} {
		t.Run("it begins a transaction whose writes are sent with COMMIT: "+mode, func(t *testing.T) {
			t.Parallel()
			c := newCounters(t, func(c *db.Config) { c.ExecMode = mode }, dbtest.WithMaxConns(1))
			for range 2 {
				_, err := db.Serializable(t.Context(), c.DB, "written", func(ctx context.Context) (struct{}, error) {
					return struct{}{}, db.Write(ctx, 1,
						"UPDATE counters SET n = n + 1 WHERE id = $1 AND current_setting('transaction_isolation') = 'serializable'", 1)
				}, db.WritesWithCommit())
				require.NoError(t, err)
				_, err = db.Snapshot(t.Context(), c.DB, "read", func(ctx context.Context) (int64, error) { return get(ctx, 1) })
				require.NoError(t, err)
			}
			require.Equal(t, int64(2), c.value(t, 1))
		})
	}

	for mode, scans := range map[string]string{
		"": "off", "cache_statement": "off", "cache_describe": "on", "describe_exec": "on", "exec": "on",
	} {
		t.Run("it disables sequential scans, unless poolers refuse the parameter: "+mode, func(t *testing.T) {
			t.Parallel()
			d := dbtest.New(t).Open(t, func(c *db.Config) { c.ExecMode = mode })
			set, err := db.Snapshot(t.Context(), d, "setting", func(ctx context.Context) (set string, err error) {
				tx, err := db.Handle(ctx)
				require.NoError(t, err)
				return set, tx.Raw("SHOW enable_seqscan").Row().Scan(&set)
			})
			require.NoError(t, err)
			require.Equal(t, scans, set)
		})
	}

	for name, c := range map[string]db.Config{
		"the simple protocol, which may run a statement twice": {MaxConns: 1, ExecMode: "simple_protocol"},
		"a pool without connections":                           {},
		"a policy out of bounds":                               {MaxConns: 1, Retry: db.Policy{MaxAttempts: -1}},
		"an invalid URL":                                       {MaxConns: 1, URL: "postgres://user:secret@host:none/"},
	} {
		t.Run("it refuses "+name, func(t *testing.T) {
			t.Parallel()
			_, err := db.Open(t.Context(), c)
			require.Error(t, err)
			require.NotContains(t, err.Error(), "secret")
		})
	}

	t.Run("it returns an error if the database does not answer", func(t *testing.T) {
		t.Parallel()
		_, err := db.Open(t.Context(), db.Config{MaxConns: 1, URL: "postgres://user:secret@/x?host=" + t.TempDir()})
		var unavailable *db.UnavailableError
		require.ErrorAs(t, err, &unavailable)
		require.NotContains(t, err.Error(), "secret")
	})

	t.Run("it logs slow statements without values, and failed ones not at all", func(t *testing.T) {
		t.Parallel()
		var log bytes.Buffer
		logger := logrus.New()
		logger.SetOutput(&log)
		c := newCounters(t, func(c *db.Config) { c.Logger, c.SlowQuery = logger, time.Nanosecond })
		_, err := db.Serializable(t.Context(), c.DB, "log",
			func(ctx context.Context) (int, error) { return 0, set(ctx, 123454321, -678987) })
		require.NoError(t, err)
		_, err = db.Serializable(t.Context(), c.DB, "log",
			func(ctx context.Context) (int, error) { return 0, set(ctx, 2, -678987) })
		require.Error(t, err)
		_, err = db.Serializable(t.Context(), c.DB, "log", func(ctx context.Context) (int, error) {
			tx, err := db.Handle(ctx)
			require.NoError(t, err)
			var found int
			return found, tx.Raw("SELECT n FROM counters WHERE n = ? OR id = ?", 123454321, -678987).Scan(&found).Error
		})
		require.NoError(t, err)
		require.Contains(t, log.String(), "slow_statement")
		require.Contains(t, log.String(), "SELECT n FROM counters WHERE n = $1")
		require.NotContains(t, log.String(), "123454321")
		require.NotContains(t, log.String(), "678987")
	})
}
