package db

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestLagIsTheAgeOfTheLastReplayedSample compares positions of a standby with samples of the primary.
func TestLagIsTheAgeOfTheLastReplayedSample(t *testing.T) {
	begin := time.Now()
	at := func(seconds int) time.Time { return begin.Add(time.Duration(seconds) * time.Second) }
	h := newHistory(nil, 5*time.Second)
	lag := func(p position) (time.Duration, FallbackReason) { return h.lagOf(p, at(4)) }
	_, reason := lag(position{id: "a", role: "app", bytes: 1})
	require.Equal(t, Lagging, reason, "nothing is known")

	for i, bytes := range []int64{100, 200, 200, 300} {
		h.add("a", "app", sample{bytes, at(i)})
	}
	for bytes, want := range map[int64]time.Duration{
		100: 4 * time.Second, 199: 4 * time.Second, 200: 2 * time.Second, 299: 2 * time.Second, 300: time.Second,
	} {
		got, reason := lag(position{id: "a", role: "app", bytes: bytes})
		require.Empty(t, reason)
		require.Equal(t, want, got, "%d", bytes)
	}
	_, reason = lag(position{id: "a", role: "app", bytes: 99})
	require.Equal(t, Lagging, reason)
	_, reason = lag(position{id: "b", role: "app", bytes: 1000})
	require.Equal(t, OtherHistory, reason)
	_, reason = lag(position{id: "a", role: "owner", bytes: 1000})
	require.Equal(t, OtherRole, reason)

	// A new timeline: positions of the former one mean nothing.
	h.add("b", "app", sample{150, at(4)})
	_, reason = lag(position{id: "a", role: "app", bytes: 1000})
	require.Equal(t, OtherHistory, reason)
	_, reason = lag(position{id: "b", role: "app", bytes: 149})
	require.Equal(t, Lagging, reason)
}

// TestOldSamplesAreForgotten keeps one sample that is older than all usable lags.
func TestOldSamplesAreForgotten(t *testing.T) {
	begin := time.Now()
	h := newHistory(nil, 5*time.Second)
	for i := range int64(1000) {
		h.add("a", "app", sample{i, begin.Add(time.Duration(i) * time.Second)})
	}
	require.Len(t, h.samples, 7)
}
