package e2e

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
)

// TestChangesAreTiedToVersions simulates two users who edit a record of each kind
// concurrently.
func TestChangesAreTiedToVersions(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	payer := c.Admin().Post(t, "/payers", harness.Body{"name": "Example Health Plan"}).Created(t).String()
	for path, change := range map[string]harness.Body{
		c.Authorize(t, 10):                             {"notes": "changed"},
		"/patients/" + c.Own.Patient.String():          {"lastName": "Changed"},
		"/service-codes/" + c.Own.ServiceCode.String(): {"description": "changed"},
		"/payers/" + payer:                             {"name": "changed"},
		"/organizations/" + c.Own.ID.String():          {"name": "changed"},
	} {
		t.Run("it is checked for "+path[:9], func(t *testing.T) {
			read := c.Admin().Get(t, path)
			first := read.Header.Get("ETag")
			require.Equal(t, `"1"`, first)

			changed := c.Admin().WithHeader("If-Match", first).Patch(t, path, change)
			require.Equal(t, http.StatusOK, changed.Status, "%s", changed.Raw)
			require.Equal(t, `"2"`, changed.Header.Get("ETag"))

			stale := c.Admin().WithHeader("If-Match", first).Patch(t, path, change)
			stale.Refused(t, http.StatusPreconditionFailed, "stale-version")
			require.Equal(t, 2, stale.Number(t, "currentVersion"))

			require.Equal(t, http.StatusOK, c.Admin().WithHeader("If-Match", `"1", "2"`).Patch(t, path, change).Status,
				"any of several")
			require.Equal(t, http.StatusOK, c.Admin().Patch(t, path, change).Status, "without the header any version is changed")
		})
	}
	t.Run("it is checked for deletions", func(t *testing.T) {
		path := c.Authorize(t, 10)
		c.Admin().WithHeader("If-Match", `"7"`).Delete(t, path).Refused(t, http.StatusPreconditionFailed, "stale-version")
		require.Equal(t, http.StatusNoContent, c.Admin().WithHeader("If-Match", `"1"`).Delete(t, path).Status)
	})
}
