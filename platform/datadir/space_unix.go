//go:build linux || darwin

package datadir

import "syscall"

func spaceOf(path string) (Space, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(path, &s); err != nil {
		return Space{}, err
	}
	block := uint64(s.Bsize) //nolint:gosec // positive; its type depends on the system
	return Space{Free: s.Bavail * block, Size: s.Blocks * block}, nil
}
