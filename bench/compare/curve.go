package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"omnirapeutic/bench/loadtest"
	"omnirapeutic/bench/plots"
)

// crowds are the numbers of clients with which both modes are measured.
var crowds = []int{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000}

// curveModes are the two ways to execute operations.
var curveModes = []struct {
	name      string
	arguments []string
}{{"shared", nil}, {"one transaction per request", []string{"--separate"}}}

// clients measures both modes with growing numbers of clients, adds a table for each
// scenario, and writes plots. Runs with failed requests are listed and marked in the
// plots.
func (b *bench) clients(ctx context.Context, t *table) error {
	if err := os.MkdirAll(b.plots, 0o755); err != nil { //nolint:gosec // the plots are no secret
		return err
	}
	for _, scenario := range []string{"high-contention", "high-throughput"} {
		runs := make([][]loadtest.Result, len(curveModes))
		for i, mode := range curveModes {
			for _, n := range crowds {
				r, err := b.load(ctx, scenario, append([]string{"--clients", strconv.Itoa(n)}, mode.arguments...)...)
				if err != nil {
					return err
				}
				t.machine = r.Machine
				runs[i] = append(runs[i], r)
			}
		}
		t.note("%s", curveTable(scenario, runs))
		if err := b.plot(scenario, runs); err != nil {
			return err
		}
	}
	return nil
}

// curveTable has a row for each number of clients, followed by the failures.
func curveTable(scenario string, runs [][]loadtest.Result) string {
	var text strings.Builder
	fmt.Fprintf(&text, "| %s: clients | shared, accepted/s | p99 ms | failed | one transaction per request, accepted/s "+
		"| p99 ms | failed |\n| ---: | ---: | ---: | ---: | ---: | ---: | ---: |", scenario)
	var failed []string
	for i, n := range crowds {
		fmt.Fprintf(&text, "\n| %d |", n)
		for m := range curveModes {
			r := runs[m][i]
			fmt.Fprintf(&text, " %.0f | %.1f | %d |", r.AcceptedPerSecond, r.LatencyMs.P99, failures(r))
			for _, f := range r.Failures {
				failed = append(failed, fmt.Sprintf("%s, %d clients: %d × %s", curveModes[m].name, n, f.Count, f.Code))
			}
			if r.LastUnits != nil && r.LastUnits.Problem != "" {
				code, _, _ := strings.Cut(r.LastUnits.Problem, ": ")
				failed = append(failed,
					fmt.Sprintf("%s, %d clients, last units: %d, the first %s", curveModes[m].name, n, r.LastUnits.Failed, code))
			}
		}
	}
	if len(failed) > 0 {
		fmt.Fprintf(&text, "\n\nFailed: %s.", strings.Join(failed, "; "))
	}
	return text.String() + "\n"
}

// plot writes plots of accepted/s and p99.
func (b *bench) plot(scenario string, runs [][]loadtest.Result) error {
	for _, p := range []struct {
		file string
		plot plots.CurvePlot
		of   func(loadtest.Result) float64
	}{
		{
			"accepted",
			plots.CurvePlot{Title: scenario + ": accepted per second"},
			func(r loadtest.Result) float64 { return r.AcceptedPerSecond },
		},
		{
			"p99",
			plots.CurvePlot{Title: scenario + ": 99th percentile of latency", Unit: " ms", Log: true},
			func(r loadtest.Result) float64 { return r.LatencyMs.P99 },
		},
	} {
		for m, mode := range curveModes {
			curve := plots.Curve{Name: mode.name}
			for i, r := range runs[m] {
				curve.Points = append(curve.Points, plots.CurvePoint{Clients: crowds[i], Value: p.of(r), Failed: failures(r) > 0})
			}
			p.plot.Curves = append(p.plot.Curves, curve)
		}
		file, err := os.Create(filepath.Join(b.plots, scenario+"-"+p.file+".svg"))
		if err != nil {
			return err
		}
		if err := errors.Join(p.plot.WriteSVG(file), file.Close()); err != nil {
			return err
		}
	}
	return nil
}
