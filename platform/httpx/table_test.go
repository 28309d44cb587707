package httpx_test

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/httpx"
)

type cellsQuery struct {
	httpx.TableQuery
	Rows int `query:"rows"`
}

type cells struct {
	Name  string        `json:"name"`
	Note  *string       `json:"note"`
	Units int           `json:"units"`
	Share float64       `json:"share"`
	Day   calendar.Date `json:"day"`
	Open  bool          `json:"open"`
}

var names = []string{
	"plain", "a, b", `say "yes"`, "two\r\nlines", "=1+1", "+1", "-1", "@x", "\tx", "\rx", "Zoë 日", "",
}

// listCells lists as many cells as requested.
func listCells(_ context.Context, in cellsQuery) (httpx.Page[cells], error) {
	first := 0
	if err := in.DecodeCursor(&first); err != nil {
		return httpx.Page[cells]{}, err
	}
	var found []int
	for n := first; n < in.Rows && len(found) <= in.Size(); n++ {
		found = append(found, n)
	}
	body := func(n int) cells {
		c := cells{Name: names[n%len(names)], Units: -n, Share: 12.5, Day: calendar.NewDate(2026, 3, 2), Open: n == 0}
		if n == 1 {
			c.Note = new("noted")
		}
		return c
	}
	return httpx.PageOf(in.PageQuery, found, body, func(n int) any { return n + 1 }), nil
}

func table(t *testing.T, query, accept string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/reports/cells?"+query, nil)
	if accept != "" {
		r.Header.Set("Accept", accept)
	}
	w := httptest.NewRecorder()
	c := echo.New().NewContext(r, w)
	c.SetPath("/reports/cells")
	require.NoError(t, httpx.HandleTable(listCells).Serve(c))
	return w
}

func TestTablesAreCSV(t *testing.T) {
	t.Parallel()
	w := table(t, "format=csv&rows=12", "")
	require.Equal(t, "text/csv; charset=utf-8; header=present", w.Header().Get("Content-Type"))
	require.Equal(t, "attachment; filename=cells.csv", w.Header().Get("Content-Disposition"))
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	require.Empty(t, w.Header().Get("Next-Cursor"))
	require.Equal(t, strings.Join([]string{
		"name,note,units,share,day,open",
		"plain,,0,12.5,2026-03-02,true",
		`"a, b",noted,-1,12.5,2026-03-02,false`,
		`"say ""yes""",,-2,12.5,2026-03-02,false`,
		"\"two\r\nlines\",,-3,12.5,2026-03-02,false",
		"'=1+1,,-4,12.5,2026-03-02,false",
		"'+1,,-5,12.5,2026-03-02,false",
		"'-1,,-6,12.5,2026-03-02,false",
		"'@x,,-7,12.5,2026-03-02,false",
		"\"'\tx\",,-8,12.5,2026-03-02,false",
		"\"'\rx\",,-9,12.5,2026-03-02,false",
		"Zoë 日,,-10,12.5,2026-03-02,false",
		",,-11,12.5,2026-03-02,false",
		"",
	}, "\r\n"), w.Body.String())
}

func TestTablesHaveAllRowsOrACursor(t *testing.T) {
	t.Parallel()
	rows := func(w *httptest.ResponseRecorder) [][]string {
		read, err := csv.NewReader(w.Body).ReadAll()
		require.NoError(t, err)
		return read[1:]
	}
	require.Len(t, rows(table(t, "format=csv&rows=300", "")), 300)
	first := table(t, "format=csv&rows="+strconv.Itoa(httpx.MaxTableRows+5), "")
	require.Len(t, rows(first), httpx.MaxTableRows)
	rest := table(t, "format=csv&rows="+strconv.Itoa(httpx.MaxTableRows+5)+"&cursor="+first.Header().Get("Next-Cursor"),
		"")
	require.Empty(t, rest.Header().Get("Next-Cursor"))
	require.Equal(t, "-10000", rows(rest)[0][2])
	require.Len(t, rows(table(t, "format=csv&rows=300&limit=7", "")), 7)
}

func TestTheFormIsChosen(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		query, accept string
		csv           bool
	}{
		{"", "", false},
		{"", "text/csv", true},
		{"", "text/csv, */*;q=0.1", true},
		{"", "application/json, text/csv;q=0.9", false},
		{"", "text/csv;q=0", false},
		{"", "text/csv;q=0, text/*", false},
		{"", "application/json, text/csv", false},
		{"", "text/csv, application/json", false},
		{"", "text/csv, */*", false},
		{"", "text/csv;q=0.5, application/json;q=0.4", true},
		{"", "text/csv;q=0.5, application/*;q=0.5", false},
		{"", "application/json;q=0, */*", true},
		{"", "application/json;q=0.2, application/*, text/*;q=0.5", true},
		{"", "text/*", true},
		{"", "TEXT/CSV; charset=utf-8", true},
		{"", "text/csv;q=1.5, application/json;q=0.1", false},
		{"", "text/csv;q=0.1234, text/csv;q=x", false},
		{"", "text/html", false},
		{"", "*/*", false},
		{"", ";;;, text/csv", true},
		{"format=csv", "application/json", true},
		{"format=json", "text/csv", false},
	} {
		w := table(t, "rows=1&"+c.query, c.accept)
		require.Equal(t, c.csv, strings.HasPrefix(w.Header().Get("Content-Type"), "text/csv"), "%+v", c)
		require.Contains(t, w.Header().Values("Vary"), "Accept")
		if !c.csv {
			var p httpx.Page[cells]
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &p))
			require.Len(t, p.Data, 1)
		}
	}
}

func TestTablesAreCheckedAtStart(t *testing.T) {
	t.Parallel()
	type nested struct {
		List []string `json:"list"`
	}
	require.Panics(t, func() {
		httpx.HandleTable(func(context.Context, cellsQuery) (httpx.Page[nested], error) { return httpx.Page[nested]{}, nil })
	})
	require.Panics(t, func() {
		httpx.HandleTable(func(context.Context, numbersQuery) (httpx.Page[cells], error) { return httpx.Page[cells]{}, nil })
	})
}
