package e2e

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
)

// TestEveryLinkOfTheGuidesWorks follows every link of every guide, fragments included.
func TestEveryLinkOfTheGuidesWorks(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	pages := map[string]string{}
	get := func(path string) string {
		if content, read := pages[path]; read {
			return content
		}
		content, response := page(t, c.URL+path)
		require.Equal(t, http.StatusOK, response.StatusCode, path)
		pages[path] = content
		return content
	}
	for _, name := range []string{"start", "conventions", "errors", "events", "webhooks", "roles", "permissions", "sessions", "changelog"} {
		path := "/api/docs/guides/" + name
		content, response := page(t, c.URL+path)
		require.Equal(t, http.StatusOK, response.StatusCode, path)
		require.Equal(t, "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
			response.Header.Get("Content-Security-Policy"))
		require.NotContains(t, content, "<script")
		require.NotContains(t, content, "style=")
		for _, link := range regexp.MustCompile(`(?:src|href)="([^"]+)"`).FindAllStringSubmatch(content, -1) {
			target, fragment, _ := strings.Cut(link[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			linked := content
			if target != "" {
				linked = get(target)
			}
			if fragment != "" {
				require.Contains(t, linked, `id="`+fragment+`"`, "%s links to %s", name, link[1])
			}
		}
	}
	require.Contains(t, get("/api/docs/guides/errors"), `href="/api/errors/insufficient-units"`)
	_, response := page(t, c.URL+"/api/docs/guides/none")
	require.Equal(t, http.StatusNotFound, response.StatusCode)
}
