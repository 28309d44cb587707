package postgres

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFinder(t *testing.T) {
	t.Parallel()
	machine := t.TempDir()
	install(t, filepath.Join(machine, "lib", "14", "bin"), "14.20")
	install(t, filepath.Join(machine, "lib", "15", "bin"), "15.18 (Debian 15.18-0+deb12u1)")
	install(t, filepath.Join(machine, "lib", "17", "bin"), "17.2")
	install(t, filepath.Join(machine, "opt", "bin"), "16beta1")
	install(t, filepath.Join(machine, "fetched", "18.4", "bin"), "18.4")
	install(t, filepath.Join(machine, "fetched", "17.9", "bin"), "17.9")
	require.NoError(t, os.Mkdir(filepath.Join(machine, "path"), 0o755))
	require.NoError(t, os.Symlink(filepath.Join(machine, "opt", "bin", "postgres"),
		filepath.Join(machine, "path", "postgres")))
	// Without initdb it is a client or an incomplete installation.
	install(t, filepath.Join(machine, "lib", "19", "bin"), "19.0")
	require.NoError(t, os.Remove(filepath.Join(machine, "lib", "19", "bin", "initdb")))

	lib := filepath.Join(machine, "lib", "*", "bin")
	fetched := filepath.Join(machine, "fetched", "*", "bin")
	for name, it := range map[string]struct {
		finder finder
		given  string
		want   int
		found  string
	}{
		"takes the newest for a new cluster":       {finder{places: []string{lib, fetched}}, "", 0, "fetched/18.4/bin"},
		"takes the version of an existing cluster": {finder{places: []string{lib, fetched}}, "", 15, "lib/15/bin"},
		"takes the machine's before a fetched one": {finder{places: []string{lib, fetched}}, "", 17, "lib/17/bin"},
		"follows a link on the path":               {finder{path: filepath.Join(machine, "path")}, "", 0, "opt/bin"},
		"takes the newest if none has the version": {finder{places: []string{lib}}, "", 16, "lib/17/bin"},
		"takes the given folder": {
			finder{places: []string{lib}}, filepath.Join(machine, "lib", "15", "bin"), 0, "lib/15/bin",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, err := it.finder.find(t.Context(), it.given, it.want)
			require.NoError(t, err)
			require.Equal(t, filepath.Join(machine, it.found), b.dir)
		})
	}
}

func TestFinderFindsNothing(t *testing.T) {
	t.Parallel()
	machine := t.TempDir()
	old := filepath.Join(machine, "14", "bin")
	install(t, old, "14.20")
	pattern := filepath.Join(machine, "*", "bin")

	_, err := finder{places: []string{pattern, "/nowhere/*/bin"}}.find(t.Context(), "", 0)
	var none *NoBinaries
	require.ErrorAs(t, err, &none)
	require.Equal(t, []string{
		pattern, "/nowhere/*/bin", "the folders of PATH", "found " + old + ", but: PostgreSQL 14 is too old",
	}, none.Looked)

	require.NotContains(t, none.Error(), "fetch")
	none.Fetch = errors.New("the registry does not answer")
	require.ErrorContains(t, none, "were not downloaded: the registry does not answer")
	require.ErrorContains(t, none, "postgres fetch", "and how to retry")
}

func TestBinariesAreFetchedOnlyIfNoneFit(t *testing.T) {
	t.Parallel()
	for name, it := range map[string]struct {
		installed []string
		given     bool // in OMNI_POSTGRES_BIN
		want      int
		fetches   bool
		found     int // 0 for an error
	}{
		"nothing is installed":                    {nil, false, 0, true, 18},
		"one is installed":                        {[]string{"15.18"}, false, 0, false, 15},
		"the cluster was made by a fetched one":   {[]string{"15.18"}, false, 18, true, 18},
		"the cluster's version is installed":      {[]string{"15.18"}, false, 15, false, 15},
		"the cluster's version cannot be fetched": {nil, false, 16, false, 0},
		// rejected by the caller
		"another one is installed than the cluster's":       {[]string{"15.18"}, false, 16, false, 15},
		"the installed one is too old":                      {[]string{"14.20"}, false, 0, true, 18},
		"OMNI_POSTGRES_BIN names a folder without binaries": {nil, true, 0, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			machine, given := t.TempDir(), ""
			for _, version := range it.installed {
				install(t, filepath.Join(machine, version, "bin"), version)
			}
			if it.given {
				given = filepath.Join(machine, "nowhere")
			}
			fetched := false
			found, err := finder{places: []string{filepath.Join(machine, "*", "bin")}}.
				findOrFetch(t.Context(), given, it.want, func(context.Context) error {
					fetched = true
					install(t, filepath.Join(machine, "fetched", "bin"), "18.4")
					return nil
				})
			require.Equal(t, it.fetches, fetched)
			require.Equal(t, it.found, found.version)
			require.Equal(t, it.found == 0, err != nil)
		})
	}
}

func TestForbiddenOrFailedFetchesSayWhatToDo(t *testing.T) {
	t.Parallel()
	f := finder{places: []string{"/nowhere/*/bin"}}
	_, err := f.findOrFetch(t.Context(), "", 0, nil)
	require.ErrorContains(t, err, "OMNI_POSTGRES_FETCH=false forbids it")
	require.ErrorContains(t, err, "apt-get install postgresql")

	broken := errors.New("no network")
	_, err = f.findOrFetch(t.Context(), "", 0, func(context.Context) error { return broken })
	require.ErrorIs(t, err, broken)
	none, ok := errors.AsType[*NoBinaries](err)
	require.True(t, ok)
	require.Equal(t, broken, none.Fetch)
}

func TestFinderLooksEverywhere(t *testing.T) {
	t.Parallel()
	places := newFinder("/data/binaries").places
	for _, place := range []string{
		"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin",
		"/Applications/Postgres.app/Contents/Versions/*/bin", "/data/binaries/*/bin",
	} {
		require.Contains(t, places, place)
	}
}

// install creates programs that print this version and do nothing else.
func install(t testing.TB, bin, version string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(bin, 0o755))
	script := "#!/bin/sh\necho 'postgres (PostgreSQL) " + version + "'\n"
	for _, program := range []string{"postgres", "initdb"} {
		require.NoError(t, os.WriteFile(filepath.Join(bin, program), []byte(script), 0o755))
	}
}
