package app

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
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
		created, err := NewServer(options)
		require.NoError(t, err)
		s.Server = created
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
		require.NotContains(t, h.Get("Access-Control-Allow-Methods"), "DELETE", "only methods of the address")
		for _, name := range []string{
			"Authorization", "Content-Type", "Idempotency-Key", "If-Match", "Last-Event-ID",
			"Break-Glass",
		} {
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
			require.Equal(t, page, s.do(t, http.MethodGet, path, "", "Origin", page).Header().Get("Access-Control-Allow-Origin"),
				path)
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
