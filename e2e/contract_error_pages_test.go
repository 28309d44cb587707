package e2e

import (
	"html"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/app"
	"omnirapeutic/e2e/harness"
	"omnirapeutic/platform/fault"
)

// page returns a page that needs no sign-in, without its tags.
func page(t testing.TB, address string) (text string, response *http.Response) {
	t.Helper()
	response, err := http.Get(address)
	require.NoError(t, err)
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return html.UnescapeString(string(raw)), response
}

func TestTheTypeOfAProblemIsTheAddressOfAPage(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	problem := c.Admin().Post(t, c.Authorize(t, 1)+"/reserve", harness.Body{"units": 2}).
		Refused(t, http.StatusConflict, "insufficient-units")
	require.Equal(t, "/api/errors/insufficient-units", problem.Text("type"))
	text, response := page(t, c.URL+problem.Text("type"))
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.Contains(t, response.Header.Get("Content-Type"), "text/html")
	require.Contains(t, response.Header.Get("Content-Security-Policy"), "default-src 'none'")
	for _, part := range []string{
		problem.Text("title"), "409 Conflict", "<code>available</code>", "The number of available units.",
		"<code>POST /authorizations/{id}/reserve</code>", "<code>POST /appointments</code>",
	} {
		require.Contains(t, text, part)
	}
	require.NotContains(t, text, "GET /patients")
}

func TestEveryErrorHasAPage(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	list, response := page(t, c.URL+"/api/errors")
	require.Equal(t, http.StatusOK, response.StatusCode)
	for _, f := range fault.All() {
		require.Contains(t, list, `href="/api/errors/`+f.Code()+`"`)
		text, response := page(t, c.URL+"/api/errors/"+f.Code())
		require.Equal(t, http.StatusOK, response.StatusCode, f.Code())
		require.Contains(t, text, f.Title())
		require.Contains(t, strings.NewReplacer("<code>", "`", "</code>", "`").Replace(text), app.AdviceOf(f), f.Code())
	}
	_, response = page(t, c.URL+"/api/errors/"+uuid.NewString())
	require.Equal(t, http.StatusNotFound, response.StatusCode)
}

func TestErrorPagesAreServedWithoutTheDocumentationPage(t *testing.T) {
	t.Parallel()
	database := harness.TwoPractices.New(t)
	c := harness.Serve(t, database, database.Open(t), "OMNI_DOCS=false")
	_, response := page(t, c.URL+"/api/docs")
	require.Equal(t, http.StatusNotFound, response.StatusCode)
	_, response = page(t, c.URL+"/api/errors/internal")
	require.Equal(t, http.StatusOK, response.StatusCode)
}
