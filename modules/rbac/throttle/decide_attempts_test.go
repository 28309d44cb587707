package throttle

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestDelaysGrow(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, time.March, 2, 15, 0, 0, 0, time.UTC)
	var a attempts
	var wait time.Duration
	for range freeAttempts {
		a, wait = a.try(now)
		require.Zero(t, wait)
	}
	for _, seconds := range []float64{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900} {
		want := time.Duration(seconds * float64(time.Second))
		same, wait := a.try(now)
		require.Equal(t, want, wait)
		require.Equal(t, a, same, "a refused attempt is not counted")
		_, wait = a.try(now.Add(want - time.Millisecond))
		require.Equal(t, time.Millisecond, wait)
		now = now.Add(want)
		a, wait = a.try(now)
		require.Zero(t, wait)
	}
}

// TestAtMostAHundredAttemptsAreAccepted, no matter how long an attacker waits between them.
func TestAtMostAHundredAttemptsAreAccepted(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, time.March, 2, 15, 0, 0, 0, time.UTC)
	now := start
	var a attempts
	for range maxAttempts {
		var wait time.Duration
		if a, wait = a.try(now); wait > 0 {
			now = now.Add(wait)
			a, wait = a.try(now)
			require.Zero(t, wait)
		}
	}
	require.Equal(t, maxAttempts, a.failures)
	require.Greater(t, now.Sub(start), 20*time.Hour)
	_, wait := a.try(now)
	require.Equal(t, ForgetAfter, wait)
	_, wait = a.try(now.Add(ForgetAfter - 1))
	require.EqualValues(t, 1, wait)
	a, wait = a.try(now.Add(ForgetAfter))
	require.Zero(t, wait)
	require.Equal(t, 1, a.failures, "forgotten")
}

func TestCountersDifferByAddressAndNetwork(t *testing.T) {
	t.Parallel()
	k := NewCounters([]byte("a secret of exactly 32 bytes, ok"))
	at := func(address string) []byte { return k.Network("ada@example.test", address) }
	require.Equal(t, at("2001:db8:1:2::1"), at("2001:db8:1:2:ffff::9"))
	require.NotEqual(t, at("2001:db8:1:2::1"), at("2001:db8:1:3::1"))
	require.NotEqual(t, at("192.0.2.1"), at("192.0.2.2"))
	require.NotEqual(t, at("192.0.2.1"), at(""))
	require.NotEqual(t, at("192.0.2.1"), k.Network("bo@example.test", "192.0.2.1"))
	require.NotEqual(t, at("192.0.2.1"), NewCounters([]byte("another secret of 32 bytes, yes!")).Network("ada@example.test", "192.0.2.1"))
	require.NotContains(t, string(at("192.0.2.1")), "ada")
}

func TestCountersOfDifferentPartsDiffer(t *testing.T) {
	t.Parallel()
	k := NewCounters([]byte("a secret of exactly 32 bytes, ok"))
	seen := map[string]bool{}
	for _, parts := range [][]string{
		{"a", "b", "c"},
		{"a", "bc"},
		{"a", "b", "", "c"},
		{"a", "b1:c"},
		{"b", "a", "c"},
		{"abc"},
		{"a", "", "bc"},
	} {
		seen[string(k.keyOf(parts[0], parts[1:]...))] = true
	}
	require.Len(t, seen, 7)
}
