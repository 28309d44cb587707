package postgres

import (
	"archive/tar"
	"compress/gzip"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
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
	require.Equal(t, os.FileMode(0o755), info.Mode().Perm(), "it can be run, whatever the archive says")
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

	require.NoError(t, os.WriteFile(links, []byte(`[{"source": "native/lib/libpq.so.5.18", "target": "../outside"}]`), 0o600))
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
