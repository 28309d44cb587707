//go:build unix && !linux

package postgres

import (
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// locale is the one that there is everywhere: macOS has no C.UTF-8, and its
// PostgreSQL does not start under a name that the system does not know.
const locale = "C"

// processAttributes let a child run as the account, in a process group of its
// own. There is no signal of the parent's death here: a server that is left
// behind by a killed program is shut down by the next start.
func processAttributes(a account) *syscall.SysProcAttr {
	attributes := &syscall.SysProcAttr{Setpgid: true}
	if a.other {
		attributes.Credential = &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)}
	}
	return attributes
}

// commandLine returns the arguments of a process, or nothing where there is none.
func commandLine(pid int) string {
	out, _ := exec.Command("ps", "-ww", "-o", "command=", "-p", strconv.Itoa(pid)).Output() //nolint:gosec // a number
	return strings.TrimSpace(string(out))
}
