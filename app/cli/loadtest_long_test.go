//go:build long

package cli_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/app/cli"
	"omnirapeutic/platform/db/dbtest"
	"omnirapeutic/platform/telemetry/logtest"
)

func TestLoadtestMeasuresServersOfItsOwn(t *testing.T) {
	t.Parallel()
	database := dbtest.Of(dbtest.Server(t, true))
	environment := []string{
		"OMNI_DATABASE_URL=" + database.AppURL, "OMNI_MIGRATE_URL=" + database.OwnerURL,
		"OMNI_LOG_LEVEL=warn",
	}
	run := func(arguments ...string) string {
		code, out, errors := runProgram(t, environment, "", arguments...)
		require.Equal(t, cli.ExitOK, code, "%v: %s%s", arguments, out, errors)
		return out
	}
	load := run("loadtest", "--scenario", "nearly-full", "--clients", "5")
	require.Contains(t, load, "integrity")
	profile := filepath.Join(t.TempDir(), "cpu.prof")
	load = run("loadtest", "--scenario", "nearly-full", "--clients", "6", "--instances", "2", "--cpu-profile", profile)
	require.Contains(t, load, "6 clients · 2 servers on one database")
	for _, suffix := range []string{"-1", "-2"} {
		written, err := os.ReadFile(strings.Replace(profile, ".prof", suffix+".prof", 1))
		require.NoError(t, err)
		require.Greater(t, len(written), 100)
	}
	if runtime.GOOS == "linux" {
		require.Contains(t, load, " MB peak resident memory of the server")
	}
}

// TestLoadtestDistinguishesSlowFromWrong measures a server through a proxy that delays and then
// falsifies answers.
func TestLoadtestDistinguishesSlowFromWrong(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	c := program(t,
		[]string{
			"OMNI_DATABASE_URL=" + database.AppURL, "OMNI_MIGRATE_URL=" + database.OwnerURL, "OMNI_LOG_LEVEL=warn",
			"OMNI_ADDR=:0",
		}, "serve")
	stdout, err := c.StdoutPipe()
	require.NoError(t, err)
	var log bytes.Buffer
	c.Stderr = &log
	require.NoError(t, c.Start())
	greeting := readUntil(t, stdout, "Stop with Ctrl-C")
	address := regexp.MustCompile(`listens on (http://localhost:\d+)`).FindStringSubmatch(greeting)
	require.Len(t, address, 2, "%s", greeting)
	target, err := url.Parse(address[1])
	require.NoError(t, err)
	proxy := httputil.NewSingleHostReverseProxy(target)
	var invalid atomic.Bool
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch reserve := strings.HasSuffix(r.URL.Path, "/reserve"); {
		case reserve && invalid.Load():
			w.WriteHeader(http.StatusInternalServerError)
			return
		case reserve:
			time.Sleep(250 * time.Millisecond) // over the limit of 200 ms
		}
		proxy.ServeHTTP(w, r)
	}))
	defer slow.Close()
	load := []string{"loadtest", "--url", slow.URL, "--scenario", "high-contention", "--clients", "2", "--duration", "1s"}
	code, out, errors := runProgram(t, nil, "", load...)
	require.Equal(t, cli.ExitOK, code, errors)
	require.Contains(t, out, "MISSED")
	invalid.Store(true)
	code, _, errors = runProgram(t, nil, "", load...)
	require.Equal(t, cli.ExitUnclean, code, errors)
	require.Contains(t, errors, "failures, from warm-up to end")

	require.NoError(t, c.Process.Signal(syscall.SIGTERM))
	require.NoError(t, c.Wait())
	require.Contains(t, log.String(), "event=development_secret", "other machines can reach it")
	logtest.Look("standard error of serve", log.Bytes())
}
