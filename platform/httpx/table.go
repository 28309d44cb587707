package httpx

import (
	"context"
	"fmt"
	"mime"
	"net/http"
	"path"
	"reflect"

	"github.com/labstack/echo/v4"
)

// MaxTableRows is the number of rows of a table without a limit. It bounds memory and
// is enough to work with by hand.
const MaxTableRows = 10_000

// HeaderNextCursor carries the nextCursor of a table, because a CSV body has no member
// for it.
const HeaderNextCursor = "Next-Cursor"

// HeaderReadFrom names the server that has answered a request with consistency=eventual.
const HeaderReadFrom = "Read-From"

// mediaCSV is the type of a table by RFC 4180 and RFC 7111.
const mediaCSV = "text/csv"

// TableQuery are the parameters of a list that is also available as CSV. Embed it in
// the In of an endpoint created by [HandleTable].
type TableQuery struct {
	PageQuery
	// Format is csv for CSV, like Accept: text/csv, and json otherwise.
	Format string `query:"format" validate:"omitempty,oneof=json csv"`
}

func (q *TableQuery) table() *TableQuery { return q }

// HandleTable adapts a function to an [Endpoint] that answers with a list as JSON or as
// CSV (RFC 4180). The query's format=csv selects CSV. Without a format, an Accept
// header that prefers text/csv to application/json does (RFC 9110, section 12.5.1).
//
// In embeds [TableQuery]. Row is a struct of single values. Its JSON names are the
// columns, and each cell holds the JSON value, or nothing for null. A text that a
// spreadsheet would read as a formula is prefixed with an apostrophe. A table without a
// limit has up to [MaxTableRows] rows. If there are more, the header [HeaderNextCursor]
// has the cursor.
//
// HandleTable panics at startup if In or Row violates these rules.
func HandleTable[In, Row any](fn func(ctx context.Context, in In) (Page[Row], error)) Endpoint {
	e := Handle(http.StatusOK, fn)
	binder := newBinder(e.In)
	columns := columnsOf(reflect.TypeFor[Row]())
	masked, _ := redactionOfAnswer[Page[Row]]()
	if _, ok := any(new(In)).(interface{ table() *TableQuery }); !ok {
		panic(fmt.Sprintf("httpx: %s does not embed TableQuery", e.In))
	}
	asJSON := e.serve
	e.Tables = true
	e.serve = func(c echo.Context, before Before) error {
		c.Response().Header().Add(echo.HeaderVary, "Accept")
		if !wantsCSV(c.Request()) {
			return asJSON(c, before)
		}
		var request In
		if err := binder.bind(c, reflect.ValueOf(&request).Elem()); err != nil {
			return err
		}
		sealCursors(c, &request)
		any(&request).(interface{ table() *TableQuery }).table().rows = MaxTableRows
		page, err := fn(c.Request().Context(), request)
		if err == nil {
			err = masked(c.Request().Context(), &page)
		}
		if err != nil {
			return err
		}
		if err := before(c.Request().Context()); err != nil {
			return err
		}
		return sendTable(c, columns, reflect.ValueOf(page.Data), page.NextCursor)
	}
	return e
}

// wantsCSV reports whether the request asks for CSV: by format or, without one, by an Accept
// header that prefers text/csv to application/json. JSON is preferred if weights are equal.
func wantsCSV(r *http.Request) bool {
	if format := r.URL.Query().Get("format"); format != "" {
		return format == "csv"
	}
	accepted := acceptOf(r.Header)
	return accepted.quality("text", "csv") > accepted.quality("application", "json")
}

func sendTable(c echo.Context, columns []column, rows reflect.Value, next *string) error {
	b := borrowBuffer()
	defer returnBuffer(b)
	if err := writeCSV(b, columns, rows); err != nil {
		return err
	}
	header := c.Response().Header()
	header.Set(echo.HeaderCacheControl, "no-store") // keeps health data out of caches
	header.Set(echo.HeaderContentDisposition, mime.FormatMediaType("attachment",
		map[string]string{"filename": path.Base(c.Path()) + ".csv"}))
	if next != nil {
		header.Set(HeaderNextCursor, *next)
	}
	return c.Blob(http.StatusOK, mediaCSV+"; charset=utf-8; header=present", b.Bytes())
}
