package postgres

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// locale sorts by code point and supports the upper and lower case of all letters.
const locale = "C.UTF-8"

// processAttributes run a child as the account, in its own process group so that Ctrl-C
// reaches this program alone. The kernel shuts the child down when this program dies.
func processAttributes(a account) *syscall.SysProcAttr {
	attributes := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGINT}
	if a.other {
		//nolint:gosec // ids are not negative
		attributes.Credential = &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)}
	}
	return attributes
}

// commandLine returns the arguments of a process, or nothing if it does not exist.
func commandLine(pid int) string {
	content, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	return string(bytes.ReplaceAll(bytes.TrimRight(content, "\x00"), []byte{0}, []byte(" ")))
}
