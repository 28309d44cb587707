package postgres_test

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/postgres"
)

// smallDisk returns a disk of 64 MB that every user can access.
func smallDisk(t *testing.T) string {
	t.Helper()
	disk := filepath.Dir(scratch(t))
	err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=64m,mode=0755")
	if errors.Is(err, syscall.EPERM) {
		t.Skip("only root can make a small disk")
	}
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(disk, 0)) })
	return disk
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func TestTheServerRestartsOnceAFullDiskHasRoom(t *testing.T) {
	t.Parallel()
	dir := scratch(t)
	stop(t, start(t, postgres.Options{Dir: dir}))
	wal, disk := filepath.Join(dir, "cluster", "pg_wal"), smallDisk(t)
	moved := filepath.Join(disk, "pg_wal")
	out, err := exec.Command("cp", "-a", wal, moved).CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.NoError(t, os.RemoveAll(wal))
	require.NoError(t, os.Symlink(moved, wal))

	logger, said := test.NewNullLogger()
	waits := func() (n int) {
		for _, line := range said.AllEntries() {
			if line.Data["event"] == "postgres_disk_full" {
				n++
			}
		}
		return n
	}
	s := start(t, postgres.Options{Dir: dir, Logger: logger})
	url := s.OwnerURL(s.Database())
	execute(t, url, "CREATE TABLE notes AS SELECT 'kept' AS note")
	filler := filepath.Join(disk, "filler")
	f, err := os.Create(filler)
	require.NoError(t, err)
	_, err = io.CopyN(f, zeros{}, 1<<30)
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.NoError(t, f.Close())

	eventually(t, "it has no room", func() bool {
		conn, err := pgx.Connect(t.Context(), url)
		if err != nil {
			return waits() > 0
		}
		defer conn.Close(t.Context())
		_, _ = conn.Exec(t.Context(),
			"CREATE TABLE IF NOT EXISTS filling (n bigint); INSERT INTO filling SELECT generate_series(1, 200000)")
		return waits() > 0
	})
	require.Eventually(t, func() bool { return waits() >= 4 }, time.Minute, 50*time.Millisecond,
		"it retries more often than after other failures")
	select {
	case <-s.Done():
		require.NoError(t, s.Err(), "it has not given up")
	default:
	}
	require.NoError(t, os.Remove(filler))
	require.Eventually(t, func() bool {
		conn, err := pgx.Connect(t.Context(), url)
		if err == nil {
			_ = conn.Close(t.Context())
		}
		return err == nil
	}, time.Minute, 50*time.Millisecond, "it continues once there is room")
	require.Equal(t, "kept", value[string](t, url, "SELECT note FROM notes"))
	stop(t, s)
}
