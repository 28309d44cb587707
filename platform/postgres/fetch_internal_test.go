package postgres

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sirupsen/logrus"
	"github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/npm"
)

func TestCheckIntegrity(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "package.tgz")
	require.NoError(t, os.WriteFile(file, []byte("abc"), 0o600))
	const abc = "sha512-3a81oZNherrMQXNJriBBMRLm+k6JqX6iCp7u5ktV05ohkpkqJ0/BqDa6PCOj/uu9RU1EI2Q86A4qmslPpUyknw=="
	require.NoError(t, checkIntegrity(file, abc))
	require.NoError(t, os.WriteFile(file, []byte("abd"), 0o600))
	err := checkIntegrity(file, abc)
	require.ErrorContains(t, err, abc)
	require.ErrorContains(t, err, "not used")
	require.Error(t, checkIntegrity(file+".away", abc))
}

func TestUnpack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	side := filepath.Join(dir, "side")
	require.NoError(t, os.Mkdir(side, 0o755))
	archive := pack(t, []tar.Header{
		{Name: "package/native/bin/postgres", Typeflag: tar.TypeReg},
		{Name: "package/package.json", Typeflag: tar.TypeReg},
		{Name: "/package/native/absolute", Typeflag: tar.TypeReg},
		{Name: "package/../native/beside", Typeflag: tar.TypeReg},
		{Name: "package/native/link", Typeflag: tar.TypeSymlink, Linkname: "/etc"},
	})
	require.NoError(t, unpack(archive, side))
	files, err := filepath.Glob(filepath.Join(side, "*", "*"))
	require.NoError(t, err)
	require.Equal(t, []string{filepath.Join(side, "native", "bin")}, files)
	require.NoError(t, open(filepath.Join(side, "native")))
	info, err := os.Stat(filepath.Join(side, "native", "bin", "postgres"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o755), info.Mode().Perm(), "it is executable, regardless of the archive")
}

// program is an archive of a package with programs that claim to be PostgreSQL 18.
func program(t testing.TB) []byte {
	t.Helper()
	var out bytes.Buffer
	compressed := gzip.NewWriter(&out)
	files := tar.NewWriter(compressed)
	for name, content := range map[string]string{
		"bin/postgres":     "#!/bin/sh\necho 'postgres (PostgreSQL) 18.4'\n",
		"bin/initdb":       "#!/bin/sh\n",
		"lib/libpq.so.5.1": "pq",
		"pg-symlinks.json": `[{"source": "native/lib/libpq.so.5.1", "target": "native/lib/libpq.so.5"}]`,
	} {
		header := tar.Header{Name: "package/native/" + name, Typeflag: tar.TypeReg, Mode: 0o600, Size: int64(len(content))}
		require.NoError(t, files.WriteHeader(&header))
		_, err := files.Write([]byte(content))
		require.NoError(t, err)
	}
	require.NoError(t, errors.Join(files.Close(), compressed.Close()))
	return out.Bytes()
}

// registry serves the archive like an npm registry, and counts downloads.
func registry(t testing.TB, archive []byte) (address string, downloads *atomic.Int64) {
	t.Helper()
	downloads = &atomic.Int64{}
	name := "@embedded-postgres/" + platform()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/" + name:
			_, _ = fmt.Fprintf(w, `{"versions": {%q: {"dist": {"tarball": "https://registry.npmjs.org/%s/-/archive.tgz"}}}}`,
				fetchedVersion, name)
		case "/" + name + "/-/archive.tgz":
			downloads.Add(1)
			_, _ = w.Write(archive)
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL, downloads
}

func fetcher(dir, address string, integrity string, logger logrus.FieldLogger) Fetcher {
	return Fetcher{
		Dir: dir, Logger: logger, packages: map[string]string{platform(): integrity},
		machine: npm.Machine{Environ: []string{"npm_config_registry=" + address}},
	}
}

func integrityOf(content []byte) string {
	sum := sha512.Sum512(content)
	return "sha512-" + base64.StdEncoding.EncodeToString(sum[:])
}

func TestBinariesAreFetchedOnceByManyProgramsAtOnce(t *testing.T) {
	t.Parallel()
	archive := program(t)
	address, downloads := registry(t, archive)
	dir := filepath.Join(t.TempDir(), "data", "binaries")
	logger, said := test.NewNullLogger()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "fetch-interrupted"), 0o755))
	const programs = 5
	var fetchers sync.WaitGroup
	bins, failed := make([]string, programs), make([]error, programs)
	for i := range programs {
		fetchers.Go(func() { bins[i], failed[i] = fetcher(dir, address, integrityOf(archive), logger).Fetch(t.Context()) })
	}
	fetchers.Wait()
	require.NoError(t, errors.Join(failed...))
	for _, bin := range bins {
		require.Equal(t, filepath.Join(dir, fetchedVersion, "bin"), bin)
	}
	require.Equal(t, int64(1), downloads.Load())
	found, err := finder{places: []string{filepath.Join(dir, "*", "bin")}}.find(t.Context(), "", 0)
	require.NoError(t, err)
	require.Equal(t, fetchedMajor, found.version)
	left, err := filepath.Glob(filepath.Join(dir, "fetch-*"))
	require.NoError(t, err)
	require.Empty(t, left, "including the files of an interrupted fetch")
	require.Contains(t, said.AllEntries()[0].Message,
		"downloading its binaries from "+strings.TrimPrefix(address, "http://"))
}

func TestAnArchiveWithAnotherChecksumIsNotUsed(t *testing.T) {
	t.Parallel()
	archive := program(t)
	address, _ := registry(t, append(archive, 0))
	dir := t.TempDir()
	logger, _ := test.NewNullLogger()
	_, err := fetcher(dir, address, integrityOf(archive), logger).Fetch(t.Context())
	require.ErrorContains(t, err, "is not used")
	left, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestChecksumsArePinnedForSupportedPlatforms(t *testing.T) {
	t.Parallel()
	for _, platform := range []string{"linux-x64", "linux-arm64", "darwin-x64", "darwin-arm64"} {
		sum, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(packages[platform], "sha512-"))
		require.NoError(t, err)
		require.Len(t, sum, sha512.Size)
	}
	_, err := Fetcher{Dir: t.TempDir()}.Fetch(t.Context())
	require.ErrorContains(t, err, "no binaries for "+platform())
}

func TestUnpackRefusesToLeaveItsFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	side := filepath.Join(dir, "side")
	require.NoError(t, os.Mkdir(side, 0o755))
	archive := pack(t, []tar.Header{{Name: "package/native/../../outside", Typeflag: tar.TypeReg}})
	require.Error(t, unpack(archive, side))
	require.NoFileExists(t, filepath.Join(dir, "outside"))

	require.NoError(t, os.Symlink(dir, filepath.Join(side, "native")))
	archive = pack(t, []tar.Header{{Name: "package/native/outside", Typeflag: tar.TypeReg}})
	require.Error(t, unpack(archive, side))
	require.NoFileExists(t, filepath.Join(dir, "outside"))
}

func TestMakeLinks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	native := filepath.Join(dir, "native")
	require.NoError(t, os.MkdirAll(filepath.Join(native, "lib"), 0o755))
	require.NoError(t, os.MkdirAll(filepath.Join(native, "bin"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(native, "lib", "libpq.so.5.18"), []byte("pq"), 0o600))
	links := filepath.Join(native, "pg-symlinks.json")
	require.NoError(t, os.WriteFile(links, []byte(`[
		{"source": "native/lib/libpq.so.5.18", "target": "native/lib/libpq.so.5"},
		{"source": "native/lib/libpq.so.5.18", "target": "native/bin/libpq.so"}
	]`), 0o600))
	require.NoError(t, makeLinks(native))
	for _, link := range []string{"lib/libpq.so.5", "bin/libpq.so"} {
		content, err := os.ReadFile(filepath.Join(native, link))
		require.NoError(t, err)
		require.Equal(t, "pq", string(content))
		target, err := os.Readlink(filepath.Join(native, link))
		require.NoError(t, err)
		require.False(t, filepath.IsAbs(target), "the folder is renamed afterwards")
	}

	require.NoError(t, os.WriteFile(links, []byte(`[{"source": "native/lib/libpq.so.5.18", "target": "../outside"}]`),
		0o600))
	require.Error(t, makeLinks(native))
	_, err := os.Lstat(filepath.Join(filepath.Dir(dir), "outside"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

// pack returns an archive of empty files.
func pack(t testing.TB, headers []tar.Header) string {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "package.tgz"))
	require.NoError(t, err)
	compressed := gzip.NewWriter(f)
	files := tar.NewWriter(compressed)
	for _, header := range headers {
		header.Mode = 0o600
		require.NoError(t, files.WriteHeader(&header))
	}
	require.NoError(t, files.Close())
	require.NoError(t, compressed.Close())
	require.NoError(t, f.Close())
	return f.Name()
}
