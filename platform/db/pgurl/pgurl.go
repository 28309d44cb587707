// Package pgurl parses database URLs. Only the settings in a URL apply.
//
// The driver follows libpq: it completes a URL from environment variables such as PGHOST and
// PGSERVICE and from files in the home directory such as ~/.pgpass. A variable that was set for
// psql then redirects or breaks the program. This package disables all of these sources, and every
// connection is opened through it.
package pgurl

import (
	"os"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Parse parses a URL or a list of keywords and values for one connection. The error may contain
// parts of the URL: do not show it.
func Parse(url string) (*pgx.ConnConfig, error) {
	forgetEnvironment()
	return pgx.ParseConfig(withoutHomeFiles(url))
}

// ParsePool is [Parse] for a pool of connections.
func ParsePool(url string) (*pgxpool.Config, error) {
	forgetEnvironment()
	return pgxpool.ParseConfig(withoutHomeFiles(url))
}

// forgetEnvironment removes libpq's variables from the environment of this
// process. The driver has no option to ignore them, and an explicit setting does
// not help against PGSERVICE.
func forgetEnvironment() {
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		if isVariable(name) {
			_ = os.Unsetenv(name) // fails only for names that the environment cannot hold
		}
	}
}

// isVariable reports whether a name is libpq's: PG and capitals.
func isVariable(name string) bool {
	rest, ok := strings.CutPrefix(name, "PG")
	return ok && rest != "" && strings.Trim(rest, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") == ""
}

// homeFiles are the keywords of files that the driver reads from the home
// directory unless the URL sets them.
var homeFiles = []string{"passfile", "sslcert", "sslkey", "sslrootcert"}

// withoutHomeFiles sets the keywords of the home directory's files to the empty string unless the
// URL sets them. A service in the URL may set them, so such a URL stays unchanged.
func withoutHomeFiles(url string) string {
	isURL := strings.HasPrefix(url, "postgres://") || strings.HasPrefix(url, "postgresql://")
	if mentions(url, "service") || url == "" {
		return url
	}
	if !isURL {
		// Later keywords override earlier ones.
		return strings.Join(homeFiles, "='' ") + "='' " + url
	}
	separator := "?"
	if strings.Contains(url, "?") {
		separator = "&"
	}
	for _, name := range homeFiles {
		if !mentions(url, name) {
			url += separator + name + "="
			separator = "&"
		}
	}
	return url
}

// mentions reports whether the URL sets the keyword.
func mentions(url, keyword string) bool {
	for _, before := range []string{"?", "&", " ", "\t", "\n"} {
		if strings.Contains(url, before+keyword+"=") || strings.Contains(url, before+keyword+" ") {
			return true
		}
	}
	return strings.HasPrefix(url, keyword)
}
