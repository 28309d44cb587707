package app

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
)

// ticking is a stream controlled by the test.
func ticking(say <-chan string) httpx.Route {
	type request struct {
		Refuse *bool `query:"refuse"`
	}
	return httpx.Route{
		Method: http.MethodGet, Path: "/ticks", Permission: httpx.SignedIn, Summary: "Listen",
		Endpoint: httpx.Stream(time.Second, func(ctx context.Context, in request, out *httpx.Feed) error {
			if in.Refuse != nil && *in.Refuse {
				return fault.InvalidFields(fault.Field{Field: "refuse", Code: "refuse", Message: "must not be true"})
			}
			for n := int64(0); ; n++ {
				if err := out.Send(httpx.Event{ID: n, Name: "tick", Data: map[string]int64{"n": n}}); err != nil {
					return err
				}
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-say:
				}
			}
		}),
	}
}

func TestLiveStreams(t *testing.T) {
	t.Parallel()
	say := make(chan string)
	s := newTestServer(t, ticking(say))
	s.options.HTTP.RequestTimeout = 50 * time.Millisecond
	s.http.ReadTimeout, s.http.WriteTimeout = 100*time.Millisecond, 100*time.Millisecond
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- s.Serve(listener) }()

	get := func(query string) *http.Response {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet,
			"http://"+listener.Addr().String()+"/api/v1/ticks"+query, nil)
		require.NoError(t, err)
		request.Header.Set("Authorization", "Bearer "+tokenReader)
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		t.Cleanup(func() { response.Body.Close() })
		return response
	}
	refused := get("?refuse=true")
	require.Equal(t, http.StatusUnprocessableEntity, refused.StatusCode,
		"an error before the first event is a problem document")
	require.Equal(t, "application/problem+json", refused.Header.Get("Content-Type"))

	response := get("")
	require.Equal(t, "text/event-stream", response.Header.Get("Content-Type"))
	require.Equal(t, "no-store, no-transform", response.Header.Get("Cache-Control"))
	lines := bufio.NewReader(response.Body)
	expect := func(want string) {
		t.Helper()
		for line := range 4 {
			text, err := lines.ReadString('\n')
			require.NoError(t, err)
			if line == 2 {
				require.Equal(t, want, text)
			}
		}
	}
	expect("data: {\"n\":0}\n")
	time.Sleep(250 * time.Millisecond) // longer than every request timeout, which is the subject of the test
	say <- ""
	expect("data: {\"n\":1}\n")

	require.NoError(t, s.Shutdown(t.Context()), "a stream ends when the server stops")
	_, err = lines.ReadByte()
	require.Error(t, err)
	require.NoError(t, <-served)
}

func TestStreamIsAGet(t *testing.T) {
	t.Parallel()
	route := ticking(nil)
	route.Method = http.MethodPost
	_, err := NewServer(testOptions(&testServer{log: &safeBuffer{}}, route))
	require.ErrorContains(t, err, "is a stream with a method other than GET")
}
