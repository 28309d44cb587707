package plots

import (
	"bytes"
	"errors"
	"fmt"
	"html/template"
	"image/color"
	"math"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"omnirapeutic/bench/loadtest"
)

// Placeholder colors that the page replaces by the colors of its light or dark scheme,
// because gonum/plot has no color roles.
var (
	inkColor    = color.RGBA{R: 1, G: 1, B: 1, A: 255}
	gridColor   = color.RGBA{R: 2, G: 2, B: 2, A: 255}
	shadeColor  = color.RGBA{R: 3, G: 3, B: 3, A: 255}
	blueColor   = color.RGBA{R: 4, G: 4, B: 4, A: 255}
	fillColor   = color.RGBA{R: 5, G: 5, B: 5, A: 255}
	amberColor  = color.RGBA{R: 6, G: 6, B: 6, A: 255}
	redColor    = color.RGBA{R: 7, G: 7, B: 7, A: 255}
	strongColor = color.RGBA{R: 8, G: 8, B: 8, A: 255}

	schemeColors = strings.NewReplacer(
		"#010101", "var(--quiet)", "#020202", "var(--grid)", "#030303", "var(--shade)", "#040404", "var(--blue)",
		"#050505", "var(--fill)", "#060606", "var(--amber)", "#070707", "var(--red)", "#080808", "var(--ink)",
	)
)

const (
	plotWidth  = 960
	plotHeight = 270
)

// newPlot returns a plot with axis labels, without lines or background.
func newPlot() *plot.Plot {
	p := plot.New()
	p.BackgroundColor = nil
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.Padding, axis.LineStyle.Width, axis.Tick.Length = 0, 0, 0
		axis.Tick.Label.Color = inkColor
		axis.Tick.Label.Font = plotFont
	}
	p.Y.Padding, p.X.Padding = vg.Points(6), vg.Points(4)
	return p
}

var plotFont = font.Font{Typeface: "Liberation", Variant: "Sans", Size: vg.Points(13)}

func grid() *plotter.Grid {
	g := plotter.NewGrid()
	g.Vertical.Color = nil
	g.Horizontal = draw.LineStyle{Color: gridColor, Width: vg.Points(1)}
	return g
}

func line(points plotter.XYs, c color.Color, width float64) *plotter.Line {
	return &plotter.Line{XYs: points, LineStyle: draw.LineStyle{Color: c, Width: vg.Points(width)}}
}

func dashed(points plotter.XYs, c color.Color) *plotter.Line {
	l := line(points, c, 1.2)
	l.Dashes = []vg.Length{vg.Points(5), vg.Points(4)}
	return l
}

// area fills the area below the points.
func area(points plotter.XYs) *plotter.Line {
	return &plotter.Line{XYs: points, FillColor: fillColor}
}

// shade marks a time span over the whole height of the plot.
type shade struct{ from, to float64 }

func (s shade) Plot(c draw.Canvas, p *plot.Plot) {
	x, _ := p.Transforms(&c)
	c.FillPolygon(shadeColor, []vg.Point{
		{X: x(s.from), Y: c.Min.Y},
		{X: x(s.to), Y: c.Min.Y},
		{X: x(s.to), Y: c.Max.Y},
		{X: x(s.from), Y: c.Max.Y},
	})
}

// marker is a vertical line with a label at its top. Rows separate the labels of
// neighbours.
type marker struct {
	x      float64
	text   string
	row    int // from the top
	color  color.Color
	dashed bool
}

func (m marker) Plot(c draw.Canvas, p *plot.Plot) {
	transform, _ := p.Transforms(&c)
	x := transform(m.x)
	style := draw.LineStyle{Color: m.color, Width: vg.Points(1.2)}
	if m.dashed {
		style.Dashes = []vg.Length{vg.Points(5), vg.Points(4)}
	}
	top := c.Max.Y - vg.Points(float64(m.row)*18)
	c.StrokeLine2(style, x, c.Min.Y, x, top)
	text := p.X.Tick.Label
	text.Color, text.YAlign, text.XAlign = m.color, draw.YTop, draw.XLeft
	c.FillText(text, vg.Point{X: x + vg.Points(5), Y: top}, m.text)
}

// logTicks are at 1, 2 and 5 of each power of ten, or at every digit if those would be
// too few.
func logTicks(low, high float64) []plot.Tick { return logTicksIn(" ms", low, high) }

func logTicksIn(unit string, low, high float64) []plot.Tick {
	digits := []float64{1, 2, 5}
	if high < 8*low {
		digits = []float64{1, 2, 3, 4, 5, 6, 7, 8, 9}
	}
	var ticks []plot.Tick
	for power := math.Floor(math.Log10(low)); power <= math.Log10(high); power++ {
		for _, n := range digits {
			if v := n * math.Pow(10, power); v >= low && v <= high {
				ticks = append(ticks, plot.Tick{Value: v, Label: tickText(v) + unit})
			}
		}
	}
	return ticks
}

// plainTicks are round numbers followed by a unit.
func plainTicks(unit string) plot.Ticker {
	return plot.TickerFunc(func(low, high float64) []plot.Tick {
		step := math.Pow(10, math.Floor(math.Log10((high-low)/4)))
		for _, n := range []float64{2, 2.5, 2} { // 2, 5 and 10 times the power of ten
			if (high-low)/step <= 6.5 {
				break
			}
			step *= n
		}
		var ticks []plot.Tick
		for n := math.Ceil(low / step); n*step <= high+step*1e-9; n++ {
			ticks = append(ticks, plot.Tick{Value: n * step, Label: tickText(n*step) + unit})
		}
		return ticks
	})
}

// tickText formats the number with as few digits as possible.
func tickText(v float64) string {
	if math.Abs(v) >= 1000 {
		return loadtest.Thousands(int64(math.Round(v)))
	}
	return fmt.Sprintf("%.4g", v+0) // adding 0 turns -0 into 0
}

// render returns the plot as an SVG element of full width, in the colors of the page.
func render(p *plot.Plot, title string) (template.HTML, error) {
	body, err := renderBody(p)
	if err != nil {
		return "", err
	}
	head := fmt.Sprintf(`<svg viewBox="0 0 %d %d" role="img" aria-label="%s">`, plotWidth, plotHeight,
		template.HTMLEscapeString(title))
	// Safe as HTML: numbers, and texts that vgsvg escapes.
	return template.HTML(head + body), nil //nolint:gosec // see above
}

// renderBody returns the content of the SVG element, including its end tag.
func renderBody(p *plot.Plot) (string, error) {
	canvas := vgsvg.New(plotWidth, plotHeight)
	p.Draw(draw.New(canvas))
	var drawn bytes.Buffer
	if _, err := canvas.WriteTo(&drawn); err != nil {
		return "", err
	}
	_, body, found := strings.Cut(drawn.String(), "<svg")
	_, body, ended := strings.Cut(body, ">")
	if !found || !ended {
		return "", errors.New("the plot is not SVG")
	}
	body = schemeColors.Replace(body)
	return strings.ReplaceAll(body, "font-family:Liberation Sans", "font-family:inherit"), nil
}
