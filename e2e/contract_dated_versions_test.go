package e2e

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/platform/apiversion"
)

// TestDatedVersions covers the choice of a version by the client and by an API key.
func TestDatedVersions(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	admin := c.Admin()
	known := apiversion.Known()
	t.Run("an answer names the default version", func(t *testing.T) {
		require.Equal(t, apiversion.Default(), admin.Get(t, "/auth/me").OK(t).Header.Get(apiversion.Header))
	})
	t.Run("a client chooses a version", func(t *testing.T) {
		for _, version := range known {
			answer := admin.WithHeader(apiversion.Header, version).Get(t, "/auth/me").OK(t)
			require.Equal(t, version, answer.Header.Get(apiversion.Header))
		}
	})
	t.Run("an unknown version is refused with the known ones", func(t *testing.T) {
		answer := admin.WithHeader(apiversion.Header, known[0]+"x").Get(t, "/auth/me").
			Refused(t, http.StatusBadRequest, "malformed-request")
		require.Contains(t, string(answer.Raw), `"nearest":"`+known[0]+`"`)
		require.Contains(t, answer.Text("detail"), known[0])
	})
	t.Run("an API key is pinned to a version", func(t *testing.T) {
		body := harness.Body{"name": "Payroll", "permissions": []any{"patient:read"}, "apiVersion": known[0]}
		key := admin.Post(t, "/api-keys", body)
		require.Equal(t, known[0], key.Text("apiVersion"))
		require.Equal(t, known[0], admin.Get(t, "/api-keys/"+key.Text("id")).OK(t).Text("apiVersion"))
		require.Equal(t, known[0], c.As(key.Text("key")).Get(t, "/patients").OK(t).Header.Get(apiversion.Header))
		body["apiVersion"] = "2000-01-01"
		admin.Post(t, "/api-keys", body).Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	})
	t.Run("the changelog lists the versions", func(t *testing.T) {
		content, response := page(t, c.URL+"/api/changelog")
		require.Equal(t, "application/json", response.Header.Get("Content-Type"))
		var changelog struct{ Versions []apiversion.Version }
		require.NoError(t, json.Unmarshal([]byte(content), &changelog))
		require.Equal(t, apiversion.Versions(), changelog.Versions)
		content, _ = page(t, c.URL+"/api/docs/guides/changelog")
		require.Contains(t, content, known[0])
	})
}
