package loadtest

import (
	_ "embed"
	"html/template"
	"io"
	"strings"
)

//go:embed report.html.tmpl
var reportText string

var report = template.Must(template.New("report").Funcs(template.FuncMap{
	"n":       thousands,
	"d":       decimal,
	"gib":     gibibytes,
	"mb":      func(bytes int64) string { return decimal(megabytes(bytes)) },
	"ordered": attemptsInOrder,
	"title":   func(s string) string { return strings.ToUpper(s[:1]) + strings.ReplaceAll(s[1:], "-", " ") },
}).Parse(reportText))

// page is the data of the template.
type page struct {
	Result
	Load     string
	Verdict  string
	Figures  string
	Verified string
	Passed   bool
	Missed   int
	Charts   []chart
}

// Show formats a value of a target with its unit.
func (p page) Show(t Target, value float64) string { return t.show(value) }

// WriteHTML writes the result as a self-contained HTML page with embedded styles and
// plots, without scripts.
func (r Result) WriteHTML(w io.Writer) error {
	charts, err := r.charts()
	if err != nil {
		return err
	}
	shown := page{
		Result:   r,
		Load:     r.load(),
		Verdict:  r.Integrity.sentence(),
		Figures:  r.Integrity.figures(),
		Verified: r.Integrity.Verify.sentence(),
		Passed:   r.Passed(),
		Charts:   charts,
	}
	for _, t := range r.Targets {
		if !t.Met {
			shown.Missed++
		}
	}
	return report.Execute(w, shown)
}
