package postgres

import (
	"errors"
	"fmt"
	"strings"

	"omnirapeutic/platform/invoked"
)

// ErrLocked says that another program uses the data folder.
var ErrLocked = errors.New("another program uses this data folder; stop it, or choose another folder with OMNI_DATA_DIR")

// errFetchForbidden is returned if the configuration forbids the download.
var errFetchForbidden = errors.New("OMNI_POSTGRES_FETCH=false forbids it")

// NoBinaries says that no PostgreSQL was found on the machine.
type NoBinaries struct {
	Looked []string // where
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
or name a server that is running already in OMNI_DATABASE_URL.`)
	if e.Fetch != nil && !errors.Is(e.Fetch, errFetchForbidden) {
		b.WriteString("\nTo try the download again: " + invoked.As("postgres fetch"))
	}
	return b.String()
}

// Unwrap returns why the binaries were not downloaded, or nil.
func (e *NoBinaries) Unwrap() error { return e.Fetch }

// VersionMismatch says that the cluster was made by another major version than
// the binaries are of. Nothing has been changed.
type VersionMismatch struct {
	Dir             string
	Cluster, Binary int // major versions; Binary is 0 where none fits
}

func (e *VersionMismatch) Error() string {
	have := fmt.Sprintf("the binaries are of version %d", e.Binary)
	if e.Binary == 0 {
		have = "no binaries of that version were found"
	}
	return fmt.Sprintf("the cluster in %s was made by PostgreSQL %d, and %s. Nothing was changed. "+
		"Install PostgreSQL %d, or dump and restore the data (docs/operations.md)", e.Dir, e.Cluster, have, e.Cluster)
}

// Unreachable says that the user that the server runs as cannot enter a folder
// on the way to the data folder.
type Unreachable struct {
	Folder  string
	Account string
}

func (e *Unreachable) Error() string {
	return fmt.Sprintf("the private PostgreSQL was to run as %s (it never runs as root), who cannot enter %s; "+
		"choose another data folder with OMNI_DATA_DIR, or chmod a+x %s", e.Account, e.Folder, e.Folder)
}

// ServerEnded says that the server ended by itself, with the end of its log.
type ServerEnded struct {
	Log   string
	cause error
}

func (e *ServerEnded) Error() string {
	text := "the private PostgreSQL ended by itself"
	if e.cause != nil {
		text = "the private PostgreSQL could not be started: " + e.cause.Error()
	}
	return text + "; the end of its log:\n" + e.Log
}

// Unwrap returns why it could not be started again, or nil.
func (e *ServerEnded) Unwrap() error { return e.cause }
