package httpx

import (
	"context"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"path"
	"reflect"
	"time"

	"github.com/labstack/echo/v4"
)

// mediaJSONL is the media type of JSON Lines: one object per line.
const mediaJSONL = "application/jsonl"

// DownloadQuery is the parameter of a download; embed it in the In of an endpoint
// made by [Download].
type DownloadQuery struct {
	// Format is jsonl for JSON Lines, the default, or csv.
	Format string `query:"format" validate:"omitempty,oneof=jsonl csv"`
}

func (q DownloadQuery) download() DownloadQuery { return q }

// Download adapts a function to an [Endpoint] that streams any number of rows as JSON
// Lines or CSV, without holding all of them in memory. CSV has the columns and cells
// of [HandleTable].
//
// The answer begins with the first rows sent. An error before that becomes a problem
// document as usual. A later error breaks the connection, so that a client cannot
// mistake a part for the whole. Each write may take as long as patience. The function
// must return when its context ends, which is also when the server stops.
func Download[In, Row any](patience time.Duration, fn func(ctx context.Context, in In, out *Rows[Row]) error) Endpoint {
	in := reflect.TypeFor[In]()
	binder := newBinder(in)
	columns := columnsOf(reflect.TypeFor[Row]())
	masked, needs := redactionOfAnswer[[]Row]()
	if _, ok := any(*new(In)).(interface{ download() DownloadQuery }); !ok {
		panic(fmt.Sprintf("httpx: %s does not embed DownloadQuery", in))
	}
	serve := func(c echo.Context, before Before) error {
		var request In
		if err := binder.bind(c, reflect.ValueOf(&request).Elem()); err != nil {
			return err
		}
		if err := before(c.Request().Context()); err != nil {
			return err
		}
		out := &Rows[Row]{
			masked:  func(rows *[]Row) error { return masked(c.Request().Context(), rows) },
			columns: columns, csv: any(request).(interface{ download() DownloadQuery }).download().Format == "csv",
			name: path.Base(path.Dir(c.Path())), partialResponse: newPartialResponse(c, patience),
		}
		err := fn(c.Request().Context(), request, out)
		if err == nil {
			err = out.Send() // no rows are a valid answer too
		}
		if err != nil && out.started {
			panic(http.ErrAbortHandler)
		}
		return err
	}
	return Endpoint{
		In: in, Out: reflect.TypeFor[Row](), Status: http.StatusOK, Params: binder.params(),
		Streams: true, Downloads: true, Needs: needs, serve: serve,
	}
}

// Rows is the writing end of a [Download]. It is not safe for concurrent use.
type Rows[Row any] struct {
	partialResponse
	masked  func(rows *[]Row) error
	columns []column
	csv     bool
	name    string
}

// Send writes rows after clearing the fields that the reader may not see. It returns
// [ErrReaderGone] if they could not be written in time.
func (r *Rows[Row]) Send(rows ...Row) error {
	if err := r.masked(&rows); err != nil {
		return err
	}
	r.buffer.Reset()
	if r.csv && !r.started {
		writeNames(&r.buffer, r.columns)
	}
	if r.csv {
		if err := writeRows(&r.buffer, r.columns, reflect.ValueOf(rows)); err != nil {
			return err
		}
	} else {
		encoder := json.NewEncoder(&r.buffer)
		for _, row := range rows {
			if err := encoder.Encode(row); err != nil {
				return fmt.Errorf("write a row as JSON: %w", err)
			}
		}
	}
	r.start(r.setHeader)
	return r.flush()
}

func (r *Rows[Row]) setHeader(header http.Header) {
	media, ending := mediaJSONL, ".jsonl"
	if r.csv {
		media, ending = mediaCSV+"; charset=utf-8; header=present", ".csv"
	}
	header.Set(echo.HeaderContentType, media)
	header.Set(echo.HeaderCacheControl, "no-store")
	header.Set(echo.HeaderContentDisposition, mime.FormatMediaType("attachment", map[string]string{"filename": r.name +
		ending}))
}
