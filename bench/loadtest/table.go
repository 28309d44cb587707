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
	fmt.Fprintf(&text, "%s\n%s\n\n", title, r.Load())

	table := tabwriter.NewWriter(&text, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "accepted\taccepted/s\trefused\tfailed\t")
	fmt.Fprintf(table, "%s\t%s\t%s\t%s\t\n\n", Thousands(r.Accepted), Decimal(r.AcceptedPerSecond), Thousands(r.Refused),
		Thousands(r.Failed))
	fmt.Fprintln(table, "latency in ms\tp50\tp95\tp99\tmax\t")
	row := func(name string, l Latency) {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t\n", name, Decimal(l.P50), Decimal(l.P95), Decimal(l.P99), Decimal(l.Max))
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

	fmt.Fprintf(&text, "\nretries     %s\n", r.Retries.Sentence())
	if r.ServerPeakMemoryBytes > 0 {
		fmt.Fprintf(&text, "memory      %s MB peak resident memory of the server\n",
			Decimal(Megabytes(r.ServerPeakMemoryBytes)))
	}
	for _, f := range r.Failures {
		fmt.Fprintf(&text, "failure     %s × %s", Thousands(f.Count), f.Code)
		if f.Example != "" {
			fmt.Fprintf(&text, ": %s", f.Example)
		}
		fmt.Fprintln(&text)
	}
	if r.LastUnits != nil {
		fmt.Fprintf(&text, "last units  %s\n", r.LastUnits.Sentence())
	}
	r.Integrity.writeText(&text)
	fmt.Fprintln(&text)
	targets := tabwriter.NewWriter(&text, 0, 0, 3, ' ', 0)
	fmt.Fprintln(targets, "target\tlimit\tmeasured\t")
	for _, t := range r.Targets {
		fmt.Fprintf(targets, "%s\t%s\t%s\t%s\n", t.What, t.Show(t.Limit), t.Show(t.Measured), t.verdict())
	}
	if err := targets.Flush(); err != nil {
		return err
	}
	m := r.Machine
	fmt.Fprintf(&text, "\n%s, %s, %s, %s, %s, %s\n", m.CPU, count(int64(m.Cores), "core"), Gibibytes(m.MemoryBytes),
		m.OS, m.Go, m.Time.Format(time.RFC3339))
	_, err := io.WriteString(w, text.String())
	return err
}

// writeText writes the integrity check, with the first problems.
func (r Integrity) writeText(text *strings.Builder) {
	fmt.Fprintf(text, "integrity   %s: %s\n", map[bool]string{true: "ok", false: "NOT OK"}[r.OK], r.Figures())
	for _, m := range r.Mismatches {
		fmt.Fprintf(text, "            %s\n", m)
	}
	fmt.Fprintf(text, "verify      %s\n", r.Verify.Sentence())
	for i, p := range r.Verify.Problems {
		if i == 5 {
			fmt.Fprintln(text, "            …")
			break
		}
		fmt.Fprintf(text, "            %s\n", p)
	}
}

func (t Target) verdict() string {
	if t.Met {
		return "met"
	}
	return "MISSED"
}

// Show formats a value of the target with its unit.
func (t Target) Show(value float64) string {
	return strings.TrimSpace(Decimal(value) + " " + t.Unit)
}

// Sentence summarizes the retries.
func (r Retries) Sentence() string {
	if r.Note != "" {
		return "not known: " + r.Note
	}
	text := fmt.Sprintf("%s, %s given up", Thousands(r.Retries), count(r.Failures, "transaction"))
	if len(r.Attempts) == 0 {
		return text
	}
	var parts []string
	for _, attempt := range AttemptsInOrder(r.Attempts) {
		parts = append(parts, fmt.Sprintf("%s: %s", attempt, Thousands(r.Attempts[attempt])))
	}
	return text + " (by attempt " + strings.Join(parts, ", ") + ")"
}

// Sentence summarizes the requests for the last units.
func (l LastUnits) Sentence() string {
	text := fmt.Sprintf("%s left, %s sent: %s accepted, %s refused, %s failed",
		Thousands(l.Room), count(l.Sent, "request"), Thousands(l.Accepted), Thousands(l.Refused), Thousands(l.Failed))
	if l.Problem != "" {
		text += ": " + l.Problem
	}
	return text
}

// Figures compares the units found with those expected.
func (r Integrity) Figures() string {
	text := fmt.Sprintf("%s scheduled (expected %s), %s used (expected %s), on %s",
		Thousands(r.Found.Scheduled), r.Expected.Scheduled, Thousands(r.Found.Used), r.Expected.Used,
		count(int64(r.Authorizations), "authorization"))
	if r.UnknownUnits > 0 {
		text += fmt.Sprintf("; unknown outcome: %s", count(r.UnknownUnits, "request"))
	}
	return text
}
