package harness

import (
	"database/sql"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/dbtest"
)

// Owner connects to the database as the owner of the tables.
func (c *Clinic) Owner(t testing.TB) *sql.DB {
	t.Helper()
	owner, err := sql.Open("pgx", c.Database.OwnerURL)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, owner.Close()) })
	return owner
}

// QueryTexts returns the only column of a query.
func QueryTexts(t testing.TB, owner *sql.DB, query string, arguments ...any) []string {
	t.Helper()
	rows, err := owner.QueryContext(t.Context(), query, arguments...)
	require.NoError(t, err)
	defer func() { require.NoError(t, rows.Close()) }()
	found := []string{}
	for rows.Next() {
		var text string
		require.NoError(t, rows.Scan(&text))
		found = append(found, text)
	}
	require.NoError(t, rows.Err())
	return found
}

// Count queries the database directly.
func (c *Clinic) Count(t testing.TB, query string, args ...any) int {
	t.Helper()
	owner, err := sql.Open("pgx", c.Database.OwnerURL)
	require.NoError(t, err)
	defer owner.Close()
	var n int
	require.NoError(t, owner.QueryRowContext(t.Context(), query, args...).Scan(&n))
	return n
}

// Exec changes the database directly, as the program's role with access to all
// organizations.
func (c *Clinic) Exec(t testing.TB, statement string, args ...any) {
	t.Helper()
	role, err := sql.Open("pgx", dbtest.WithAllOrganizations(c.Database.RoleURL)) // may end the program's connections
	require.NoError(t, err)
	defer role.Close()
	_, err = role.ExecContext(t.Context(), statement, args...)
	require.NoError(t, err)
}

// ExecAsOwner changes the database directly, as the owner of the tables.
func (c *Clinic) ExecAsOwner(t *testing.T, statement string, arguments ...any) {
	t.Helper()
	owner, err := sql.Open("pgx", c.Database.OwnerURL)
	require.NoError(t, err)
	defer owner.Close()
	_, err = owner.ExecContext(t.Context(), statement, arguments...)
	require.NoError(t, err)
}

// TryAsOwner changes the database directly, and returns the error.
func (c *Clinic) TryAsOwner(t *testing.T, statement string, arguments ...any) error {
	t.Helper()
	owner, err := sql.Open("pgx", c.Database.OwnerURL)
	require.NoError(t, err)
	defer owner.Close()
	_, err = owner.ExecContext(t.Context(), statement, arguments...)
	return err
}

// RequireGuarded requires that triggers refuse a statement even to the owner of the tables. The portable profile has
// none.
func (c *Clinic) RequireGuarded(t *testing.T, statement string) {
	t.Helper()
	if dbtest.Profile() != db.Portable {
		require.Error(t, c.TryAsOwner(t, statement), "not even the owner of the tables: %s", statement)
	}
}

// TryAsProgram changes the database directly, as the program's role, and returns the error.
func (c *Clinic) TryAsProgram(t *testing.T, statement string) error {
	t.Helper()
	opened, err := sql.Open("pgx", c.Database.RoleURL)
	require.NoError(t, err)
	defer opened.Close()
	_, err = opened.ExecContext(t.Context(), statement)
	return err
}

// SetReadOnly sets whether new sessions may write by default. When writes are
// forbidden, it ends open sessions, because the default does not affect them.
func (c *Clinic) SetReadOnly(t *testing.T, forbidden bool) {
	t.Helper()
	owner, err := url.Parse(c.Database.OwnerURL)
	require.NoError(t, err)
	name := strings.TrimPrefix(owner.Path, "/")
	query := owner.Query()
	query.Set("options", "-c default_transaction_read_only=off") // this session may write in any case
	owner.RawQuery = strings.ReplaceAll(query.Encode(), "+", "%20")
	able := *c
	able.Database.OwnerURL = owner.String()
	if !forbidden {
		able.ExecAsOwner(t, "ALTER DATABASE "+name+" RESET default_transaction_read_only")
		return
	}
	able.ExecAsOwner(t, "ALTER DATABASE "+name+" SET default_transaction_read_only = on")
	c.Exec(t, `SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
		WHERE datname = current_database() AND application_name LIKE 'omnirapeutic%'`)
}
