package e2e

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
)

// TestRequestsSucceedDuringAMigration adds columns to tables for which every connection
// has prepared statements. PostgreSQL refuses each of these once, and no request fails.
func TestRequestsSucceedDuringAMigration(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 1000)
	all := func(int) {
		c.Admin().Get(t, path).OK(t)
		c.Admin().Get(t, "/patients").OK(t)
		c.Admin().Get(t, "/admin/webhooks").OK(t)
		require.Equal(t, http.StatusCreated, c.Admin().Post(t, path+"/reserve", harness.Body{"units": 1}).Status)
	}
	harness.Concurrently(8, all)
	for _, table := range []string{
		"authorizations", "patients", "webhooks", "unit_reservations", "users", "organizations",
	} {
		c.ExecAsOwner(t, "ALTER TABLE "+table+" ADD COLUMN added text NOT NULL DEFAULT 'x'")
		harness.Concurrently(8, all)
	}
	c.RequireBalance(t, path, 1000, 0, 56)
}

// TestAnIncompatibleSchemaIsUnavailable removes a column that the running program
// needs.
func TestAnIncompatibleSchemaIsUnavailable(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	c.ExecAsOwner(t, "ALTER TABLE webhooks RENAME COLUMN url TO address")
	c.Admin().Post(t, "/admin/webhooks", harness.Body{"url": "https://a.test/"}).
		Refused(t, http.StatusServiceUnavailable, "schema-mismatch")
	c.ExecAsOwner(t, "DROP TABLE webhooks CASCADE")
	c.Admin().Get(t, "/admin/webhooks").Refused(t, http.StatusServiceUnavailable, "schema-mismatch")
}
