package authorization

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"omnirapeutic/platform/operation"
)

// newDesk returns a desk with the accounts.
func newDesk(accounts map[authorizationKey]account, done map[operation.Key]operation.Done) *desk {
	d := &desk{now: noon, bookings: map[authorizationKey]*booking{}, done: done}
	for key, a := range accounts {
		d.bookings[key] = &booking{before: a, after: a}
	}
	return d
}

// TestABatchIsItsOperationsOneByOne settles the same calls on one desk, as in a combined
// transaction, and each on its own desk, as in separate transactions. The results must be
// identical.
func TestABatchIsItsOperationsOneByOne(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		accounts := map[authorizationKey]account{}
		var keys []authorizationKey
		past := map[authorizationKey][]Entry{}
		organizations := []uuid.UUID{uuid.New(), uuid.New()}
		for range rapid.IntRange(1, 4).Draw(t, "authorizations") {
			total := rapid.IntRange(0, 30).Draw(t, "total")
			a := granted(total, 0, 0)
			a.OrganizationID = rapid.SampledFrom(organizations).Draw(t, "organization")
			a.LastSequence, a.LastHash = 0, genesis(a.OrganizationID, a.ID, total)
			a.Caps, _ = capsOf(drawCaps(t))
			a.Booked, a.weekStart = a.Caps.nothingBooked(), time.Weekday(rapid.IntRange(0, 6).Draw(t, "first day of weeks"))
			a, past[a.key()] = live(t, a)
			accounts[a.key()] = a
			keys = append(keys, a.key())
		}

		together := newDesk(accounts, map[operation.Key]operation.Done{})
		single := newDesk(accounts, map[operation.Key]operation.Done{})
		var calls []batch
		entriesOfSingles := map[authorizationKey][]Entry{}
		var rows []operation.Done
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
			for key, current := range single.bookings {
				entriesOfSingles[key] = append(entriesOfSingles[key], current.entries...)
				left[key] = current.after
			}
			single = newDesk(left, single.done)
		}

		require.Equal(t, rows, together.rows)
		for _, key := range keys {
			current := together.bookings[key]
			require.Len(t, current.entries, len(entriesOfSingles[key]))
			for i, e := range entriesOfSingles[key] {
				require.Equal(t, e, current.entries[i])
			}
			require.Equal(t, single.bookings[key].before, current.after)
			require.Equal(t, accounts[key], current.before, "the accounts that were read are not modified")
			ledger := Books{
				Authorization: current.after.Authorization, Reservations: current.after.reservations,
				Entries: slices.Concat(past[key], current.entries),
			}
			require.Empty(t, ledger.check(beginning), "unaffected holds are not settled")
		}
	})
}

// beginning is the creation time of accounts, before any of their holds can expire.
var beginning = noon.Add(-3 * time.Minute)

// live runs operations of the last minutes on the account, including holds of which some have
// expired. It returns the account with its entries.
func live(t *rapid.T, a account) (account, []Entry) {
	var entries []Entry
	now := beginning
	for range rapid.IntRange(0, 8).Draw(t, "operations in the past") {
		now = now.Add(time.Duration(rapid.IntRange(0, 20).Draw(t, "seconds")) * time.Second)
		var outcome Outcome
		a, outcome = decide(a, drawOperation(t, a), Moment{Now: now, Today: today})
		entries = append(entries, outcome.Entries...)
	}
	return a, entries
}

// zoneOf returns the time zone of an organization. Organizations have different dates.
func zoneOf(organization uuid.UUID) *time.Location {
	if organization[0]%2 == 0 {
		return time.UTC
	}
	return time.FixedZone("far in the east", 14*60*60)
}

// drawBatch draws a call on authorizations of one organization, existing or not.
func drawBatch(t *rapid.T, keys []authorizationKey, d *desk) batch {
	first := rapid.SampledFrom(keys).Draw(t, "authorization")
	b := batch{organization: first.organization, zone: zoneOf(first.organization), atomic: rapid.Bool().Draw(t, "atomic")}
	n := rapid.SampledFrom([]int{1, 1, 1, 2, 3}).Draw(t, "operations")
	repeatable := rapid.Bool().Draw(t, "repeatable")
	for range n {
		key := first
		if other := rapid.SampledFrom(keys).Draw(t, "another"); other.organization == first.organization {
			key = other
		}
		op := drawOperation(t, d.bookings[key].after)
		for n > 1 && (op.Kind == Expire || op.Kind == Adjust) { // these are never part of a bulk
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
