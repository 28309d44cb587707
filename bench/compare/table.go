package main

import (
	"fmt"
	"io"
)

// table collects what was measured.
type table struct {
	rows     []string
	ratios   []string
	measured map[string]figures
}

func (t *table) load(name string, f figures) {
	if t.measured == nil {
		t.measured = map[string]figures{}
	}
	t.rows = append(t.rows, fmt.Sprintf("| %s | %d | %.0f | %d | %.1f | %.1f | %.1f |",
		name, f.Clients, f.AcceptedPerSecond, f.Failed, f.LatencyMs.P50, f.LatencyMs.P95, f.LatencyMs.P99))
}

func (t *table) bare(name string, clients int, perSecond float64, failed int64, mean float64) {
	t.rows = append(t.rows, fmt.Sprintf("| %s | %d | %.0f | %d | mean %.1f | | |", name, clients, perSecond, failed, mean))
}

// ratio notes a ratio that should be at least so much; 0: there is no such target.
func (t *table) ratio(what string, measured, least float64) {
	target, verdict := "", ""
	if least > 0 {
		target, verdict = fmt.Sprintf("≥ %g", least), "met"
		if measured < least {
			verdict = "**missed**"
		}
	}
	t.ratios = append(t.ratios, fmt.Sprintf("| %s | %s | %.2f | %s |", what, target, measured, verdict))
}

func (t *table) atMost(what string, measured, most float64) {
	verdict := "met"
	if measured > most {
		verdict = "**missed**"
	}
	t.ratios = append(t.ratios, fmt.Sprintf("| %s | ≤ %g | %.2f | %s |", what, most, measured, verdict))
}

func (t *table) print(out io.Writer) {
	fmt.Fprintln(out, "| what | clients | accepted/s | failed | p50 ms | p95 ms | p99 ms |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
	for _, row := range t.rows {
		fmt.Fprintln(out, row)
	}
	fmt.Fprintln(out, "\n| ratio | target | measured | |\n| --- | --- | ---: | --- |")
	for _, row := range t.ratios {
		fmt.Fprintln(out, row)
	}
}
