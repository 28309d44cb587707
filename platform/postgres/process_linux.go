package postgres

import "syscall"

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
