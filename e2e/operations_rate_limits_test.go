package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/rbac"
)

func TestRateLimits(t *testing.T) {
	t.Parallel()
	database := twoPractices.New(t)
	opened := database.Open(t)
	c := serve(t, database, opened)
	// Buckets that fill up in hours, so that the duration of the test does not matter.
	limited := secondInstance(t, c, opened, "OMNI_RATE_LIMIT=0.001", "OMNI_RATE_BURST=4", "OMNI_TOKEN_RATE_LIMIT=0")
	admin := limited.admin()
	me := func(t *testing.T, as caller) answer { t.Helper(); return as.get(t, "/auth/me") }

	t.Run("it answers 429 above a user's rate, and serves again after Retry-After", func(t *testing.T) {
		patients := "/patients"
		for range 4 {
			a := me(t, admin)
			require.Equal(t, http.StatusOK, a.status, "%s", a.raw)
			require.Equal(t, `"user";q=4;w=4000`, a.header.Get("RateLimit-Policy"))
		}
		refused := admin.post(t, patients, body{"firstName": "Ada"}).refused(t, http.StatusTooManyRequests, "rate-limited")
		require.Equal(t, "user", refused.text("policy"))
		require.Equal(t, "no-store", refused.header.Get("Cache-Control"))
		wait, err := time.ParseDuration(refused.header.Get("Retry-After") + "s")
		require.NoError(t, err)
		require.InDelta(t, 1000, wait.Seconds(), 5)
		limited.clock.advance(wait)
		defer func() { limited.clock.advance(-wait) }()
		again := limited.as(signIn(t, c, "ADMIN@own.test")) // the first token has expired
		require.Equal(t, http.StatusOK, me(t, again).status)
		me(t, again).refused(t, http.StatusTooManyRequests, "rate-limited")
	})
	t.Run("it applies the limits of others separately", func(t *testing.T) {
		require.Equal(t, http.StatusOK, me(t, limited.as(c.own.tokens[rbac.Scheduler])).status)
		require.Equal(t, http.StatusOK, me(t, limited.as(c.other.tokens[rbac.Admin])).status)
	})
	t.Run("it limits sign-ins by address", func(t *testing.T) {
		invalid := body{"email": "nobody@own.test", "password": password}
		for range 4 {
			a := limited.as("").post(t, "/auth/login", invalid)
			require.Equal(t, http.StatusUnauthorized, a.status, "%s", a.raw)
		}
		a := limited.as("").post(t, "/auth/login", invalid).refused(t, http.StatusTooManyRequests, "rate-limited")
		require.Equal(t, "address", a.text("policy"))
	})
	t.Run("it counts per instance, and not at all in development", func(t *testing.T) {
		for range 10 {
			a := me(t, c.admin())
			require.Equal(t, http.StatusOK, a.status)
			require.Empty(t, a.header.Get("RateLimit"))
		}
	})
}

// signIn returns an access token of a user.
func signIn(t *testing.T, c *clinic, email string) string {
	t.Helper()
	a := c.as("").post(t, "/auth/login", body{"email": email, "password": password})
	require.Equal(t, http.StatusOK, a.status, "%s", a.raw)
	return a.text("accessToken")
}

func TestCompressedVersions(t *testing.T) {
	t.Parallel()
	c := open(t)
	t.Run("it takes the ETag of a compressed answer as If-Match", func(t *testing.T) {
		t.Parallel()
		path := c.authorize(t, 10, body{"notes": strings.Repeat("seen twice a week; ", 100)})
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.url+"/api/v1"+path, nil)
		require.NoError(t, err)
		request.Header.Set("Authorization", "Bearer "+c.own.tokens[rbac.Admin])
		request.Header.Set("Accept-Encoding", "gzip")
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		defer response.Body.Close()
		require.Equal(t, "gzip", response.Header.Get("Content-Encoding"))
		etag := response.Header.Get("ETag")
		require.Equal(t, http.StatusOK, c.admin().with("If-Match", etag).patch(t, path, body{"notes": "x"}).status)
		c.admin().with("If-Match", etag).patch(t, path, body{"notes": "y"}).
			refused(t, http.StatusPreconditionFailed, "stale-version")
	})
}
