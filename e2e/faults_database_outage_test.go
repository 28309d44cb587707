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
	all := append(children(t, first), first)
	require.Greater(t, len(all), 5)
	for _, pid := range all {
		require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	}
	require.NoError(t, server.Stop(t.Context())) // it would restart itself three times
}

// children returns the child processes of a process.
func children(t testing.TB, parent int) []int {
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
	c := serve(t, database, database.Open(t))
	paths, totals := c.contested(t)
	serving := c.launch(t, database.AppURL, transactions()...)
	h := &history{}
	stop := h.clients(t, 12, paths, func(int, int) caller { return serving.clinic.admin() })
	for range faults {
		h.progress(t, 20)
		server.killAndStart(t)
	}
	h.progress(t, 20, "it goes on")
	stop()
	t.Logf("clients were asked to retry %d times; the server may hide all of it", h.turned.Load())
	h.requireTrue(t, c, totals)
}

func TestReadinessFollowsTheDatabase(t *testing.T) {
	t.Parallel()
	server := dbtest.Server(t, true)
	database := dbtest.Of(server)
	c := serve(t, database, database.Open(t))
	path := c.authorize(t, 10)
	root := caller{url: c.url}
	require.Equal(t, http.StatusOK, root.get(t, "/readyz").status)

	require.NoError(t, server.Stop(t.Context()))
	root.get(t, "/readyz").refused(t, http.StatusServiceUnavailable, "not-ready")
	require.Equal(t, http.StatusOK, root.get(t, "/healthz").status, "it is alive nevertheless")
	answer := c.admin().post(t, path+"/reserve", body{"units": 1})
	answer.refused(t, http.StatusServiceUnavailable, "database-unavailable")
	require.NotEmpty(t, answer.header.Get("Retry-After"))

	t.Run("invalid requests are refused without a database", func(t *testing.T) {
		c.as("").post(t, path+"/reserve", body{"units": 1}).refused(t, http.StatusUnauthorized, "unauthenticated")
		c.as(c.own.tokens["BILLER"]).post(t, path+"/reserve", body{"units": 1}).refused(t, http.StatusForbidden, "forbidden")
		c.admin().post(t, path+"/reserve", body{"units": 0}).refused(t, http.StatusUnprocessableEntity, "validation-failed")
		for _, invalid := range []struct {
			path   string
			change body
		}{
			{"/practitioners/" + uuid.NewString(), body{"npi": "12"}},
			{"/practitioners/" + uuid.NewString(), body{"credentials": []string{"no code"}}},
			{"/service-codes/" + uuid.NewString(), body{"code": "small letters"}},
			{"/patients/" + uuid.NewString(), body{"dateOfBirth": "1899-12-31"}},
			{"/patients/" + uuid.NewString(), body{"medicalRecordNumber": " 1"}},
			{"/insurances/" + uuid.NewString(), body{"startsOn": "2026-02-01", "endsOn": "2026-01-01"}},
			{"/organizations/" + c.own.id.String(), body{"timeZone": "localtime"}},
		} {
			c.admin().patch(t, invalid.path, invalid.change).refused(t, http.StatusUnprocessableEntity, "validation-failed")
		}
		c.admin().patch(t, "/patients/"+uuid.NewString(), body{"firstName": "Ada"}).refused(t, http.StatusServiceUnavailable,
			"database-unavailable")
	})
}
