//go:build !linux

package db

import "syscall"

// setUserTimeout does nothing: keepalive alone notices that the server is gone.
func setUserTimeout(string, string, syscall.RawConn) error { return nil }
