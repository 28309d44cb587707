package postgres_test

import (
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/postgres"
)

func TestClusterOfAnotherVersion(t *testing.T) {
	t.Parallel()
	dir := scratch(t)
	s := start(t, postgres.Options{Dir: dir, Volatile: true})
	version := s.Version()
	stop(t, s)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "cluster", "PG_VERSION"), []byte("13\n"), 0o600))
	before := listing(t, dir)

	var mismatch *postgres.VersionMismatch
	_, err := postgres.Start(t.Context(), postgres.Options{Dir: dir})
	require.ErrorAs(t, err, &mismatch)
	require.Equal(t, postgres.VersionMismatch{Dir: dir, Cluster: 13}, *mismatch)
	require.Contains(t, err.Error(), "created by PostgreSQL 13")

	places, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	require.NoError(t, err)
	// These binaries created the cluster.
	if len(places) == 1 && places[0] == filepath.Join("/usr/lib/postgresql", strconv.Itoa(version), "bin") {
		_, err = postgres.Start(t.Context(), postgres.Options{Dir: dir, Bin: places[0]})
		require.ErrorAs(t, err, &mismatch)
		require.Equal(t, postgres.VersionMismatch{Dir: dir, Cluster: 13, Binary: version}, *mismatch)
	}
	require.Equal(t, before, listing(t, dir), "nothing has changed")
}

func TestUnreadableVersion(t *testing.T) {
	t.Parallel()
	dir := scratch(t)
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "cluster"), 0o755))
	file := filepath.Join(dir, "cluster", "PG_VERSION")
	require.NoError(t, os.WriteFile(file, []byte("9.6\n"), 0o600))
	_, err := postgres.Start(t.Context(), postgres.Options{Dir: dir})
	require.ErrorContains(t, err, file)
}

// A cluster without its passwords is unusable, and new passwords would not match.
func TestMissingRolePasswords(t *testing.T) {
	t.Parallel()
	dir := scratch(t)
	stop(t, start(t, postgres.Options{Dir: dir, Volatile: true}))
	passwords := filepath.Join(dir, "passwords.json")
	require.NoError(t, os.Rename(passwords, passwords+".away"))
	_, err := postgres.Start(t.Context(), postgres.Options{Dir: dir})
	require.ErrorContains(t, err, passwords)
	require.NoFileExists(t, passwords)

	// Passwords of another cluster: reported at once, not after two minutes of retries.
	wrong := `{"omni_superuser":"x","omni_owner":"x","omni_app":"x"}`
	require.NoError(t, os.WriteFile(passwords, []byte(wrong), 0o600))
	began := time.Now()
	_, err = postgres.Start(t.Context(), postgres.Options{Dir: dir})
	require.ErrorContains(t, err, "password authentication failed")
	require.Less(t, time.Since(began), time.Minute)
	require.NoFileExists(t, pidFile(dir), "the server was stopped again")
}

func TestNoBinaries(t *testing.T) {
	t.Parallel()
	empty := filepath.Dir(scratch(t))
	_, err := postgres.Start(t.Context(), postgres.Options{Dir: scratch(t), Bin: empty})
	var none *postgres.NoBinaries
	require.ErrorAs(t, err, &none)
	require.Equal(t, empty, none.Looked[0])
	for _, said := range []string{
		empty, "apt-get install postgresql", "brew install", "OMNI_POSTGRES_BIN", "OMNI_DATABASE_URL",
	} {
		require.Contains(t, err.Error(), said)
	}
	require.Less(t, strings.Count(err.Error(), "\n"), 24, "it fits on a screen")
}

// The data folder's path is too long for a socket, or has characters with a meaning in
// the settings.
func TestSocketElsewhere(t *testing.T) {
	t.Parallel()
	for _, name := range []string{strings.Repeat("long", 30), "com,ma", "quo'te"} {
		t.Run(name[:6], func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(scratch(t), name)
			s := start(t, postgres.Options{Dir: dir, Volatile: true})
			app := s.AppURL(s.Database())
			where, err := url.Parse(app)
			require.NoError(t, err)
			socket := where.Query().Get("host")
			t.Cleanup(func() { require.NoError(t, os.RemoveAll(socket)) })
			require.Equal(t, "/tmp", filepath.Dir(socket))
			info, err := os.Stat(socket)
			require.NoError(t, err)
			require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
			stop(t, s)

			again := start(t, postgres.Options{Dir: dir, Volatile: true})
			require.Equal(t, app, again.AppURL(again.Database()), "always the same")
			stop(t, again)

			require.NoError(t, os.Chmod(socket, 0o777))
			_, err = postgres.Start(t.Context(), postgres.Options{Dir: dir})
			require.ErrorContains(t, err, socket, "another user may listen in")
		})
	}
}

func TestFolderWithSpaces(t *testing.T) {
	t.Parallel()
	s := start(t, postgres.Options{Dir: filepath.Join(scratch(t), "of a practice & more %20"), Volatile: true})
	require.Equal(t, int64(1), value[int64](t, s.AppURL(s.Database()), "SELECT 1::bigint"))
}

// listing returns the files below a folder with their modification times, except for
// the lock, which records its last user.
func listing(t testing.TB, dir string) map[string]time.Time {
	t.Helper()
	files := map[string]time.Time{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.Name() == "lock" {
			return err
		}
		info, err := entry.Info()
		files[path] = info.ModTime()
		return err
	}))
	return files
}
