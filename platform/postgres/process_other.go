//go:build unix && !linux

package postgres

import (
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// locale is available everywhere: macOS has no C.UTF-8, and its PostgreSQL does not
// start with an unknown locale.
const locale = "C"

// processAttributes run a child as the account, in its own process group. There is no
// parent-death signal here: the next start shuts down a server left behind by a killed
// program.
func processAttributes(a account) *syscall.SysProcAttr {
	attributes := &syscall.SysProcAttr{Setpgid: true}
	if a.other {
		attributes.Credential = &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)}
	}
	return attributes
}

// commandLine returns the arguments of a process, or nothing if it does not exist.
func commandLine(pid int) string {
	out, _ := exec.Command("ps", "-ww", "-o", "command=", "-p", strconv.Itoa(pid)).Output() //nolint:gosec // a number
	return strings.TrimSpace(string(out))
}
