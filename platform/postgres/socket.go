package postgres

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// maxSocketPath is how long the path of a unix socket may be, in bytes, with
// the zero that ends it (unix(7); 104 on macOS, where this is generous enough
// for the fallback).
const maxSocketPath = 104

// makeSocketDir makes the folder of the server's socket: in the data folder, or,
// where that path is too long for a socket, a short one that is always the same
// for the same data folder. Only the server's user can enter it.
func makeSocketDir(dir string, a account) (string, error) {
	socket := filepath.Join(dir, "socket")
	if len(filepath.Join(socket, ".s.PGSQL.5432"))+1 > maxSocketPath {
		sum := sha256.Sum256([]byte(dir))
		socket = filepath.Join(os.TempDir(), "omni-"+hex.EncodeToString(sum[:8]))
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
	return socket, nil
}
