package app

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/httpx"
)

// tagged is an answer with a version.
type tagged struct {
	Text string `json:"text"`
}

func (tagged) Revision() int { return 3 }

func TestCompress(t *testing.T) {
	t.Parallel()
	long := tagged{strings.Repeat("units ", 1000)}
	s := newTestServer(t,
		public("/long", func(context.Context, httpx.None) (tagged, error) { return long, nil }),
		public("/short", func(context.Context, httpx.None) (tagged, error) { return tagged{"x"}, nil }),
		public("/auth/long", func(context.Context, httpx.None) (tagged, error) { return long, nil }),
		public("/failing", func(context.Context, httpx.None) (tagged, error) { return long, errNotReady }),
		public("/panicking", func(context.Context, httpx.None) (tagged, error) { panic("x") }))
	t.Run("it compresses long answers for clients that accept it, and keeps the ETag", func(t *testing.T) {
		t.Parallel()
		for _, accepted := range []string{"gzip", "deflate, gzip;q=0.5", "br, gzip; q=1.0"} {
			w := s.do(t, http.MethodGet, "/api/v1/long", "", "Accept-Encoding", accepted)
			require.Equal(t, "gzip", w.Header().Get("Content-Encoding"))
			require.Equal(t, []string{"Accept-Encoding"}, w.Header().Values("Vary"))
			require.Equal(t, `"3"`, w.Header().Get("ETag"), "strong, for If-Match")
			require.Less(t, w.Body.Len(), 1000)
			unpacked, err := gzip.NewReader(w.Body)
			require.NoError(t, err)
			var got tagged
			require.NoError(t, json.NewDecoder(unpacked).Decode(&got))
			require.Equal(t, long, got)
		}
	})
	t.Run("it leaves other answers unchanged", func(t *testing.T) {
		t.Parallel()
		for _, c := range [][2]string{
			{"/long", ""},
			{"/long", "identity"},
			{"/long", "gzip;q=0"},
			{"/long", "br, gzip; q=0.000"},
			{"/short", "gzip"},
			{"/auth/long", "gzip"},
		} {
			w := s.do(t, http.MethodGet, "/api/v1"+c[0], "", "Accept-Encoding", c[1])
			require.Equal(t, 200, w.Code)
			require.Empty(t, w.Header().Get("Content-Encoding"), c)
			var got tagged
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &got), c)
		}
	})
	t.Run("it does not compress problem documents", func(t *testing.T) {
		t.Parallel()
		for path, code := range map[string]string{
			"/failing":   "not-ready",
			"/panicking": "internal",
			"/nowhere":   "route-not-found",
		} {
			w := s.do(t, http.MethodGet, "/api/v1"+path, "", "Accept-Encoding", "gzip")
			require.Empty(t, w.Header().Get("Content-Encoding"))
			require.Equal(t, code, codeOf(t, w))
		}
	})
}

func TestStreams(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	read := make(chan struct{})
	s.echo.GET(basePath+"/events", func(c echo.Context) error {
		c.Response().Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(c.Response(), "data: 1\n\n")
		c.Response().Flush()
		select {
		case <-read:
		case <-c.Request().Context().Done():
		}
		return nil
	})
	listening := httptest.NewServer(s.Handler())
	defer listening.Close()
	t.Run("it sends events at once and uncompressed", func(t *testing.T) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, listening.URL+"/api/v1/events", nil)
		require.NoError(t, err)
		request.Header.Set("Accept-Encoding", "gzip")
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		defer response.Body.Close()
		require.Empty(t, response.Header.Get("Content-Encoding"))
		line, err := bufio.NewReader(response.Body).ReadString('\n')
		close(read)
		require.NoError(t, err)
		require.Equal(t, "data: 1\n", line)
	})
}
