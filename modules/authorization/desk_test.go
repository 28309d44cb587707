package authorization

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// newDesk returns a desk on which the accounts stand as they are.
func newDesk(accounts map[authorizationKey]account, done map[operationKey]doneOperation) *desk {
	d := &desk{now: noon, bookings: map[authorizationKey]*booking{}, done: done}
	for key, a := range accounts {
		d.bookings[key] = &booking{before: a, after: a}
	}
	return d
}

// TestABatchIsItsOperationsOneByOne settles the same calls on one desk, as a
// combined transaction does, and each on a desk of its own that begins with what
// the one before left, as one transaction per call does. Nothing may tell them apart.
func TestABatchIsItsOperationsOneByOne(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		accounts := map[authorizationKey]account{}
		var keys []authorizationKey
		organizations := []uuid.UUID{uuid.New(), uuid.New()}
		for range rapid.IntRange(1, 4).Draw(t, "authorizations") {
			total := rapid.IntRange(0, 30).Draw(t, "total")
			a := granted(total, 0, 0)
			a.OrganizationID = rapid.SampledFrom(organizations).Draw(t, "organization")
			a.LastSequence, a.LastHash = 0, genesis(a.OrganizationID, a.ID, total)
			a.Caps, _ = capsOf(drawCaps(t))
			a.Booked = a.Caps.nothingBooked()
			accounts[a.key()] = a
			keys = append(keys, a.key())
		}

		together := newDesk(accounts, map[operationKey]doneOperation{})
		single := newDesk(accounts, map[operationKey]doneOperation{})
		var calls []batch
		entriesOfSingles := map[authorizationKey][]Entry{}
		var rows []doneOperation
		for range rapid.IntRange(1, 25).Draw(t, "calls") {
			var b batch
			if len(calls) > 0 && rapid.IntRange(0, 4).Draw(t, "repeated") == 0 {
				b = rapid.SampledFrom(calls).Draw(t, "the same again")
				if rapid.Bool().Draw(t, "for something else") {
					b.ops = slices.Clone(b.ops)
					b.ops[0].Units++
				}
			} else {
				b = drawBatch(t, keys, together)
			}
			calls = append(calls, b)

			expected := single.settle(b)
			require.Equal(t, expected, together.settle(b), "%+v", b)
			rows = append(rows, single.rows...)
			left := map[authorizationKey]account{}
			for key, made := range single.bookings {
				entriesOfSingles[key] = append(entriesOfSingles[key], made.entries...)
				left[key] = made.after
			}
			single = newDesk(left, single.done)
		}

		require.Equal(t, rows, together.rows)
		for _, key := range keys {
			made := together.bookings[key]
			require.Len(t, made.entries, len(entriesOfSingles[key]))
			for i, e := range entriesOfSingles[key] {
				require.Equal(t, e, made.entries[i])
			}
			require.Equal(t, single.bookings[key].before, made.after)
			require.Equal(t, accounts[key], made.before, "what was read is not touched")
			ledger := books{Authorization: made.after.Authorization, reservations: made.after.reservations, entries: made.entries}
			for _, r := range ledger.reservations {
				if r.AppointmentID != nil {
					ledger.holds = append(ledger.holds, AppointmentHold{
						AppointmentID: *r.AppointmentID, ReservationID: new(r.ID), Units: r.Left(), ServiceDate: r.ServiceDate,
					})
				}
			}
			require.Empty(t, ledger.check(noon))
		}
	})
}

// drawBatch draws a call on authorizations of one organization, or on one that is not there.
func drawBatch(t *rapid.T, keys []authorizationKey, d *desk) batch {
	first := rapid.SampledFrom(keys).Draw(t, "authorization")
	b := batch{organization: first.organization, zone: time.UTC, atomic: rapid.Bool().Draw(t, "atomic")}
	n := rapid.SampledFrom([]int{1, 1, 1, 2, 3}).Draw(t, "operations")
	repeatable := rapid.Bool().Draw(t, "repeatable")
	for range n {
		key := first
		if other := rapid.SampledFrom(keys).Draw(t, "another"); other.organization == first.organization {
			key = other
		}
		op := drawOperation(t, d.bookings[key].after)
		for n > 1 && (op.Kind == Expire || op.Kind == Adjust) { // these come alone
			op = drawOperation(t, d.bookings[key].after)
		}
		op.AuthorizationID, op.Repeatable = key.id, repeatable
		if rapid.IntRange(0, 9).Draw(t, "missing") == 0 {
			op.AuthorizationID = uuid.New()
		}
		b.ops = append(b.ops, op)
	}
	if n > 1 {
		b.bind()
	}
	return b
}

func BenchmarkSettle(b *testing.B) {
	const calls = 256
	a := granted(10_000_000, 0, 0)
	batches := make([]batch, calls)
	for i := range batches {
		op := reserve(1)
		op.AuthorizationID = a.ID
		batches[i] = batch{organization: a.OrganizationID, zone: time.UTC, ops: []Operation{op}}
	}
	b.ReportAllocs()
	for b.Loop() {
		d := newDesk(map[authorizationKey]account{a.key(): a}, map[operationKey]doneOperation{})
		for _, each := range batches {
			d.settle(each)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/calls, "ns/call")
}
