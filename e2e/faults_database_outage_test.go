package e2e

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/platform/db/dbtest"
	"omnirapeutic/platform/postgres"
)

// killable is the test's own PostgreSQL, with durable settings, on disk.
type killable struct {
	*postgres.Server
}

// killAndStart kills the server (see killServer) and restarts it.
func (k *killable) killAndStart(t testing.TB) {
	t.Helper()
	killServer(t, k.Server)
	var err error
	k.Server, err = postgres.Start(t.Context(), postgres.Options{Dir: k.Dir(), Bin: k.Bin()})
	require.NoError(t, err)
	again := k.Server
	t.Cleanup(func() { require.NoError(t, again.Stop(context.Background())) })
}

// killServer kills all of a server's processes with SIGKILL, so that none of them can react to the
// end of another.
func killServer(t testing.TB, server *postgres.Server) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(server.Dir(), "cluster", "postmaster.pid"))
	require.NoError(t, err)
	first, err := strconv.Atoi(strings.SplitN(string(content), "\n", 2)[0])
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(first, syscall.SIGSTOP), "it creates no more processes")
	all := append(childProcesses(t, first), first)
	require.Greater(t, len(all), 5)
	for _, pid := range all {
		require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	}
	require.NoError(t, server.Stop(t.Context())) // it would restart itself three times
}

// childProcesses returns the child processes of a process.
func childProcesses(t testing.TB, parent int) []int {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	require.NoError(t, err)
	var found []int
	for _, stat := range stats {
		content, err := os.ReadFile(stat)
		if err != nil {
			continue // it has ended meanwhile
		}
		// The number, the name in brackets, the state, the parent.
		number, rest, _ := strings.Cut(string(content), " ")
		fields := strings.Fields(rest[strings.LastIndex(rest, ")")+1:])
		if fields[1] == strconv.Itoa(parent) {
			pid, err := strconv.Atoi(number)
			require.NoError(t, err)
			found = append(found, pid)
		}
	}
	return found
}

// TestDatabaseIsKilledUnderLoad kills and restarts the database while clients book. The
// server stays up and recovers.
func TestDatabaseIsKilledUnderLoad(t *testing.T) {
	t.Parallel()
	faults := numberOfFaults()
	server := &killable{dbtest.Server(t, false)}
	database := dbtest.Of(server.Server)
	c := harness.Serve(t, database, database.Open(t))
	paths, totals := contested(t, c)
	serving := c.Launch(t, database.AppURL, harness.TransactionSettings()...)
	h := &harness.History{}
	stop := h.StartClients(t, 12, paths, func(int, int) harness.Caller { return serving.Clinic.Admin() })
	for range faults {
		h.AwaitAnswers(t, 20)
		server.killAndStart(t)
	}
	h.AwaitAnswers(t, 20, "it goes on")
	stop()
	t.Logf("clients were asked to retry %d times; the server may hide all of it", h.Retries.Load())
	h.RequireConsistent(t, c, totals)
}

func TestReadinessFollowsTheDatabase(t *testing.T) {
	t.Parallel()
	server := dbtest.Server(t, true)
	database := dbtest.Of(server)
	c := harness.Serve(t, database, database.Open(t))
	path := c.Authorize(t, 10)
	root := harness.Caller{URL: c.URL}
	require.Equal(t, http.StatusOK, root.Get(t, "/readyz").Status)

	require.NoError(t, server.Stop(t.Context()))
	root.Get(t, "/readyz").Refused(t, http.StatusServiceUnavailable, "not-ready")
	require.Equal(t, http.StatusOK, root.Get(t, "/healthz").Status, "it is alive nevertheless")
	answer := c.Admin().Post(t, path+"/reserve", harness.Body{"units": 1})
	answer.Refused(t, http.StatusServiceUnavailable, "database-unavailable")
	require.NotEmpty(t, answer.Header.Get("Retry-After"))

	t.Run("invalid requests are refused without a database", func(t *testing.T) {
		c.As("").Post(t, path+"/reserve", harness.Body{"units": 1}).Refused(t, http.StatusUnauthorized, "unauthenticated")
		c.As(c.Own.Tokens["BILLER"]).Post(t, path+"/reserve", harness.Body{"units": 1}).
			Refused(t, http.StatusForbidden, "forbidden")
		c.Admin().Post(t, path+"/reserve", harness.Body{"units": 0}).
			Refused(t, http.StatusUnprocessableEntity, "validation-failed")
		for _, invalid := range []struct {
			path   string
			change harness.Body
		}{
			{"/practitioners/" + uuid.NewString(), harness.Body{"npi": "12"}},
			{"/practitioners/" + uuid.NewString(), harness.Body{"credentials": []string{"no code"}}},
			{"/service-codes/" + uuid.NewString(), harness.Body{"code": "small letters"}},
			{"/patients/" + uuid.NewString(), harness.Body{"dateOfBirth": "1899-12-31"}},
			{"/patients/" + uuid.NewString(), harness.Body{"medicalRecordNumber": " 1"}},
			{"/insurances/" + uuid.NewString(), harness.Body{"startsOn": "2026-02-01", "endsOn": "2026-01-01"}},
			{"/organizations/" + c.Own.ID.String(), harness.Body{"timeZone": "localtime"}},
		} {
			c.Admin().Patch(t, invalid.path, invalid.change).Refused(t, http.StatusUnprocessableEntity, "validation-failed")
		}
		c.Admin().Patch(t, "/patients/"+uuid.NewString(),
			harness.Body{"firstName": "Ada"}).Refused(t, http.StatusServiceUnavailable,
			"database-unavailable")
	})
}
