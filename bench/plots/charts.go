package plots

import (
	"fmt"
	"html/template"
	"image/color"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"

	"omnirapeutic/bench/loadtest"
)

// run is the result whose plots are drawn.
type run struct{ loadtest.Result }

// chart is one plot of the page.
type chart struct {
	Title  string
	Text   string // explanation
	Legend []legendEntry
	SVG    template.HTML
	Empty  string // text instead of an empty plot
}

type legendEntry struct {
	Name  string
	Class string // CSS class of the color
}

func (r run) charts() ([]chart, error) {
	var all []chart
	for _, draw := range []func() (*plot.Plot, chart){
		r.latencyChart, r.throughputChart, r.tailChart, r.queueChart,
		r.retryChart,
	} {
		p, c := draw()
		if c.Title == "" {
			continue
		}
		if p != nil {
			svg, err := render(p, c.Title)
			if err != nil {
				return nil, fmt.Errorf("drawing %q: %w", c.Title, err)
			}
			c.SVG = svg
		}
		all = append(all, c)
	}
	return all, nil
}

func (r run) latencyChart() (*plot.Plot, chart) {
	c := chart{
		Title: "Latency",
		Text:  "Share of the answers by latency, from the time a request was due. The axis is logarithmic.",
	}
	if len(r.Distribution) == 0 {
		c.Empty = "No request was answered."
		return nil, c
	}
	p := newPlot()
	var answers, highest float64
	for _, b := range r.Distribution {
		answers += float64(b.Count)
		highest = max(highest, float64(b.Count))
	}
	outline := plotter.XYs{}
	for _, b := range r.Distribution {
		share := 100 * float64(b.Count) / answers
		outline = append(outline, plotter.XY{X: b.FromMs, Y: share}, plotter.XY{X: b.ToMs, Y: share})
	}
	top := 100 * highest / answers * 1.35
	p.X.Min, p.X.Max = outline[0].X/1.1, outline[len(outline)-1].X*1.1
	limit := r.latencyLimit()
	switch {
	case limit > 4*p.X.Max: // would compress the curve into a corner
		c.Text += " The target of the 95th percentile, " + loadtest.Decimal(limit) + " ms, is far to the right of it."
		limit = 0
	case limit > 0:
		p.X.Max, p.X.Min = max(p.X.Max, limit), min(p.X.Min, limit/2)
	}
	p.X.Max *= math.Pow(p.X.Max/p.X.Min, 0.22) // room for the label of a mark at the right end
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.TickerFunc(logTicks)
	p.Y.Min, p.Y.Max = 0, top
	p.Y.Tick.Marker = plainTicks(" %")
	p.Add(grid(), area(outline), line(outline, blueColor, 1.5))
	if limit > 0 {
		p.Add(marker{x: limit, text: "p95 target " + loadtest.Decimal(limit) + " ms", row: 0, color: redColor, dashed: true})
	}
	for i, q := range []struct {
		name  string
		value float64
	}{{"p50", r.LatencyMs.P50}, {"p95", r.LatencyMs.P95}, {"p99", r.LatencyMs.P99}} {
		p.Add(marker{x: q.value, text: q.name + " " + loadtest.Decimal(q.value) + " ms", row: i, color: strongColor})
	}
	return p, c
}

// latencyLimit returns the target of the 95th percentile, or 0.
func (r run) latencyLimit() float64 {
	for _, t := range r.Targets {
		if t.Unit == "ms" {
			return t.Limit
		}
	}
	return 0
}

func (r run) throughputChart() (*plot.Plot, chart) {
	c := chart{Title: "Throughput", Text: "Answers per second." + r.warmUpText()}
	points := r.wholePoints()
	if len(points) == 0 {
		c.Empty = "The run was too short for a curve."
		return nil, c
	}
	p := r.timePlot(points)
	p.Add(grid())
	for _, s := range []struct {
		name, class string
		color       color.Color
		of          func(loadtest.Point) int64
	}{
		{"accepted", "blue", blueColor, func(p loadtest.Point) int64 { return p.Accepted }},
		{"refused", "amber", amberColor, func(p loadtest.Point) int64 { return p.Refused }},
		{"failed", "red", redColor, func(p loadtest.Point) int64 { return p.Failed }},
	} {
		curve, seen := r.curve(points, func(p loadtest.Point) float64 { return float64(s.of(p)) / r.SeriesSeconds })
		if !seen && s.name != "accepted" {
			continue
		}
		if s.name == "accepted" {
			p.Add(area(curve))
		}
		p.Add(line(curve, s.color, 1.8))
		c.Legend = append(c.Legend, legendEntry{s.name, s.class})
		p.Y.Max = max(p.Y.Max, 1.12*highest(curve))
	}
	p.Y.Tick.Marker = plainTicks("")
	return p, c
}

func (r run) tailChart() (*plot.Plot, chart) {
	c := chart{
		Title: "95th percentile over time",
		Text:  "In milliseconds, of the answers that arrived in each interval." + r.warmUpText(),
	}
	points := r.wholePoints()
	curve, seen := r.curve(points, func(p loadtest.Point) float64 { return p.P95Ms })
	if !seen {
		return nil, chart{}
	}
	p := r.timePlot(points)
	p.Y.Max = 1.15 * highest(curve)
	p.Y.Tick.Marker = plainTicks(" ms")
	p.Add(grid())
	if limit := r.latencyLimit(); limit > 0 && limit < 3*p.Y.Max {
		p.Y.Max = max(p.Y.Max, 1.15*limit)
		p.Add(dashed(plotter.XYs{{X: p.X.Min, Y: limit}, {X: p.X.Max, Y: limit}}, redColor))
		c.Legend = append(c.Legend, legendEntry{"95th percentile", "blue"}, legendEntry{"target", "red"})
	}
	p.Add(line(curve, blueColor, 1.8))
	return p, c
}

func (r run) queueChart() (*plot.Plot, chart) {
	if r.Loop != "open" {
		return nil, chart{}
	}
	c := chart{
		Title: "Requests waiting to be sent",
		Text:  "Requests that were due while all clients still waited for an answer.",
	}
	points := r.wholePoints()
	curve, seen := r.curve(points, func(p loadtest.Point) float64 { return float64(p.Waiting) })
	if !seen {
		c.Empty = "Every request was sent when it was due."
		return nil, c
	}
	p := r.timePlot(points)
	p.Y.Max = 1.12 * highest(curve)
	p.Y.Tick.Marker = plainTicks("")
	p.Add(grid(), area(curve), line(curve, amberColor, 1.8))
	return p, c
}

func (r run) retryChart() (*plot.Plot, chart) {
	c := chart{Title: "Retries", Text: "Transaction retries per second, as counted by the server." + r.warmUpText()}
	switch {
	case r.Retries.Note != "":
		c.Empty = "Not known: " + r.Retries.Note
		return nil, c
	case r.Retries.Retries == 0 && r.Retries.Failures == 0:
		c.Empty = "No transaction was retried."
		return nil, c
	case len(r.RetrySeries) < 2:
		c.Empty = "The run was too short for a curve: " + r.Retries.Sentence() + "."
		return nil, c
	}
	var retries, failures plotter.XYs
	width := r.RetrySeries[1].T - r.RetrySeries[0].T
	for i, at := range r.RetrySeries {
		if i > 0 {
			width = at.T - r.RetrySeries[i-1].T
		}
		if width < 0.1 {
			continue // the last reading may follow immediately
		}
		retries = append(retries, plotter.XY{X: at.T, Y: float64(at.Retries) / width})
		failures = append(failures, plotter.XY{X: at.T, Y: float64(at.Failures) / width})
	}
	p := r.timePlot(r.wholePoints())
	p.X.Max = max(p.X.Max, r.RetrySeries[len(r.RetrySeries)-1].T)
	p.Y.Max = 1.12 * max(highest(retries), highest(failures), 1)
	p.Y.Tick.Marker = plainTicks("")
	p.Add(grid(), line(retries, amberColor, 1.8))
	c.Legend = []legendEntry{{"retries", "amber"}}
	if r.Retries.Failures > 0 {
		p.Add(line(failures, redColor, 1.8))
		c.Legend = append(c.Legend, legendEntry{"given up", "red"})
	}
	return p, c
}

func (r run) warmUpText() string {
	if r.WarmUp.Seconds > 0 {
		return " The shaded part is the warm-up."
	}
	return ""
}

// wholePoints omits a last interval that is shorter than the others.
func (r run) wholePoints() []loadtest.Point {
	points := r.Series
	if n := len(points); n > 1 && points[n-1].T+r.SeriesSeconds > r.Seconds+1e-9 {
		return points[:n-1]
	}
	return points
}

// curve has one value per interval, at its middle, and extends from the start of the
// first interval to the end of the last.
func (r run) curve(points []loadtest.Point, of func(loadtest.Point) float64) (curve plotter.XYs, seen bool) {
	for i, p := range points {
		y := of(p)
		if i == 0 {
			curve = append(curve, plotter.XY{X: p.T, Y: y})
		}
		curve = append(curve, plotter.XY{X: p.T + r.SeriesSeconds/2, Y: y})
		if i == len(points)-1 {
			curve = append(curve, plotter.XY{X: p.T + r.SeriesSeconds, Y: y})
		}
		seen = seen || y != 0
	}
	return curve, seen
}

func highest(curve plotter.XYs) float64 {
	var top float64
	for _, p := range curve {
		top = max(top, p.Y)
	}
	return top
}

// timePlot has a time axis in seconds, with the warm-up shaded.
func (r run) timePlot(points []loadtest.Point) *plot.Plot {
	p := newPlot()
	p.X.Min, p.X.Max = -r.WarmUp.Seconds, max(r.Seconds, 0.01)
	if len(points) > 0 {
		p.X.Min = points[0].T
	}
	p.X.Tick.Marker = plainTicks(" s")
	p.Y.Min, p.Y.Max = 0, 1
	if r.WarmUp.Seconds > 0 {
		p.Add(shade{from: p.X.Min, to: 0})
	}
	return p
}
