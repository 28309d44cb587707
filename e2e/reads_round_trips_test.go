package e2e

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"omnirapeutic/app/demo"
	"omnirapeutic/e2e/harness"
	"omnirapeutic/platform/db/dbtest"
	"omnirapeutic/platform/db/wireproxy"
)

// maxReadRoundTrips is the number of round trips to the database for which a read may wait: two for
// its statements, with BEGIN, one for the names of its references, and one for its record in the audit trail.
const maxReadRoundTrips = 4

// readsWithMoreRoundTrips are the reads that wait for more. The sessions and patients of a user read the
// caller's present permissions first. Claim lines read the sessions again whose authorizations have
// exceeded a cap. The export of audit events reads page by page.
var readsWithMoreRoundTrips = map[string]int{
	"listUserPatients": 5, "listBillingLines": 5, "listUserSessions": 7, "exportAuditEvents": 11,
}

// TestReadsTakeFewRoundTrips counts the round trips to the database for each GET of the contract, with
// its example on the demo practice.
func TestReadsTakeFewRoundTrips(t *testing.T) {
	t.Parallel()
	database := loadedDemo.New(t)
	proxy := wireproxy.Start(t, database.AppURL)
	c, practice := openPracticeOn(t, database, dbtest.Through(proxy.URL), dbtest.WithMaxConns(1))
	answer := c.As("").Post(t, "/auth/login", harness.Body{"email": demo.Emails()[0], "password": demo.Password}).OK(t)
	admin := c.As(answer.Text("accessToken"))
	pool := practice.Database.Pool()
	waits := func() int {
		require.Eventually(t, func() bool { return pool.Stat().AcquiredConns() == 0 }, harness.Soon, time.Millisecond)
		return proxy.RoundTrips() - proxy.LoneCommits()
	}
	for _, r := range shownRequests(t, c) {
		if r.method != http.MethodGet || refusedInTheDemo[r.operation] != "" || r.operation == "listenToEvents" {
			continue
		}
		execute(t, admin, r) // prepares the statements
		before := waits()
		require.Less(t, execute(t, admin, r).Status, http.StatusBadRequest, r.operation)
		most := max(maxReadRoundTrips, readsWithMoreRoundTrips[r.operation])
		assert.LessOrEqual(t, waits()-before, most, r.operation)
	}
}
