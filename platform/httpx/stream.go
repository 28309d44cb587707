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
// (text/event-stream) until the function returns. In is read as by [Handle].
//
// The answer begins with the first event or comment sent. An error before that becomes
// a problem document as usual. The function must return when its context ends, which is
// also when the server stops. Each write may take as long as patience. A slower reader
// is disconnected, and the function receives [ErrReaderGone], which it may return.
func Stream[In any](patience time.Duration, fn func(ctx context.Context, in In, out *Feed) error) Endpoint {
	in := reflect.TypeFor[In]()
	binder := newBinder(in)
	serve := func(c echo.Context, before Before) error {
		var request In
		if err := binder.bind(c, reflect.ValueOf(&request).Elem()); err != nil {
			return err
		}
		if err := before(c.Request().Context()); err != nil {
			return err
		}
		feed := &Feed{newPartialResponse(c, patience)}
		err := fn(c.Request().Context(), request, feed)
		if feed.started && (errors.Is(err, ErrReaderGone) || c.Request().Context().Err() != nil) {
			return nil //nolint:nilerr // this is how streams end
		}
		return err
	}
	return Endpoint{
		In:      in,
		Out:     reflect.TypeFor[None](),
		Status:  http.StatusOK,
		Params:  binder.params(),
		Streams: true,
		serve:   serve,
	}
}

// ErrReaderGone is returned if the reader of a stream has disconnected or is too slow.
var ErrReaderGone = errors.New("httpx: the reader of the stream has disconnected or is too slow")

// Feed is the writing end of a [Stream]. It is not safe for concurrent use.
type Feed struct{ partialResponse }

// partialResponse is a response that is sent part by part. Each part may take as long as patience.
type partialResponse struct {
	response *echo.Response
	control  *http.ResponseController
	patience time.Duration
	started  bool
	buffer   bytes.Buffer // the next part
}

func newPartialResponse(c echo.Context, patience time.Duration) partialResponse {
	return partialResponse{response: c.Response(), control: http.NewResponseController(c.Response()), patience: patience}
}

// start sets the headers of the response, before its first part is sent.
func (r *partialResponse) start(set func(header http.Header)) {
	if r.started {
		return
	}
	r.started = true
	// The server watches the connection by reading from it. An expired read deadline
	// would look like a disconnected reader.
	_ = r.control.SetReadDeadline(time.Time{})
	set(r.response.Header())
	r.response.WriteHeader(http.StatusOK)
}

// flush sends the buffered part. It returns [ErrReaderGone] if that takes too long.
func (r *partialResponse) flush() error {
	// Some test servers do not support write deadlines.
	_ = r.control.SetWriteDeadline(time.Now().Add(r.patience))
	_, err := r.response.Write(r.buffer.Bytes())
	if err == nil {
		err = r.control.Flush()
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrReaderGone, err)
	}
	return nil
}

// Event is one server-sent event.
type Event struct {
	ID   int64 // sent back by a reconnecting reader as Last-Event-ID
	Name string
	Data any // encoded as JSON
}

// Frame is an encoded [Event], which can be sent to any number of readers.
type Frame []byte

// Encode returns the frame of an event.
func Encode(e Event) (Frame, error) {
	data, err := json.Marshal(e.Data) // JSON has no line breaks
	if err != nil {
		return nil, fmt.Errorf("httpx: the event %s cannot be written as JSON: %w", e.Name, err)
	}
	return fmt.Appendf(nil, "id: %d\nevent: %s\ndata: %s\n\n", e.ID, e.Name, data), nil
}

// Send writes the events at once. It returns [ErrReaderGone] if they could not be
// written in time.
func (f *Feed) Send(events ...Event) error {
	frames := make([]Frame, len(events))
	for i, e := range events {
		var err error
		if frames[i], err = Encode(e); err != nil {
			return err
		}
	}
	return f.SendFrames(frames...)
}

// SendFrames writes encoded events at once; see [Feed.Send].
func (f *Feed) SendFrames(frames ...Frame) error {
	f.buffer.Reset()
	for _, frame := range frames {
		f.buffer.Write(frame)
	}
	return f.write()
}

// Beat writes a comment, so that proxies keep the connection open. It also sends the id
// without an event, so that a reader of rare events can resume from a recent position.
func (f *Feed) Beat(id int64) error {
	f.buffer.Reset()
	f.buffer.WriteString(": alive\nid: " + strconv.FormatInt(id, 10) + "\n\n")
	return f.write()
}

func (f *Feed) write() error {
	if f.buffer.Len() == 0 {
		return nil
	}
	f.start(func(header http.Header) {
		header.Set(echo.HeaderContentType, "text/event-stream")
		header.Set(echo.HeaderCacheControl, "no-store, no-transform")
		header.Set("X-Accel-Buffering", "no") // prevents proxies from buffering the stream
	})
	const keep = 16 << 10
	defer func() {
		if f.buffer.Cap() > keep { // thousands of listeners would keep the memory of a burst
			f.buffer = bytes.Buffer{}
		}
	}()
	return f.flush()
}
