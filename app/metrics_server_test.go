package app

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/telemetry"
)

func TestMetricsAndProfilesAreServedSeparately(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	handler := metricsHandler(s.registry, telemetry.NewLogger(s.log, "debug", "json"))
	ask := func(method, path string, headers ...string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, path, nil)
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w
	}
	paths := map[string]string{
		"/metrics":                         "omnirapeutic_http_requests_in_flight",
		"/debug/pprof/":                    "Types of profiles available",
		"/debug/pprof/goroutine?debug=1":   "goroutine profile",
		"/debug/pprof/heap?debug=1":        "heap profile",
		"/debug/pprof/cmdline":             "",
		"/debug/pprof/profile?seconds=1":   "",
		"/debug/pprof/trace?seconds=0.001": "",
		"/debug/pprof/symbol":              "num_symbols",
	}
	t.Run("they are served on a separate listener", func(t *testing.T) {
		t.Parallel()
		for path, want := range paths {
			w := ask(http.MethodGet, path)
			require.Equal(t, http.StatusOK, w.Code, path)
			require.Contains(t, w.Body.String(), want, path)
			require.NotEmpty(t, w.Body.Bytes(), path)
			require.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"), path)
			require.Equal(t, "no-store", w.Header().Get("Cache-Control"), path)
		}
	})
	t.Run("they are not on the API's address, for any caller", func(t *testing.T) {
		t.Parallel()
		for path := range paths {
			w := s.do(t, http.MethodGet, path, "", "Authorization", "Bearer "+tokenReader)
			require.Equal(t, http.StatusNotFound, w.Code, path)
			require.Equal(t, "route-not-found", codeOf(t, w), path)
		}
	})
	t.Run("nothing else is served", func(t *testing.T) {
		t.Parallel()
		for _, path := range []string{"/", "/healthz", "/api/v1/auth/me", "/debug/vars", "/debug/pprof/nothing"} {
			require.Equal(t, http.StatusNotFound, ask(http.MethodGet, path).Code, path)
		}
		require.Equal(t, http.StatusMethodNotAllowed, ask(http.MethodPost, "/metrics").Code)
	})
	t.Run("they are compressed once", func(t *testing.T) {
		t.Parallel()
		w := ask(http.MethodGet, "/metrics", "Accept-Encoding", "gzip")
		require.Equal(t, []string{"gzip"}, w.Header().Values("Content-Encoding"))
		unpacked, err := gzip.NewReader(w.Body)
		require.NoError(t, err)
		text, err := io.ReadAll(unpacked)
		require.NoError(t, err)
		require.Contains(t, string(text), "omnirapeutic_http_requests_in_flight")
	})
}
