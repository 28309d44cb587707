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
	require.Contains(t, page, `<meta name="viewport" content="width=device-width`, "a telephone shows it in its own width")
	for _, path := range []string{"/api/docs", "/api/openapi.json"} {
		response, err := http.Head(c.url + path)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusOK, response.StatusCode, "HEAD %s", path)
	}
}

// TestTheAddressThatIsPrintedLeadsSomewhere opens in a browser what the program
// says it listens on.
func TestTheAddressThatIsPrintedLeadsSomewhere(t *testing.T) {
	t.Parallel()
	c := open(t)
	for _, path := range []string{"", "/", "/api", "/api/"} {
		response, err := http.Get(c.url + path) // follows redirects, as a browser does
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusOK, response.StatusCode, path)
		require.Equal(t, "/api/docs", response.Request.URL.Path)
	}
}
