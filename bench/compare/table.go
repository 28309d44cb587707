package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"omnirapeutic/bench/loadtest"
)

// table collects measurements.
type table struct {
	rows        []string
	readRows    []string
	commandRows []string
	fanOutRows  []string
	targets     []string
	notes       []string
	measured    map[string]loadtest.Result // shared, by scenario
	machine     loadtest.Machine           // machine of the first run
	postgres    string                     // version, if known
}

// shared records a scenario in the default mode and its targets.
func (t *table) shared(scenario string, r loadtest.Result) {
	if t.measured == nil {
		t.measured = map[string]loadtest.Result{}
	}
	t.measured[scenario] = r
	t.load(scenario+", shared", r)
	for _, target := range r.Targets {
		// Failures are shown in the other table.
		if target.Met && target.Unit == "" && target.Limit == 0 {
			continue
		}
		unit := strings.TrimSpace(" " + target.Unit)
		t.target(scenario+": "+target.What, strings.TrimSpace(fmt.Sprintf("%.0f %s", target.Limit, unit)),
			strings.TrimSpace(fmt.Sprintf("%.0f %s", target.Measured, unit)), target.Met)
	}
}

func (t *table) load(name string, r loadtest.Result) {
	t.machine = cmp.Or(t.machine, r.Machine)
	usage := ""
	if r.ServerPeakMemoryBytes > 0 {
		usage = fmt.Sprintf("%.0f", float64(r.ServerPeakMemoryBytes)/1e6)
	}
	t.rows = append(t.rows, fmt.Sprintf("| %s | %d | %.0f | %d | %.1f | %.1f | %.1f | %s |",
		name, r.Clients, r.AcceptedPerSecond, failures(r), r.LatencyMs.P50, r.LatencyMs.P95, r.LatencyMs.P99, usage))
}

// failures of the whole run.
func failures(r loadtest.Result) int64 {
	n := r.Failed + r.WarmUp.Failed
	if r.LastUnits != nil {
		n += r.LastUnits.Failed
	}
	return n
}

func (t *table) bare(name string, clients int, perSecond float64, failed int64, mean float64) {
	t.rows = append(t.rows,
		fmt.Sprintf("| %s | %d | %.0f | %d | mean %.1f | | | |", name, clients, perSecond, failed, mean))
}

// atLeast records a ratio and its minimum; 0: no target.
func (t *table) atLeast(what string, measured, least float64) {
	if least == 0 {
		t.untargeted(what, fmt.Sprintf("%.2f", measured))
		return
	}
	t.target(what, fmt.Sprintf("≥ %g", least), fmt.Sprintf("%.2f", measured), measured >= least)
}

func (t *table) atMost(what string, measured, most float64) {
	t.target(what, fmt.Sprintf("≤ %g", most), fmt.Sprintf("%.2f", measured), measured <= most)
}

func (t *table) target(what, limit, measured string, met bool) {
	verdict := "met"
	if !met {
		verdict = "**missed**"
	}
	t.targets = append(t.targets, fmt.Sprintf("| %s | %s | %s | %s |", what, limit, measured, verdict))
}

// untargeted records a figure without a target.
func (t *table) untargeted(what, measured string) {
	t.targets = append(t.targets, fmt.Sprintf("| %s | | %s | |", what, measured))
}

// note adds a line below the tables.
func (t *table) note(format string, args ...any) {
	t.notes = append(t.notes, fmt.Sprintf(format, args...))
}

func (t *table) print(out io.Writer) {
	if t.machine.CPU != "" {
		fmt.Fprintln(out, t.heading())
	}
	section := func(head string, rows []string) {
		if len(rows) > 0 {
			fmt.Fprintf(out, "\n%s\n%s\n", head, strings.Join(rows, "\n"))
		}
	}
	section("| what | clients | accepted/s | failed | p50 ms | p95 ms | p99 ms | server MB |\n| --- | ---: | ---: | ---: "+
		"| ---: | ---: | ---: | ---: |", t.rows)
	section("| command | clients | accepted/s | failed | p50 ms | p99 ms | server CPU µs | PostgreSQL CPU µs | WAL kB |\n"+
		"| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |", t.commandRows)
	section("| read | requests/s | p50 ms | p99 ms | server CPU µs/request | PostgreSQL CPU µs/request | WAL kB/request |\n"+
		"| --- | ---: | ---: | ---: | ---: | ---: | ---: |", t.readRows)
	section("| event for | min ms | median ms | max ms |\n| --- | ---: | ---: | ---: |", t.fanOutRows)
	section("| target | limit | measured | |\n| --- | --- | ---: | --- |", t.targets)
	for _, note := range t.notes {
		fmt.Fprintf(out, "\n%s\n", note)
	}
}

// heading names the date and the machine.
func (t *table) heading() string {
	m := t.machine
	parts := []string{
		m.Time.Format(time.DateOnly),
		fmt.Sprintf("%s (%d cores for clients, servers and database together)", m.CPU, m.Cores),
		fmt.Sprintf("%.1f GiB", float64(m.MemoryBytes)/(1<<30)), m.OS, m.Go,
	}
	if t.postgres != "" {
		parts = append(parts, "PostgreSQL "+t.postgres)
	}
	return strings.Join(parts, ", ")
}
