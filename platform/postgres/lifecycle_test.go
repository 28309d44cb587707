package postgres_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/postgres"
)

func TestStart(t *testing.T) {
	t.Parallel()
	dir := scratch(t)
	first := start(t, postgres.Options{Dir: dir})
	owner, app := first.OwnerURL(first.Database()), first.AppURL(first.Database())
	require.GreaterOrEqual(t, first.Version(), 15)
	require.Equal(t, int64(42), value[int64](t, app, "SELECT 42::bigint"))
	execute(t, owner, "CREATE TABLE notes AS SELECT 'kept' AS note")
	left, err := filepath.Glob(filepath.Join(dir, "initdb-*"))
	require.NoError(t, err)
	require.Empty(t, left, "the side folder of initdb is gone")
	info, err := os.Stat(filepath.Join(dir, "passwords.json"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	stop(t, first)

	second := start(t, postgres.Options{Dir: dir})
	require.Equal(t, owner, second.OwnerURL(second.Database()), "the passwords stay the same")
	require.Equal(t, app, second.AppURL(second.Database()))
	require.Equal(t, "kept", value[string](t, owner, "SELECT note FROM notes"))
}

func TestStartRefusesAFolderInUse(t *testing.T) {
	t.Parallel()
	dir := scratch(t)
	s := start(t, postgres.Options{Dir: dir, Volatile: true})
	c := startProgram(t, dir, nil)
	require.Contains(t, c.Failure, postgres.ErrLocked.Error())
	require.Contains(t, c.Failure, dir)

	_, err := postgres.Start(t.Context(), postgres.Options{Dir: dir})
	require.ErrorIs(t, err, postgres.ErrLocked)
	require.Equal(t, int64(1), value[int64](t, s.AppURL(s.Database()), "SELECT 1::bigint"), "the first server continues")
	stop(t, s)
}

func TestStop(t *testing.T) {
	t.Parallel()
	dir := scratch(t)
	s := start(t, postgres.Options{Dir: dir})
	owner := s.OwnerURL(s.Database())
	execute(t, owner, "CREATE TABLE notes (note text)")
	conn := connect(t, owner)
	tx, err := conn.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "INSERT INTO notes VALUES ('open')")
	require.NoError(t, err)
	require.NoError(t, s.Err(), "it runs")

	stop(t, s) // does not wait for the open transaction
	stop(t, s)
	<-s.Done()
	require.NoError(t, s.Err())
	require.NoFileExists(t, pidFile(dir))
	require.Contains(t, readLog(t, dir), "received fast shutdown request")

	again := start(t, postgres.Options{Dir: dir})
	require.Zero(t, value[int64](t, owner, "SELECT count(*) FROM notes"))
	require.NotContains(t, readLog(t, dir), "recovery", "the shutdown was a clean one")
	stop(t, again)
}

func TestRestart(t *testing.T) {
	t.Parallel()
	dir := scratch(t)
	s := start(t, postgres.Options{Dir: dir})
	owner := s.OwnerURL(s.Database())
	execute(t, owner, "CREATE TABLE notes AS SELECT 'kept' AS note")
	// A busy session does not immediately notice that its server is gone.
	busy := connect(t, owner)
	go busy.Exec(t.Context(), "SELECT count(*) FROM generate_series(1, 10000000) a") //nolint:errcheck // it is cut off
	eventually(t, "the session is busy", func() bool {
		return value[bool](t, owner, "SELECT count(*) > 0 FROM pg_stat_activity WHERE query LIKE '%generate_series(1,%' AND "+
			"state = 'active' AND pid <> pg_backend_pid()")
	})

	require.NoError(t, syscall.Kill(postmaster(t, dir), syscall.SIGKILL))
	eventually(t, "it serves again", func() bool {
		conn, err := pgx.Connect(t.Context(), owner)
		if err != nil {
			return false
		}
		defer conn.Close(t.Context())
		var note string
		return conn.QueryRow(t.Context(), "SELECT note FROM notes").Scan(&note) == nil && note == "kept"
	})
	require.NoError(t, s.Err())
	stop(t, s)
	require.NoError(t, s.Err())
}

func TestRestartsUsedUp(t *testing.T) {
	t.Parallel()
	dir := scratch(t)
	s := start(t, postgres.Options{Dir: dir})
	global := filepath.Join(dir, "cluster", "global")
	require.NoError(t, os.Rename(global, global+".away"))
	require.NoError(t, syscall.Kill(postmaster(t, dir), syscall.SIGKILL))
	select {
	case <-s.Done():
	case <-time.After(30 * time.Second):
		t.Fatal("it still tries")
	}
	var ended *postgres.ServerEnded
	require.ErrorAs(t, s.Err(), &ended)
	require.Contains(t, ended.Log, "global/pg_control", "the end of the log says why")
	require.Contains(t, ended.Error(), ended.Log)
	t.Log(ended)
	stop(t, s)

	// The folder is unlocked, and starts once it is complete again.
	require.NoError(t, os.Rename(global+".away", global))
	start(t, postgres.Options{Dir: dir})
}

func TestStopWhileRestarting(t *testing.T) {
	t.Parallel()
	dir := scratch(t)
	s := start(t, postgres.Options{Dir: dir})
	require.NoError(t, syscall.Kill(postmaster(t, dir), syscall.SIGKILL))
	stop(t, s)
	require.NoError(t, s.Err())
	start(t, postgres.Options{Dir: dir})
}

func BenchmarkFreshStart(b *testing.B) {
	for b.Loop() {
		s, err := postgres.Start(b.Context(), postgres.Options{Dir: scratch(b)})
		require.NoError(b, err)
		b.StopTimer()
		stop(b, s)
		b.StartTimer()
	}
}

func BenchmarkSecondStart(b *testing.B) {
	dir := scratch(b)
	stop(b, start(b, postgres.Options{Dir: dir}))
	for b.Loop() {
		s, err := postgres.Start(b.Context(), postgres.Options{Dir: dir})
		require.NoError(b, err)
		b.StopTimer()
		stop(b, s)
		b.StartTimer()
	}
}
