package e2e

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/app/demo"
	"omnirapeutic/e2e/harness"
	"omnirapeutic/platform/db/dbtest"
	"omnirapeutic/platform/db/wireproxy"
)

// TestReadsTakeFewRoundTrips counts the round trips to the database for each GET of the contract, with
// its example on the demo practice.
func TestReadsTakeFewRoundTrips(t *testing.T) {
	t.Parallel()
	database := loadedDemo.New(t)
	proxy := wireproxy.Start(t, database.AppURL)
	c, _ := openPracticeOn(t, database, dbtest.Through(proxy.URL), dbtest.WithMaxConns(1))
	answer := c.As("").Post(t, "/auth/login", harness.Body{"email": demo.Emails()[0], "password": demo.Password}).OK(t)
	admin := c.As(answer.Text("accessToken"))
	for _, r := range shownRequests(t, c) {
		if r.method != http.MethodGet || refusedInTheDemo[r.operation] != "" || r.operation == "listenToEvents" {
			continue
		}
		execute(t, admin, r) // prepares the statements
		before := proxy.RoundTrips()
		require.Less(t, execute(t, admin, r).Status, http.StatusBadRequest, r.operation)
		t.Logf("%3d %s", proxy.RoundTrips()-before, r.operation)
	}
}
