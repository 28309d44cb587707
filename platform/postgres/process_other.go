//go:build unix && !linux

package postgres

import "syscall"

// processAttributes let a child run as the account, in a process group of its
// own. There is no signal of the parent's death here: a server that is left
// behind by a killed program is waited for, or stopped by hand.
func processAttributes(a account) *syscall.SysProcAttr {
	attributes := &syscall.SysProcAttr{Setpgid: true}
	if a.other {
		attributes.Credential = &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)}
	}
	return attributes
}
