package e2e

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestRequestsSucceedDuringAMigration adds columns to tables for which every connection
// has prepared statements. PostgreSQL refuses each of these once, and no request fails.
func TestRequestsSucceedDuringAMigration(t *testing.T) {
	t.Parallel()
	c := open(t)
	path := c.authorize(t, 1000)
	all := func(int) {
		c.admin().get(t, path).ok(t)
		c.admin().get(t, "/patients").ok(t)
		c.admin().get(t, "/admin/webhooks").ok(t)
		require.Equal(t, http.StatusCreated, c.admin().post(t, path+"/reserve", body{"units": 1}).status)
	}
	together(8, all)
	for _, table := range []string{
		"authorizations", "patients", "webhooks", "unit_reservations", "users", "organizations",
	} {
		c.asOwner(t, "ALTER TABLE "+table+" ADD COLUMN added text NOT NULL DEFAULT 'x'")
		together(8, all)
	}
	c.requireBalance(t, path, 1000, 0, 56)
}

// TestAnIncompatibleSchemaIsUnavailable removes a column that the running program
// needs.
func TestAnIncompatibleSchemaIsUnavailable(t *testing.T) {
	t.Parallel()
	c := open(t)
	c.asOwner(t, "ALTER TABLE webhooks RENAME COLUMN url TO address")
	c.admin().post(t, "/admin/webhooks", body{"url": "https://a.test/"}).
		refused(t, http.StatusServiceUnavailable, "schema-mismatch")
	c.asOwner(t, "DROP TABLE webhooks CASCADE")
	c.admin().get(t, "/admin/webhooks").refused(t, http.StatusServiceUnavailable, "schema-mismatch")
}
