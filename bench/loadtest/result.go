package loadtest

import (
	"cmp"
	"encoding/json"
	"io"
	"slices"
	"time"
)

// Result is the result of one run. A request belongs to the measured time if it was due
// in it. Requests of the warm-up are reported separately.
type Result struct {
	Scenario       string  `json:"scenario"`
	Summary        string  `json:"summary"`        // what the scenario does
	Mode           string  `json:"mode,omitempty"` // as given in the options
	Loop           string  `json:"loop"`           // "closed" or "open"
	Rate           float64 `json:"rate,omitempty"` // requests due per second in an open loop
	Instances      int     `json:"instances"`      // number of servers on one database
	Clients        int     `json:"clients"`
	Authorizations int     `json:"authorizations"`
	Seconds        float64 `json:"seconds"` // the measured time

	Accepted int64     `json:"accepted"`
	Refused  int64     `json:"refused"`  // answered with insufficient-units
	Failed   int64     `json:"failed"`   // everything else
	Failures []Failure `json:"failures"` // by code, the most frequent first; including the warm-up

	AcceptedPerSecond float64     `json:"acceptedPerSecond"`   // accepted answers per second of measured time
	LatencyMs         Latency     `json:"latencyMs"`           // of answers including refusals, from the time a request was due
	ServiceMs         *Latency    `json:"serviceMs,omitempty"` // from the time a request was sent; only in open loops
	Operations        []Operation `json:"operations"`
	WarmUp            WarmUpCount `json:"warmUp"`
	LastUnits         *LastUnits  `json:"lastUnits,omitempty"` // only of scenarios that use up the last units

	// ServerPeakMemoryBytes is the peak resident memory of a server during the load,
	// the maximum of several servers, or 0 if unknown.
	ServerPeakMemoryBytes int64 `json:"serverPeakMemoryBytes,omitempty"`

	Retries   Retries   `json:"retries"`
	Integrity Integrity `json:"integrity"`
	Targets   []Target  `json:"targets"`
	Machine   Machine   `json:"machine"`
	Notes     []string  `json:"notes"` // how the figures were measured

	Distribution  []Bin        `json:"distribution"`  // of the latencies
	SeriesSeconds float64      `json:"seriesSeconds"` // the width of one point of the series
	Series        []Point      `json:"series"`        // over time, including the warm-up
	RetrySeries   []RetryPoint `json:"retrySeries"`

	unitsLeft bool // no authorization was full when the load ended
}

// Failure counts the requests that failed in one way.
type Failure struct {
	Code    string `json:"code"` // status and code of the problem, or the kind of transport error
	Count   int64  `json:"count"`
	Example string `json:"example,omitempty"` // text of the first one
}

// Operation has the figures of one kind of request.
type Operation struct {
	Operation string  `json:"operation"`
	Accepted  int64   `json:"accepted"`
	Refused   int64   `json:"refused"`
	Failed    int64   `json:"failed"`
	LatencyMs Latency `json:"latencyMs"`
}

// WarmUpCount counts the requests before the measured time.
type WarmUpCount struct {
	Seconds  float64 `json:"seconds"`
	Accepted int64   `json:"accepted"`
	Refused  int64   `json:"refused"`
	Failed   int64   `json:"failed"`
}

// Target is a target of a scenario.
type Target struct {
	What     string  `json:"what"`
	Limit    float64 `json:"limit"`
	Measured float64 `json:"measured"`
	Unit     string  `json:"unit,omitempty"`
	Met      bool    `json:"met"`

	cost bool // concerns time or memory, not correctness
}

// Passed reports whether all targets are met, including the integrity of the units. It
// is false if nothing was judged.
func (r Result) Passed() bool {
	return len(r.Targets) > 0 && !slices.ContainsFunc(r.Targets, func(t Target) bool { return !t.Met })
}

// Wrong returns the missed targets that concern integrity or failures. It excludes
// latency and memory, which indicate a slow machine or a high load rather than a faulty
// program.
func (r Result) Wrong() []string {
	var missed []string
	for _, t := range r.Targets {
		if !t.Met && !t.cost {
			missed = append(missed, t.What)
		}
	}
	return missed
}

// WriteJSON writes the whole result as one indented JSON object.
func (r Result) WriteJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}

func newResult(o Options, s Scenario) Result {
	r := Result{
		Scenario:       s.Name,
		Summary:        s.Summary,
		Mode:           o.Mode,
		Instances:      len(o.URLs),
		Loop:           "closed",
		Rate:           o.Rate,
		Clients:        o.Clients,
		Authorizations: o.Authorizations,
		Machine:        thisMachine(time.Now()),
	}
	if o.Rate > 0 {
		r.Loop = "open"
	}
	return r
}

// measure computes the figures from the samples.
func (r *Result) measure(l *load) {
	window := l.window
	if window == 0 {
		window = l.end.Sub(l.from)
	} else {
		r.WarmUp.Seconds = WarmUp.Seconds()
	}
	r.Seconds = window.Seconds()

	var all, service []time.Duration
	var byKind [kinds][]time.Duration
	figures := [kinds]Operation{}
	arrived := 0
	for _, s := range l.samples {
		if s.outcome == accepted && s.done >= 0 && (s.done < window || l.window == 0) {
			arrived++
		}
		if s.due < 0 {
			tally(s.outcome, &r.WarmUp.Accepted, &r.WarmUp.Refused, &r.WarmUp.Failed)
			continue
		}
		tally(s.outcome, &r.Accepted, &r.Refused, &r.Failed)
		o := &figures[s.kind]
		tally(s.outcome, &o.Accepted, &o.Refused, &o.Failed)
		if s.outcome != failed {
			all = append(all, s.latency())
			service = append(service, s.done-s.sent)
			byKind[s.kind] = append(byKind[s.kind], s.latency())
		}
	}
	r.Failed += l.unsent
	if window > 0 {
		r.AcceptedPerSecond = float64(arrived) / window.Seconds()
	}
	slices.Sort(all)
	r.LatencyMs = latencyOf(all)
	if r.Loop == "open" {
		slices.Sort(service)
		fromSend := latencyOf(service)
		r.ServiceMs = &fromSend
	}
	r.Operations = operationsOf(figures, byKind)
	r.Failures = l.failuresByCount()
	r.Distribution = distribution(all)
	r.Series, r.SeriesSeconds = series(l, window)
	r.Notes = notes(r)
	r.unitsLeft = l.unitsLeft
}

// operationsOf returns the figures of the kinds of operations that were sent.
func operationsOf(figures [kinds]Operation, latencies [kinds][]time.Duration) []Operation {
	operations := []Operation{}
	for k, o := range figures {
		if o.Accepted+o.Refused+o.Failed == 0 {
			continue
		}
		slices.Sort(latencies[k])
		o.Operation, o.LatencyMs = kind(k).String(), latencyOf(latencies[k])
		operations = append(operations, o)
	}
	return operations
}

// failuresByCount returns the failures, the most frequent first.
func (l *load) failuresByCount() []Failure {
	failures := []Failure{}
	for _, f := range l.failures {
		failures = append(failures, *f)
	}
	slices.SortFunc(failures, func(a, b Failure) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Code, b.Code))
	})
	return failures
}

func tally(o outcome, acceptedTo, refusedTo, failedTo *int64) {
	*[...]*int64{accepted: acceptedTo, refused: refusedTo, failed: failedTo}[o]++
}

// judge compares the figures with the scenario's targets.
func (r *Result) judge(s Scenario) {
	r.Targets = nil
	if s.TargetP95 > 0 {
		limit := milliseconds(s.TargetP95)
		answered := r.Accepted+r.Refused > 0 // without answers the quantile is 0, which is no success
		r.Targets = append(r.Targets, Target{
			"95th percentile of latency below", limit, r.LatencyMs.P95, "ms",
			answered && r.LatencyMs.P95 < limit, true,
		})
	}
	if s.TargetMemory > 0 && r.ServerPeakMemoryBytes > 0 {
		limit, peak := Megabytes(s.TargetMemory), Megabytes(r.ServerPeakMemoryBytes)
		r.Targets = append(r.Targets,
			Target{"the server's peak resident memory at most", limit, peak, "MB", peak <= limit, true})
	}
	failures := r.Failed + r.WarmUp.Failed
	if r.LastUnits != nil {
		failures += r.LastUnits.Failed
	}
	r.exactly("failures, from warm-up to end", 0, failures)
	if s.halfRoom {
		r.exactly("accepted, up to the available units", s.unitsEach(Options{Clients: r.Clients}), r.Accepted)
	} else if r.unitsLeft {
		r.exactly("refusals while units were left", 0, r.Refused+r.WarmUp.Refused)
	}
	if r.LastUnits != nil {
		r.exactly("accepted of the last units", r.LastUnits.Room, r.LastUnits.Accepted)
		last := &r.Targets[len(r.Targets)-1]
		last.Met = last.Met && r.LastUnits.Exact()
	}
	r.exactly("authorizations with wrong units", 0, int64(r.Integrity.MismatchCount))
	problems := r.Integrity.Verify.ProblemCount
	if !r.Integrity.Verify.OK {
		problems = max(problems, 1) // the server reported a failure without a problem, or did not answer
	}
	r.exactly("problems found by the server's verify", 0, problems)
}

func (r *Result) exactly(what string, limit, measured int64) {
	r.Targets = append(r.Targets, Target{what, float64(limit), float64(measured), "", limit == measured, false})
}

func notes(r *Result) []string {
	var notes []string
	if r.WarmUp.Seconds > 0 {
		notes = append(notes,
			"One second of warm-up before the measured time is not included; its units are checked, and its "+
				"failures count against the target.")
	} else {
		notes = append(notes, "A fixed number of requests: all are measured, without warm-up.")
	}
	if r.Loop == "open" {
		notes = append(notes, "Open loop: requests are due on a fixed schedule. Latency counts from the time a request was "+
			"due, so waiting for a free client is part of it.")
	} else {
		notes = append(notes,
			"Closed loop: each client sends its next request when the last one was answered, and latency counts from sending.")
	}
	return append(notes,
		"Quantiles are exact, over all answered requests. Refusals are answers, failures are not.",
		"The load tool runs on the machine described here and uses part of its capacity.")
}
