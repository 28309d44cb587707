package e2e

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/db/dbtest"
)

// TestReadsContinueWhileTheDatabaseIsReadOnly reads all lists and a patient's data from a read-only
// database. The reads are added to the trail once it accepts writes.
func TestReadsContinueWhileTheDatabaseIsReadOnly(t *testing.T) {
	t.Parallel()
	database := twoPractices.New(t)
	c := serve(t, database, database.Open(t), "OMNI_AUDIT_SPOOL="+t.TempDir())
	path := c.authorize(t, 10)
	patient := "/patients/" + c.own.patient.String()
	root := caller{url: c.url}
	var lists []string
	operations, _ := readOperations(t)
	for _, op := range operations {
		if target := strings.TrimPrefix(op.path, "/api/v1"); op.method == http.MethodGet && !strings.Contains(target, "{") {
			lists = append(lists, target)
		}
	}
	statuses := func() map[string]int {
		found := map[string]int{}
		for _, target := range lists {
			if strings.HasPrefix(target, "/events") { // a stream, which does not end
				continue
			}
			found[target] = c.admin().get(t, target).status
		}
		return found
	}
	before := statuses()
	require.Greater(t, len(before), 20)

	c.setReadOnly(t, true)
	require.Equal(t, before, statuses(), "each answer is unchanged")
	requests := map[string]bool{}
	for _, role := range []rbac.Role{rbac.Admin, rbac.Scheduler, rbac.Biller} {
		read := c.as(c.own.tokens[role]).get(t, patient)
		require.Equal(t, http.StatusOK, read.status, "%s: %s", role, read.raw)
		requests[read.request()] = true
	}
	denied := c.as(c.own.tokens[rbac.Biller]).patch(t, patient, body{"firstName": "Ada"}).
		refused(t, http.StatusForbidden, "forbidden")
	requests[denied.request()] = true
	for name, refused := range map[string]answer{
		"a booking": c.admin().post(t, path+"/reserve", body{"units": 1}),
		"a change":  c.admin().patch(t, patient, body{"firstName": "Ada"}),
		"a sign-in": c.as("").post(t, "/auth/login", body{"email": "nobody@own.test", "password": password}),
	} {
		require.Equal(t, "database-read-only",
			refused.refused(t, http.StatusServiceUnavailable, "database-read-only").text("code"), name)
		require.NotEmpty(t, refused.header.Get("Retry-After"), name)
	}
	ready := root.get(t, "/readyz")
	require.Equal(t, http.StatusOK, ready.status)
	require.Equal(t, body{"status": "degraded", "database": "read-only"}, ready.body)
	root.get(t, "/readyz?need=write").refused(t, http.StatusServiceUnavailable, "not-ready")
	require.NotContains(t, c.metrics(t), "omnirapeutic_audit_queued 0")
	_, err := c.app.Audit.Replay(t.Context())
	require.Error(t, err, "it still accepts no writes")

	c.setReadOnly(t, false)
	for range 2 {
		_, err = c.app.Audit.Replay(t.Context())
		require.NoError(t, err)
	}
	for request := range requests {
		require.Equal(t, 1, c.count(t, "SELECT count(*) FROM audit_events WHERE request_id = $1", request), "exactly once")
	}
	require.Contains(t, c.metrics(t), "omnirapeutic_audit_queued 0")
	require.Eventually(t, func() bool { // a refusal counts for ten seconds
		return root.get(t, "/readyz?need=write").text("database") == "read-write"
	}, time.Minute, 100*time.Millisecond)
	c.requireClean(t)
}

// TestWithoutAFolderForTheTrailReadsOfPatientsAreRefused: this is the default without a configured
// folder.
func TestWithoutAFolderForTheTrailReadsOfPatientsAreRefused(t *testing.T) {
	t.Parallel()
	c := open(t)
	c.setReadOnly(t, true)
	c.admin().get(t, "/patients/"+c.own.patient.String()).refused(t, http.StatusServiceUnavailable, "not-recorded")
	unready := caller{url: c.url}.get(t, "/readyz").refused(t, http.StatusServiceUnavailable, "not-ready")
	require.Equal(t, "read-only", unready.text("database"))
}

// TestReadsOfAStandbyAreRecordedOnceItIsPromoted reads patients' data from a standby, kills the
// process, promotes the standby, and restarts the process.
func TestReadsOfAStandbyAreRecordedOnceItIsPromoted(t *testing.T) {
	t.Parallel()
	primary := dbtest.Server(t, false)
	database := dbtest.Of(primary)
	c := serve(t, database, database.Open(t))
	path := c.authorize(t, 10)
	patient := "/patients/" + c.own.patient.String()
	s := startStandby(t, primary)
	standbyURL, err := url.Parse(database.AppURL)
	require.NoError(t, err)
	superuser, err := url.Parse(s.url)
	require.NoError(t, err)
	standbyURL.RawQuery = superuser.RawQuery
	follower := openSQL(t, s.url)
	require.Eventually(t, func() bool {
		server := openSQL(t, s.url)
		return server.PingContext(t.Context()) == nil && ask[int](t, server, "SELECT count(*) FROM unit_entries") == 0
	}, time.Minute, 100*time.Millisecond)

	spool := "OMNI_AUDIT_SPOOL=" + t.TempDir()
	reading := c.launch(t, standbyURL.String(), spool)
	began := time.Now().Add(-time.Second)
	requests := map[string]bool{}
	for range 20 {
		read := reading.clinic.admin().get(t, patient)
		require.Equal(t, http.StatusOK, read.status, "%s", read.raw)
		requests[read.request()] = true
	}
	ended := time.Now().Add(time.Second)
	reading.clinic.admin().post(t, path+"/reserve", body{"units": 1}).
		refused(t, http.StatusServiceUnavailable, "database-read-only")
	require.Eventually(t, func() bool { // the probe's two seconds may be too short on a busy machine
		return caller{url: reading.clinic.url}.get(t, "/readyz").text("status") == "degraded"
	}, time.Minute, 100*time.Millisecond, "reads are served")
	reading.kill(t)

	s.failOver(t, primary)
	require.Eventually(t, func() bool { return !ask[bool](t, follower, "SELECT pg_is_in_recovery()") }, time.Minute,
		10*time.Millisecond)
	again := c.launch(t, standbyURL.String(), spool)
	require.Eventually(t, func() bool {
		return ask[int](t, follower, `SELECT count(*) FROM audit_events
			WHERE action = 'patient.read' AND occurred_at BETWEEN $1 AND $2`, began, ended) == len(requests)
	}, time.Minute, 10*time.Millisecond)
	require.Equal(t, http.StatusCreated, again.clinic.admin().post(t, path+"/reserve", body{"units": 1}).status)
	for request := range requests {
		require.Equal(t, 1, ask[int](t, follower, "SELECT count(*) FROM audit_events WHERE request_id = $1", request))
	}
}
