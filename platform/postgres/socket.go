package postgres

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// maxSocketPath is how long the path of a unix socket may be everywhere, in
// bytes, with the zero that ends it: 104 on macOS, 108 on Linux (unix(7)).
const maxSocketPath = 104

// socketName is what PostgreSQL calls it, after the port.
const socketName = ".s.PGSQL.5432"

// awkward are characters that mean something in postgresql.conf or in the list
// of hosts of a connection string.
const awkward = ",'\"\\\n"

// makeSocketDir makes the folder of the server's socket: in the data folder, or,
// where that path does not do for a socket, a short one that is always the same
// for the same data folder. Only the server's user can enter it.
func makeSocketDir(dir string, a account) (string, error) {
	socket := filepath.Join(dir, "socket")
	if len(filepath.Join(socket, socketName))+1 > maxSocketPath || strings.ContainsAny(socket, awkward) {
		sum := sha256.Sum256([]byte(dir))
		// Not os.TempDir, which the environment may make long, or root's own.
		socket = filepath.Join("/tmp", "omni-"+hex.EncodeToString(sum[:8]))
	}
	err := os.Mkdir(socket, 0o700)
	if err != nil && !errors.Is(err, os.ErrExist) {
		return "", err
	}
	if err == nil {
		return socket, a.own(socket)
	}
	// It was there: nobody else may have made it to listen in.
	info, err := os.Lstat(socket)
	if err != nil {
		return "", err
	}
	if !info.IsDir() || info.Mode().Perm()&0o077 != 0 || !a.owns(info) {
		return "", fmt.Errorf("%s is not a folder of %s's own with mode 0700", socket, a.name)
	}
	return socket, a.own(socket) // root's own, where this was interrupted before
}
