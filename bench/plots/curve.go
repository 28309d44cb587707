package plots

import (
	"errors"
	"fmt"
	"html/template"
	"image/color"
	"io"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Curve is a line in a plot of several runs.
type Curve struct {
	Name   string
	Points []CurvePoint // ordered by clients
}

// CurvePoint is one run.
type CurvePoint struct {
	Clients int
	Value   float64 // must be positive to be drawn
	Failed  bool    // had failed requests: marked in the plot
}

// CurvePlot is a plot of curves by the number of clients, on a logarithmic axis.
type CurvePlot struct {
	Title  string
	Unit   string // unit of the values, with a leading space if needed
	Log    bool   // logarithmic value axis
	Curves []Curve
}

// curveColors are the colors of the first and the second curve.
var curveColors = []color.Color{blueColor, amberColor}

// WriteSVG writes the plot as a self-contained SVG file that follows the reader's light
// or dark color scheme.
func (c CurvePlot) WriteSVG(w io.Writer) error {
	p := newPlot()
	p.Title.Text = c.Title
	p.Title.TextStyle.Color, p.Title.TextStyle.Font, p.Title.Padding = strongColor, plotFont, vg.Points(8)
	p.X.Label.Text = "clients"
	p.X.Label.TextStyle.Color, p.X.Label.TextStyle.Font = inkColor, plotFont
	p.Legend.TextStyle.Color, p.Legend.TextStyle.Font = inkColor, plotFont
	p.Legend.Top, p.Legend.Left, p.Legend.Padding, p.Legend.XOffs = true, true, vg.Points(4), vg.Points(12)
	p.Add(grid())
	if len(c.Curves) > len(curveColors) {
		return fmt.Errorf("plots: no more than %d curves have a color", len(curveColors))
	}
	var lowest, top float64
	var failed plotter.XYs
	for i, curve := range c.Curves {
		var points plotter.XYs
		for _, at := range curve.Points {
			if at.Value <= 0 {
				continue
			}
			point := plotter.XY{X: float64(at.Clients), Y: at.Value}
			points = append(points, point)
			if at.Failed {
				failed = append(failed, point)
			}
			if top == 0 || at.Value < lowest {
				lowest = at.Value
			}
			top = max(top, at.Value)
		}
		if len(points) == 0 {
			continue
		}
		drawn := line(points, curveColors[i], 2)
		p.Add(drawn, dots(points, curveColors[i], draw.CircleGlyph{}, 2.5))
		p.Legend.Add(curve.Name, drawn)
	}
	if top == 0 {
		return errors.New("plots: there is no point to draw")
	}
	if len(failed) > 0 {
		rings := dots(failed, redColor, draw.RingGlyph{}, 5.5)
		p.Add(rings)
		p.Legend.Add("with failed requests", rings)
	}
	c.scale(p, lowest, top)
	body, err := renderBody(p)
	if err != nil {
		return err
	}
	// The last label of an axis extends beyond the plot.
	_, err = fmt.Fprintf(w, curveHead+"%[4]s", plotWidth+48, plotHeight+32, template.HTMLEscapeString(c.Title), body)
	return err
}

// scale sets the scales and the labels of the axes.
func (c CurvePlot) scale(p *plot.Plot, lowest, top float64) {
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.TickerFunc(func(low, high float64) []plot.Tick {
		return logTicksIn("", low, high)
	})
	p.Y.Min, p.Y.Max, p.Y.Tick.Marker = 0, 1.15*top, plainTicks(c.Unit)
	if c.Log {
		p.Y.Min, p.Y.Max = lowest/1.3, 1.6*top
		p.Y.Scale = plot.LogScale{}
		p.Y.Tick.Marker = plot.TickerFunc(func(low, high float64) []plot.Tick { return logTicksIn(c.Unit, low, high) })
	}
}

func dots(points plotter.XYs, c color.Color, shape draw.GlyphDrawer, radius float64) *plotter.Scatter {
	return &plotter.Scatter{XYs: points, GlyphStyle: draw.GlyphStyle{Color: c, Radius: vg.Points(radius), Shape: shape}}
}

// curveHead begins the file. It has the color schemes of the report's page.
const curveHead = `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"
  viewBox="-18 -16 %[1]d %[2]d" role="img" aria-label="%[3]s">
<style>
svg { --card: #ffffff; --ink: #16202c; --quiet: #5b6878; --grid: #e8ecf1; --blue: #1f65c8; --amber: #b46a00; --red: #c22f2f;
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
@media (prefers-color-scheme: dark) {
  svg { --card: #181f28; --ink: #e8edf3; --quiet: #98a6b6; --grid: #28313c; --blue: #74aefb; --amber: #eba94a; --red: #f58080; }
}
</style>
<rect x="-18" y="-16" width="%[1]d" height="%[2]d" rx="8" style="fill:var(--card)"/>
`
