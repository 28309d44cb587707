package command_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/command"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/dbtest"
	"omnirapeutic/platform/db/wireproxy"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// addition adds a number to the sum that its handler keeps.
type addition struct {
	command.Call
	n int
}

// sums is the state of a batch of additions.
type sums struct{ sum int }

var (
	errOdd     = errors.New("an odd number")
	errRefused = fault.Define(fault.Conflict, "refused-by-test", "Refused.")
)

// adder is an engine with a handler of additions. The sum is lost with each transaction: the rows of
// commands are under test.
type adder struct {
	*command.Engine
	command.Executor[addition, int]
	attempts int
	now      time.Time
	caller   identity.Caller
}

func newAdder(database *db.DB) *adder {
	a := &adder{now: time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC), caller: identity.System(uuid.New())}
	a.Engine = command.NewEngine(command.Options{
		Database: database, Clock: func() time.Time { return a.now }, NewID: uuid.New,
	})
	a.Executor = command.Add(a.Engine, command.Handler[addition, *sums, int]{
		Name: "sums",
		Load: func(context.Context, *sums, []addition) (*sums, error) { a.attempts++; return &sums{}, nil },
		Decide: func(s *sums, c addition) (sum int, changed bool, err error) {
			if c.n%2 == 1 {
				return 0, false, errOdd
			}
			s.sum += c.n
			return s.sum, c.n > 0, nil
		},
		Answer: func(sum int) any { return sum },
		Replay: func(_ *sums, _ addition, answer []byte) (sum int, err error) {
			return sum, json.Unmarshal(answer, &sum)
		},
		Save: func(context.Context, *sums) error { return nil },
	})
	return a
}

func (a *adder) add(t *testing.T, key command.Key, n int) (sum int, replayed bool, err error) {
	t.Helper()
	c := addition{a.NewCall(a.caller, "add", key), n}
	c.Fingerprint = []byte{byte(n)}
	a.attempts = 0
	return a.Do(t.Context(), c)
}

func (a *adder) requireAdded(t *testing.T, key command.Key, n, sum int, replayed bool) {
	t.Helper()
	gotSum, gotReplayed, err := a.add(t, key, n)
	require.NoError(t, err)
	require.Equal(t, sum, gotSum)
	require.Equal(t, replayed, gotReplayed)
}

func TestACommandIsExecutedOncePerKey(t *testing.T) {
	t.Parallel()

	t.Run("a later call gets the first answer", func(t *testing.T) {
		t.Parallel()
		a := newAdder(dbtest.Open(t))
		a.requireAdded(t, "k", 4, 4, false)
		require.Equal(t, 1, a.attempts, "no call reads before it writes")
		a.requireAdded(t, "k", 4, 4, true)
		require.Equal(t, 2, a.attempts)
		_, _, err := a.add(t, "k", 6)
		require.ErrorIs(t, err, command.ErrReused)
		a.requireAdded(t, "", 4, 4, false)
	})
	t.Run("an error of a decision is not stored", func(t *testing.T) {
		t.Parallel()
		a := newAdder(dbtest.Open(t))
		_, _, err := a.add(t, "k", 3)
		require.ErrorIs(t, err, errOdd)
		a.requireAdded(t, "k", 2, 2, false)
	})
	t.Run("a decision without changes is stored for a key only", func(t *testing.T) {
		t.Parallel()
		database := dbtest.Open(t)
		a := newAdder(database)
		a.requireAdded(t, "", 0, 0, false)
		a.requireAdded(t, "k", 0, 0, false)
		a.now = a.now.Add(time.Hour)
		n, err := a.Forget(t.Context(), time.Minute)
		require.NoError(t, err)
		require.EqualValues(t, 1, n)
		a.requireAdded(t, "k", 0, 0, false)
	})
	t.Run("a key belongs to its user", func(t *testing.T) {
		t.Parallel()
		a := newAdder(dbtest.Open(t))
		a.requireAdded(t, "k", 2, 2, false)
		a.caller = identity.System(uuid.New())
		a.requireAdded(t, "k", 4, 4, false)
	})
	t.Run("a COMMIT without a reply is proven by its own row", func(t *testing.T) {
		t.Parallel()
		place := dbtest.New(t)
		proxy := wireproxy.Start(t, place.AppURL)
		database := place.Open(t, dbtest.Through(proxy.URL))
		a := newAdder(database)
		proxy.Break(wireproxy.BeforeAnswer, "commit", 1)
		a.requireAdded(t, "k", 2, 2, false)
		require.Equal(t, 1, a.attempts)
		require.EqualValues(t, 1, database.Metrics().Snapshot().Operations[0].AmbiguousResolved)
	})
	t.Run("and not by the row of another call, whose answer is returned", func(t *testing.T) {
		t.Parallel()
		place := dbtest.New(t)
		proxy := wireproxy.Start(t, place.AppURL)
		database := place.Open(t, dbtest.Through(proxy.URL))
		first, second := newAdder(place.Open(t)), newAdder(database)
		second.caller = first.caller
		first.requireAdded(t, "k", 2, 2, false)
		// The server refuses the statement sent with COMMIT, and its answer is lost.
		proxy.Break(wireproxy.BeforeAnswer, "insert into commands", 1)
		second.requireAdded(t, "k", 2, 2, true)
		require.Equal(t, 2, second.attempts)
		require.EqualValues(t, 1, database.Metrics().Snapshot().Operations[0].AmbiguousResolved)
	})
}

func TestExclusiveWorkIsDoneOnce(t *testing.T) {
	t.Parallel()
	place := dbtest.New(t)
	proxy := wireproxy.Start(t, place.AppURL)
	a := newAdder(place.Open(t, dbtest.Through(proxy.URL)))
	ctx := identity.With(t.Context(), a.caller)
	call := a.NewCall(a.caller, "change", "")
	var done []bool
	work := func(_ context.Context, earlier bool) error { done = append(done, earlier); return nil }
	require.NoError(t, a.Exclusive(ctx, "exclusive", call, work))
	require.NoError(t, a.Exclusive(ctx, "exclusive", call, work))
	require.Equal(t, []bool{false, false, true}, done, "the second call finds the row when it writes")
}

func TestOnceStoresRefusalsThatDependOnTheState(t *testing.T) {
	t.Parallel()
	a := newAdder(dbtest.Open(t))
	ctx := identity.With(t.Context(), a.caller)
	calls := 0
	refuse := func(context.Context) (command.Reply, error) { calls++; return command.Reply{}, errRefused }
	for i := range 2 {
		_, replayed, err := a.Once(ctx, "k", "POST /x", []byte("x"), refuse)
		require.ErrorIs(t, err, errRefused)
		require.Equal(t, i == 1, replayed)
	}
	require.Equal(t, 1, calls, "the second call finds the row before it runs the request")
	fail := func(context.Context) (command.Reply, error) { return command.Reply{}, errOdd }
	_, _, err := a.Once(ctx, "other", "POST /x", []byte("x"), fail)
	require.ErrorIs(t, err, errOdd)
	reply, replayed, err := a.Once(ctx, "other", "POST /x", []byte("x"), func(context.Context) (command.Reply, error) {
		return command.Reply{Status: 201, Body: []byte(`{"secret":"<s>"}`), Kept: []byte(`{"secret":null}`)}, nil
	})
	require.NoError(t, err)
	require.False(t, replayed)
	require.JSONEq(t, `{"secret":"<s>"}`, string(reply.Body))
	reply, replayed, err = a.Once(ctx, "other", "POST /x", []byte("x"), fail)
	require.NoError(t, err)
	require.True(t, replayed)
	require.Equal(t, `{"secret":null}`, string(reply.Body))
	require.Equal(t, 201, reply.Status)
}
