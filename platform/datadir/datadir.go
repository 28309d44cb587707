// Package datadir defines the default data folder, for the program and for tests.
package datadir

import (
	"errors"
	"path/filepath"
)

// Default returns the data folder of a program on an operating system (as in runtime.GOOS), for
// root or another user. Variable returns an environment variable.
func Default(system string, root bool, variable func(string) string) (string, error) {
	const name = "omnirapeutic"
	home := variable("HOME")
	switch {
	case root:
		return filepath.Join("/var/lib", name), nil
	case system == "darwin" && filepath.IsAbs(home):
		return filepath.Join(home, "Library", "Application Support", name), nil
	case filepath.IsAbs(variable("XDG_DATA_HOME")):
		return filepath.Join(variable("XDG_DATA_HOME"), name), nil
	case filepath.IsAbs(home):
		return filepath.Join(home, ".local", "share", name), nil
	}
	return "", errors.New("must be set, because HOME is not set")
}

// Binaries returns the folder of downloaded PostgreSQL binaries in a data folder.
func Binaries(dir string) string { return filepath.Join(dir, "binaries") }
