package events

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/record"
)

func TestSharesAreQuartersOfTheSlots(t *testing.T) {
	t.Parallel()
	for limits, want := range map[Limits]slotLimits{
		{Slots: 32, SlotsPerOrganization: 8}: {total: 32, ofOne: 8, slow: 8, slowOfOne: 2, newcomers: 8, tests: 8},
		{Slots: 4, SlotsPerOrganization: 2}:  {total: 4, ofOne: 2, slow: 1, slowOfOne: 1, newcomers: 1, tests: 1},
	} {
		require.Equal(t, want, slotLimitsOf(limits))
	}
}

// TestEveryShareLeavesRoomForOthers fills the slots with organizations of many webhooks, as
// an operator may configure them, and lets another organization come afterwards.
func TestEveryShareLeavesRoomForOthers(t *testing.T) {
	t.Parallel()
	for total := 4; total <= 64; total++ {
		for own := 2; own <= total/2; own++ {
			s := newSlots(slotLimitsOf(Limits{Slots: total, SlotsPerOrganization: own}))
			var all []record.Key
			for range 2 {
				all = append(all, webhooksOf(uuid.New(), total)...)
			}
			taken := s.take(all)
			require.LessOrEqual(t, len(taken), total)
			newcomer := webhooksOf(uuid.New(), 1)
			require.Equal(t, newcomer, s.take(append(all, newcomer...)), "%d slots, %d for each organization", total, own)
		}
	}
}

func TestASlowReceiverIsServedAgainOnceItAnswers(t *testing.T) {
	t.Parallel()
	s, w := newSlots(slotLimitsOf(defaultLimits)), record.Key{OrganizationID: uuid.New(), ID: uuid.New()}
	require.Equal(t, []record.Key{w}, s.take([]record.Key{w}))
	require.Empty(t, s.take([]record.Key{w}), "it has a slot already")
	s.release(w, true)
	require.True(t, s.failing[w])
	require.Equal(t, []record.Key{w}, s.take([]record.Key{w}))
	s.release(w, false)
	require.Empty(t, s.failing)
	require.Empty(t, s.busy)
}
