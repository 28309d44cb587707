package e2e

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/rbac"
)

// TestRenamedPathsRedirect calls the paths of the specification that were
// renamed.
func TestRenamedPathsRedirect(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	direct := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	send := func(client *http.Client, method, path, token, body string) (*http.Response, string) {
		request, err := http.NewRequest(method, c.URL+"/api/v1"+path, strings.NewReader(body))
		require.NoError(t, err)
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Authorization", "Bearer "+token)
		response, err := client.Do(request)
		require.NoError(t, err)
		defer response.Body.Close()
		raw, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		return response, string(raw)
	}
	for from, to := range map[string]string{
		"/roles":                               "/api/v1/permission-sets",
		"/roles/SCHEDULER":                     "/api/v1/permission-sets/SCHEDULER",
		"/admin/break-the-glass?limit=2":       "/api/v1/emergency-grants?limit=2",
		"/admin/break-the-glass/x%2fy/review":  "/api/v1/emergency-grants/x%2fy/review",
		"/admin/break-the-glass//evil.example": "/api/v1/emergency-grants//evil.example",
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete} {
			response, _ := send(direct, method, from, "", "")
			require.Equal(t, http.StatusPermanentRedirect, response.StatusCode, "%s %s", method, from)
			require.Equal(t, to, response.Header.Get("Location"))
		}
	}
	admin := c.Own.Tokens[rbac.Admin]
	response, sets := send(http.DefaultClient, http.MethodGet, "/roles", admin, "")
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.Contains(t, sets, `"role":"SCHEDULER"`)
	response, _ = send(http.DefaultClient, http.MethodGet, "/roles", "", "")
	require.Equal(t, http.StatusUnauthorized, response.StatusCode, "the target checks permissions")
	response, grant := send(http.DefaultClient, http.MethodPost, "/admin/break-the-glass", admin,
		`{"patientId": "`+c.Own.Patient.String()+`", "reason": "`+emergencyReason+`"}`)
	require.Equal(t, http.StatusCreated, response.StatusCode, grant)
}
