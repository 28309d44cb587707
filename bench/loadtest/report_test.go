package loadtest

import (
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// keep is a folder in which the reports are kept. The test data of the plots was made with it:
//
//	go test ./bench/loadtest -run TestReportJSON -keep ../plots/testdata
var keep = flag.String("keep", "", "write the reports of the tests to this folder")

// busy and calm are measured once, in virtual time, for all reports.
var busyRun, calmRun measuredOnce

type measuredOnce struct {
	once   sync.Once
	result Result
}

func (m *measuredOnce) run(t *testing.T, measure func(t *testing.T) Result) Result {
	t.Helper()
	m.once.Do(func() { synctest.Test(t, func(t *testing.T) { m.result = measure(t) }) })
	require.NotZero(t, m.result.Seconds, "another test has failed to measure it")
	return m.result
}

// busy is a result with all fields set: an overloaded server that fails, refuses,
// retries and loses operations.
func busy(t *testing.T) Result {
	t.Helper()
	return busyRun.run(t, func(t *testing.T) Result {
		f := newFake()
		f.serial = make(chan struct{}, 8)
		f.takes = func(n int64) time.Duration {
			switch {
			case n > 3000 && n < 3300:
				return 40 * time.Millisecond
			case n%17 == 0:
				return 25 * time.Millisecond
			}
			return time.Duration(5_000+n*7919%4_000) * time.Microsecond
		}
		f.says = func(n int64) (int, string) {
			if n%400 == 7 {
				return 500, "contention"
			}
			return 0, ""
		}
		f.loses = every(3001)
		return runOn(t, f,
			Options{Scenario: "mixed", Rate: 1050, Mode: `<script>alert("no-combine")</script>`, Duration: 8 * time.Second})
	})
}

func calm(t *testing.T) Result {
	t.Helper()
	return calmRun.run(t, func(t *testing.T) Result {
		f := newFake()
		f.takes = func(n int64) time.Duration {
			return time.Duration(4_000+n*7919%3_000+n*104729%2_000) * time.Microsecond
		}
		r := runOn(t, f, Options{Scenario: "high-contention", Mode: "combined", Duration: 5 * time.Second})
		r.Retries, r.RetrySeries = Retries{Attempts: map[string]int64{}}, nil
		return r
	})
}

func write(t *testing.T, name string, by func(io.Writer) error) string {
	t.Helper()
	var text strings.Builder
	require.NoError(t, by(&text))
	if *keep != "" {
		require.NoError(t, os.WriteFile(filepath.Join(*keep, name), []byte(text.String()), 0o600))
	}
	return text.String()
}

func TestReportsReturnWriteErrors(t *testing.T) {
	t.Parallel()
	good := calm(t)
	for _, by := range []func(io.Writer) error{good.WriteJSON, good.WriteTable} {
		require.ErrorIs(t, by(full{}), errFull)
	}
}

var errFull = errors.New("disk full")

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestReportJSON(t *testing.T) {
	t.Parallel()
	text := write(t, "busy.json", busy(t).WriteJSON)
	write(t, "calm.json", calm(t).WriteJSON)
	var found map[string]any
	require.NoError(t, json.Unmarshal([]byte(text), &found))

	t.Run("it has the documented names", func(t *testing.T) {
		t.Parallel()
		for _, key := range []string{
			"scenario", "clients", "seconds", "accepted", "refused", "failed", "acceptedPerSecond", "latencyMs", "retries",
			"integrity", "machine",
			"mode", "targets", "failures", "series",
		} {
			require.Contains(t, found, key)
		}
		for _, key := range []string{"p50", "p95", "p99", "max"} {
			require.Contains(t, found["latencyMs"], key)
		}
		require.Equal(t, false, found["integrity"].(map[string]any)["ok"])
		require.Equal(t, "mixed", found["scenario"])
		require.Equal(t, 100.0, found["clients"])
		require.Equal(t, 8.0, found["seconds"])
	})
	t.Run("it has no null, so that programs can iterate over every list", func(t *testing.T) {
		t.Parallel()
		require.NotContains(t, text, "null")
	})
	t.Run("it can be read back into a result", func(t *testing.T) {
		t.Parallel()
		var r Result
		require.NoError(t, json.Unmarshal([]byte(text), &r))
		require.Equal(t, text, write(t, "again.json", r.WriteJSON))
	})
}

func TestReportTable(t *testing.T) {
	t.Parallel()
	good, bad := write(t, "calm.txt", calm(t).WriteTable), write(t, "busy.txt", busy(t).WriteTable)

	t.Run("it summarizes a successful run", func(t *testing.T) {
		t.Parallel()
		require.Contains(t, good, "high-contention (combined)\n50 clients · 1 authorization · closed loop · 5 s\n")
		require.Regexp(t,
			`(?m)^integrity   ok: [\d,]+ scheduled \(expected [\d,]+\), 0 used \(expected 0\), on 1 authorization$`, good)
		require.Contains(t, good, "last units  50 left, 100 requests sent: 50 accepted, 50 refused, 0 failed\n")
		require.Contains(t, good, "verify      ok, 12 authorizations, 3,400 reservations and 5,600 entries checked\n")
		require.NotContains(t, good, "MISSED")
	})
	t.Run("it reports failures", func(t *testing.T) {
		t.Parallel()
		require.Contains(t, bad, "integrity   NOT OK: ")
		require.Contains(t, bad, "MISSED")
		require.Regexp(t, `(?m)^failure     \d+ × 500 contention: It says contention\.$`, bad)
		require.Contains(t, bad, "open loop, 1,050 requests per second")
		require.Contains(t, bad, "should have ")
	})
}

func TestWords(t *testing.T) {
	t.Parallel()
	t.Run("it groups thousands", func(t *testing.T) {
		t.Parallel()
		for n, want := range map[int64]string{
			0: "0", 999: "999", 1000: "1,000", -1234567: "-1,234,567", 1000000: "1,000,000",
		} {
			require.Equal(t, want, Thousands(n))
		}
	})
	t.Run("it writes a sensible number of digits", func(t *testing.T) {
		t.Parallel()
		for f, want := range map[float64]string{
			0:      "0",
			0.126:  "0.13",
			12.34:  "12.3",
			123.4:  "123",
			1234.6: "1,235",
			200:    "200",
		} {
			require.Equal(t, want, Decimal(f))
		}
	})
}
