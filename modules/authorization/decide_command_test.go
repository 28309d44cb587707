package authorization

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"omnirapeutic/platform/record"
)

// stateOf returns a state with the accounts.
func stateOf(accounts map[record.Key]account) *unitState {
	state := newUnitState(noon)
	for key, a := range accounts {
		state.accounts[key] = &accountChange{before: a, after: a}
	}
	return state
}

// TestABatchIsItsCommandsOneByOne decides the same commands on one state, as in a shared
// transaction, and each on its own state, as in separate transactions. The results must be
// identical, and so must be the replayed outcomes.
func TestABatchIsItsCommandsOneByOne(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		accounts := map[record.Key]account{}
		var keys []record.Key
		past := map[record.Key][]Entry{}
		organizations := []uuid.UUID{uuid.New(), uuid.New()}
		for range rapid.IntRange(1, 4).Draw(t, "authorizations") {
			total := rapid.IntRange(0, 30).Draw(t, "total")
			a := granted(total, 0, 0)
			a.OrganizationID = rapid.SampledFrom(organizations).Draw(t, "organization")
			a.LastSequence, a.LastHash = 0, genesis(a.OrganizationID, a.ID, total)
			a.Caps, _ = capsOf(drawCaps(t))
			a.UnitsByDate, a.weekStart = a.Caps.noUnits(), time.Weekday(rapid.IntRange(0, 6).Draw(t, "first day of weeks"))
			a, past[a.key()] = live(t, a)
			accounts[a.key()] = a
			keys = append(keys, a.key())
		}

		together, single := stateOf(accounts), stateOf(accounts)
		entriesOfSingles := map[record.Key][]Entry{}
		for range rapid.IntRange(1, 25).Draw(t, "commands") {
			c := drawCommand(t, keys, together)
			expected, expectedChange, err := single.decide(c)
			require.NoError(t, err)
			outcomes, changed, err := together.decide(c)
			require.NoError(t, err)
			require.Equal(t, expected, outcomes, "%+v", c)
			require.Equal(t, expectedChange, changed)
			requireReplayed(t, together, c, outcomes)
			left := map[record.Key]account{}
			for key, current := range single.accounts {
				entriesOfSingles[key] = append(entriesOfSingles[key], current.entries...)
				left[key] = current.after
			}
			single = stateOf(left)
		}

		for _, key := range keys {
			current := together.accounts[key]
			require.Len(t, current.entries, len(entriesOfSingles[key]))
			for i, e := range entriesOfSingles[key] {
				require.Equal(t, e, current.entries[i])
			}
			require.Equal(t, single.accounts[key].before, current.after)
			require.Equal(t, accounts[key], current.before, "the accounts that were read are not modified")
			require.Empty(t, problemsOf(current.after, slices.Concat(past[key], current.entries), beginning),
				"unaffected holds are not settled")
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

// requireReplayed checks that the stored outcomes have the content of a response.
func requireReplayed(t *rapid.T, state *unitState, c unitCommand, outcomes []Outcome) {
	answer, err := json.Marshal(storedOutcomesOf(outcomes))
	require.NoError(t, err)
	replayed, err := state.replay(c, answer)
	require.NoError(t, err)
	for i, o := range outcomes {
		r := replayed[i]
		require.Equal(t, o.Authorization.Balance, r.Authorization.Balance)
		require.Equal(t, o.Authorization.Version, r.Authorization.Version)
		require.Equal(t, [2]int{o.Consumed, o.Missing}, [2]int{r.Consumed, r.Missing})
		require.Len(t, r.Reservations, len(o.Reservations))
		for j := range o.Reservations {
			require.Equal(t, reservationBodyOf(o.Reservations[j], noon), reservationBodyOf(r.Reservations[j], noon))
		}
		if o.Refusal == nil {
			require.Nil(t, r.Refusal)
			continue
		}
		require.Equal(t, o.Refusal.Code(), r.Refusal.Code())
		require.Equal(t, o.Refusal.Error(), r.Refusal.Error())
	}
}

// drawCommand draws a command on authorizations of one organization, existing or not.
func drawCommand(t *rapid.T, keys []record.Key, state *unitState) unitCommand {
	first := rapid.SampledFrom(keys).Draw(t, "authorization")
	c := unitCommand{zone: zoneOf(first.OrganizationID), atomic: rapid.Bool().Draw(t, "atomic")}
	c.OrganizationID = first.OrganizationID
	n := rapid.SampledFrom([]int{1, 1, 1, 2, 3}).Draw(t, "operations")
	for range n {
		key := first
		if other := rapid.SampledFrom(keys).Draw(t, "another"); other.OrganizationID == first.OrganizationID {
			key = other
		}
		op := drawOperation(t, state.accounts[key].after)
		for n > 1 && (op.Kind == Expire || op.Kind == Adjust) { // these are never part of a bulk
			op = drawOperation(t, state.accounts[key].after)
		}
		op.AuthorizationID = key.ID
		if rapid.IntRange(0, 9).Draw(t, "missing") == 0 {
			op.AuthorizationID = uuid.New()
		}
		c.ops = append(c.ops, op)
	}
	return c
}
