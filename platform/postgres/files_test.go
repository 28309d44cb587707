package postgres_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/postgres"
)

// TestFilesOfThePrivateServerArePrivate checks every file and folder of a server
// after writes: other users must not read health data or passwords, or connect to the
// socket.
func TestFilesOfThePrivateServerArePrivate(t *testing.T) {
	t.Parallel()
	dir := scratch(t)
	s := start(t, postgres.Options{Dir: dir, Volatile: true})
	execute(t, s.OwnerURL(s.Database()), "CREATE TABLE notes AS SELECT 'a story' AS note")
	seen := map[string]bool{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil // a file of the server that was removed meanwhile
		}
		require.NoError(t, err)
		if path == dir {
			return nil // the server's user must be able to enter
		}
		info, err := entry.Info()
		if os.IsNotExist(err) {
			return nil
		}
		require.NoError(t, err)
		relative, err := filepath.Rel(dir, path)
		require.NoError(t, err)
		seen[relative] = true
		// inside a folder that is checked itself
		inside := relative != "cluster" && relative != "socket" && (filepath.Dir(relative) != ".")
		if info.Mode().IsRegular() || info.IsDir() && !inside {
			require.Zero(t, info.Mode().Perm()&0o077, "%s has mode %s", relative, info.Mode())
		}
		return nil
	})
	require.NoError(t, err)
	for _, file := range []string{
		"passwords.json", "postgres.log", "lock", "cluster", "cluster/omnirapeutic.conf", "cluster/pg_hba.conf",
		"cluster/base",
	} {
		require.True(t, seen[file], "%s was checked", file)
	}
	hba, err := os.ReadFile(filepath.Join(dir, "cluster", "pg_hba.conf"))
	require.NoError(t, err)
	require.NotRegexp(t, `(?m)^\s*(local|host\w*)\s.*\s(trust|peer|ident|md5|password)\s*$`, string(hba),
		"every connection requires a password")
	stop(t, s)
}
