package audit_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/audit"
	"omnirapeutic/platform/trail"
)

func (o *office) attempts(t *testing.T) []audit.Attempts {
	t.Helper()
	found, err := o.Attempts(t.Context(), audit.AttemptFilter{}, nil, 10_000)
	require.NoError(t, err)
	return found
}

func (o *office) must(t *testing.T, job func(context.Context) (int64, error)) {
	t.Helper()
	_, err := job(t.Context())
	require.NoError(t, err)
}

func TestAttemptsAreCountedBySourceAndMinute(t *testing.T) {
	t.Parallel()
	o := open(t)
	for range 3 {
		o.Count("sign-in.refresh", "unknown", "192.0.2.1")
		o.Count("sign-in.refresh", "unknown", "2001:db8::1")
		o.Count("sign-in.refresh", "unknown", "2001:db8::2")
	}
	require.NoError(t, o.Note(t.Context(), []trail.Event{{
		Action: "sign-in.refresh", Outcome: trail.Denied, Address: "192.0.2.1", After: map[string]string{"reason": "unknown"},
		OccurredAt: o.now,
	}}))
	o.must(t, o.WriteAttempts)
	o.must(t, o.WriteAttempts)
	o.now = o.now.Add(time.Minute)
	o.Count("sign-in.refresh", "unknown", "192.0.2.1")
	o.must(t, o.WriteAttempts)
	var found []string
	for _, each := range o.attempts(t) {
		found = append(found, fmt.Sprint(each.Source, " ", each.Attempts))
	}
	require.Equal(t, []string{"192.0.2.1 1", "2001:db8::/64 6", "192.0.2.1 4"}, found)
}

// TestAFloodFromManyNetworksIsBounded: an attacker may have any number of addresses.
func TestAFloodFromManyNetworksIsBounded(t *testing.T) {
	t.Parallel()
	o := open(t)
	for i := range 3000 {
		o.Count("sign-in.refresh", "unknown", fmt.Sprintf("2001:db8:%x::1", i))
	}
	o.must(t, o.WriteAttempts)
	found, total := o.attempts(t), int64(0)
	for _, each := range found {
		total += each.Attempts
	}
	require.Len(t, found, 1001)
	require.EqualValues(t, 3000, total)
	require.Equal(t, "other", found[0].Source)
	require.EqualValues(t, 2000, found[0].Attempts)
}

func TestCountsOfAttemptsAreKeptForThirtyDays(t *testing.T) {
	t.Parallel()
	o := open(t)
	o.Count("sign-in.refresh", "unknown", "192.0.2.1")
	o.must(t, o.WriteAttempts)
	o.now = o.now.Add(30*24*time.Hour - time.Minute)
	o.must(t, o.RemoveOldAttempts)
	require.Len(t, o.attempts(t), 1)
	o.now = o.now.Add(2 * time.Minute)
	o.must(t, o.RemoveOldAttempts)
	require.Empty(t, o.attempts(t))
}

// TestCountsThatCannotBeWrittenAreWrittenLater: a database outage loses no counts.
func TestCountsThatCannotBeWrittenAreWrittenLater(t *testing.T) {
	t.Parallel()
	o := open(t)
	o.Count("sign-in.refresh", "unknown", "192.0.2.1")
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := o.WriteAttempts(gone)
	require.Error(t, err)
	o.Count("sign-in.refresh", "unknown", "192.0.2.1")
	o.must(t, o.WriteAttempts)
	require.EqualValues(t, 2, o.attempts(t)[0].Attempts)
}
