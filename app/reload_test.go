package app

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"omnirapeutic/config"
	"omnirapeutic/platform/httpx"
)

func TestReloadAppliesRatesAndProxies(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	read := func(variables ...string) config.Config {
		c, err := config.Load("", append(variables, "OMNI_DATA_DIR="+dir))
		require.NoError(t, err)
		return c
	}
	start := read("OMNI_RATE_LIMIT=1", "OMNI_RATE_BURST=1")
	s := &testServer{log: &safeBuffer{}}
	options := testOptions(s, route(http.MethodPost, "/public", httpx.Public, nothing))
	options.Clock, options.HTTP = newStillClock().now, start.HTTP
	server, err := NewServer(options)
	require.NoError(t, err)
	s.Server = server
	a := &App{
		config: start, server: server, logger: options.Logger,
		failures: newFailureLimit(options.Clock, start.HTTP.FailureRate, time.Nanosecond),
	}
	a.running.Store(&start)
	post := func() int { return s.do(t, http.MethodPost, "/api/v1/public", "").Code }
	require.Equal(t, 200, post())
	require.Equal(t, 429, post())

	a.Reload(read("OMNI_RATE_LIMIT=1", "OMNI_RATE_BURST=1", "OMNI_LOG_LEVEL=debug"))
	require.Equal(t, 429, post(), "an unchanged rate keeps its counts")
	require.Contains(t, s.log.String(), `"settings":"log.level"`)

	a.Reload(read("OMNI_FAILURE_RATE_BURST=1", "OMNI_FAILURE_RATE_LIMIT=0.001", "OMNI_TRUSTED_PROXIES=192.0.2.0/24",
		"OMNI_DB_MAX_CONNS=7"))
	require.Equal(t, 200, post(), "there is no limit any more")
	require.Equal(t, 200, post())
	require.NoError(t, a.failures.Take(context.Background(), "password", "x"))
	require.Error(t, a.failures.Take(context.Background(), "password", "x"))
	a.failures.set(config.Rate{})
	require.NoError(t, a.failures.Take(context.Background(), "password", "x"))
	request := httptest.NewRequest(http.MethodGet, "/", nil)
	request.RemoteAddr = "192.0.2.7:1"
	request.Header.Set("X-Forwarded-For", "198.51.100.9")
	require.Equal(t, "198.51.100.9", server.echo.IPExtractor(request))
	require.Contains(t, s.log.String(), `"event":"restart_needed"`)
	require.Contains(t, s.log.String(), `"settings":"database.max_conns"`)
}

func TestWatchdogIsFedWhileTheServerAnswers(t *testing.T) {
	t.Parallel()
	s := &testServer{log: &safeBuffer{}}
	server, err := NewServer(testOptions(s))
	require.NoError(t, err)
	require.True(t, server.answersProbe(time.Minute))
	stuck := make(chan struct{})
	defer close(stuck)
	server.echo.Pre(func(echo.HandlerFunc) echo.HandlerFunc {
		return func(echo.Context) error {
			<-stuck
			return nil
		}
	})
	require.False(t, server.answersProbe(time.Millisecond))
}
