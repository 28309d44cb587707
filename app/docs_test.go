package app_test

import (
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTheAPIsPageNeedsNothingFromElsewhere follows every link of the page.
func TestTheAPIsPageNeedsNothingFromElsewhere(t *testing.T) {
	t.Parallel()
	c := open(t)
	get := func(path string) (string, http.Header) {
		response, err := http.Get(c.url + path)
		require.NoError(t, err)
		defer response.Body.Close()
		require.Equal(t, http.StatusOK, response.StatusCode, path)
		raw, err := io.ReadAll(response.Body) // unpacked by the client, as by a browser
		require.NoError(t, err)
		return string(raw), response.Header
	}
	page, header := get("/api/docs")
	require.Contains(t, header.Get("Content-Security-Policy"), "default-src 'none'")
	links := regexp.MustCompile(`(?:src|href)="([^"]+)"`).FindAllStringSubmatch(page, -1)
	require.NotEmpty(t, links)
	for _, link := range links {
		require.True(t, strings.HasPrefix(link[1], "/api/docs/"), link[1])
		content, header := get(link[1])
		switch {
		case strings.HasSuffix(link[1], ".js"):
			require.Contains(t, content, "function", "it is readable")
			require.Contains(t, header.Get("Content-Type"), "javascript")
		case strings.HasSuffix(link[1], ".css"):
			require.Contains(t, content, ".swagger-ui")
		}
	}
	document, header := get("/api/openapi.json")
	require.Contains(t, document, `"openapi": "3.1.0"`)
	require.Contains(t, header.Get("Content-Type"), "application/json")
	require.Contains(t, page, "/api/openapi.json")
}
