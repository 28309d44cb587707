package authorization

import (
	"cmp"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// problemsOf returns the problems of an authorization's books with these entries.
func problemsOf(a account, entries []Entry, overdue time.Time) []Discrepancy {
	check := startCheck(&Snapshot{Authorization: a.Authorization, Reservations: a.reservations},
		map[uuid.UUID]reservationSum{})
	for i := range entries {
		check.replay(&entries[i])
	}
	return check.finish(overdue).first
}

// TestReplayKeepsNoEntries replays a long ledger and counts what it keeps.
func TestReplayKeepsNoEntries(t *testing.T) { //nolint:paralleltest // it counts allocations
	const length = 100_000
	a := granted(10, 0, 0)
	a.LastSequence, a.LastHash = 0, genesis(a.OrganizationID, a.ID, 10)
	snapshot := Snapshot{Authorization: a.Authorization}
	check := startCheck(&snapshot, map[uuid.UUID]reservationSum{})
	reservation := uuid.New()
	e := Entry{OrganizationID: a.OrganizationID, AuthorizationID: a.ID, ReservationID: &reservation, Units: 1}
	allocations := testing.AllocsPerRun(1, func() {
		for range length / 2 {
			e.PreviousHash, e.Sequence = check.previous, check.sequence+1
			e.Kind = []EntryKind{Release, Reserve}[e.Sequence%2]
			e.TotalAfter, e.ScheduledAfter = 10, int(e.Sequence%2)
			e.Hash = e.computeHash()
			check.replay(&e)
		}
	})
	require.Less(t, allocations, 100.0, "entries need no memory of their own")
	require.Equal(t, length, snapshot.Movements.Len())
	require.Len(t, check.sums, 1)
	require.Empty(t, snapshot.Movements.consumptions)
	require.Less(t, cap(snapshot.Movements.kinds), 2*length, "one byte for each entry")
	require.Zero(t, check.count)
}

// TestProblemsAreCountedAndTheFirstAreListed adds the results of parts in another order than that of
// their authorizations.
func TestProblemsAreCountedAndTheFirstAreListed(t *testing.T) {
	t.Parallel()
	var sum total
	for _, part := range []int{200, 3, 1, 2, 150} {
		var found problems
		for i := range 40 {
			found.add(Discrepancy{Sequence: int64(part*1000 + i)})
		}
		sum.add(verified{Report{Authorizations: 1, ProblemCount: found.count, Problems: found.first}, part})
	}
	r := sum.report()
	require.False(t, r.OK)
	require.Equal(t, 5, r.Authorizations)
	require.Equal(t, 200, r.ProblemCount)
	require.Len(t, r.Problems, maxProblems)
	require.True(t, slices.IsSortedFunc(r.Problems, func(x, y Discrepancy) int { return cmp.Compare(x.Sequence, y.Sequence) }))
	require.EqualValues(t, 3019, r.Problems[99].Sequence)
}
