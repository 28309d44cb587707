package plots_test

import (
	"encoding/json"
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/bench/loadtest"
	"omnirapeutic/bench/plots"
)

// read returns a result that the tests of the load test have measured: calm, and busy, an
// overloaded server that fails, refuses, retries and loses operations.
func read(t *testing.T, name string) (r loadtest.Result) {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name + ".json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &r))
	return r
}

func pageOf(t *testing.T, r loadtest.Result) string {
	t.Helper()
	var page strings.Builder
	require.NoError(t, plots.WritePage(&page, r))
	return page.String()
}

func TestPage(t *testing.T) {
	t.Parallel()
	good, bad := read(t, "calm"), read(t, "busy")
	goodPage, badPage := pageOf(t, good), pageOf(t, bad)

	t.Run("it is self-contained", func(t *testing.T) {
		t.Parallel()
		for _, page := range []string{goodPage, badPage} {
			require.NotRegexp(t, `(?i)https?://|src=|href=|@import|url\(|<script|<link`, page)
		}
	})
	t.Run("it begins with the integrity of the units", func(t *testing.T) {
		t.Parallel()
		require.Less(t, strings.Index(goodPage, "Every unit is accounted for"), strings.Index(goodPage, "<section"))
		require.Less(t, strings.Index(badPage, "Units do not add up on "), strings.Index(badPage, "<section"))
		require.NotContains(t, badPage, "Every unit is accounted for")
		require.Contains(t, badPage, bad.Integrity.Mismatches[0])
	})
	t.Run("it shows the figures of the result", func(t *testing.T) {
		t.Parallel()
		for _, figure := range []string{
			loadtest.Thousands(good.Accepted), loadtest.Decimal(good.AcceptedPerSecond), loadtest.Decimal(good.LatencyMs.P50),
			loadtest.Decimal(good.LatencyMs.P99), good.Machine.Go,
		} {
			require.Contains(t, goodPage, figure)
		}
		require.Contains(t, badPage, "500 contention")
		measured := good
		measured.ServerPeakMemoryBytes = 120_000_000
		require.Contains(t, pageOf(t, measured), "120 MB peak resident memory")
		require.Contains(t, goodPage, "All targets are met")
		require.Contains(t, badPage, "targets are missed")
	})
	t.Run("it escapes external texts", func(t *testing.T) {
		t.Parallel()
		require.Contains(t, badPage, "&lt;script&gt;alert(")
	})
	t.Run("it draws the plots in the colors of the page", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, 5, strings.Count(badPage, `<svg viewBox="0 0 960 270"`))
		require.Equal(t, 3, strings.Count(goodPage, `<svg viewBox="0 0 960 270"`))
		require.Contains(t, goodPage, "No transaction was retried.")
		for _, svg := range regexp.MustCompile(`(?s)<svg viewBox="0 0 960.*?</svg>`).FindAllString(badPage, -1) {
			require.NotRegexp(t, `#[0-9A-Fa-f]{6}`, svg)
			require.NotContains(t, svg, "NaN")
			require.NotContains(t, svg, "Inf")
		}
	})
	t.Run("it marks p50, p95, p99 and the target on the latencies", func(t *testing.T) {
		t.Parallel()
		for _, text := range []string{">p50 ", ">p95 ", ">p99 ", ">p95 target 175 ms<"} {
			require.Contains(t, badPage, text)
		}
	})
	t.Run("it only mentions a target that is far off", func(t *testing.T) {
		t.Parallel()
		require.NotContains(t, goodPage, ">p95 target")
		require.Contains(t, goodPage, "The target of the 95th percentile, 200 ms, is far to the right of it.")
	})
	t.Run("it can be written if no request was answered", func(t *testing.T) {
		t.Parallel()
		page := pageOf(t, loadtest.Result{Scenario: "mixed", Retries: loadtest.Retries{Note: "status 403"}})
		require.Contains(t, page, "No request was answered.")
		require.NotContains(t, page, "All targets are met")
		require.Contains(t, page, "Not known: status 403")
	})
	t.Run("it returns a write error", func(t *testing.T) {
		t.Parallel()
		require.ErrorIs(t, plots.WritePage(full{}, good), errFull)
	})
}

var errFull = errors.New("disk full")

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }
