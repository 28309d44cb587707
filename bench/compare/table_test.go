package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/bench/loadtest"
)

func TestTable(t *testing.T) {
	t.Parallel()
	var b table
	r := loadtest.Result{
		Clients:               5000,
		AcceptedPerSecond:     6348.4,
		Failed:                1,
		WarmUp:                loadtest.WarmUpCount{Failed: 2},
		LastUnits:             &loadtest.LastUnits{Failed: 4},
		LatencyMs:             loadtest.Latency{P50: 1.25, P95: 2, P99: 3},
		ServerPeakMemoryBytes: 251_000_000,
		Targets: []loadtest.Target{
			{What: "memory at most", Limit: 250, Measured: 251, Unit: "MB"},
			{What: "failures", Limit: 0, Measured: 7},
			{What: "mismatches", Limit: 0, Measured: 0, Met: true},
		},
		Machine: loadtest.Machine{
			CPU: "Some CPU", Cores: 2, MemoryBytes: 8 << 30, OS: "Linux", Go: "go1.26",
			Time: time.Date(2026, 11, 24, 23, 0, 0, 0, time.UTC),
		},
	}
	b.shared("stampede", r)
	b.atLeast("a ratio", 0.999, 1)
	b.atLeast("a ratio without a target", 2, 0)
	b.atMost("another", 15, 15)
	b.note("Said %d times.", 1)
	var text strings.Builder
	b.print(&text)
	require.Equal(t, `2026-11-24, Some CPU (2 cores for clients, servers and database together), 8.0 GiB, Linux, go1.26

| what | clients | accepted/s | failed | p50 ms | p95 ms | p99 ms | server MB |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
| stampede, shared | 5000 | 6348 | 7 | 1.2 | 2.0 | 3.0 | 251 |

| target | limit | measured | |
| --- | --- | ---: | --- |
| stampede: memory at most | 250 MB | 251 MB | **missed** |
| stampede: failures | 0 | 7 | **missed** |
| a ratio | ≥ 1 | 1.00 | **missed** |
| a ratio without a target | | 2.00 | |
| another | ≤ 15 | 15.00 | met |

Said 1 times.
`, text.String())
}

func TestCurveTableListsFailures(t *testing.T) {
	t.Parallel()
	runs := make([][]loadtest.Result, len(curveModes))
	for i := range runs {
		runs[i] = make([]loadtest.Result, len(crowds))
	}
	last := &runs[1][len(crowds)-1]
	last.Failed, last.WarmUp.Failed = 20, 3
	last.Failures = []loadtest.Failure{{Code: "503 queue-full", Count: 22}, {Code: "timeout", Count: 1}}
	text := curveTable("high-contention", runs)
	require.Contains(t, text, "| 5000 | 0 | 0.0 | 0 | 0 | 0.0 | 23 |")
	require.Contains(t, text, "Failed: one transaction per request, 5000 clients: 22 × 503 queue-full; one transaction "+
		"per request, 5000 clients: 1 × timeout.")
}

func TestMoments(t *testing.T) {
	t.Parallel()
	var m moments
	begin := time.Now()
	_, found := m.since(begin)
	require.False(t, found)
	m.add()
	at, found := m.since(begin)
	require.True(t, found)
	require.WithinRange(t, at, begin, time.Now())
	m.all = []time.Time{begin.Add(1), begin.Add(3)}
	for after, first := range map[time.Duration]time.Duration{0: 1, 1: 1, 2: 3, 3: 3} {
		at, found := m.since(begin.Add(after))
		require.True(t, found)
		require.Equal(t, first, at.Sub(begin))
	}
	_, found = m.since(begin.Add(4))
	require.False(t, found)
	require.EqualValues(t, 2, m.count())
}

func TestAppendID(t *testing.T) {
	t.Parallel()
	for _, value := range []uuid.UUID{id('A', 123_456), uuid.New()} {
		require.Equal(t, value.String(), string(appendID(nil, value)))
	}
}
