package events

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// receiver is a webhook with what its receiver does, in virtual time.
type receiver struct {
	dueWebhook
	answers time.Duration
	fails   bool
	every   time.Duration // between events
	due     time.Duration // of the oldest event that waits
	until   time.Duration // of the attempt under way; 0: none
}

// simulate has receivers served for a while and returns
// how long each event of those that do not fail waited for its attempt to begin.
func simulate(all []*receiver, length time.Duration) (waits map[uuid.UUID][]time.Duration) {
	s, waits := newSlots(), map[uuid.UUID][]time.Duration{}
	for now := time.Duration(0); now < length; now += 10 * time.Millisecond {
		var due []dueWebhook
		at := map[dueWebhook]*receiver{}
		for _, r := range all {
			if r.until != 0 && r.until <= now {
				s.give(r.dueWebhook, r.fails)
				r.until, r.due = 0, max(r.due+r.every, now)
				if !r.fails {
					r.due = r.due - r.due%r.every + r.every
				}
			}
			if r.due <= now && r.until == 0 {
				due, at[r.dueWebhook] = append(due, r.dueWebhook), r
			}
		}
		for _, w := range s.take(due) {
			r := at[w]
			r.until = now + r.answers
			if !r.fails {
				waits[r.ID] = append(waits[r.ID], now-r.due)
			}
		}
	}
	return waits
}

func receiversOf(organization uuid.UUID, n int, like receiver) (all []*receiver) {
	for range n {
		r := like
		r.OrganizationID, r.ID = organization, uuid.New()
		all = append(all, &r)
	}
	return all
}

func p95(waits []time.Duration) time.Duration {
	waits = slices.Sorted(slices.Values(waits))
	return waits[len(waits)*95/100]
}

// TestHangingReceiversHoldUpNobodyElse has organizations with 100 receivers each that never
// answer, next to one that answers at once.
func TestHangingReceiversHoldUpNobodyElse(t *testing.T) {
	t.Parallel()
	hanging := receiver{answers: attemptTimeout, fails: true, every: 10 * time.Millisecond}
	quick := receiver{answers: 90 * time.Millisecond, every: time.Second}
	for name, hostile := range map[string]int{"one organization": 1, "three organizations": 3} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var all []*receiver
			for range hostile {
				all = append(all, receiversOf(uuid.New(), 100, hanging)...)
			}
			healthy := receiversOf(uuid.New(), 1, quick)[0]
			waits := simulate(append(all, healthy), time.Minute)
			require.Greater(t, len(waits[healthy.ID]), 20)
			require.Less(t, p95(waits[healthy.ID]), time.Second)
		})
	}
	t.Run("its own that answer", func(t *testing.T) {
		t.Parallel()
		own := uuid.New()
		healthy := receiversOf(own, 1, quick)[0]
		waits := simulate(append(receiversOf(own, 20, hanging), healthy), 2*time.Minute)
		require.Less(t, p95(waits[healthy.ID]), time.Second, "once its others are known to hang")
	})
}

func TestASlowReceiverIsServedAgainOnceItAnswers(t *testing.T) {
	t.Parallel()
	s, w := newSlots(), dueWebhook{uuid.New(), uuid.New()}
	require.Equal(t, []dueWebhook{w}, s.take([]dueWebhook{w}))
	require.Empty(t, s.take([]dueWebhook{w}), "it is being served")
	s.give(w, true)
	require.True(t, s.failing[w])
	require.Equal(t, []dueWebhook{w}, s.take([]dueWebhook{w}))
	s.give(w, false)
	require.Empty(t, s.failing)
	require.Empty(t, s.busy)
}
