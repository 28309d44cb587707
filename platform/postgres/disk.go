package postgres

import (
	"errors"
	"path/filepath"
	"strings"
	"syscall"
)

// leastRoom is the free space that the server needs on its disks to start, in bytes: two segments
// of its write-ahead log.
const leastRoom = 2 * 16 << 20

// diskIsFull reports whether the server has ended because a disk is full. It checks the start
// error, the log, and the free space, because a log on the full disk has no message.
func (c *cluster) diskIsFull(failed error) bool {
	if errors.Is(failed, syscall.ENOSPC) || errors.Is(failed, syscall.EDQUOT) ||
		strings.Contains(c.logTail(), "No space left on device") {
		return true
	}
	for _, dir := range []string{c.options.Dir, filepath.Join(c.dir, "pg_wal")} {
		var disk syscall.Statfs_t
		//nolint:gosec // sizes are not negative, and have other types on other systems
		if syscall.Statfs(dir, &disk) == nil && disk.Bavail*uint64(disk.Bsize) < leastRoom {
			return true
		}
	}
	return false
}
