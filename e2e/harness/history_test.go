package harness

import (
	"testing"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"
)

// TestHistoryModelFindsWrongAnswers makes histories by hand, right and wrong ones.
func TestHistoryModelFindsWrongAnswers(t *testing.T) {
	t.Parallel()
	const path = "/a"
	reserve := request{path: path, verb: "reserve", units: 3}
	release := request{path: path, verb: "release", reservation: "r"}
	check := func(calls ...porcupine.Operation) bool {
		h := &History{events: calls}
		inner := &recorder{TB: t}
		h.RequireLinearizable(inner, map[string]int{path: 5})
		return !inner.failed
	}
	call := func(from, to int64, q request, r outcome) porcupine.Operation {
		return porcupine.Operation{Input: q, Output: r, Call: from, Return: to}
	}
	first := call(0, 1, reserve, outcome{scheduled: 3, available: 2, reservation: "r"})
	require.True(t, check(first, call(2, 3, reserve, outcome{code: "insufficient-units", available: 2})))
	require.True(t, check(first, call(0, 3, request{path: path, verb: "look"}, outcome{available: 5})), "they overlap")
	require.False(t, check(first, call(2, 3, request{path: path, verb: "look"}, outcome{available: 5})),
		"it is out of date")
	require.False(t, check(first, call(2, 3, reserve, outcome{scheduled: 6, available: 0, reservation: "s"})),
		"no units are left")
	require.False(t, check(first, call(2, 3, reserve, outcome{code: "insufficient-units", available: 1})), "there are two")
	require.True(t, check(first, call(2, 3, release, outcome{available: 5})))
	require.True(t,
		check(first, call(2, 3, release, outcome{available: 5}), call(4, 5, release, outcome{code: "reservation-closed"})))
	require.False(t, check(first, call(2, 3, release, outcome{code: "reservation-closed"})), "it was not closed")
}

// recorder records a failure without failing the test.
type recorder struct {
	testing.TB
	failed bool
}

func (r *recorder) Errorf(string, ...any) { r.failed = true }

func (r *recorder) FailNow() {}

func (r *recorder) Helper() {}
