package db_test

import (
	"context"
	"database/sql"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/dbtest"
	"omnirapeutic/platform/db/portabletest"
	"omnirapeutic/platform/postgres"
)

// portableDatabase is an empty database that is reached through a proxy, which refuses what the portable
// profile does not use.
type portableDatabase struct {
	dbtest.Database
	proxy *portabletest.Proxy
	owner string // through the proxy
}

func newPortable(t *testing.T) portableDatabase {
	t.Helper()
	d := portableDatabase{Database: dbtest.NewEmpty(t)}
	var err error
	d.proxy, err = portabletest.Start(d.OwnerURL)
	require.NoError(t, err)
	t.Cleanup(d.proxy.Close)
	d.owner = d.proxy.URL(d.MigrateURL)
	return d
}

func (d portableDatabase) migrator() db.Migrator {
	return db.Migrator{OwnerURL: d.owner, AppRole: postgres.AppRole, Profile: db.Portable}
}

// TestPortableMigrations applies and reverts all migrations through the proxy. Several migrators start at once: one
// works, the others wait for its row.
func TestPortableMigrations(t *testing.T) {
	t.Parallel()
	d := newPortable(t)
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			if err := d.migrator().Up(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	owner, err := sql.Open("pgx", d.OwnerURL)
	require.NoError(t, err)
	defer owner.Close()
	count := func(query string) (n int) {
		require.NoError(t, owner.QueryRowContext(t.Context(), query).Scan(&n))
		return n
	}
	require.Zero(t, count(`SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal`), "triggers")
	require.Zero(t, count(`SELECT count(*) FROM pg_constraint WHERE contype = 'x' OR condeferrable`), "constraints")
	require.Zero(t, count(`SELECT count(*) FROM pg_class WHERE relkind = 'p' OR relispartition`), "partitions")
	require.Zero(t, count(`SELECT count(*) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
		WHERE c.relnamespace = 'public'::regnamespace AND a.atttypid IN ('json'::regtype, 'xid8'::regtype)`), "types")
	require.Zero(t, count(`SELECT count(*) FROM migration_lock`), "the lock is free")

	var other *db.ProfileError
	require.ErrorAs(t, db.Migrator{OwnerURL: d.OwnerURL}.Up(t.Context()), &other)
	require.Equal(t, db.ProfileError{Schema: db.Portable, Program: db.PostgreSQL}, *other)
	opened, err := db.Open(t.Context(), db.Config{URL: d.RoleURL, MaxConns: 1})
	require.NoError(t, err)
	defer opened.Close()
	require.ErrorAs(t, opened.CheckSchema(t.Context()), &other)

	applied, err := d.migrator().Status(t.Context())
	require.NoError(t, err)
	for range applied {
		require.NoError(t, d.migrator().Down(t.Context()))
	}
	require.Equal(t, 2, count(`SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace`),
		"the migrator's own tables remain")
	require.Empty(t, d.proxy.Refusals())
}

// TestMigrationsOfTheOtherProfileAreNotApplied has parts for each profile.
func TestMigrationsOfTheOtherProfileAreNotApplied(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{
		"00101_a.sql": {Data: []byte("-- +goose Up\n-- +postgresql begin\nCREATE TABLE only_postgresql (a int);\n" +
			"-- +postgresql end\n-- +portable begin\nCREATE TABLE only_portable (a int);\n-- +portable end\n" +
			"CREATE TABLE in_both (a int);\n-- +goose Down\nDROP TABLE in_both;\n")},
		"00102_b.sql": {Data: []byte("-- +postgresql\n-- +goose Up\nCREATE TABLE whole (a int);\n-- +goose Down\nDROP TABLE whole;\n")},
	}
	for profile, want := range map[db.Profile][]string{
		db.PostgreSQL: {"in_both", "only_postgresql", "whole"}, db.Portable: {"in_both", "only_portable"},
	} {
		d := dbtest.NewEmpty(t)
		require.NoError(t, db.Migrator{OwnerURL: d.OwnerURL, FS: files, Profile: profile}.Up(t.Context()))
		owner, err := pgx.Connect(t.Context(), d.OwnerURL)
		require.NoError(t, err)
		rows, err := owner.Query(t.Context(), `SELECT relname::text FROM pg_class
			WHERE relkind = 'r' AND relname IN ('in_both', 'only_postgresql', 'only_portable', 'whole') ORDER BY 1`)
		require.NoError(t, err)
		found, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		require.Equal(t, want, found)
		require.NoError(t, owner.Close(t.Context()))
	}
	for _, invalid := range []string{
		"-- +portable begin\n", "-- +portable end\n", "-- +portable begin\n-- +postgresql begin\n",
	} {
		m := db.Migrator{OwnerURL: dbtest.NewEmpty(t).OwnerURL, FS: fstest.MapFS{"00101_a.sql": {Data: []byte(invalid)}}}
		require.Error(t, m.Up(t.Context()), invalid)
	}
}

// TestPortableSessionsAreUnchanged checks that connections have the settings of the server.
func TestPortableSessionsAreUnchanged(t *testing.T) {
	t.Parallel()
	d := newPortable(t)
	opened, err := db.Open(t.Context(), db.Config{URL: d.proxy.URL(d.RoleURL), Profile: db.Portable, MaxConns: 1})
	require.NoError(t, err)
	defer opened.Close()
	setting, err := db.Serializable(t.Context(), opened, "test", func(ctx context.Context) (string, error) {
		return db.SelectOne[string](ctx, "SELECT current_setting('enable_seqscan')")
	}, db.Locking("write_lock"), db.GenericPlans())
	require.NoError(t, err)
	require.Equal(t, "on", setting)
	require.Empty(t, d.proxy.Refusals())
}

// TestRowsByKey deletes the same rows in both profiles.
func TestRowsByKey(t *testing.T) {
	t.Parallel()
	d := dbtest.NewEmpty(t)
	owner, err := sql.Open("pgx", d.OwnerURL)
	require.NoError(t, err)
	defer owner.Close()
	statement := db.ByRows("DELETE FROM t a WHERE a.{rows} AND a.n > 0 RETURNING a.n", db.Rows{
		Key: []string{"k", "l"}, Query: "SELECT f.{row} FROM (SELECT t.{row} FROM t WHERE n < 3 OFFSET 0) f",
	})
	for _, profile := range []db.Profile{db.PostgreSQL, db.Portable} {
		_, err := owner.ExecContext(t.Context(), `DROP TABLE IF EXISTS t;
			CREATE TABLE t (k int, l int, n int, PRIMARY KEY (k, l)); INSERT INTO t SELECT n, -n, n FROM generate_series(0, 4) n`)
		require.NoError(t, err)
		opened, err := db.Open(t.Context(), db.Config{URL: d.MigrateURL, Profile: profile, MaxConns: 1})
		require.NoError(t, err)
		defer opened.Close()
		gone, err := db.Serializable(t.Context(), opened, "test", func(ctx context.Context) ([]int, error) {
			return db.Select[int](ctx, statement.For(ctx))
		})
		require.NoError(t, err)
		require.ElementsMatch(t, []int{1, 2}, gone, profile)
	}
}

// TestPortableListenersPoll counts the calls of a listener, which needs no connection.
func TestPortableListenersPoll(t *testing.T) {
	t.Parallel()
	opened, err := db.Open(t.Context(), db.Config{URL: dbtest.New(t).AppURL, Profile: db.Portable, MaxConns: 1})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var l polled
	ended := make(chan struct{})
	go func() {
		opened.Listen(ctx, "a channel", &l)
		close(ended)
	}()
	require.Eventually(t, func() bool { return l.calls.Load() > 2 }, 20*time.Second, time.Millisecond)
	opened.Close()
	cancel()
	<-ended
}

type polled struct{ calls atomic.Int64 }

func (l *polled) Connected()    { l.calls.Add(1) }
func (*polled) Notified(string) { panic("there are no notifications") }
func (*polled) Lost(err error)  { panic(err) }

// TestProxyRefuses sends statements of the default profile through the proxy.
func TestProxyRefuses(t *testing.T) {
	t.Parallel()
	d := newPortable(t)
	c, err := pgx.Connect(t.Context(), d.owner)
	require.NoError(t, err)
	defer c.Close(context.Background())
	refused := func(err error, feature string) {
		t.Helper()
		var e *pgconn.PgError
		require.ErrorAs(t, err, &e)
		require.Equal(t, "0A000", e.Code)
		require.Contains(t, e.Message, "the portable profile does not use "+feature)
	}
	_, err = c.Exec(t.Context(), "LOCK TABLE pg_class")
	refused(err, "LOCK TABLE")
	_, err = c.Exec(t.Context(), "SELECT ctid FROM pg_class WHERE oid = $1", 1) // a prepared statement
	refused(err, "a system column")
	_, err = c.Exec(t.Context(), "SELECT 1; NOTIFY a", pgx.QueryExecModeSimpleProtocol)
	refused(err, "LISTEN or NOTIFY")
	tx, err := c.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "SELECT pg_advisory_xact_lock($1)", 1)
	refused(err, "an advisory lock")
	_, err = tx.Exec(t.Context(), "SELECT 1")
	require.ErrorContains(t, err, "current transaction is aborted", "the server has refused it too")
	require.NoError(t, tx.Rollback(t.Context()))
	var one int
	require.NoError(t, c.QueryRow(t.Context(), "SELECT $1::int", 1).Scan(&one), "the connection still works")

	settings, err := pgx.ParseConfig(d.owner)
	require.NoError(t, err)
	settings.RuntimeParams["enable_seqscan"] = "off"
	_, err = pgx.ConnectConfig(t.Context(), settings)
	refused(err, "the setting enable_seqscan of a connection")
	require.Len(t, d.proxy.Refusals(), 5)
}
