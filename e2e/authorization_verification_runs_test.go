package e2e

import (
	"database/sql"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/rbac"
)

// hold locks a table until the returned function is called, so that a verification waits when it
// reads the table: unit_entries at its beginning, audit_checkpoints after the ledger.
func (c *clinic) hold(t testing.TB, table string) (release func()) {
	t.Helper()
	if os.Getenv("OMNI_TEST_MAX_CONNS") == "1" {
		t.Skip("the verification waits with the only connection of the pool")
	}
	owner, err := sql.Open("pgx", c.database.OwnerURL)
	require.NoError(t, err)
	busy, err := owner.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	_, err = busy.ExecContext(t.Context(), "LOCK TABLE "+table+" IN ACCESS EXCLUSIVE MODE")
	require.NoError(t, err)
	release = func() { _ = busy.Rollback(); _ = owner.Close() } // a second call does nothing
	t.Cleanup(release)
	return release
}

// impatient is another instance, whose requests hardly wait for their verifications.
func impatient(t testing.TB, c *clinic, settings ...string) *clinic {
	t.Helper()
	other := *c
	other.wait, other.settings = time.Millisecond, settings
	other.listen(t, c.database.Open(t))
	return &other
}

// started starts a verification that continues after the answer, and returns its path.
func (c caller) started(t testing.TB) string {
	t.Helper()
	a := c.post(t, "/admin/verify", body{})
	require.Equal(t, http.StatusAccepted, a.status, "%s", a.raw)
	require.Equal(t, "RUNNING", a.text("state"))
	require.NotEmpty(t, a.header.Get("Retry-After"))
	path := "/admin/verifications/" + a.text("id")
	require.Equal(t, "/api/v1"+path, a.header.Get("Location"))
	return path
}

// awaitState polls a verification until it is in the state.
func (c caller) awaitState(t testing.TB, path, state string) (a answer) {
	t.Helper()
	require.Eventually(t, func() bool {
		a = c.get(t, path).ok(t)
		return a.text("state") == state
	}, soon, 10*time.Millisecond, "it gets into the state %s", state)
	return a
}

func requireInterrupted(t testing.TB, a answer) {
	t.Helper()
	require.Equal(t, "FAILED", a.text("state"), "%s", a.raw)
	require.Equal(t, "interrupted", a.body["failure"].(map[string]any)["code"])
	require.Contains(t, a.body["failure"].(map[string]any)["detail"], "Start another one")
	require.Nil(t, a.body["result"])
	require.NotNil(t, a.body["finishedAt"])
}

func TestAQuickVerificationIsAnsweredWithItsResult(t *testing.T) {
	t.Parallel()
	c := open(t)
	c.authorize(t, 10)
	c.authorize(t, 10)
	a := c.admin().post(t, "/admin/verify", body{}).ok(t)
	require.Equal(t, "FINISHED", a.text("state"))
	require.Empty(t, a.header.Get("Retry-After"))
	require.Equal(t, "ADMIN", a.body["startedBy"].(map[string]any)["name"])
	require.NotNil(t, a.body["finishedAt"])
	require.Nil(t, a.body["failure"])
	require.Equal(t, true, a.body["result"].(map[string]any)["ok"])
	for _, progress := range []string{"checked", "total"} {
		require.Equal(t, 2, a.number(t, "progress", "authorizations", progress))
		require.Equal(t, a.number(t, "result", "audit", "events"), a.number(t, "progress", "auditEvents", progress))
	}
	require.JSONEq(t, string(a.raw), string(c.admin().get(t, "/admin/verifications/"+a.text("id")).ok(t).raw))
	require.Contains(t, c.metrics(t), "\nomnirapeutic_verifications_running 0\n")
	require.Contains(t, c.metrics(t), `omnirapeutic_verification_seconds_count{outcome="finished"} 1`)
}

func TestALongVerificationContinuesAfterTheAnswer(t *testing.T) {
	t.Parallel()
	c := open(t)
	c.authorize(t, 10)
	c.authorize(t, 10)
	c.requireClean(t)
	c = impatient(t, c, "OMNI_REQUEST_TIMEOUT=1s")
	release := c.hold(t, "audit_checkpoints")
	path := c.admin().started(t)
	require.Contains(t, c.metrics(t), "\nomnirapeutic_verifications_running 1\n")
	require.Eventually(t, func() bool {
		a := c.admin().get(t, path).ok(t)
		require.Equal(t, "RUNNING", a.text("state"))
		require.Nil(t, a.body["progress"].(map[string]any)["auditEvents"].(map[string]any)["total"])
		return a.number(t, "progress", "authorizations", "checked") == 2 &&
			a.number(t, "progress", "authorizations", "total") == 2
	}, soon, 10*time.Millisecond, "the progress is stored while it runs")
	require.Equal(t, path, c.admin().started(t), "the running verification is returned")

	release()
	a := c.admin().awaitState(t, path, "FINISHED")
	require.Equal(t, true, a.body["result"].(map[string]any)["ok"])
	require.NotContains(t, c.admin().post(t, "/admin/verify", body{}).text("id"), a.text("id"),
		"the next verification is a new one")
}

func TestAnOrganizationHasOneVerificationOnAllInstances(t *testing.T) {
	t.Parallel()
	first := open(t)
	first.authorize(t, 10)
	second := secondInstance(t, first, first.database.Open(t))
	hasty := impatient(t, first)
	release := first.hold(t, "unit_entries")
	path := hasty.admin().started(t)

	const many = 8
	answers := make(chan answer, many)
	for i := range many {
		from := []*clinic{first, second}[i%2].admin()
		go func() { answers <- from.post(t, "/admin/verify", body{}) }() //nolint:testifylint // what fails in it fails here
	}
	require.Equal(t, path, impatient(t, second).admin().started(t), "the same on another instance")
	release()
	for range many {
		a := (<-answers).ok(t)
		if "/admin/verifications/"+a.text("id") != path { // requested after its end
			require.NotEqual(t, "RUNNING", a.text("state"))
		}
	}
	require.Equal(t, "FINISHED", second.admin().awaitState(t, path, "FINISHED").text("state"))
}

func TestConcurrentStartsShareOneVerification(t *testing.T) {
	t.Parallel()
	c := open(t)
	c.authorize(t, 10)
	instances := []*clinic{impatient(t, c), impatient(t, c)}
	release := c.hold(t, "unit_entries")
	const many = 12
	var paths [many]string
	together(many, func(i int) { paths[i] = instances[i%2].admin().started(t) })
	for _, path := range paths {
		require.Equal(t, paths[0], path)
	}
	other := c.as(c.other.tokens[rbac.Admin])
	require.NotEqual(t, paths[0], impatient(t, c).as(other.token).started(t), "another organization has its own")
	require.Equal(t, 2, c.count(t, "SELECT count(*) FROM verifications"))
	release()
	c.admin().awaitState(t, paths[0], "FINISHED")
}

func TestAVerificationOfAnInstanceThatDiedIsInterrupted(t *testing.T) {
	t.Parallel()
	c := open(t)
	c.authorize(t, 10)
	release := c.hold(t, "unit_entries")
	victim := c.launch(t, c.database.AppURL)
	path := victim.clinic.admin().started(t)
	victim.kill(t)
	release()
	require.Equal(t, "RUNNING", c.admin().get(t, path).ok(t).text("state"), "its end is unknown until its lease expires")

	c.asOwner(t, "UPDATE verifications SET lease_until = now() - interval '1 second'")
	requireInterrupted(t, c.admin().get(t, path).ok(t))
	a := c.admin().post(t, "/admin/verify", body{}).ok(t)
	require.Equal(t, "FINISHED", a.text("state"), "another one can start immediately")
	require.NotContains(t, path, a.text("id"))
	requireInterrupted(t, c.admin().get(t, path).ok(t))
}

func TestAVerificationIsInterruptedWhenItsProgramStops(t *testing.T) {
	t.Parallel()
	c := open(t)
	c.authorize(t, 10)
	release := c.hold(t, "unit_entries")
	defer release()
	stopping := c.launch(t, c.database.AppURL, "OMNI_LOG_LEVEL=warn")
	path := stopping.clinic.admin().started(t)
	require.NoError(t, stopping.process.Process.Signal(syscall.SIGTERM))
	require.NoError(t, stopping.process.Wait(), "exit code 0: %s", stopping.out.all())
	require.Contains(t, stopping.out.all(), "verification_interrupted")
	requireInterrupted(t, c.admin().get(t, path).ok(t))
	require.NotContains(t, impatient(t, c).admin().started(t), path)
}

func TestVerificationsAreListedNewestFirst(t *testing.T) {
	t.Parallel()
	c := open(t)
	machine := c.as(c.admin().post(t, "/api-keys",
		body{"name": "Night check", "permissions": []any{"authorization:verify"}}).text("key"))
	var want []string
	for _, from := range []caller{c.admin(), machine, c.as(c.own.tokens[rbac.Auditor])} {
		want = append([]string{from.post(t, "/admin/verify", body{}).ok(t).text("id")}, want...)
	}
	c.as(c.other.tokens[rbac.Admin]).verify(t)
	var ids, names []string
	for _, item := range c.admin().all(t, "/admin/verifications?limit=2", nil) {
		ids = append(ids, item["id"].(string))
		names = append(names, item["startedBy"].(map[string]any)["name"].(string))
	}
	require.Equal(t, want, ids, "and none of another organization")
	require.Equal(t, []string{"AUDITOR", "Night check", "ADMIN"}, names)
}

func TestAVerificationOfAnotherOrganizationIsNotFound(t *testing.T) {
	t.Parallel()
	c := open(t)
	path := "/admin/verifications/" + c.admin().post(t, "/admin/verify", body{}).ok(t).text("id")
	c.as(c.other.tokens[rbac.Admin]).get(t, path).refused(t, http.StatusNotFound, "verification-not-found")
	c.as(c.own.tokens[rbac.Scheduler]).get(t, path).refused(t, http.StatusForbidden, "forbidden")
}

func TestAVerificationIsRefusedWhileTheDatabaseIsReadOnly(t *testing.T) {
	t.Parallel()
	c := open(t)
	c.setReadOnly(t, true)
	require.Eventually(t, func() bool {
		a := c.admin().post(t, "/admin/verify", body{})
		require.Equal(t, http.StatusServiceUnavailable, a.status, "%s", a.raw)
		return strings.Contains(a.text("code"), "read-only") // initially a session may have ended
	}, soon, 10*time.Millisecond)
	c.setReadOnly(t, false)
	require.Eventually(t, func() bool { return c.admin().post(t, "/admin/verify", body{}).status == http.StatusOK }, soon,
		10*time.Millisecond)
}
