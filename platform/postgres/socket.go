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

// maxSocketPath is the portable maximum length of a unix socket path, in bytes,
// including the terminating zero: 104 on macOS, 108 on Linux (unix(7)).
const maxSocketPath = 104

// socketName is PostgreSQL's name for the socket, which includes the port.
const socketName = ".s.PGSQL.5432"

// awkward are characters with a special meaning in postgresql.conf or in the host list
// of a connection string.
const awkward = ",'\"\\\n"

// makeSocketDir creates the folder of the server's socket. It is in the data folder or,
// if that path is unsuitable for a socket, a short one derived from the data folder.
// Only the server's user can enter it.
func makeSocketDir(dir string, a account) (string, error) {
	socket := filepath.Join(dir, "socket")
	if len(filepath.Join(socket, socketName))+1 > maxSocketPath || strings.ContainsAny(socket, awkward) {
		sum := sha256.Sum256([]byte(dir))
		// Not os.TempDir, which may be long or private to root.
		socket = filepath.Join("/tmp", "omni-"+hex.EncodeToString(sum[:8]))
	}
	err := os.Mkdir(socket, 0o700)
	if err != nil && !errors.Is(err, os.ErrExist) {
		return "", err
	}
	if err == nil {
		return socket, a.own(socket)
	}
	// The folder exists: another user may have created it to impersonate the server.
	info, err := os.Lstat(socket)
	if err != nil {
		return "", err
	}
	if !info.IsDir() || info.Mode().Perm()&0o077 != 0 || !a.owns(info) {
		return "", fmt.Errorf("%s is not a folder owned by %s with mode 0700", socket, a.name)
	}
	return socket, a.own(socket) // root's own, after an interrupted start
}
