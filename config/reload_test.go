package config

import (
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestReload(t *testing.T) {
	t.Parallel()
	start, err := load(t, "log: {level: info}\nhttp: {rate_limit: 10}\n", "OMNI_DATABASE_URL=postgres://a:1@h/d")
	require.NoError(t, err)
	t.Run("it takes what can change, and reports the rest", func(t *testing.T) {
		t.Parallel()
		next, err := load(t, "log: {level: debug}\nhttp: {rate_limit: 20, docs: false, shutdown_grace: 1m}\n",
			"OMNI_DATABASE_URL=postgres://a:2@h/d", "OMNI_TOKEN_SECRET="+someSecret)
		require.NoError(t, err)
		running, changed, waiting := start.Reload(next)
		require.Equal(t,
			[]string{"database.url", "log.level", "http.shutdown_grace", "http.rate_limit", "http.token_rate_limit"}, changed)
		require.Equal(t, []string{"token.secret", "http.docs"}, waiting)
		require.Equal(t, Secret("postgres://a:2@h/d"), running.Database.URL)
		require.Equal(t, "debug", running.Log.Level)
		require.Equal(t, time.Minute, running.HTTP.ShutdownGrace)
		require.Equal(t, Rate{PerSecond: 20, Burst: 200}, running.HTTP.UserRate)
		require.InDelta(t, 10, running.HTTP.TokenRate.PerSecond, 0, "it follows the user's")
		require.True(t, running.HTTP.Docs)
		require.Equal(t, start.Token.Secret, running.Token.Secret)
		for i, s := range running.Settings() {
			switch s.Key {
			case "log.level":
				require.Equal(t, "debug", s.Value)
			case "http.docs":
				require.Equal(t, start.Settings()[i], s, "the settings show the values in use")
			}
		}
		require.Equal(t, "info", start.Log.Level)
		_, again, still := running.Reload(next)
		require.Empty(t, again)
		require.Equal(t, waiting, still, "until the restart")
	})
	t.Run("a database URL that differs in more than the password needs a restart", func(t *testing.T) {
		t.Parallel()
		for _, url := range []string{
			"postgres://b:2@h/d", "postgres://a:2@i/d", "postgres://a:2@h/e", "postgres://a:2@h/d?sslmode=disable",
			"postgres://a@h/d", "user=a password=2 host=h dbname=d",
		} {
			next, err := load(t, "log: {level: info}\nhttp: {rate_limit: 10}\n", "OMNI_DATABASE_URL="+url)
			require.NoError(t, err)
			running, changed, waiting := start.Reload(next)
			require.Empty(t, changed, url)
			require.Equal(t, []string{"database.url"}, waiting, url)
			require.Equal(t, start.Database.URL, running.Database.URL)
		}
	})
	t.Run("nothing changes without a change", func(t *testing.T) {
		t.Parallel()
		_, changed, waiting := start.Reload(start)
		require.Empty(t, changed)
		require.Empty(t, waiting)
	})
	t.Run("the documentation lists the keys that can change", func(t *testing.T) {
		t.Parallel()
		text, err := os.ReadFile("../docs/operations.md")
		require.NoError(t, err)
		line := regexp.MustCompile(`(?m)^\*\*Reload\.\*\*.*$`).FindString(string(text))
		var named []string
		for _, found := range regexp.MustCompile("`([a-z]+\\.[a-z_]+)`").FindAllStringSubmatch(line, -1) {
			named = append(named, found[1])
		}
		require.ElementsMatch(t, ReloadableKeys(), named)
	})
}
