package e2e

import (
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/rbac"
)

// withShortVerifyWait is another instance, whose requests hardly wait for their verifications.
func withShortVerifyWait(t testing.TB, c *harness.Clinic, settings ...string) *harness.Clinic {
	t.Helper()
	other := *c
	other.VerifyWait, other.Settings = time.Millisecond, settings
	other.Start(t, c.Database.Open(t))
	return &other
}

// startVerification starts a verification that continues after the answer, and returns its path.
func startVerification(t testing.TB, c harness.Caller) string {
	t.Helper()
	a := c.Post(t, "/admin/verify", harness.Body{})
	require.Equal(t, http.StatusAccepted, a.Status, "%s", a.Raw)
	require.Equal(t, "RUNNING", a.Text("state"))
	require.NotEmpty(t, a.Header.Get("Retry-After"))
	path := "/admin/verifications/" + a.Text("id")
	require.Equal(t, "/api/v1"+path, a.Header.Get("Location"))
	return path
}

func requireInterrupted(t testing.TB, a harness.Answer) {
	t.Helper()
	require.Equal(t, "FAILED", a.Text("state"), "%s", a.Raw)
	require.Equal(t, "interrupted", a.Body["failure"].(map[string]any)["code"])
	require.Contains(t, a.Body["failure"].(map[string]any)["detail"], "Start another one")
	require.Nil(t, a.Body["result"])
	require.NotNil(t, a.Body["finishedAt"])
}

func TestAQuickVerificationIsAnsweredWithItsResult(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	c.Authorize(t, 10)
	c.Authorize(t, 10)
	a := c.Admin().Post(t, "/admin/verify", harness.Body{}).OK(t)
	require.Equal(t, "FINISHED", a.Text("state"))
	require.Empty(t, a.Header.Get("Retry-After"))
	require.Equal(t, "ADMIN", a.Body["startedBy"].(map[string]any)["name"])
	require.NotNil(t, a.Body["finishedAt"])
	require.Nil(t, a.Body["failure"])
	require.Equal(t, true, a.Body["result"].(map[string]any)["ok"])
	for _, progress := range []string{"checked", "total"} {
		require.Equal(t, 2, a.Number(t, "progress", "authorizations", progress))
		require.Equal(t, a.Number(t, "result", "audit", "events"), a.Number(t, "progress", "auditEvents", progress))
	}
	require.JSONEq(t, string(a.Raw), string(c.Admin().Get(t, "/admin/verifications/"+a.Text("id")).OK(t).Raw))
	require.Contains(t, c.Metrics(t), "\nomnirapeutic_verifications_running 0\n")
	require.Contains(t, c.Metrics(t), `omnirapeutic_verification_seconds_count{outcome="finished"} 1`)
}

func TestALongVerificationContinuesAfterTheAnswer(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	c.Authorize(t, 10)
	c.Authorize(t, 10)
	c.RequireClean(t)
	c = withShortVerifyWait(t, c, "OMNI_REQUEST_TIMEOUT=1s")
	release := c.LockTable(t, "audit_checkpoints")
	path := startVerification(t, c.Admin())
	require.Contains(t, c.Metrics(t), "\nomnirapeutic_verifications_running 1\n")
	require.Eventually(t, func() bool {
		a := c.Admin().Get(t, path).OK(t)
		require.Equal(t, "RUNNING", a.Text("state"))
		require.Nil(t, a.Body["progress"].(map[string]any)["auditEvents"].(map[string]any)["total"])
		return a.Number(t, "progress", "authorizations", "checked") == 2 &&
			a.Number(t, "progress", "authorizations", "total") == 2
	}, harness.Soon, 10*time.Millisecond, "the progress is stored while it runs")
	require.Equal(t, path, startVerification(t, c.Admin()), "the running verification is returned")

	release()
	a := c.Admin().AwaitState(t, path, "FINISHED")
	require.Equal(t, true, a.Body["result"].(map[string]any)["ok"])
	require.NotContains(t, c.Admin().Post(t, "/admin/verify", harness.Body{}).Text("id"), a.Text("id"),
		"the next verification is a new one")
}

func TestAnOrganizationHasOneVerificationOnAllInstances(t *testing.T) {
	t.Parallel()
	first := harness.Open(t)
	first.Authorize(t, 10)
	second := harness.SecondInstance(t, first, first.Database.Open(t))
	hasty := withShortVerifyWait(t, first)
	release := first.LockTable(t, "unit_entries")
	path := startVerification(t, hasty.Admin())

	const many = 8
	answers := make(chan harness.Answer, many)
	for i := range many {
		from := []*harness.Clinic{first, second}[i%2].Admin()
		go func() {
			answers <- from.Post(t, "/admin/verify",
				harness.Body{})
		}() // what fails in it fails here
	}
	require.Equal(t, path, startVerification(t, withShortVerifyWait(t, second).Admin()), "the same on another instance")
	release()
	for range many {
		a := (<-answers).OK(t)
		if "/admin/verifications/"+a.Text("id") != path { // requested after its end
			require.NotEqual(t, "RUNNING", a.Text("state"))
		}
	}
	require.Equal(t, "FINISHED", second.Admin().AwaitState(t, path, "FINISHED").Text("state"))
}

func TestConcurrentStartsShareOneVerification(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	c.Authorize(t, 10)
	instances := []*harness.Clinic{withShortVerifyWait(t, c), withShortVerifyWait(t, c)}
	release := c.LockTable(t, "unit_entries")
	const many = 12
	var paths [many]string
	harness.Concurrently(many, func(i int) { paths[i] = startVerification(t, instances[i%2].Admin()) })
	for _, path := range paths {
		require.Equal(t, paths[0], path)
	}
	other := c.As(c.Other.Tokens[rbac.Admin])
	require.NotEqual(t, paths[0], startVerification(t, withShortVerifyWait(t, c).As(other.Token)),
		"another organization has its own")
	require.Equal(t, 2, c.Count(t, "SELECT count(*) FROM verifications"))
	release()
	c.Admin().AwaitState(t, paths[0], "FINISHED")
}

func TestAVerificationOfAnInstanceThatDiedIsInterrupted(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	c.Authorize(t, 10)
	release := c.LockTable(t, "unit_entries")
	victim := c.Launch(t, c.Database.AppURL)
	path := startVerification(t, victim.Clinic.Admin())
	victim.Kill(t)
	release()
	require.Equal(t, "RUNNING", c.Admin().Get(t, path).OK(t).Text("state"), "its end is unknown until its lease expires")

	c.ExecAsOwner(t, "UPDATE verifications SET lease_until = now() - interval '1 second'")
	requireInterrupted(t, c.Admin().Get(t, path).OK(t))
	a := c.Admin().Post(t, "/admin/verify", harness.Body{}).OK(t)
	require.Equal(t, "FINISHED", a.Text("state"), "another one can start immediately")
	require.NotContains(t, path, a.Text("id"))
	requireInterrupted(t, c.Admin().Get(t, path).OK(t))
}

func TestAVerificationIsInterruptedWhenItsProgramStops(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	c.Authorize(t, 10)
	release := c.LockTable(t, "unit_entries")
	defer release()
	stopping := c.Launch(t, c.Database.AppURL, "OMNI_LOG_LEVEL=warn")
	path := startVerification(t, stopping.Clinic.Admin())
	require.NoError(t, stopping.Process.Process.Signal(syscall.SIGTERM))
	require.NoError(t, stopping.Process.Wait(), "exit code 0: %s", stopping.Output.String())
	require.Contains(t, stopping.Output.String(), "verification_interrupted")
	requireInterrupted(t, c.Admin().Get(t, path).OK(t))
	require.NotContains(t, startVerification(t, withShortVerifyWait(t, c).Admin()), path)
}

func TestVerificationsAreListedNewestFirst(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	machine := c.As(c.Admin().Post(t, "/api-keys",
		harness.Body{"name": "Night check", "permissions": []any{"authorization:verify"}}).Text("key"))
	var want []string
	for _, from := range []harness.Caller{c.Admin(), machine, c.As(c.Own.Tokens[rbac.Auditor])} {
		want = append([]string{from.Post(t, "/admin/verify", harness.Body{}).OK(t).Text("id")}, want...)
	}
	c.As(c.Other.Tokens[rbac.Admin]).Verify(t)
	var ids, names []string
	for _, item := range c.Admin().All(t, "/admin/verifications?limit=2", nil) {
		ids = append(ids, item["id"].(string))
		names = append(names, item["startedBy"].(map[string]any)["name"].(string))
	}
	require.Equal(t, want, ids, "and none of another organization")
	require.Equal(t, []string{"AUDITOR", "Night check", "ADMIN"}, names)
}

func TestAVerificationOfAnotherOrganizationIsNotFound(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path := "/admin/verifications/" + c.Admin().Post(t, "/admin/verify", harness.Body{}).OK(t).Text("id")
	c.As(c.Other.Tokens[rbac.Admin]).Get(t, path).Refused(t, http.StatusNotFound, "verification-not-found")
	c.As(c.Own.Tokens[rbac.Scheduler]).Get(t, path).Refused(t, http.StatusForbidden, "forbidden")
}

func TestAVerificationIsRefusedWhileTheDatabaseIsReadOnly(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	c.SetReadOnly(t, true)
	require.Eventually(t, func() bool {
		a := c.Admin().Post(t, "/admin/verify", harness.Body{})
		require.Equal(t, http.StatusServiceUnavailable, a.Status, "%s", a.Raw)
		return strings.Contains(a.Text("code"), "read-only") // initially a session may have ended
	}, harness.Soon, 10*time.Millisecond)
	c.SetReadOnly(t, false)
	require.Eventually(t, func() bool {
		return c.Admin().Post(t, "/admin/verify",
			harness.Body{}).Status == http.StatusOK
	}, harness.Soon,
		10*time.Millisecond)
}
