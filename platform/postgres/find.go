package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// oldest is the oldest supported major version.
const oldest = 15

// binaries are the programs of one PostgreSQL installation.
type binaries struct {
	dir     string
	version int
}

func (b binaries) path(program string) string { return filepath.Join(b.dir, program) }

// usualPlaces are patterns of folders where packages put the binaries, separated by colons.
// It is one string so that a linker flag can replace it: see .ci/fresh-machine.
var usualPlaces = "/usr/lib/postgresql/*/bin:/usr/pgsql-*/bin" +
	":/opt/homebrew/opt/postgresql@*/bin:/usr/local/opt/postgresql@*/bin" +
	":/Applications/Postgres.app/Contents/Versions/*/bin"

// finder searches for binaries. Tests set its fields to describe another machine.
type finder struct {
	places []string // patterns
	path   string   // the PATH variable
}

func newFinder(fetched ...string) finder {
	f := finder{places: strings.Split(usualPlaces, ":"), path: os.Getenv("PATH")}
	for _, dir := range fetched { // last, because the machine's own binaries get security updates
		f.places = append(f.places, filepath.Join(dir, "*", "bin"))
	}
	return f
}

// findOrFetch finds binaries, or downloads them if none are found, or none of the version that a
// cluster needs. Fetch is nil if downloads are forbidden.
func (f finder) findOrFetch(
	ctx context.Context, given string, want int, fetch func(context.Context) error,
) (binaries, error) {
	found, err := f.find(ctx, given, want)
	none, missing := errors.AsType[*NoBinaries](err)
	if err != nil && !missing || given != "" || want != 0 && want != fetchedMajor || err == nil &&
		(want == 0 || found.version == want) {
		return found, err
	}
	if fetch == nil {
		if missing {
			none.Fetch = errFetchForbidden
		}
		return found, err
	}
	if failed := fetch(ctx); failed != nil {
		if missing {
			none.Fetch = failed
		}
		return found, err
	}
	return f.find(ctx, given, want)
}

// find returns the binaries in the given folder. Without one, it returns the binaries
// of the wanted version among all it finds or, if want is 0, the newest. It returns a
// *[NoBinaries] if there are none.
func (f finder) find(ctx context.Context, given string, want int) (binaries, error) {
	folders := f.folders()
	if given != "" {
		folders = []string{given}
	}
	looked := append(slices.Clone(f.places), "the folders of PATH")
	if given != "" {
		looked = []string{given}
	}
	var found []binaries
	for _, dir := range folders {
		b := binaries{dir: dir}
		version, err := b.majorVersion(ctx)
		if err == nil && version < oldest {
			err = fmt.Errorf("PostgreSQL %d is too old", version)
		}
		if err != nil {
			looked = append(looked, fmt.Sprintf("found %s, but: %v", dir, err))
			continue
		}
		b.version = version
		found = append(found, b)
	}
	if len(found) == 0 {
		return binaries{}, &NoBinaries{Looked: looked}
	}
	if i := slices.IndexFunc(found, func(b binaries) bool { return b.version == want }); i >= 0 {
		return found[i], nil
	}
	return slices.MaxFunc(found, func(a, b binaries) int { return a.version - b.version }), nil
}

// folders returns the existing folders, without duplicates.
func (f finder) folders() []string {
	var folders []string
	for _, pattern := range f.places {
		matches, _ := filepath.Glob(pattern) // the patterns are well formed
		folders = append(folders, matches...)
	}
	for _, dir := range filepath.SplitList(f.path) {
		// A link on the PATH leads to the folder that also has initdb.
		real, err := filepath.EvalSymlinks(filepath.Join(dir, "postgres"))
		if err == nil && !slices.Contains(folders, filepath.Dir(real)) {
			folders = append(folders, filepath.Dir(real))
		}
	}
	return folders
}

// majorVersion runs the server program with --version, and checks that initdb exists
// next to it.
func (b binaries) majorVersion(ctx context.Context) (int, error) {
	if _, err := os.Stat(b.path("initdb")); err != nil {
		return 0, err
	}
	//nolint:gosec // a program that this package found
	version := exec.CommandContext(ctx, b.path("postgres"), "--version")
	version.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C"}
	out, err := version.Output()
	if err != nil {
		return 0, err
	}
	// postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)
	_, rest, ok := strings.Cut(string(out), "(PostgreSQL) ")
	if !ok {
		return 0, fmt.Errorf("%s is not PostgreSQL", b.path("postgres"))
	}
	return strconv.Atoi(leadingDigits(rest))
}

func leadingDigits(s string) string {
	end := strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		return s
	}
	return s[:end]
}

// platform returns the name of the platform in npm packages.
func platform() string {
	arch := map[string]string{"amd64": "x64", "arm64": "arm64"}[runtime.GOARCH]
	return runtime.GOOS + "-" + arch
}
