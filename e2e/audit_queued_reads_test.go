package e2e

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/db/dbtest"
)

// TestReadsContinueWhileTheDatabaseIsReadOnly reads all lists and a patient's data from a read-only
// database. The reads are added to the trail once it accepts writes.
func TestReadsContinueWhileTheDatabaseIsReadOnly(t *testing.T) {
	t.Parallel()
	database := harness.TwoPractices.New(t)
	c := harness.Serve(t, database, database.Open(t), "OMNI_AUDIT_SPOOL="+t.TempDir())
	path := c.Authorize(t, 10)
	patient := "/patients/" + c.Own.Patient.String()
	root := harness.Caller{URL: c.URL}
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
			found[target] = c.Admin().Get(t, target).Status
		}
		return found
	}
	before := statuses()
	require.Greater(t, len(before), 20)

	c.SetReadOnly(t, true)
	require.Equal(t, before, statuses(), "each answer is unchanged")
	requests := map[string]bool{}
	for _, role := range []rbac.Role{rbac.Admin, rbac.Scheduler, rbac.Biller} {
		read := c.As(c.Own.Tokens[role]).Get(t, patient)
		require.Equal(t, http.StatusOK, read.Status, "%s: %s", role, read.Raw)
		requests[read.RequestID()] = true
	}
	denied := c.As(c.Own.Tokens[rbac.Biller]).Patch(t, patient, harness.Body{"firstName": "Ada"}).
		Refused(t, http.StatusForbidden, "forbidden")
	requests[denied.RequestID()] = true
	for name, refused := range map[string]harness.Answer{
		"a booking": c.Admin().Post(t, path+"/reserve", harness.Body{"units": 1}),
		"a change":  c.Admin().Patch(t, patient, harness.Body{"firstName": "Ada"}),
		"a sign-in": c.As("").Post(t, "/auth/login", harness.Body{"email": "unknown@own.test", "password": harness.Password}),
	} {
		require.Equal(t, "database-read-only",
			refused.Refused(t, http.StatusServiceUnavailable, "database-read-only").Text("code"), name)
		require.NotEmpty(t, refused.Header.Get("Retry-After"), name)
	}
	ready := root.Get(t, "/readyz")
	require.Equal(t, http.StatusOK, ready.Status)
	require.Equal(t, harness.Body{"status": "degraded", "database": "read-only"}, ready.Body)
	root.Get(t, "/readyz?need=write").Refused(t, http.StatusServiceUnavailable, "not-ready")
	require.NotContains(t, c.Metrics(t), "omnirapeutic_audit_queued 0")
	_, err := c.App.Audit.Replay(t.Context())
	require.Error(t, err, "it still accepts no writes")

	c.SetReadOnly(t, false)
	for range 2 {
		_, err = c.App.Audit.Replay(t.Context())
		require.NoError(t, err)
	}
	for request := range requests {
		require.Equal(t, 1, c.Count(t, "SELECT count(*) FROM audit_events WHERE request_id = $1", request), "exactly once")
	}
	require.Contains(t, c.Metrics(t), "omnirapeutic_audit_queued 0")
	require.Eventually(t, func() bool { // a refusal counts for ten seconds
		return root.Get(t, "/readyz?need=write").Text("database") == "read-write"
	}, time.Minute, 100*time.Millisecond)
	c.RequireClean(t)
}

// TestWithoutAFolderForTheTrailReadsOfPatientsAreRefused: this is the default without a configured
// folder.
func TestWithoutAFolderForTheTrailReadsOfPatientsAreRefused(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	c.SetReadOnly(t, true)
	c.Admin().Get(t, "/patients/"+c.Own.Patient.String()).Refused(t, http.StatusServiceUnavailable, "not-recorded")
	unready := harness.Caller{URL: c.URL}.Get(t, "/readyz").Refused(t, http.StatusServiceUnavailable, "not-ready")
	require.Equal(t, "read-only", unready.Text("database"))
}

// TestReadsOfAStandbyAreRecordedOnceItIsPromoted reads patients' data from a standby, kills the
// process, promotes the standby, and restarts the process.
func TestReadsOfAStandbyAreRecordedOnceItIsPromoted(t *testing.T) {
	t.Parallel()
	primary := dbtest.Server(t, false)
	database := dbtest.Of(primary)
	c := harness.Serve(t, database, database.Open(t))
	path := c.Authorize(t, 10)
	patient := "/patients/" + c.Own.Patient.String()
	s := startStandby(t, primary)
	standbyURL, err := url.Parse(database.AppURL)
	require.NoError(t, err)
	superuser, err := url.Parse(s.url)
	require.NoError(t, err)
	standbyURL.RawQuery = superuser.RawQuery
	follower := openSQL(t, s.url)
	require.Eventually(t, func() bool {
		server := openSQL(t, s.url)
		return server.PingContext(t.Context()) == nil && queryValue[int](t, server, "SELECT count(*) FROM unit_entries") == 0
	}, time.Minute, 100*time.Millisecond)

	spool := "OMNI_AUDIT_SPOOL=" + t.TempDir()
	reading := c.Launch(t, standbyURL.String(), spool)
	began := time.Now().Add(-time.Second)
	requests := map[string]bool{}
	for range 20 {
		read := reading.Clinic.Admin().Get(t, patient)
		require.Equal(t, http.StatusOK, read.Status, "%s", read.Raw)
		requests[read.RequestID()] = true
	}
	ended := time.Now().Add(time.Second)
	reading.Clinic.Admin().Post(t, path+"/reserve", harness.Body{"units": 1}).
		Refused(t, http.StatusServiceUnavailable, "database-read-only")
	require.Eventually(t, func() bool { // the probe's two seconds may be too short on a busy machine
		return harness.Caller{URL: reading.Clinic.URL}.Get(t, "/readyz").Text("status") == "degraded"
	}, time.Minute, 100*time.Millisecond, "reads are served")
	reading.Kill(t)

	s.failOver(t, primary)
	require.Eventually(t, func() bool { return !queryValue[bool](t, follower, "SELECT pg_is_in_recovery()") }, time.Minute,
		10*time.Millisecond)
	again := c.Launch(t, standbyURL.String(), spool)
	require.Eventually(t, func() bool {
		return queryValue[int](t, follower, `SELECT count(*) FROM audit_events
			WHERE action = 'patient.read' AND occurred_at BETWEEN $1 AND $2`, began, ended) == len(requests)
	}, time.Minute, 10*time.Millisecond)
	require.Equal(t, http.StatusCreated, again.Clinic.Admin().Post(t, path+"/reserve", harness.Body{"units": 1}).Status)
	for request := range requests {
		require.Equal(t, 1, queryValue[int](t, follower, "SELECT count(*) FROM audit_events WHERE request_id = $1", request))
	}
}
