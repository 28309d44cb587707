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

	"omnirapeutic/platform/db"
)

// heldLock is a clinic whose commands wait until the lock is released.
type heldLock struct {
	clinic  *clinic
	clients sync.WaitGroup
	queued  int
	holder  pgx.Tx
}

// holdLock takes the lock, and starts a reserve that waits for it.
func (c *clinic) holdLock(t *testing.T) *heldLock {
	t.Helper()
	ahead := c.authorize(t, 1)
	return c.holdLockBehind(t, func() { c.admin().post(t, ahead+"/reserve", body{"units": 1}) })
}

// holdLockBehind takes the lock, and starts the call, behind which others of its kind
// queue.
func (c *clinic) holdLockBehind(t *testing.T, ahead func()) *heldLock {
	t.Helper()
	other, err := pgx.Connect(t.Context(), c.database.OwnerURL)
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
	}, soon, time.Millisecond)
	return l
}

// queue starts a call that will share a transaction with the queued ones, in order.
func (l *heldLock) queue(t *testing.T, call func()) {
	t.Helper()
	l.queued++
	l.clients.Go(call)
	require.Eventually(t, func() bool {
		return l.clinic.app.Commands.Waiting() == l.queued
	}, soon, 50*time.Microsecond)
}

// letGo releases the lock and waits for the answers.
func (l *heldLock) letGo(t *testing.T) {
	t.Helper()
	require.NoError(t, l.holder.Rollback(t.Context()))
	l.clients.Wait()
}

// gathered executes the calls in one shared transaction, in order.
func (c *clinic) gathered(t *testing.T, calls ...func()) {
	t.Helper()
	lock := c.holdLock(t)
	for _, call := range calls {
		lock.queue(t, call)
	}
	lock.letGo(t)
}

// gatheredAppointments is like gathered for calls on appointments.
func (c *clinic) gatheredAppointments(t *testing.T, calls ...func()) {
	t.Helper()
	lock := c.holdLockBehind(t, calls[0])
	for _, call := range calls[1:] {
		lock.queue(t, call)
	}
	lock.letGo(t)
}

// TestStatementsOfABatch executes 50 calls of two organizations on 20 authorizations in
// one transaction. It needs no more statements than a single call, except to read
// for calls that arrived while another instance held the lock. If these use
// authorizations that were already read, nothing more is read.
func TestStatementsOfABatch(t *testing.T) {
	t.Parallel()
	c, of := counting(t)
	stranger := *c
	stranger.own = c.other
	asking := []*clinic{c, &stranger}
	var paths []string
	for i := range 20 {
		paths = append(paths, asking[i%2].authorize(t, 100))
		answer := asking[i%2].admin().post(t, paths[i]+"/reserve", body{"units": 10})
		require.Equal(t, http.StatusCreated, answer.status, "%s", answer.raw)
	}
	var calls []func()
	for i := range 50 {
		calls = append(calls, func() {
			verb := []string{"/reserve", "/release", "/consume"}[i%3]
			answer := asking[i%2].admin().post(t, paths[i%20]+verb, body{"units": 1})
			if answer.status >= http.StatusMultipleChoices {
				t.Errorf("%s", answer.raw)
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
	}, writes...), of(func() { c.gathered(t, calls...) }))
	require.Contains(t, c.metrics(t), `omnirapeutic_batch_requests_sum{queue="units"} 71`,
		"20 of each, 50 in total, and one ahead of them")

	reserve := func() { c.admin().post(t, paths[0]+"/reserve", body{"units": 1}) }
	require.Equal(t, append([]string{"LOCK write_lock", "SELECT authorizations"}, writes...), of(func() {
		lock := c.holdLockBehind(t, reserve)
		for range 30 {
			lock.queue(t, reserve)
		}
		lock.letGo(t)
	}), "31 on one authorization")
	require.Contains(t, c.metrics(t), `omnirapeutic_batch_requests_sum{queue="units"} 102`)
	c.requireClean(t)
	stranger.requireClean(t)
}

func reversed(all []string) []string {
	all = slices.Clone(all)
	slices.Reverse(all)
	return all
}

func TestOneOfABatchIsRefusedByTheDatabase(t *testing.T) {
	t.Parallel()
	database := twoPractices.New(t)
	c := serve(t, database, database.Open(t), sharing...)
	c.asOwner(t, "ALTER TABLE unit_reservations ADD CONSTRAINT poisoned CHECK (reference <> 'poison')")
	path := c.authorize(t, 100)
	answers := make([]answer, 9)
	var calls []func()
	for i := range answers {
		calls = append(calls, func() {
			reference := fmt.Sprint("sound ", i)
			if i == 5 {
				reference = "poison"
			}
			answers[i] = c.admin().post(t, path+"/reserve", body{"units": 1, "reference": reference})
		})
	}
	c.gathered(t, calls...)
	for i, a := range answers {
		if i == 5 {
			a.refused(t, http.StatusInternalServerError, "internal")
			continue
		}
		require.Equal(t, http.StatusCreated, a.status, "%s", a.raw)
	}
	c.requireBalance(t, path, 100, 0, 8)
	c.requireClean(t)
}

func TestTheSameKeyWithinABatch(t *testing.T) {
	t.Parallel()
	database := twoPractices.New(t)
	c := serve(t, database, database.Open(t), sharing...)
	path, before := c.authorize(t, 100), c.authorize(t, 100)
	keyed := func(key string) caller { return c.admin().with("Idempotency-Key", key) }
	earlier := keyed("earlier").post(t, before+"/reserve", body{"units": 2})
	answers := make([]answer, 6)
	reserve := func(i int, key, path string, units int) func() {
		return func() { answers[i] = keyed(key).post(t, path+"/reserve", body{"units": units}) }
	}
	c.gathered(t,
		reserve(0, "one", path, 3),
		reserve(1, "one", path, 3),       // the same request again
		reserve(2, "one", path, 4),       // a different request
		reserve(3, "too many", path, 98), // refused both times
		reserve(4, "too many", path, 98),
		reserve(5, "earlier", before, 2), // executed in an earlier transaction
	)
	require.Equal(t, http.StatusCreated, answers[0].status, "%s", answers[0].raw)
	require.Empty(t, answers[0].header.Get("Idempotency-Replayed"))
	require.Equal(t, string(answers[0].raw), string(answers[1].raw))
	require.Equal(t, "true", answers[1].header.Get("Idempotency-Replayed"))
	answers[2].refused(t, http.StatusUnprocessableEntity, "idempotency-key-reused")
	answers[3].refused(t, http.StatusConflict, "insufficient-units")
	answers[4].refused(t, http.StatusConflict, "insufficient-units")
	require.Equal(t, string(earlier.raw), string(answers[5].raw))
	require.Equal(t, "true", answers[5].header.Get("Idempotency-Replayed"))
	c.requireBalance(t, path, 100, 0, 3)
	c.requireBalance(t, before, 100, 0, 2)
	c.requireClean(t)
}

func TestRefusedBulkLeavesItsBatchIntact(t *testing.T) {
	t.Parallel()
	database := twoPractices.New(t)
	c := serve(t, database, database.Open(t), sharing...)
	one, other := c.authorize(t, 10), c.authorize(t, 10)
	all := bulk(on(one, "reserve", body{"units": 5}), on(other, "reserve", body{"units": 11}))
	all["atomic"] = true
	var undone, first, last answer
	c.gathered(t,
		func() { first = c.admin().post(t, one+"/reserve", body{"units": 2}) },
		func() { undone = c.admin().post(t, "/units/bulk", all) },
		func() { last = c.admin().post(t, one+"/reserve", body{"units": 8}) },
	)
	require.Equal(t, http.StatusCreated, first.status)
	undone.refused(t, http.StatusConflict, "bulk-refused")
	require.Equal(t, http.StatusCreated, last.status, "%s", last.raw)
	c.requireBalance(t, one, 10, 0, 10)
	c.requireBalance(t, other, 10, 0, 0)
	c.requireClean(t)
}

// TestTheQueueIsFull sends more requests than may wait. Rejected clients retry later
// with the same key.
func TestTheQueueIsFull(t *testing.T) {
	t.Parallel()
	database := twoPractices.New(t)
	const room, more = 5, 40
	c := serve(t, database, database.Open(t), append(sharing, fmt.Sprint("OMNI_COMMAND_QUEUE_LIMIT=", room))...)
	path := c.authorize(t, 100)
	reserve := func(key int) answer {
		return c.admin().with("Idempotency-Key", fmt.Sprint("client ", key)).post(t, path+"/reserve", body{"units": 1})
	}
	lock := c.holdLock(t)
	for range room {
		lock.queue(t, func() { c.admin().post(t, path+"/reserve", body{"units": 1}) })
	}
	together(more, func(i int) {
		turnedAway := reserve(i)
		turnedAway.refused(t, http.StatusServiceUnavailable, "queue-full")
		require.NotEmpty(t, turnedAway.header.Get("Retry-After"))
	})
	require.Equal(t, room, c.app.Commands.Waiting(), "no more than the limit")
	lock.letGo(t)
	c.requireBalance(t, path, 100, 0, room)
	for i := range more {
		a := reserve(i)
		require.Equal(t, http.StatusCreated, a.status, "%s", a.raw)
		require.Empty(t, a.header.Get("Idempotency-Replayed"))
	}
	c.requireBalance(t, path, 100, 0, room+more)
	c.requireClean(t)
}

func TestDeadlinePassesWhileAnotherInstanceHoldsTheLock(t *testing.T) {
	t.Parallel()
	database := twoPractices.New(t)
	c := serve(t, database, database.Open(t), append(sharing, "OMNI_REQUEST_TIMEOUT=1s")...)
	patient := secondInstance(t, c, database.Open(t), sharing...)
	path := c.authorize(t, 10)
	lock := patient.holdLock(t)
	c.admin().post(t, path+"/reserve", body{"units": 1}).refused(t, http.StatusServiceUnavailable, "database-busy")
	lock.letGo(t)
	c.requireBalance(t, path, 10, 0, 0)
	c.requireClean(t)
}

// TestConcurrentAdjustmentsShareATransaction combines changes of the total with reserves. Each is decided on
// the result of the previous ones, and a refusal does not affect others. A change that
// includes other terms queues and then runs exclusively.
func TestConcurrentAdjustmentsShareATransaction(t *testing.T) {
	t.Parallel()
	database := twoPractices.New(t)
	c := serve(t, database, database.Open(t), sharing...)
	path := c.authorize(t, 10)
	answers := make([]answer, 6)
	patching := func(i int, version string, b body) func() {
		return func() { answers[i] = c.admin().with("If-Match", version).patch(t, path, b) }
	}
	reserving := func(i, units int) func() {
		return func() { answers[i] = c.admin().post(t, path+"/reserve", body{"units": units}) }
	}
	c.gathered(t,
		reserving(0, 8),
		patching(1, "*", body{"totalUnits": 20, "reason": "granted"}),
		patching(2, `"2"`, body{"totalUnits": 30}), // the version before the last change
		reserving(3, 10),
		patching(4, `"4"`, body{"totalUnits": 17}),
		patching(5, "*", body{"totalUnits": 19, "notes": "as by letter"}),
	)
	require.Equal(t, http.StatusCreated, answers[0].status, "%s", answers[0].raw)
	require.Equal(t, http.StatusOK, answers[1].status, "%s", answers[1].raw)
	require.Equal(t, 20, answers[1].number(t, "totalUnits"))
	require.Equal(t, 12, answers[1].number(t, "availableUnits"))
	answers[2].refused(t, http.StatusPreconditionFailed, "stale-version")
	require.Equal(t, http.StatusCreated, answers[3].status, "not one of the first ten: %s", answers[3].raw)
	answers[4].refused(t, http.StatusConflict, "total-below-booked")
	require.Equal(t, http.StatusOK, answers[5].status, "%s", answers[5].raw)
	c.requireBalance(t, path, 19, 0, 18)

	require.Equal(t, 4, c.count(t, `SELECT count(*) FROM unit_entries e
		JOIN authorizations a ON a.id = e.authorization_id WHERE a.total_units = 19`))
	require.Equal(t, 2, c.count(t, `SELECT count(DISTINCT xmin::text) FROM commands`),
		"the calls that share a transaction, including the first, and the change of terms")
	c.requireClean(t)
}

// TestPoolersInTransactionMode runs the program in the mode for poolers, where arrays
// are sent without asking the server for their types.
func TestPoolersInTransactionMode(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"exec", "cache_describe", "describe_exec"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			c := open(t, func(config *db.Config) { config.ExecMode = mode })
			path := c.authorize(t, 100, body{"caps": caps("DAY", 50, "WEEK", 50), "insuranceId": c.insured(t, "MONDAY")})
			id := c.admin().post(t, path+"/reserve",
				body{"units": 5, "expiresInSeconds": 60, "reference": "a \"word\", {braces}, \\ and NULL"}).reservationID(t)
			require.Equal(t, http.StatusCreated, c.admin().post(t, path+"/reserve", body{"units": 5}).status)
			require.Equal(t, http.StatusOK,
				c.admin().post(t, path+"/release", body{"reservationId": id, "units": 1, "reason": "NULL"}).status)
			require.Equal(t, http.StatusOK, c.admin().post(t, path+"/consume", body{"units": 2}).status)
			require.Equal(t, http.StatusOK, c.admin().patch(t, path, body{"totalUnits": 90}).status)
			keyed := c.admin().with("Idempotency-Key", "k")
			first, again := keyed.post(t, path+"/reserve", body{"units": 1}), keyed.post(t, path+"/reserve", body{"units": 1})
			require.Equal(t, string(first.raw), string(again.raw))
			c.requireBalance(t, path, 90, 2, 8)
			c.requireClean(t)
		})
	}
}
