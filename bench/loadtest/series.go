package loadtest

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// Point has the figures of a short interval of the run.
type Point struct {
	T        float64 `json:"t"` // start, in seconds since the start of the measured time; negative in the warm-up
	Accepted int64   `json:"accepted"`
	Refused  int64   `json:"refused"`
	Failed   int64   `json:"failed"`
	P95Ms    float64 `json:"p95Ms"`   // of answers that arrived in the interval
	Waiting  int64   `json:"waiting"` // open loop: requests due but not sent, at the end of the interval
}

// Bin counts the answers with a latency in one range.
type Bin struct {
	FromMs float64 `json:"fromMs"`
	ToMs   float64 `json:"toMs"`
	Count  int64   `json:"count"`
}

// seriesStep returns the length of an interval: 250 ms, or less for short runs.
func seriesStep(window time.Duration) time.Duration {
	for _, ms := range []int{250, 100, 50, 25} {
		if step := time.Duration(ms) * time.Millisecond; window/step >= 20 {
			return step
		}
	}
	return 10 * time.Millisecond
}

// series returns the intervals of the warm-up and the measured time. A request belongs
// to the interval in which its answer arrived.
func series(l *load, window time.Duration) (points []Point, stepSeconds float64) {
	step := seriesStep(window)
	before := int(l.from.Sub(l.begin) / step)
	after := int((window + step - 1) / step)
	points = make([]Point, before+after)
	latencies := make([][]time.Duration, len(points))
	index := func(at time.Duration) int { return int(at+time.Duration(before)*step) / int(step) }

	for _, s := range l.samples {
		i := index(s.done)
		if i >= len(points) {
			continue // answered after the measured time
		}
		p := &points[i]
		tally(s.outcome, &p.Accepted, &p.Refused, &p.Failed)
		if s.outcome != failed {
			latencies[i] = append(latencies[i], s.latency())
		}
	}
	sent := slices.Clone(l.samples)
	slices.SortFunc(sent, func(a, b sample) int { return cmp.Compare(a.sent, b.sent) })
	next := 0
	for i := range points {
		start := time.Duration(i-before) * step
		slices.Sort(latencies[i])
		points[i].T = start.Seconds()
		points[i].P95Ms = milliseconds(quantile(latencies[i], 0.95))
		for next < len(sent) && sent[next].sent <= start+step {
			next++
		}
		points[i].Waiting = max(0, l.pace.dueBy(l.from.Add(start+step))-int64(next))
	}
	return points, step.Seconds()
}

// binsPerDecade shows several peaks without making bins too sparse.
const binsPerDecade = 24

// distribution requires sorted latencies. Bins have equal width on a logarithmic axis,
// without gaps.
func distribution(sorted []time.Duration) []Bin {
	bins := []Bin{}
	if len(sorted) == 0 {
		return bins
	}
	number := func(d time.Duration) int {
		return int(math.Floor(math.Log10(max(milliseconds(d), 0.001)) * binsPerDecade))
	}
	first := number(sorted[0])
	for _, d := range sorted {
		i := max(number(d), first) - first
		for len(bins) <= i {
			n := float64(first + len(bins))
			bins = append(bins, Bin{FromMs: math.Pow(10, n/binsPerDecade), ToMs: math.Pow(10, (n+1)/binsPerDecade)})
		}
		bins[i].Count++
	}
	return bins
}
