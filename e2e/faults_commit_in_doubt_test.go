package e2e

import (
	"database/sql"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/dbtest"
	"omnirapeutic/platform/db/wireproxy"
)

// patientRetries are slow enough for others to run in between.
var patientRetries = db.Policy{MaxAttempts: 5, BaseDelay: time.Second, MaxDelay: time.Second}

// whileInDoubt sends a request whose COMMIT is cut off, and another one before the
// first has determined its outcome.
func whileInDoubt(t *testing.T, proxy *wireproxy.Proxy, one, other func() answer) (answer, answer) {
	t.Helper()
	cut := proxy.Break(wireproxy.BeforeServer, "commit", 1)
	done := make(chan answer)
	go func() { done <- one() }()
	require.Eventually(t, cut.Spent, 5*time.Second, time.Millisecond)
	second := other()
	return <-done, second
}

func TestTheSameKeyOnAnotherInstanceWhileACommitIsInDoubt(t *testing.T) {
	t.Parallel()
	database := twoPractices.New(t)
	proxy := wireproxy.Start(t, database.AppURL)
	first := serve(t, database, database.Open(t, dbtest.WithPolicy(patientRetries), dbtest.Through(proxy.URL)))
	second := secondInstance(t, first, database.Open(t))
	path := first.authorize(t, 10)
	reserve := func(c *clinic) func() answer {
		return func() answer {
			return c.admin().with("Idempotency-Key", "k").post(t, path+"/reserve", body{"units": 4})
		}
	}
	a, b := whileInDoubt(t, proxy, reserve(first), reserve(second))
	require.Equal(t, b.reservationID(t), a.reservationID(t), "both report the only reservation")
	first.requireBalance(t, path, 10, 0, 4)
	require.Equal(t, http.StatusOK,
		first.admin().post(t, path+"/release", body{"reservationId": a.reservationID(t)}).status)
	first.requireClean(t)
}

func TestTheSameKeyForSomethingElseWhileACommitIsInDoubt(t *testing.T) {
	t.Parallel()
	database := twoPractices.New(t)
	proxy := wireproxy.Start(t, database.AppURL)
	c := serve(t, database, database.Open(t, dbtest.WithPolicy(patientRetries), dbtest.Through(proxy.URL)))
	other := secondInstance(t, c, database.Open(t)) // does not wait for the first request
	x, y := c.authorize(t, 10), c.authorize(t, 10)
	reserve := func(c *clinic, path string, units int) func() answer {
		return func() answer {
			return c.admin().with("Idempotency-Key", "k").post(t, path+"/reserve", body{"units": units})
		}
	}
	a, b := whileInDoubt(t, proxy, reserve(c, x, 4), reserve(other, y, 1))
	a.refused(t, http.StatusUnprocessableEntity, "idempotency-key-reused")
	require.Equal(t, http.StatusCreated, b.status)
	c.requireBalance(t, x, 10, 0, 0)
	c.requireBalance(t, y, 10, 0, 1)
}

func TestARepeatedKeyIsAnsweredThoughNothingIsRetried(t *testing.T) {
	t.Parallel()
	c := open(t, dbtest.WithPolicy(db.Policy{MaxAttempts: 1, BaseDelay: time.Millisecond, MaxDelay: time.Millisecond}))
	path := c.authorize(t, 10)
	keyed := c.admin().with("Idempotency-Key", "k")
	first := keyed.post(t, path+"/reserve", body{"units": 1})
	again := keyed.post(t, path+"/reserve", body{"units": 1})
	require.Equal(t, string(first.raw), string(again.raw))
	require.Equal(t, "true", again.header.Get("Idempotency-Replayed"))
}

// asOwner changes the database directly.
func (c *clinic) asOwner(t *testing.T, statement string, arguments ...any) {
	t.Helper()
	owner, err := sql.Open("pgx", c.database.OwnerURL)
	require.NoError(t, err)
	defer owner.Close()
	_, err = owner.ExecContext(t.Context(), statement, arguments...)
	require.NoError(t, err)
}

func TestDamagedLedgerIsReportedAndIsolated(t *testing.T) {
	t.Parallel()
	c := open(t)
	damaged, sound := c.authorize(t, 10), c.authorize(t, 10)
	for _, path := range []string{damaged, sound} {
		require.Equal(t, http.StatusCreated,
			c.admin().post(t, path+"/reserve", body{"units": 3, "expiresInSeconds": 60}).status)
	}
	c.asOwner(t, "UPDATE authorizations SET scheduled_units = 0 WHERE id = $1",
		strings.TrimPrefix(damaged, "/authorizations/"))
	c.clock.set(time.Minute)

	written, err := c.app.Authorizations.SweepHolds(t.Context())
	require.ErrorContains(t, err, strings.TrimPrefix(damaged, "/authorizations/"))
	require.EqualValues(t, 1, written, "the other one is swept")
	c.requireBalance(t, sound, 10, 0, 0)
	c.admin().post(t, damaged+"/reserve", body{"units": 1}).refused(t, http.StatusConflict, "books-damaged")
}

func TestThousandsOfHoldsRunOutAtOnce(t *testing.T) {
	t.Parallel()
	c := open(t)
	const holds = 4000
	path := c.authorize(t, 2*holds)
	together(20, func(int) {
		for range holds / 20 {
			c.admin().post(t, path+"/reserve", body{"units": 1, "expiresInSeconds": 3600})
		}
	})
	c.requireBalance(t, path, 2*holds, 0, holds)
	c.clock.set(time.Hour)
	c.own.tokens[rbac.Admin] = c.signIn(t, "own", rbac.Admin)
	require.Equal(t, http.StatusCreated, c.admin().post(t, path+"/reserve", body{"units": 2 * holds}).status)
	require.Equal(t, http.StatusOK, c.admin().post(t, path+"/release", body{"units": 2 * holds}).status)
	c.requireClean(t)
}

func TestUnrelatedRequestsDoNotConflict(t *testing.T) {
	t.Parallel()
	c := open(t)
	var paths []string
	for range 12 {
		paths = append(paths, c.authorize(t, 1000))
	}
	c.asOwner(t, "ANALYZE") // as autovacuum does: the planner then knows that the tables are small
	var accepted, failed atomic.Int64
	together(48, func(i int) {
		for range 5 {
			a := c.admin().post(t, paths[i%len(paths)]+"/reserve", body{"units": 1})
			switch {
			case a.status == http.StatusCreated:
				accepted.Add(1)
			case c.shares || a.body["code"] != "contention":
				failed.Add(1)
			default: // the rows share index pages, which SSI treats as a conflict: a few may give up
			}
		}
	})
	require.Zero(t, failed.Load())
	c.requireBalanceTogether(t, int(accepted.Load()), paths...) // a request that gave up has no units
	together(50, func(int) {
		for _, noun := range []string{"/patients", "/authorizations"} {
			b := body{"firstName": "Ada", "lastName": "Example", "dateOfBirth": "2019-05-04"}
			if noun == "/authorizations" {
				b = body{
					"patientId": c.own.patient, "serviceCodeId": c.own.serviceCode, "totalUnits": 5,
					"startDate": "2026-01-01", "endDate": "2026-12-31",
				}
			}
			if a := c.admin().post(t, noun, b); a.status != http.StatusCreated {
				failed.Add(1)
			}
		}
	})
	require.Zero(t, failed.Load())
}
