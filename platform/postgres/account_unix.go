//go:build unix

package postgres

import (
	"io/fs"
	"os/user"
	"strconv"
	"syscall"
)

// maySearch reports whether the account has the search permission on a folder. An
// account other than the current user runs without its supplementary groups.
func (a account) maySearch(dir string, info fs.FileInfo) bool {
	if !a.other {
		const search = 1 // X_OK
		return syscall.Access(dir, search) == nil
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	mode := info.Mode().Perm()
	switch {
	case ok && int(owner.Uid) == a.uid:
		return mode&0o100 != 0
	case ok && int(owner.Gid) == a.gid:
		return mode&0o010 != 0
	default:
		return mode&0o001 != 0
	}
}

// ownerOf returns the name of a file's owner, "" if it has none.
func ownerOf(info fs.FileInfo) string {
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	u, err := user.LookupId(strconv.Itoa(int(owner.Uid)))
	if err != nil {
		return ""
	}
	return u.Username
}

// owns reports whether the account, or root, owns the file.
func (a account) owns(info fs.FileInfo) bool {
	owner, ok := info.Sys().(*syscall.Stat_t)
	return ok && (int(owner.Uid) == a.uid || owner.Uid == 0)
}
