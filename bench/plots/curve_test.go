package plots_test

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/bench/plots"
)

func svgOf(t *testing.T, p plots.CurvePlot) string {
	t.Helper()
	var text strings.Builder
	require.NoError(t, p.WriteSVG(&text))
	return text.String()
}

func TestCurvePlot(t *testing.T) {
	t.Parallel()
	p := plots.CurvePlot{Title: "high-contention: <p99>", Unit: " ms", Log: true, Curves: []plots.Curve{
		{"combined", []plots.CurvePoint{{1, 2.5, false}, {50, 20, false}, {5000, 900, false}}},
		{
			"one transaction per request",
			[]plots.CurvePoint{{1, 2.5, false}, {50, 150, false}, {2000, 0, true}, {5000, 15_000, true}},
		},
	}}
	text := svgOf(t, p)

	t.Run("it is a self-contained file", func(t *testing.T) {
		t.Parallel()
		decoder := xml.NewDecoder(strings.NewReader(text))
		for {
			_, err := decoder.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err)
		}
		require.Contains(t, text, `xmlns="http://www.w3.org/2000/svg"`)
		require.NotRegexp(t, `href=|@import|url\(|<script`, text)
	})
	t.Run("it has the colors of both schemes, and no others", func(t *testing.T) {
		t.Parallel()
		require.Contains(t, text, "prefers-color-scheme: dark")
		_, drawn, found := strings.Cut(text, "</style>")
		require.True(t, found)
		require.NotRegexp(t, `#[0-9A-Fa-f]{6}`, drawn)
		require.NotContains(t, drawn, "NaN")
		require.NotContains(t, drawn, "Inf")
	})
	t.Run("it names the curves, and marks where requests failed", func(t *testing.T) {
		t.Parallel()
		for _, said := range []string{
			">combined<", ">one transaction per request<", ">with failed requests<", ">5,000<", ">clients<",
			"high-contention: &lt;p99&gt;",
		} {
			require.Contains(t, text, said)
		}
		p := p
		p.Curves = p.Curves[:1]
		require.NotContains(t, svgOf(t, p), "with failed requests")
	})
	t.Run("it refuses to draw nothing, or more curves than there are colors", func(t *testing.T) {
		t.Parallel()
		require.Error(t, plots.CurvePlot{}.WriteSVG(io.Discard))
		require.Error(t, plots.CurvePlot{Curves: make([]plots.Curve, 3)}.WriteSVG(io.Discard))
		require.ErrorIs(t, p.WriteSVG(full{}), errFull)
	})
}
