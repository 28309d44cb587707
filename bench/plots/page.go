// Package plots draws the results of load tests: a page for one result, and curves of several.
package plots

import (
	_ "embed"
	"html/template"
	"io"
	"strings"

	"omnirapeutic/bench/loadtest"
)

//go:embed page.html.tmpl
var pageText string

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"n":       loadtest.Thousands,
	"d":       loadtest.Decimal,
	"gib":     loadtest.Gibibytes,
	"mb":      func(bytes int64) string { return loadtest.Decimal(loadtest.Megabytes(bytes)) },
	"ordered": loadtest.AttemptsInOrder,
	"title":   func(s string) string { return strings.ToUpper(s[:1]) + strings.ReplaceAll(s[1:], "-", " ") },
}).Parse(pageText))

// page is the data of the template.
type page struct {
	loadtest.Result
	Load     string
	Verdict  string
	Figures  string
	Verified string
	Passed   bool
	Missed   int
	Charts   []chart
}

// Show formats a value of a target with its unit.
func (p page) Show(t loadtest.Target, value float64) string { return t.Show(value) }

// WritePage writes the result of a load test as a self-contained HTML page with embedded styles
// and plots, without scripts.
func WritePage(w io.Writer, r loadtest.Result) error {
	charts, err := run{r}.charts()
	if err != nil {
		return err
	}
	shown := page{
		Result:   r,
		Load:     r.Load(),
		Verdict:  r.Integrity.Sentence(),
		Figures:  r.Integrity.Figures(),
		Verified: r.Integrity.Verify.Sentence(),
		Passed:   r.Passed(),
		Charts:   charts,
	}
	for _, t := range r.Targets {
		if !t.Met {
			shown.Missed++
		}
	}
	return pageTemplate.Execute(w, shown)
}
