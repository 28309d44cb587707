package cli

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const mib = 1 << 20

func TestMemoryLimitsFollowTheMachine(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ machine, usual, ceiling uint64 }{
		"unknown memory":           {0, 128 * mib, 128 * mib},
		"a container of 128 MiB":   {128 * mib, 64 * mib, 64 * mib},
		"a container of 512 MiB":   {512 * mib, 128 * mib, 128 * mib},
		"a small machine of 1 GiB": {1024 * mib, 128 * mib, 256 * mib},
		"a machine of 24 GiB":      {24 << 30, 128 * mib, 6 << 30},
	} {
		usual, ceiling := limitsOf(c.machine)
		require.Equal(t, c.usual, usual, name)
		require.Equal(t, c.ceiling, ceiling, name)
	}
	require.NotZero(t, machineMemory(), "the tests run on a machine with a known memory")
}

// tunerOf returns a tuner, and the limits that it sets and the number of releases.
func tunerOf(machine uint64) (t *gcTuner, limits *[]int64, releases *int) {
	limits, releases = &[]int64{}, new(int)
	t = &gcTuner{
		setLimit: func(n int64) int64 { *limits = append(*limits, n); return 0 },
		release:  func() { *releases++ },
	}
	t.usual, t.ceiling = limitsOf(machine)
	return t, limits, releases
}

func TestMemoryLimitFollowsTheLiveHeap(t *testing.T) {
	t.Parallel()
	tuner, limits, _ := tunerOf(2 << 30)
	var at time.Time
	for _, live := range []uint64{0, 10, 42, 44, 100, 105, 300, 40, 10} {
		tuner.step(at, memoryUse{live: live * mib})
	}
	require.Equal(t, []int64{128 * mib, 300 * mib, 512 * mib, 128 * mib}, *limits,
		"three times the live heap, at least 128 MiB, at most a quarter of the machine; small changes are left out")
	for _, use := range []memoryUse{{live: 70 * mib, stacks: 165 * mib}, {live: 100 * mib, stacks: 100 * mib}} {
		tuner.step(at, use)
	}
	require.Equal(t, []int64{200 * mib}, (*limits)[4:], "the stacks of many clients do not raise it")
}

func TestOperatorsMemoryLimitIsKept(t *testing.T) {
	t.Parallel()
	tuner, limits, _ := tunerOf(24 << 30)
	tuner.usual, tuner.ceiling = 0, 0 // as with GOMEMLIMIT
	tuner.step(time.Time{}, memoryUse{live: 500 * mib})
	require.Empty(t, *limits)
}

func TestIdleServerReleasesMemory(t *testing.T) {
	t.Parallel()
	tuner, _, releases := tunerOf(24 << 30)
	var at time.Time
	step := func(allocated, held uint64) int {
		before := *releases
		at = at.Add(idlePeriod / 2)
		tuner.step(at, memoryUse{live: 8 * mib, held: 8*mib + held*mib, allocated: allocated * mib})
		at = at.Add(idlePeriod / 2)
		tuner.step(at, memoryUse{live: 8 * mib, held: 8*mib + held*mib, allocated: allocated * mib})
		return *releases - before
	}
	tuner.periodStart = at
	require.Zero(t, step(500, 100), "a busy server keeps its garbage")
	require.Equal(t, 1, step(505, 0), "an idle one releases it, even if it seemed live before")
	require.Zero(t, step(510, 1), "then not for little garbage")
	require.Equal(t, 1, step(515, 5), "and again for more")
	require.Zero(t, step(600, 60))
	require.Equal(t, 1, step(601, 0))
}
