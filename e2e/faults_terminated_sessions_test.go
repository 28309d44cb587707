package e2e

import (
	"database/sql"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/platform/db/dbtest"
)

// TestSessionsAreTerminatedUnderLoad ends random sessions of two instances, twenty a
// second: for two seconds, or for ten in a long run.
func TestSessionsAreTerminatedUnderLoad(t *testing.T) {
	t.Parallel()
	database := harness.TwoPractices.New(t)
	c := harness.Serve(t, database, database.Open(t))
	paths, totals := contested(t, c)
	instances := []*harness.Instance{
		c.Launch(t, database.AppURL, harness.TransactionSettings()...),
		c.Launch(t, database.AppURL, harness.TransactionSettings()...),
	}
	h := &harness.History{}
	stop := h.StartClients(t, 12, paths, func(client, n int) harness.Caller { return instances[(client+n)%2].Clinic.Admin() })
	h.AwaitAnswers(t, 20)
	seconds := 2
	if harness.Long {
		seconds = 10
	}
	ended := terminateSessions(t, database, 20*seconds)
	h.AwaitAnswers(t, 20, "it goes on")
	stop()
	t.Logf("%d sessions ended", ended)
	require.Greater(t, ended, 10*seconds)
	h.RequireConsistent(t, c, totals)
}

// terminateSessions ends a number of the program's sessions, one every 50 ms, and returns how
// many existed.
func terminateSessions(t testing.TB, database dbtest.Database, many int) (ended int) {
	t.Helper()
	role, err := sql.Open("pgx", database.AppURL) // it may end the program's sessions
	require.NoError(t, err)
	defer role.Close()
	pace := time.NewTicker(time.Second / 20)
	defer pace.Stop()
	for range many {
		<-pace.C
		var found int
		require.NoError(t, role.QueryRowContext(t.Context(), `SELECT count(pg_terminate_backend(pid)) FROM (
			SELECT pid FROM pg_stat_activity
			WHERE datname = current_database() AND application_name LIKE 'omnirapeutic%' AND query NOT LIKE 'LISTEN %'
			ORDER BY random() LIMIT 1) one`).Scan(&found))
		ended += found
	}
	return ended
}
