package e2e

import (
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/appointments"
	"omnirapeutic/modules/authorization"
	"omnirapeutic/modules/emergency"
	"omnirapeutic/modules/rbac/oidc"
)

// TestDocumentationPageLoadsNothingFromOtherHosts follows every link of the page.
func TestDocumentationPageLoadsNothingFromOtherHosts(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	get := func(path string) (string, http.Header) {
		response, err := http.Get(c.URL + path)
		require.NoError(t, err)
		defer response.Body.Close()
		require.Equal(t, http.StatusOK, response.StatusCode, path)
		raw, err := io.ReadAll(response.Body) // decompressed by the client, as by a browser
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
		case strings.Contains(link[1], "/guides/"):
			require.Contains(t, header.Get("Content-Type"), "text/html")
		}
	}
	document, header := get("/api/openapi.json")
	require.Contains(t, document, `"openapi": "3.1.0"`)
	require.Contains(t, header.Get("Content-Type"), "application/json")
	require.Contains(t, page, "/api/openapi.json")
	require.Regexp(t, `persistAuthorization["']?\s*:\s*false`, page, "the page does not store tokens")
	require.Contains(t, page, `<meta name="viewport" content="width=device-width`, "it fits the width of a phone")
	for _, path := range []string{"/api/docs", "/api/openapi.json"} {
		response, err := http.Head(c.URL + path)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusOK, response.StatusCode, "HEAD %s", path)
	}
}

// TestDocumentationPageCanBeDisabled checks that the OpenAPI document is still served
// without the page.
func TestDocumentationPageCanBeDisabled(t *testing.T) {
	t.Parallel()
	database := harness.TwoPractices.New(t)
	c := harness.Serve(t, database, database.Open(t), "OMNI_DOCS=false")
	for path, status := range map[string]int{
		"/api/docs": http.StatusNotFound, "/api/docs/": http.StatusNotFound, "/api/docs/swagger-ui.css": http.StatusNotFound,
		"/api/docs/guides/events": http.StatusNotFound, "/api/docs/demo-sign-ins.json": http.StatusNotFound,
		"/": http.StatusNotFound, "/api": http.StatusNotFound, "/api/openapi.json": http.StatusOK, "/healthz": http.StatusOK,
	} {
		response, err := http.Get(c.URL + path)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, status, response.StatusCode, path)
	}
}

// TestPrintedAddressOpensTheDocumentation opens the printed address like a browser.
func TestPrintedAddressOpensTheDocumentation(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	for _, path := range []string{"", "/", "/api", "/api/"} {
		response, err := http.Get(c.URL + path) // follows redirects, as a browser does
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusOK, response.StatusCode, path)
		require.Equal(t, "/api/docs", response.Request.URL.Path)
	}
}

// TestEveryEventIsInTheDocs compares the documented live events with the published
// ones.
func TestEveryEventIsInTheDocs(t *testing.T) {
	t.Parallel()
	conventions, err := os.ReadFile("../docs/api.md")
	require.NoError(t, err)
	_, table, found := strings.Cut(string(conventions), "\n## Live events\n")
	require.True(t, found)
	table, _, _ = strings.Cut(table, "\n## ")
	for _, kind := range slices.Concat(authorization.EventTypes(), appointments.EventTypes(), emergency.EventTypes(),
		oidc.EventTypes()) {
		require.Contains(t, table, "`"+kind.Name+"`")
		require.Contains(t, table, "needs `"+string(kind.Permission)+"`")
	}
}
