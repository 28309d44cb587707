package e2e

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/dbtest"
	"omnirapeutic/platform/db/wireproxy"
)

// patientRetries are slow enough for others to run in between.
var patientRetries = db.Policy{MaxAttempts: 5, BaseDelay: time.Second, MaxDelay: time.Second}

// whileInDoubt sends a request whose COMMIT is cut off, and another one before the
// first has determined its outcome.
func whileInDoubt(
	t *testing.T, proxy *wireproxy.Proxy, one, other func() harness.Answer,
) (harness.Answer, harness.Answer) {
	t.Helper()
	cut := proxy.Break(wireproxy.BeforeServer, "commit", 1)
	done := make(chan harness.Answer)
	go func() { done <- one() }()
	require.Eventually(t, cut.Spent, 5*time.Second, time.Millisecond)
	second := other()
	return <-done, second
}

func TestTheSameKeyOnAnotherInstanceWhileACommitIsInDoubt(t *testing.T) {
	t.Parallel()
	database := harness.TwoPractices.New(t)
	proxy := wireproxy.Start(t, database.AppURL)
	first := harness.Serve(t, database, database.Open(t, dbtest.WithPolicy(patientRetries), dbtest.Through(proxy.URL)))
	second := harness.SecondInstance(t, first, database.Open(t))
	path := first.Authorize(t, 10)
	reserve := func(c *harness.Clinic) func() harness.Answer {
		return func() harness.Answer {
			return c.Admin().WithHeader("Idempotency-Key", "k").Post(t, path+"/reserve", harness.Body{"units": 4})
		}
	}
	a, b := whileInDoubt(t, proxy, reserve(first), reserve(second))
	require.Equal(t, b.ReservationID(t), a.ReservationID(t), "both report the only reservation")
	first.RequireBalance(t, path, 10, 0, 4)
	require.Equal(t, http.StatusOK,
		first.Admin().Post(t, path+"/release", harness.Body{"reservationId": a.ReservationID(t)}).Status)
	first.RequireClean(t)
}

func TestTheSameKeyForSomethingElseWhileACommitIsInDoubt(t *testing.T) {
	t.Parallel()
	database := harness.TwoPractices.New(t)
	proxy := wireproxy.Start(t, database.AppURL)
	c := harness.Serve(t, database, database.Open(t, dbtest.WithPolicy(patientRetries), dbtest.Through(proxy.URL)))
	other := harness.SecondInstance(t, c, database.Open(t)) // does not wait for the first request
	x, y := c.Authorize(t, 10), c.Authorize(t, 10)
	reserve := func(c *harness.Clinic, path string, units int) func() harness.Answer {
		return func() harness.Answer {
			return c.Admin().WithHeader("Idempotency-Key", "k").Post(t, path+"/reserve", harness.Body{"units": units})
		}
	}
	a, b := whileInDoubt(t, proxy, reserve(c, x, 4), reserve(other, y, 1))
	a.Refused(t, http.StatusUnprocessableEntity, "idempotency-key-reused")
	require.Equal(t, http.StatusCreated, b.Status)
	c.RequireBalance(t, x, 10, 0, 0)
	c.RequireBalance(t, y, 10, 0, 1)
}

func TestARepeatedKeyIsAnsweredThoughNothingIsRetried(t *testing.T) {
	t.Parallel()
	c := harness.Open(t, dbtest.WithPolicy(db.Policy{
		MaxAttempts: 1, BaseDelay: time.Millisecond, MaxDelay: time.Millisecond,
	}))
	path := c.Authorize(t, 10)
	keyed := c.Admin().WithHeader("Idempotency-Key", "k")
	first := keyed.Post(t, path+"/reserve", harness.Body{"units": 1})
	again := keyed.Post(t, path+"/reserve", harness.Body{"units": 1})
	require.Equal(t, string(first.Raw), string(again.Raw))
	require.Equal(t, "true", again.Header.Get("Idempotency-Replayed"))
}

func TestDamagedLedgerIsReportedAndIsolated(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	damaged, sound := c.Authorize(t, 10), c.Authorize(t, 10)
	for _, path := range []string{damaged, sound} {
		require.Equal(t, http.StatusCreated,
			c.Admin().Post(t, path+"/reserve", harness.Body{"units": 3, "expiresInSeconds": 60}).Status)
	}
	c.ExecAsOwner(t, "UPDATE authorizations SET scheduled_units = 0 WHERE id = $1",
		strings.TrimPrefix(damaged, "/authorizations/"))
	c.Clock.SetAhead(time.Minute)

	written, err := c.App.Authorizations.SweepHolds(t.Context())
	require.ErrorContains(t, err, strings.TrimPrefix(damaged, "/authorizations/"))
	require.EqualValues(t, 1, written, "the other one is swept")
	c.RequireBalance(t, sound, 10, 0, 0)
	c.Admin().Post(t, damaged+"/reserve", harness.Body{"units": 1}).Refused(t, http.StatusConflict, "books-damaged")
}

func TestThousandsOfHoldsRunOutAtOnce(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	const holds = 4000
	path := c.Authorize(t, 2*holds)
	harness.Concurrently(20, func(int) {
		for range holds / 20 {
			hold := harness.Body{"units": 1, "expiresInSeconds": 3600}
			for c.Admin().Post(t, path+"/reserve", hold).Status == http.StatusServiceUnavailable { // too much contention
			}
		}
	})
	c.RequireBalance(t, path, 2*holds, 0, holds)
	c.Clock.SetAhead(time.Hour)
	c.Own.Tokens[rbac.Admin] = c.SignIn(t, "own", rbac.Admin)
	require.Equal(t, http.StatusCreated, c.Admin().Post(t, path+"/reserve", harness.Body{"units": 2 * holds}).Status)
	require.Equal(t, http.StatusOK, c.Admin().Post(t, path+"/release", harness.Body{"units": 2 * holds}).Status)
	c.RequireClean(t)
}

func TestUnrelatedRequestsDoNotConflict(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	var paths []string
	for range 12 {
		paths = append(paths, c.Authorize(t, 1000))
	}
	c.ExecAsOwner(t, "ANALYZE") // as autovacuum does: the planner then knows that the tables are small
	var accepted, failed atomic.Int64
	harness.Concurrently(48, func(i int) {
		for range 5 {
			a := c.Admin().Post(t, paths[i%len(paths)]+"/reserve", harness.Body{"units": 1})
			switch {
			case a.Status == http.StatusCreated:
				accepted.Add(1)
			case c.SharesTransactions || a.Body["code"] != "contention":
				failed.Add(1)
			default: // the rows share index pages, which SSI treats as a conflict: a few may give up
			}
		}
	})
	require.Zero(t, failed.Load())
	c.RequireScheduledUnits(t, int(accepted.Load()), paths...) // a request that gave up has no units
	harness.Concurrently(50, func(int) {
		for _, noun := range []string{"/patients", "/authorizations"} {
			b := harness.Body{"firstName": "Ada", "lastName": "Example", "dateOfBirth": "2019-05-04"}
			if noun == "/authorizations" {
				b = harness.Body{
					"patientId": c.Own.Patient, "serviceCodeId": c.Own.ServiceCode, "totalUnits": 5,
					"startDate": "2026-01-01", "endDate": "2026-12-31",
				}
			}
			if a := c.Admin().Post(t, noun, b); a.Status != http.StatusCreated {
				failed.Add(1)
			}
		}
	})
	require.Zero(t, failed.Load())
}
