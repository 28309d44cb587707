package httpx

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"
)

// Stream adapts a function to an [Endpoint] that answers with server-sent events
// (text/event-stream) for as long as the function runs. In is read as by [Handle].
//
// The answer begins with the first thing that is sent: an error before that
// becomes a problem document as usual. The function must end when its context
// does, which is also when the server stops. Each writing may take as long as
// patience allows: the reader who is slower is dropped, and the function gets
// [ErrReaderGone], which it may return.
func Stream[In any](patience time.Duration, fn func(ctx context.Context, in In, out *Feed) error) Endpoint {
	in := reflect.TypeFor[In]()
	binder := newBinder(in)
	return Endpoint{In: in, Out: reflect.TypeFor[None](), Status: http.StatusOK, Params: binder.params(), Streams: true, serve: func(c echo.Context, before Before) error {
		var request In
		if err := binder.bind(c, reflect.ValueOf(&request).Elem()); err != nil {
			return err
		}
		if err := before(c.Request().Context()); err != nil {
			return err
		}
		feed := &Feed{response: c.Response(), control: http.NewResponseController(c.Response()), patience: patience}
		err := fn(c.Request().Context(), request, feed)
		if feed.begun && (errors.Is(err, ErrReaderGone) || c.Request().Context().Err() != nil) {
			return nil //nolint:nilerr // this is how streams end
		}
		return err
	}}
}

// ErrReaderGone says that the reader of a stream has gone, or is too slow.
var ErrReaderGone = errors.New("httpx: the reader of the stream is gone")

// Feed is the writing end of a [Stream]. Not safe for concurrent use.
type Feed struct {
	response *echo.Response
	control  *http.ResponseController
	patience time.Duration
	begun    bool
	buffer   bytes.Buffer
}

// Event is one server-sent event.
type Event struct {
	ID   int64 // what a reader sends as Last-Event-ID to go on after it
	Name string
	Data any // becomes JSON
}

// Send writes the events at once. The error is [ErrReaderGone] where they could
// not be written in time.
func (f *Feed) Send(events ...Event) error {
	f.buffer.Reset()
	for _, e := range events {
		data, err := json.Marshal(e.Data) // never has a line break
		if err != nil {
			return fmt.Errorf("httpx: the event %s cannot be written as JSON: %w", e.Name, err)
		}
		fmt.Fprintf(&f.buffer, "id: %d\nevent: %s\ndata: %s\n\n", e.ID, e.Name, data)
	}
	return f.write()
}

// Beat writes a comment, so that everybody on the way sees that the stream lives,
// and tells the id without an event: a reader who waits for rare events does not
// fall behind.
func (f *Feed) Beat(id int64) error {
	f.buffer.Reset()
	f.buffer.WriteString(": alive\nid: " + strconv.FormatInt(id, 10) + "\n\n")
	return f.write()
}

func (f *Feed) write() error {
	if f.buffer.Len() == 0 {
		return nil
	}
	if !f.begun {
		f.begin()
	}
	// A server that cannot bound a write, as that of some tests, is left as it is.
	_ = f.control.SetWriteDeadline(time.Now().Add(f.patience))
	_, err := f.response.Write(f.buffer.Bytes())
	if err == nil {
		err = f.control.Flush()
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrReaderGone, err)
	}
	return nil
}

func (f *Feed) begin() {
	f.begun = true
	// The server watches the connection by reading from it: past its deadline for
	// reading a request it would take the reader for gone.
	_ = f.control.SetReadDeadline(time.Time{})
	header := f.response.Header()
	header.Set(echo.HeaderContentType, "text/event-stream")
	header.Set(echo.HeaderCacheControl, "no-store, no-transform")
	header.Set("X-Accel-Buffering", "no") // proxies that collect answers must not collect this one
	f.response.WriteHeader(http.StatusOK)
}
