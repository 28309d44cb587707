package app_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/db/dbtest"
)

// killDatabase kills the server that answers now with SIGKILL.
func killDatabase(t *testing.T, dir string) {
	t.Helper()
	require.Eventually(t, func() bool { // the file may still name the one that was killed last
		content, err := os.ReadFile(filepath.Join(dir, "cluster", "postmaster.pid"))
		if err != nil {
			return false
		}
		pid, err := strconv.Atoi(strings.SplitN(string(content), "\n", 2)[0])
		return err == nil && syscall.Kill(pid, syscall.SIGKILL) == nil
	}, time.Minute, time.Millisecond)
}

// TestDatabaseIsKilledUnderLoad kills the database while clients book. Each
// client repeats a request with the same key until it gets a yes or a no. Then
// what they were told must be what is stored.
func TestDatabaseIsKilledUnderLoad(t *testing.T) {
	t.Parallel()
	server := dbtest.Server(t, false)
	database := dbtest.Of(server)
	c := serve(t, database, database.Open(t))
	path := c.authorize(t, 100_000)

	var accepted, unavailable atomic.Int64
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				keyed := c.admin().with("Idempotency-Key", uuid.NewString())
				for deadline := time.Now().Add(time.Minute); ; {
					answer := keyed.post(t, path+"/reserve", body{"units": 1})
					if answer.status == http.StatusCreated {
						accepted.Add(1)
						break
					}
					if answer.status < http.StatusInternalServerError || time.Now().After(deadline) {
						t.Errorf("neither yes nor a reason to ask again: %s", answer.raw)
						return
					}
					require.NotEmpty(t, answer.header.Get("Retry-After"), "%s", answer.raw)
					unavailable.Add(1)
					time.Sleep(20 * time.Millisecond) // a client's patience, no synchronization
				}
			}
		})
	}
	for range 3 {
		before := accepted.Load()
		require.Eventually(t, func() bool { return accepted.Load() > before+20 }, time.Minute, time.Millisecond)
		killDatabase(t, server.Dir())
	}
	before := accepted.Load()
	require.Eventually(t, func() bool { return accepted.Load() > before+20 }, time.Minute, time.Millisecond, "it comes back by itself")
	close(stop)
	clients.Wait()

	require.Positive(t, unavailable.Load(), "the outage was felt")
	c.requireBalance(t, path, 100_000, 0, int(accepted.Load()))
	c.requireClean(t)
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
	require.Equal(t, http.StatusOK, root.get(t, "/healthz").status, "it is alive all the same")
	answer := c.admin().post(t, path+"/reserve", body{"units": 1})
	answer.refused(t, http.StatusServiceUnavailable, "database-unavailable")
	require.NotEmpty(t, answer.header.Get("Retry-After"))

	t.Run("what needs no database is refused without one", func(t *testing.T) {
		c.as("").post(t, path+"/reserve", body{"units": 1}).refused(t, http.StatusUnauthorized, "unauthenticated")
		c.as(c.own.tokens["BILLER"]).post(t, path+"/reserve", body{"units": 1}).refused(t, http.StatusForbidden, "forbidden")
		c.admin().post(t, path+"/reserve", body{"units": 0}).refused(t, http.StatusUnprocessableEntity, "validation-failed")
		for _, wrong := range []struct {
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
			c.admin().patch(t, wrong.path, wrong.change).refused(t, http.StatusUnprocessableEntity, "validation-failed")
		}
		c.admin().patch(t, "/patients/"+uuid.NewString(), body{"firstName": "Ada"}).refused(t, http.StatusServiceUnavailable, "database-unavailable")
	})
}
