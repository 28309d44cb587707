package e2e

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/dbtest"
)

// heldLock is a clinic whose commands wait until the lock is released.
type heldLock struct {
	clinic  *harness.Clinic
	clients sync.WaitGroup
	queued  int
	holder  pgx.Tx
}

// holdLock takes the lock, and starts a reserve that waits for it.
func holdLock(t *testing.T, c *harness.Clinic) *heldLock {
	t.Helper()
	ahead := c.Authorize(t, 1)
	return holdLockBehind(t, c, func() { c.Admin().Post(t, ahead+"/reserve", harness.Body{"units": 1}) })
}

// holdLockBehind takes the lock, and starts the call, behind which others of its kind
// queue.
func holdLockBehind(t *testing.T, c *harness.Clinic, ahead func()) *heldLock {
	t.Helper()
	dbtest.NeedsPostgreSQL(t, "LOCK TABLE, with which the test builds a batch")
	other, err := pgx.Connect(t.Context(), c.Database.OwnerURL)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, other.Close(context.Background())) })
	l := &heldLock{clinic: c}
	l.holder, err = other.Begin(t.Context())
	require.NoError(t, err)
	_, err = l.holder.Exec(t.Context(), "LOCK TABLE write_lock IN EXCLUSIVE MODE")
	require.NoError(t, err)
	l.clients.Go(ahead)
	require.Eventually(t, func() bool { // in this database: its copies have tables with the same OID
		var waits bool
		err := other.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_locks
			WHERE relation = 'write_lock'::regclass AND NOT granted
				AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))`).Scan(&waits)
		return err == nil && waits
	}, harness.Soon, time.Millisecond)
	return l
}

// queue starts a call that will share a transaction with the queued ones, in order.
func (l *heldLock) queue(t *testing.T, call func()) {
	t.Helper()
	l.queued++
	l.clients.Go(call)
	require.Eventually(t, func() bool {
		return l.clinic.App.Commands.Waiting() == l.queued
	}, harness.Soon, 50*time.Microsecond)
}

// release releases the lock and waits for the answers.
func (l *heldLock) release(t *testing.T) {
	t.Helper()
	require.NoError(t, l.holder.Rollback(t.Context()))
	l.clients.Wait()
}

// inOneBatch executes the calls in one shared transaction, in order.
func inOneBatch(t *testing.T, c *harness.Clinic, calls ...func()) {
	t.Helper()
	lock := holdLock(t, c)
	for _, call := range calls {
		lock.queue(t, call)
	}
	lock.release(t)
}

// appointmentsInOneBatch is like gathered for calls on appointments.
func appointmentsInOneBatch(t *testing.T, c *harness.Clinic, calls ...func()) {
	t.Helper()
	lock := holdLockBehind(t, c, calls[0])
	for _, call := range calls[1:] {
		lock.queue(t, call)
	}
	lock.release(t)
}

// TestStatementsOfABatch executes 50 calls of two organizations on 20 authorizations in
// one transaction. It needs no more statements than a single call, except to read
// for calls that arrived while another instance held the lock. If these use
// authorizations that were already read, nothing more is read.
func TestStatementsOfABatch(t *testing.T) {
	t.Parallel()
	c, of := openCountingStatements(t)
	stranger := *c
	stranger.Own = c.Other
	asking := []*harness.Clinic{c, &stranger}
	var paths []string
	for i := range 20 {
		paths = append(paths, asking[i%2].Authorize(t, 100))
		answer := asking[i%2].Admin().Post(t, paths[i]+"/reserve", harness.Body{"units": 10})
		require.Equal(t, http.StatusCreated, answer.Status, "%s", answer.Raw)
	}
	var calls []func()
	for i := range 50 {
		calls = append(calls, func() {
			verb := []string{"/reserve", "/release", "/consume"}[i%3]
			answer := asking[i%2].Admin().Post(t, paths[i%20]+verb, harness.Body{"units": 1})
			if answer.Status >= http.StatusMultipleChoices {
				t.Errorf("%s", answer.Raw)
			}
		})
	}
	writes := []string{
		"UPDATE authorizations", "INSERT unit_reservations", "INSERT unit_entries", "INSERT outbox", "WITH audit_events",
		"INSERT commands",
	}
	require.Equal(t, append([]string{
		"LOCK write_lock", "SELECT authorizations", // of the first reserve
		"SELECT set_config", "SELECT authorizations", "SELECT unit_reservations",
	}, writes...), of(func() { inOneBatch(t, c, calls...) }))
	require.Contains(t, c.Metrics(t), `omnirapeutic_batch_requests_sum{queue="units"} 71`,
		"20 of each, 50 in total, and one ahead of them")

	reserve := func() { c.Admin().Post(t, paths[0]+"/reserve", harness.Body{"units": 1}) }
	require.Equal(t, append([]string{"LOCK write_lock", "SELECT authorizations"}, writes...), of(func() {
		lock := holdLockBehind(t, c, reserve)
		for range 30 {
			lock.queue(t, reserve)
		}
		lock.release(t)
	}), "31 on one authorization")
	require.Contains(t, c.Metrics(t), `omnirapeutic_batch_requests_sum{queue="units"} 102`)
	c.RequireClean(t)
	stranger.RequireClean(t)
}

func reversed(all []string) []string {
	all = slices.Clone(all)
	slices.Reverse(all)
	return all
}

func TestOneOfABatchIsRefusedByTheDatabase(t *testing.T) {
	t.Parallel()
	database := harness.TwoPractices.New(t)
	c := harness.Serve(t, database, database.Open(t), harness.SharedTransactions...)
	c.ExecAsOwner(t, "ALTER TABLE unit_reservations ADD CONSTRAINT poisoned CHECK (reference <> 'poison')")
	path := c.Authorize(t, 100)
	answers := make([]harness.Answer, 9)
	var calls []func()
	for i := range answers {
		calls = append(calls, func() {
			reference := fmt.Sprint("sound ", i)
			if i == 5 {
				reference = "poison"
			}
			answers[i] = c.Admin().Post(t, path+"/reserve", harness.Body{"units": 1, "reference": reference})
		})
	}
	inOneBatch(t, c, calls...)
	for i, a := range answers {
		if i == 5 {
			a.Refused(t, http.StatusInternalServerError, "internal")
			continue
		}
		require.Equal(t, http.StatusCreated, a.Status, "%s", a.Raw)
	}
	c.RequireBalance(t, path, 100, 0, 8)
	c.RequireClean(t)
}

func TestTheSameKeyWithinABatch(t *testing.T) {
	t.Parallel()
	database := harness.TwoPractices.New(t)
	c := harness.Serve(t, database, database.Open(t), harness.SharedTransactions...)
	path, before := c.Authorize(t, 100), c.Authorize(t, 100)
	keyed := func(key string) harness.Caller { return c.Admin().WithHeader("Idempotency-Key", key) }
	earlier := keyed("earlier").Post(t, before+"/reserve", harness.Body{"units": 2})
	answers := make([]harness.Answer, 6)
	reserve := func(i int, key, path string, units int) func() {
		return func() { answers[i] = keyed(key).Post(t, path+"/reserve", harness.Body{"units": units}) }
	}
	inOneBatch(t, c,
		reserve(0, "one", path, 3),
		reserve(1, "one", path, 3),       // the same request again
		reserve(2, "one", path, 4),       // a different request
		reserve(3, "too many", path, 98), // refused both times
		reserve(4, "too many", path, 98),
		reserve(5, "earlier", before, 2), // executed in an earlier transaction
	)
	require.Equal(t, http.StatusCreated, answers[0].Status, "%s", answers[0].Raw)
	require.Empty(t, answers[0].Header.Get("Idempotency-Replayed"))
	require.Equal(t, string(answers[0].Raw), string(answers[1].Raw))
	require.Equal(t, "true", answers[1].Header.Get("Idempotency-Replayed"))
	answers[2].Refused(t, http.StatusUnprocessableEntity, "idempotency-key-reused")
	answers[3].Refused(t, http.StatusConflict, "insufficient-units")
	answers[4].Refused(t, http.StatusConflict, "insufficient-units")
	require.Equal(t, string(earlier.Raw), string(answers[5].Raw))
	require.Equal(t, "true", answers[5].Header.Get("Idempotency-Replayed"))
	c.RequireBalance(t, path, 100, 0, 3)
	c.RequireBalance(t, before, 100, 0, 2)
	c.RequireClean(t)
}

func TestRefusedBulkLeavesItsBatchIntact(t *testing.T) {
	t.Parallel()
	database := harness.TwoPractices.New(t)
	c := harness.Serve(t, database, database.Open(t), harness.SharedTransactions...)
	one, other := c.Authorize(t, 10), c.Authorize(t, 10)
	all := harness.BulkBody(harness.BulkItem(one, "reserve", harness.Body{"units": 5}),
		harness.BulkItem(other, "reserve", harness.Body{"units": 11}))
	all["atomic"] = true
	var undone, first, last harness.Answer
	inOneBatch(t, c,
		func() { first = c.Admin().Post(t, one+"/reserve", harness.Body{"units": 2}) },
		func() { undone = c.Admin().Post(t, "/units/bulk", all) },
		func() { last = c.Admin().Post(t, one+"/reserve", harness.Body{"units": 8}) },
	)
	require.Equal(t, http.StatusCreated, first.Status)
	undone.Refused(t, http.StatusConflict, "bulk-refused")
	require.Equal(t, http.StatusCreated, last.Status, "%s", last.Raw)
	c.RequireBalance(t, one, 10, 0, 10)
	c.RequireBalance(t, other, 10, 0, 0)
	c.RequireClean(t)
}

// TestTheQueueIsFull sends more requests than may wait. Rejected clients retry later
// with the same key.
func TestTheQueueIsFull(t *testing.T) {
	t.Parallel()
	database := harness.TwoPractices.New(t)
	const room, more = 5, 40
	c := harness.Serve(t, database, database.Open(t),
		append(harness.SharedTransactions, fmt.Sprint("OMNI_COMMAND_QUEUE_LIMIT=", room))...)
	path := c.Authorize(t, 100)
	reserve := func(key int) harness.Answer {
		return c.Admin().WithHeader("Idempotency-Key", fmt.Sprint("client ", key)).
			Post(t, path+"/reserve", harness.Body{"units": 1})
	}
	lock := holdLock(t, c)
	for range room {
		lock.queue(t, func() { c.Admin().Post(t, path+"/reserve", harness.Body{"units": 1}) })
	}
	harness.Concurrently(more, func(i int) {
		turnedAway := reserve(i)
		turnedAway.Refused(t, http.StatusServiceUnavailable, "queue-full")
		require.NotEmpty(t, turnedAway.Header.Get("Retry-After"))
	})
	require.Equal(t, room, c.App.Commands.Waiting(), "no more than the limit")
	lock.release(t)
	c.RequireBalance(t, path, 100, 0, room)
	for i := range more {
		a := reserve(i)
		require.Equal(t, http.StatusCreated, a.Status, "%s", a.Raw)
		require.Empty(t, a.Header.Get("Idempotency-Replayed"))
	}
	c.RequireBalance(t, path, 100, 0, room+more)
	c.RequireClean(t)
}

func TestDeadlinePassesWhileAnotherInstanceHoldsTheLock(t *testing.T) {
	t.Parallel()
	database := harness.TwoPractices.New(t)
	c := harness.Serve(t, database, database.Open(t), append(harness.SharedTransactions, "OMNI_REQUEST_TIMEOUT=1s")...)
	patient := harness.SecondInstance(t, c, database.Open(t), harness.SharedTransactions...)
	path := c.Authorize(t, 10)
	lock := holdLock(t, patient)
	c.Admin().Post(t, path+"/reserve", harness.Body{"units": 1}).Refused(t, http.StatusServiceUnavailable, "database-busy")
	lock.release(t)
	c.RequireBalance(t, path, 10, 0, 0)
	c.RequireClean(t)
}

// TestConcurrentAdjustmentsShareATransaction combines changes of the total with reserves. Each is decided on
// the result of the previous ones, and a refusal does not affect others. A change that
// includes other terms queues and then runs exclusively.
func TestConcurrentAdjustmentsShareATransaction(t *testing.T) {
	t.Parallel()
	database := harness.TwoPractices.New(t)
	c := harness.Serve(t, database, database.Open(t), harness.SharedTransactions...)
	path := c.Authorize(t, 10)
	answers := make([]harness.Answer, 6)
	patching := func(i int, version string, b harness.Body) func() {
		return func() { answers[i] = c.Admin().WithHeader("If-Match", version).Patch(t, path, b) }
	}
	reserving := func(i, units int) func() {
		return func() { answers[i] = c.Admin().Post(t, path+"/reserve", harness.Body{"units": units}) }
	}
	inOneBatch(t, c,
		reserving(0, 8),
		patching(1, "*", harness.Body{"totalUnits": 20, "reason": "granted"}),
		patching(2, `"2"`, harness.Body{"totalUnits": 30}), // the version before the last change
		reserving(3, 10),
		patching(4, `"4"`, harness.Body{"totalUnits": 17}),
		patching(5, "*", harness.Body{"totalUnits": 19, "notes": "as by letter"}),
	)
	require.Equal(t, http.StatusCreated, answers[0].Status, "%s", answers[0].Raw)
	require.Equal(t, http.StatusOK, answers[1].Status, "%s", answers[1].Raw)
	require.Equal(t, 20, answers[1].Number(t, "totalUnits"))
	require.Equal(t, 12, answers[1].Number(t, "availableUnits"))
	answers[2].Refused(t, http.StatusPreconditionFailed, "stale-version")
	require.Equal(t, http.StatusCreated, answers[3].Status, "not one of the first ten: %s", answers[3].Raw)
	answers[4].Refused(t, http.StatusConflict, "total-below-booked")
	require.Equal(t, http.StatusOK, answers[5].Status, "%s", answers[5].Raw)
	c.RequireBalance(t, path, 19, 0, 18)

	require.Equal(t, 4, c.Count(t, `SELECT count(*) FROM unit_entries e
		JOIN authorizations a ON a.id = e.authorization_id WHERE a.total_units = 19`))
	require.Equal(t, 2, c.Count(t, `SELECT count(DISTINCT xmin::text) FROM commands`),
		"the calls that share a transaction, including the first, and the change of terms")
	c.RequireClean(t)
}

// TestPoolersInTransactionMode runs the program in the mode for poolers, where arrays
// are sent without asking the server for their types.
func TestPoolersInTransactionMode(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"exec", "cache_describe", "describe_exec"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			c := harness.Open(t, func(config *db.Config) { config.ExecMode = mode })
			path := c.Authorize(t, 100, harness.Body{
				"caps": caps("DAY", 50, "WEEK", 50), "insuranceId": c.AddInsurance(t, "weekStartsOn", "MONDAY"),
			})
			id := c.Admin().Post(t, path+"/reserve",
				harness.Body{"units": 5, "expiresInSeconds": 60, "reference": "a \"word\", {braces}, \\ and NULL"}).ReservationID(t)
			require.Equal(t, http.StatusCreated, c.Admin().Post(t, path+"/reserve", harness.Body{"units": 5}).Status)
			require.Equal(t, http.StatusOK,
				c.Admin().Post(t, path+"/release", harness.Body{"reservationId": id, "units": 1, "reason": "NULL"}).Status)
			require.Equal(t, http.StatusOK, c.Admin().Post(t, path+"/consume", harness.Body{"units": 2}).Status)
			require.Equal(t, http.StatusOK, c.Admin().Patch(t, path, harness.Body{"totalUnits": 90}).Status)
			keyed := c.Admin().WithHeader("Idempotency-Key", "k")
			first, again := keyed.Post(t, path+"/reserve",
				harness.Body{"units": 1}), keyed.Post(t, path+"/reserve", harness.Body{"units": 1})
			require.Equal(t, string(first.Raw), string(again.Raw))
			c.RequireBalance(t, path, 90, 2, 8)
			c.RequireClean(t)
		})
	}
}
