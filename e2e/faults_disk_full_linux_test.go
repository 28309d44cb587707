package e2e

import (
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/platform/db/dbtest"
)

// TestDiskIsFullForAWhile fills the disk of the tables while clients book, and then
// frees space.
func TestDiskIsFullForAWhile(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t)
	server := dbtest.Server(t, true)
	database := dbtest.Of(server)
	info, err := os.Stat(filepath.Join(server.Dir(), "cluster"))
	require.NoError(t, err)
	account := info.Sys().(*syscall.Stat_t)
	tables := filepath.Join(disk, "tables")
	require.NoError(t, os.Mkdir(tables, 0o700))
	require.NoError(t, os.Chown(tables, int(account.Uid), int(account.Gid)))
	superuser := asSuperuser(t, server.Dir(), database)
	for _, statement := range []string{
		"CREATE TABLESPACE small LOCATION '" + tables + "'",
		"ALTER DATABASE " + server.Database() + " SET TABLESPACE small",
	} {
		_, err := superuser.ExecContext(t.Context(), statement)
		require.NoError(t, err)
	}

	c := harness.Serve(t, database, database.Open(t))
	paths, totals := contested(t, c)
	serving := c.Launch(t, database.AppURL, harness.SharedTransactions...)
	h := &harness.History{}
	stop := h.StartClients(t, 12, paths, func(int, int) harness.Caller { return serving.Clinic.Admin() })
	h.AwaitAnswers(t, 20)
	filler := fillDisk(t, disk)
	h.AwaitRetries(t, 50) // insist accepts database-full, but no internal error
	require.NoError(t, os.Remove(filler))
	h.AwaitAnswers(t, 50, "it goes on")
	stop()
	h.RequireConsistent(t, c, totals)
}

// smallDisk returns a disk of 64 MB.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "omnirapeutic-disk-")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.Remove(dir)) })
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64m,mode=0755"); errors.Is(err, syscall.EPERM) {
		t.Skip("only root can make a small disk")
	} else {
		require.NoError(t, err)
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, 0)) })
	return dir
}

// fillDisk uses all space of a disk.
func fillDisk(t *testing.T, disk string) string {
	t.Helper()
	f, err := os.Create(filepath.Join(disk, "filler"))
	require.NoError(t, err)
	defer f.Close()
	_, err = io.CopyN(f, zeros{}, 1<<30)
	require.ErrorIs(t, err, syscall.ENOSPC)
	return f.Name()
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// asSuperuser connects to another database of the private server.
func asSuperuser(t *testing.T, dir string, database dbtest.Database) *sql.DB {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(dir, "passwords.json"))
	require.NoError(t, err)
	var passwords map[string]string
	require.NoError(t, json.Unmarshal(content, &passwords))
	u, err := url.Parse(database.OwnerURL)
	require.NoError(t, err)
	const superuser = "omni_superuser"
	u.User, u.Path = url.UserPassword(superuser, passwords[superuser]), "/postgres"
	opened, err := sql.Open("pgx", u.String())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, opened.Close()) })
	return opened
}
