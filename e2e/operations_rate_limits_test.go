package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/rbac"
)

func TestRateLimits(t *testing.T) {
	t.Parallel()
	database := harness.TwoPractices.New(t)
	opened := database.Open(t)
	c := harness.Serve(t, database, opened)
	// Buckets that fill up in hours, so that the duration of the test does not matter.
	limited := harness.SecondInstance(t, c, opened, "OMNI_RATE_LIMIT=0.001", "OMNI_RATE_BURST=4",
		"OMNI_TOKEN_RATE_LIMIT=0")
	admin := limited.Admin()
	me := func(t *testing.T, as harness.Caller) harness.Answer { t.Helper(); return as.Get(t, "/auth/me") }

	t.Run("it answers 429 above a user's rate, and serves again after Retry-After", func(t *testing.T) {
		patients := "/patients"
		for range 4 {
			a := me(t, admin)
			require.Equal(t, http.StatusOK, a.Status, "%s", a.Raw)
			require.Equal(t, `"user";q=4;w=4000`, a.Header.Get("RateLimit-Policy"))
		}
		refused := admin.Post(t, patients, harness.Body{"firstName": "Ada"}).
			Refused(t, http.StatusTooManyRequests, "rate-limited")
		require.Equal(t, "user", refused.Text("policy"))
		require.Equal(t, "no-store", refused.Header.Get("Cache-Control"))
		wait, err := time.ParseDuration(refused.Header.Get("Retry-After") + "s")
		require.NoError(t, err)
		require.InDelta(t, 1000, wait.Seconds(), 5)
		limited.Clock.Advance(wait)
		defer func() { limited.Clock.Advance(-wait) }()
		again := limited.As(signIn(t, c, "ADMIN@own.test")) // the first token has expired
		require.Equal(t, http.StatusOK, me(t, again).Status)
		me(t, again).Refused(t, http.StatusTooManyRequests, "rate-limited")
	})
	t.Run("it applies the limits of others separately", func(t *testing.T) {
		require.Equal(t, http.StatusOK, me(t, limited.As(c.Own.Tokens[rbac.Scheduler])).Status)
		require.Equal(t, http.StatusOK, me(t, limited.As(c.Other.Tokens[rbac.Admin])).Status)
	})
	t.Run("it limits sign-ins by address", func(t *testing.T) {
		invalid := harness.Body{"email": "unknown@own.test", "password": harness.Password}
		for range 4 {
			a := limited.As("").Post(t, "/auth/login", invalid)
			require.Equal(t, http.StatusUnauthorized, a.Status, "%s", a.Raw)
		}
		a := limited.As("").Post(t, "/auth/login", invalid).Refused(t, http.StatusTooManyRequests, "rate-limited")
		require.Equal(t, "address", a.Text("policy"))
	})
	t.Run("it counts per instance, and not at all in development", func(t *testing.T) {
		for range 10 {
			a := me(t, c.Admin())
			require.Equal(t, http.StatusOK, a.Status)
			require.Empty(t, a.Header.Get("RateLimit"))
		}
	})
}

// signIn returns an access token of a user.
func signIn(t *testing.T, c *harness.Clinic, email string) string {
	t.Helper()
	a := c.As("").Post(t, "/auth/login", harness.Body{"email": email, "password": harness.Password})
	require.Equal(t, http.StatusOK, a.Status, "%s", a.Raw)
	return a.Text("accessToken")
}

func TestCompressedVersions(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	t.Run("it takes the ETag of a compressed answer as If-Match", func(t *testing.T) {
		t.Parallel()
		path := c.Authorize(t, 10, harness.Body{"notes": strings.Repeat("seen twice a week; ", 100)})
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.URL+"/api/v1"+path, nil)
		require.NoError(t, err)
		request.Header.Set("Authorization", "Bearer "+c.Own.Tokens[rbac.Admin])
		request.Header.Set("Accept-Encoding", "gzip")
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		defer response.Body.Close()
		require.Equal(t, "gzip", response.Header.Get("Content-Encoding"))
		etag := response.Header.Get("ETag")
		require.Equal(t, http.StatusOK, c.Admin().WithHeader("If-Match", etag).
			Patch(t, path, harness.Body{"notes": "x"}).Status)
		c.Admin().WithHeader("If-Match", etag).Patch(t, path, harness.Body{"notes": "y"}).
			Refused(t, http.StatusPreconditionFailed, "stale-version")
	})
}
