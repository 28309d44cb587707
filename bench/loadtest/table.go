package loadtest

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// WriteTable writes the result as text for a terminal.
func (r Result) WriteTable(w io.Writer) error {
	var text strings.Builder
	title := r.Scenario
	if r.Mode != "" {
		title += " (" + r.Mode + ")"
	}
	fmt.Fprintf(&text, "%s\n%s\n\n", title, r.load())

	table := tabwriter.NewWriter(&text, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "accepted\taccepted/s\trefused\tfailed\t")
	fmt.Fprintf(table, "%s\t%s\t%s\t%s\t\n\n", thousands(r.Accepted), decimal(r.AcceptedPerSecond), thousands(r.Refused), thousands(r.Failed))
	fmt.Fprintln(table, "latency in ms\tp50\tp95\tp99\tmax\t")
	row := func(name string, l Latency) {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t\n", name, decimal(l.P50), decimal(l.P95), decimal(l.P99), decimal(l.Max))
	}
	row("all", r.LatencyMs)
	if len(r.Operations) > 1 {
		for _, o := range r.Operations {
			row(o.Operation, o.LatencyMs)
		}
	}
	if r.ServiceMs != nil {
		row("from sending", *r.ServiceMs)
	}
	if err := table.Flush(); err != nil {
		return err
	}

	fmt.Fprintf(&text, "\nretries     %s\n", r.Retries.sentence())
	if r.ServerPeakMemoryBytes > 0 {
		fmt.Fprintf(&text, "memory      %s MB peak resident memory of the server\n", decimal(megabytes(r.ServerPeakMemoryBytes)))
	}
	for _, f := range r.Failures {
		fmt.Fprintf(&text, "failure     %s × %s", thousands(f.Count), f.Code)
		if f.Example != "" {
			fmt.Fprintf(&text, ": %s", f.Example)
		}
		fmt.Fprintln(&text)
	}
	if r.LastUnits != nil {
		fmt.Fprintf(&text, "last units  %s\n", r.LastUnits.sentence())
	}
	fmt.Fprintf(&text, "integrity   %s: %s\n", map[bool]string{true: "ok", false: "NOT OK"}[r.Integrity.OK], r.Integrity.figures())
	for _, m := range r.Integrity.Mismatches {
		fmt.Fprintf(&text, "            %s\n", m)
	}
	fmt.Fprintf(&text, "verify      %s\n", r.Integrity.Verify.sentence())
	for i, p := range r.Integrity.Verify.Problems {
		if i == 5 {
			fmt.Fprintln(&text, "            …")
			break
		}
		fmt.Fprintf(&text, "            %s\n", p)
	}

	fmt.Fprintln(&text)
	targets := tabwriter.NewWriter(&text, 0, 0, 3, ' ', 0)
	fmt.Fprintln(targets, "target\tlimit\tmeasured\t")
	for _, t := range r.Targets {
		fmt.Fprintf(targets, "%s\t%s\t%s\t%s\n", t.What, t.show(t.Limit), t.show(t.Measured), t.verdict())
	}
	if err := targets.Flush(); err != nil {
		return err
	}
	m := r.Machine
	fmt.Fprintf(&text, "\n%s, %s, %s, %s, %s, %s\n", m.CPU, count(int64(m.Cores), "core"), gibibytes(m.MemoryBytes),
		m.OS, m.Go, m.Time.Format(time.RFC3339))
	_, err := io.WriteString(w, text.String())
	return err
}

func (t Target) verdict() string {
	if t.Met {
		return "met"
	}
	return "MISSED"
}

func (t Target) show(value float64) string {
	return strings.TrimSpace(decimal(value) + " " + t.Unit)
}

func (r Retries) sentence() string {
	if r.Note != "" {
		return "not known: " + r.Note
	}
	text := fmt.Sprintf("%s, %s given up", thousands(r.Retries), count(r.Failures, "transaction"))
	if len(r.Attempts) == 0 {
		return text
	}
	var parts []string
	for _, attempt := range attemptsInOrder(r.Attempts) {
		parts = append(parts, fmt.Sprintf("%s: %s", attempt, thousands(r.Attempts[attempt])))
	}
	return text + " (by attempt " + strings.Join(parts, ", ") + ")"
}

func (l LastUnits) sentence() string {
	text := fmt.Sprintf("%s left, %s sent: %s accepted, %s refused, %s failed",
		thousands(l.Room), count(l.Sent, "request"), thousands(l.Accepted), thousands(l.Refused), thousands(l.Failed))
	if l.Problem != "" {
		text += ": " + l.Problem
	}
	return text
}

func (r Integrity) figures() string {
	text := fmt.Sprintf("%s scheduled (expected %s), %s used (expected %s), on %s",
		thousands(r.Found.Scheduled), r.Expected.Scheduled, thousands(r.Found.Used), r.Expected.Used,
		count(int64(r.Authorizations), "authorization"))
	if r.UnknownUnits > 0 {
		text += fmt.Sprintf("; unknown outcome: %s", count(r.UnknownUnits, "request"))
	}
	return text
}
