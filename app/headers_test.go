package app

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/httpx"
)

func TestSecurityHeaders(t *testing.T) {
	t.Parallel()
	s := newTestServer(t,
		route(http.MethodPost, "/things", "thing:read", nothing),
		public("/panicking", func(context.Context, httpx.None) (thing, error) { panic("x") }))
	send := func(method, path, token string, encrypted bool) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, path, nil)
		r.Header.Set("Authorization", "Bearer "+token)
		if encrypted {
			r.TLS = &tls.ConnectionState{}
		}
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, r)
		return w
	}
	for name, c := range map[string]struct {
		method, path, token string
		status              int
	}{
		"a successful request":          {http.MethodPost, "/api/v1/things", tokenReader, 200},
		"a denied request":              {http.MethodPost, "/api/v1/things", tokenNobody, 403},
		"a forbidden request":           {http.MethodPost, "/api/v1/things", "x", 401},
		"an unknown path":               {http.MethodGet, "/nowhere", "", 404},
		"an unsupported method":         {http.MethodPut, "/api/v1/things", "", 405},
		"an internal error":             {http.MethodGet, "/api/v1/panicking", "", 500},
		"a probe":                       {http.MethodGet, "/healthz", "", 200},
		"a preflight of another origin": {http.MethodOptions, "/api/v1/things", "", 204},
	} {
		t.Run(name+" has security headers", func(t *testing.T) {
			t.Parallel()
			for _, encrypted := range []bool{false, true} {
				w := send(c.method, c.path, c.token, encrypted)
				require.Equal(t, c.status, w.Code, w.Body.String())
				for header, want := range map[string]string{
					"X-Content-Type-Options":  "nosniff",
					"X-Frame-Options":         "DENY",
					"Cache-Control":           "no-store",
					"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
					"Referrer-Policy":         "no-referrer",
				} {
					require.Equal(t, []string{want}, w.Header().Values(header), header)
				}
				require.Equal(t, encrypted, w.Header().Get("Strict-Transport-Security") == "max-age=31536000")
			}
		})
	}
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
