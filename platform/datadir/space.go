package datadir

import (
	"errors"
	"io/fs"
	"path/filepath"
)

// Space is the space of a file system, in bytes.
type Space struct {
	Free uint64 // for ordinary users
	Size uint64
}

// SpaceOf returns the space of the file system that contains the path. A path that does not exist yet counts
// as its nearest existing parent.
func SpaceOf(path string) (Space, error) {
	for {
		space, err := spaceOf(path)
		parent := filepath.Dir(path)
		if !errors.Is(err, fs.ErrNotExist) || parent == path {
			return space, err
		}
		path = parent
	}
}
