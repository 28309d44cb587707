package postgres

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// locale is of code points, with the upper and lower case of all letters.
const locale = "C.UTF-8"

// processAttributes let a child run as the account, in a process group of its
// own so that Ctrl-C reaches this program alone, and have the kernel shut it
// down when this program dies.
func processAttributes(a account) *syscall.SysProcAttr {
	attributes := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGINT}
	if a.other {
		attributes.Credential = &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)} //nolint:gosec // ids are not negative
	}
	return attributes
}

// commandLine returns the arguments of a process, or nothing where there is none.
func commandLine(pid int) string {
	content, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	return string(bytes.ReplaceAll(bytes.TrimRight(content, "\x00"), []byte{0}, []byte(" ")))
}
