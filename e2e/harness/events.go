package harness

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Soon is the longest wait for an event that must happen.
const Soon = 20 * time.Second

// StartEvents runs the instance's event work until the test ends.
func (c *Clinic) StartEvents(t testing.TB) *Clinic {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); c.RunEvents(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	return c
}

// RunEvents does the instance's event work until the context ends.
func (c *Clinic) RunEvents(ctx context.Context) {
	var listening sync.WaitGroup
	listening.Go(func() { c.App.Events.Listen(ctx) })
	c.App.RunJobs(ctx, "relay-events", "deliver-webhooks", "encrypt-webhook-secrets")
	listening.Wait()
}

// StreamEvent is one event of a stream; without a name it is a heartbeat.
type StreamEvent struct {
	ID   int64
	Name string
	Data Body
}

// Payload returns the event's own data.
func (h StreamEvent) Payload(t testing.TB) Body {
	t.Helper()
	inner, ok := h.Data["data"].(map[string]any)
	require.True(t, ok, "%v", h)
	return inner
}

// Stream is a reader of events.
type Stream struct {
	events chan StreamEvent
	Close  func()
}

// Stream listens until the test ends or the stream is closed.
func (c Caller) Stream(t testing.TB, query string) *Stream {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	response := c.OpenStream(ctx, t, http.DefaultClient, query)
	s := &Stream{events: make(chan StreamEvent, 10_000), Close: cancel}
	t.Cleanup(func() { response.Body.Close() })
	go func() {
		defer close(s.events)
		ReadEvents(response.Body, func(h StreamEvent) { s.events <- h })
	}()
	return s
}

// OpenStream requests the stream of events.
func (c Caller) OpenStream(ctx context.Context, t testing.TB, client *http.Client, query string) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL+"/events"+query, nil)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+c.Token)
	for name, value := range c.Headers {
		request.Header.Set(name, value)
	}
	response, err := client.Do(request)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.Equal(t, "text/event-stream", response.Header.Get("Content-Type"))
	return response
}

// ReadEvents calls a function for each event of a stream, until the stream ends.
func ReadEvents(from io.Reader, receive func(StreamEvent)) {
	var h StreamEvent
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "id":
			h.ID, _ = strconv.ParseInt(value, 10, 64)
		case "event":
			h.Name = value
		case "data":
			_ = json.Unmarshal([]byte(value), &h.Data)
		case "":
			if lines.Text() == "" {
				receive(h)
				h = StreamEvent{}
			}
		}
	}
}

// Next returns the next event, skipping heartbeats.
func (s *Stream) Next(t testing.TB) StreamEvent {
	t.Helper()
	for deadline := time.After(Soon); ; {
		select {
		case h, ok := <-s.events:
			require.True(t, ok, "the stream has ended")
			if h.Name != "" {
				return h
			}
		case <-deadline:
			require.FailNow(t, "no event came")
		}
	}
}

// RequireQuiet waits for a heartbeat at the position, before which no event was shown.
func (s *Stream) RequireQuiet(t testing.TB, position int64) {
	t.Helper()
	for deadline := time.After(Soon); ; {
		select {
		case h, ok := <-s.events:
			require.True(t, ok, "the stream has ended")
			require.Empty(t, h.Name, "%v", h)
			if h.ID == position {
				return
			}
		case <-deadline:
			require.FailNow(t, "no heartbeat had the position")
		}
	}
}

// RequireEnd waits for the end of the stream.
func (s *Stream) RequireEnd(t testing.TB) {
	t.Helper()
	for deadline := time.After(Soon); ; {
		select {
		case _, ok := <-s.events:
			if !ok {
				return
			}
		case <-deadline:
			require.FailNow(t, "the stream continues")
		}
	}
}
