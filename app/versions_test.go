package app

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/httpx"
)

func TestDeprecationsAreAnnounced(t *testing.T) {
	t.Parallel()
	since, sunset := time.Date(2027, 1, 15, 0, 0, 0, 0, time.UTC), time.Date(2028, 1, 15, 0, 0, 0, 0, time.UTC)
	old := route(http.MethodGet, "/old", httpx.Public, nothing)
	old.Deprecations = []httpx.Deprecation{{Since: since.AddDate(0, 1, 0)}, {Field: "name", Since: since, Sunset: sunset}}
	s := newTestServer(t, old, route(http.MethodGet, "/new", httpx.Public, nothing))
	header := s.do(t, http.MethodGet, "/api/v1/old", "").Header()
	require.Equal(t, "@1799971200", header.Get("Deprecation"), "RFC 9745: a date as seconds since 1970")
	require.Equal(t, "Sat, 15 Jan 2028 00:00:00 GMT", header.Get("Sunset"))
	require.Contains(t, header.Get("Link"), `rel="deprecation"`)
	require.True(t, old.IsDeprecated())
	header = s.do(t, http.MethodGet, "/api/v1/new", "").Header()
	for _, name := range []string{"Deprecation", "Sunset", "Link"} {
		require.Empty(t, header.Get(name))
	}
}
