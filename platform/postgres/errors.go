package postgres

import (
	"errors"
	"fmt"
	"strings"

	"omnirapeutic/platform/programname"
)

// ErrLocked is returned if another program uses the data folder.
var ErrLocked = errors.New("another program uses this data folder; stop it, or choose another folder with " +
	"OMNI_DATA_DIR")

// errFetchForbidden is returned if the configuration forbids the download.
var errFetchForbidden = errors.New("OMNI_POSTGRES_FETCH=false forbids it")

// NoBinaries is returned if no PostgreSQL was found on the machine.
type NoBinaries struct {
	Looked []string // the searched folders
	Fetch  error    // why the binaries were not downloaded; nil if it was not tried
}

func (e *NoBinaries) Error() string {
	var b strings.Builder
	b.WriteString("no PostgreSQL (15 or newer) was found to start a private server with. Looked in:\n")
	for _, place := range e.Looked {
		b.WriteString("  " + place + "\n")
	}
	if e.Fetch != nil {
		b.WriteString("Its binaries were not downloaded: " + e.Fetch.Error() + "\n")
	}
	b.WriteString(`Install it:
  Debian, Ubuntu   sudo apt-get install postgresql
  Fedora, RHEL     sudo dnf install postgresql-server
  macOS            brew install postgresql@17
or name the folder of its binaries in OMNI_POSTGRES_BIN,
or name a running server in OMNI_DATABASE_URL.`)
	if e.Fetch != nil && !errors.Is(e.Fetch, errFetchForbidden) {
		b.WriteString("\nTo try the download again: " + programname.Command("postgres fetch"))
	}
	return b.String()
}

// Unwrap returns why the binaries were not downloaded, or nil.
func (e *NoBinaries) Unwrap() error { return e.Fetch }

// VersionMismatch is returned if the binaries are of another major version than the
// cluster. Nothing has been changed.
type VersionMismatch struct {
	Dir             string
	Cluster, Binary int // major versions; Binary is 0 if there are no suitable ones
}

func (e *VersionMismatch) Error() string {
	have := fmt.Sprintf("the binaries are of version %d", e.Binary)
	if e.Binary == 0 {
		have = "no binaries of that version were found"
	}
	return fmt.Sprintf("the cluster in %s was created by PostgreSQL %d, and %s. Nothing was changed. "+
		"Install PostgreSQL %d, or dump and restore the data (docs/operations.md)", e.Dir, e.Cluster, have, e.Cluster)
}

// Unreachable is returned if the server's user cannot enter a folder on the path to the
// data folder.
type Unreachable struct {
	Folder  string
	Account string
}

func (e *Unreachable) Error() string {
	return fmt.Sprintf("the private PostgreSQL must run as %s (it never runs as root), but this user cannot enter %s; "+
		"choose another data folder with OMNI_DATA_DIR, or chmod a+x %s", e.Account, e.Folder, e.Folder)
}

// ServerEnded is returned if the server ended unexpectedly, with the end of its log.
type ServerEnded struct {
	Log   string
	cause error
}

func (e *ServerEnded) Error() string {
	text := "the private PostgreSQL ended unexpectedly"
	if e.cause != nil {
		text = "the private PostgreSQL could not be started: " + e.cause.Error()
	}
	return text + "; the end of its log:\n" + e.Log
}

// Unwrap returns why the restart failed, or nil.
func (e *ServerEnded) Unwrap() error { return e.cause }
