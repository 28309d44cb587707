package postgres

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMakeSocketDir(t *testing.T) {
	t.Parallel()
	a := account{name: "tester", uid: os.Geteuid(), gid: os.Getegid()}

	t.Run("it is in the data folder, for its user only", func(t *testing.T) {
		t.Parallel()
		dir := shortDir(t)
		for range 2 { // created, then found
			socket, err := makeSocketDir(dir, a)
			require.NoError(t, err)
			require.Equal(t, filepath.Join(dir, "socket"), socket)
			info, err := os.Stat(socket)
			require.NoError(t, err)
			require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
		}
	})
	t.Run("it is elsewhere if the path is one byte too long", func(t *testing.T) {
		t.Parallel()
		dir := shortDir(t)
		room := maxSocketPath - 1 - len("/socket/"+socketName) - len(dir) - 1
		for extra, parent := range []string{filepath.Join(dir, strings.Repeat("x", room)), "/tmp"} {
			long := filepath.Join(dir, strings.Repeat("x", room+extra))
			require.NoError(t, os.Mkdir(long, 0o755))
			socket, err := makeSocketDir(long, a)
			require.NoError(t, err)
			t.Cleanup(func() { _ = os.Remove(socket) })
			require.Equal(t, parent, filepath.Dir(socket))
		}
	})
	t.Run("it is not one that others can enter", func(t *testing.T) {
		t.Parallel()
		dir := shortDir(t)
		socket := filepath.Join(dir, "socket")
		require.NoError(t, os.Mkdir(socket, 0o755))
		require.NoError(t, os.Chmod(socket, 0o710))
		_, err := makeSocketDir(dir, a)
		require.ErrorContains(t, err, socket)
	})
	t.Run("it is not a link", func(t *testing.T) {
		t.Parallel()
		dir := shortDir(t)
		require.NoError(t, os.Mkdir(filepath.Join(dir, "elsewhere"), 0o700))
		require.NoError(t, os.Symlink("elsewhere", filepath.Join(dir, "socket")))
		_, err := makeSocketDir(dir, a)
		require.ErrorContains(t, err, filepath.Join(dir, "socket"))
	})
	t.Run("it does not belong to another user", func(t *testing.T) {
		t.Parallel()
		if os.Geteuid() != 0 {
			t.Skip("only root can change the owner of a folder")
		}
		dir := shortDir(t)
		socket := filepath.Join(dir, "socket")
		require.NoError(t, os.Mkdir(socket, 0o700))
		require.NoError(t, os.Chown(socket, 12345, 12345))
		_, err := makeSocketDir(dir, a)
		require.ErrorContains(t, err, socket)
	})
}

func TestMemory(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "meminfo")
	require.NoError(t, os.WriteFile(file, []byte("Other: 1 kB\nMemTotal:       4096 kB\n"), 0o600))
	require.Equal(t, 4096, memorySettings(file, "MemTotal: %d kB"))
	require.NoError(t, os.WriteFile(file, []byte("max\n"), 0o600))
	require.Zero(t, memorySettings(file, "%d"), "no limit")
	require.Zero(t, memorySettings(file+".away", "%d"))
}

// shortDir returns a folder with a short path, unlike t.TempDir.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "s")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return dir
}
