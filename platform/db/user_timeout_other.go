//go:build !linux

package db

import "syscall"

// setUserTimeout does nothing: only keepalive detects that the server is gone.
func setUserTimeout(string, string, syscall.RawConn) error { return nil }
