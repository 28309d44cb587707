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

func TestCORS(t *testing.T) {
	t.Parallel()
	const page = "https://app.example.test"
	server := func(t *testing.T, origins ...string) *testServer {
		t.Helper()
		s := &testServer{log: &safeBuffer{}}
		options := testOptions(s, route(http.MethodPost, "/things", "thing:read", nothing),
			route(http.MethodGet, "/things", "thing:read", nothing))
		options.HTTP.CORSOrigins = origins
		made, err := NewServer(options)
		require.NoError(t, err)
		s.Server = made
		return s
	}
	preflight := func(t *testing.T, s *testServer, origin string) *httptest.ResponseRecorder {
		t.Helper()
		return s.do(t, http.MethodOptions, "/api/v1/things", "", "Origin", origin,
			"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization, idempotency-key")
	}
	allowed := func(h http.Header) []string {
		var found []string
		for name := range h {
			if strings.HasPrefix(name, "Access-Control-") {
				found = append(found, name)
			}
		}
		return found
	}
	s := server(t, "http://localhost:5173", page)

	t.Run("it answers preflights of its pages without a token", func(t *testing.T) {
		t.Parallel()
		w := preflight(t, s, page)
		require.Equal(t, http.StatusNoContent, w.Code)
		h := w.Header()
		require.Equal(t, page, h.Get("Access-Control-Allow-Origin"))
		require.Contains(t, h.Get("Access-Control-Allow-Methods"), "POST")
		require.NotContains(t, h.Get("Access-Control-Allow-Methods"), "DELETE", "only those of the address")
		for _, name := range []string{"Authorization", "Content-Type", "Idempotency-Key", "If-Match", "Last-Event-ID", "Break-Glass"} {
			require.Contains(t, h.Get("Access-Control-Allow-Headers"), name)
		}
		require.Equal(t, "600", h.Get("Access-Control-Max-Age"))
		require.Contains(t, h.Values("Vary"), "Origin")
		require.Empty(t, h.Get("Access-Control-Allow-Credentials"))
	})
	t.Run("it lets its pages read answers and problems, with their headers", func(t *testing.T) {
		t.Parallel()
		for status, headers := range map[int][]string{
			200: {"Authorization", "Bearer " + tokenReader}, 403: {"Authorization", "Bearer " + tokenNobody}, 401: nil,
		} {
			w := s.do(t, http.MethodPost, "/api/v1/things", "", append(headers, "Origin", page)...)
			require.Equal(t, status, w.Code)
			require.Equal(t, page, w.Header().Get("Access-Control-Allow-Origin"))
			require.Contains(t, w.Header().Values("Vary"), "Origin")
			for _, name := range []string{
				"ETag", "Location", "Idempotency-Replayed", "Next-Cursor", "Retry-After", "RateLimit", "RateLimit-Policy",
				"X-Request-Id",
			} {
				require.Contains(t, strings.Split(w.Header().Get("Access-Control-Expose-Headers"), ","), name)
			}
		}
		for _, path := range []string{"/api/v1/nowhere", "/nowhere"} {
			require.Equal(t, page, s.do(t, http.MethodGet, path, "", "Origin", page).Header().Get("Access-Control-Allow-Origin"), path)
		}
		s := server(t, page)
		s.stopping.Store(true)
		w := s.do(t, http.MethodPost, "/api/v1/things", "", "Origin", page)
		require.Equal(t, 503, w.Code)
		require.Equal(t, page, w.Header().Get("Access-Control-Allow-Origin"))
	})
	t.Run("it allows nothing to other origins", func(t *testing.T) {
		t.Parallel()
		for _, origin := range []string{
			"https://evil.test", page + ".evil.test", "https://evil.test/" + page, "http://app.example.test", page + ":8443",
			"https://APP.example.test",
			"https://sub.app.example.test", "https://appxexample.test", "null",
		} {
			w := preflight(t, s, origin)
			require.Equal(t, http.StatusNoContent, w.Code)
			require.Empty(t, allowed(w.Header()), origin)
			w = s.do(t, http.MethodPost, "/api/v1/things", "", "Origin", origin, "Authorization", "Bearer "+tokenReader)
			require.Empty(t, allowed(w.Header()), origin)
			require.Contains(t, w.Header().Values("Vary"), "Origin")
		}
	})
	t.Run("it allows nothing without origins", func(t *testing.T) {
		t.Parallel()
		require.Empty(t, allowed(preflight(t, server(t), page).Header()))
	})
	t.Run("it allows every origin if configured", func(t *testing.T) {
		t.Parallel()
		h := preflight(t, server(t, "*"), page).Header()
		require.Equal(t, "*", h.Get("Access-Control-Allow-Origin"))
		require.Empty(t, h.Get("Access-Control-Allow-Credentials"))
	})
	t.Run("it adds no CORS headers to probes", func(t *testing.T) {
		t.Parallel()
		for _, path := range []string{"/healthz", "/readyz"} {
			require.Empty(t, allowed(s.do(t, http.MethodGet, path, "", "Origin", page).Header()))
		}
	})
}

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
		for path, code := range map[string]string{"/failing": "not-ready", "/panicking": "internal", "/nowhere": "route-not-found"} {
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

func TestCaching(t *testing.T) {
	t.Parallel()
	s := newTestServer(t, route(http.MethodPost, "/things", "thing:read", nothing))
	s.echo.GET("/api/docs/style.css", func(c echo.Context) error {
		c.Response().Header().Set("Cache-Control", "public, max-age=3600")
		return c.String(http.StatusOK, "p {}")
	})
	t.Run("it forbids caching of every answer", func(t *testing.T) {
		t.Parallel()
		for _, request := range [][3]string{
			{http.MethodPost, "/api/v1/things", tokenReader},
			{http.MethodPost, "/api/v1/things", tokenNobody},
			{http.MethodPost, "/api/v1/things", ""},
			{http.MethodPut, "/api/v1/things", ""},
			{http.MethodOptions, "/api/v1/things", ""},
			{http.MethodGet, "/api/v1/nowhere", ""},
			{http.MethodGet, "/healthz", ""},
			{http.MethodGet, "/readyz", ""},
		} {
			w := s.do(t, request[0], request[1], "", "Authorization", "Bearer "+request[2])
			require.Equal(t, []string{"no-store"}, w.Header().Values("Cache-Control"), request)
		}
	})
	t.Run("it lets a handler override its headers", func(t *testing.T) {
		t.Parallel()
		w := s.do(t, http.MethodGet, "/api/docs/style.css", "")
		require.Equal(t, []string{"public, max-age=3600"}, w.Header().Values("Cache-Control"))
	})
}
