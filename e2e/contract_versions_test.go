package e2e

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestChangesAreTiedToVersions simulates two users who edit a record of each kind
// concurrently.
func TestChangesAreTiedToVersions(t *testing.T) {
	t.Parallel()
	c := open(t)
	payer := c.admin().post(t, "/payers", body{"name": "Example Health Plan"}).created(t).String()
	for path, change := range map[string]body{
		c.authorize(t, 10):                             {"notes": "changed"},
		"/patients/" + c.own.patient.String():          {"lastName": "Changed"},
		"/service-codes/" + c.own.serviceCode.String(): {"description": "changed"},
		"/payers/" + payer:                             {"name": "changed"},
		"/organizations/" + c.own.id.String():          {"name": "changed"},
	} {
		t.Run("it is checked for "+path[:9], func(t *testing.T) {
			read := c.admin().get(t, path)
			first := read.header.Get("ETag")
			require.Equal(t, `"1"`, first)

			changed := c.admin().with("If-Match", first).patch(t, path, change)
			require.Equal(t, http.StatusOK, changed.status, "%s", changed.raw)
			require.Equal(t, `"2"`, changed.header.Get("ETag"))

			stale := c.admin().with("If-Match", first).patch(t, path, change)
			stale.refused(t, http.StatusPreconditionFailed, "stale-version")
			require.Equal(t, 2, stale.number(t, "currentVersion"))

			require.Equal(t, http.StatusOK, c.admin().with("If-Match", `"1", "2"`).patch(t, path, change).status,
				"any of several")
			require.Equal(t, http.StatusOK, c.admin().patch(t, path, change).status, "without the header any version is changed")
		})
	}
	t.Run("it is checked for deletions", func(t *testing.T) {
		path := c.authorize(t, 10)
		c.admin().with("If-Match", `"7"`).delete(t, path).refused(t, http.StatusPreconditionFailed, "stale-version")
		require.Equal(t, http.StatusNoContent, c.admin().with("If-Match", `"1"`).delete(t, path).status)
	})
}
