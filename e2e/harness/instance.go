package harness

import (
	"cmp"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/dbtest"
	"omnirapeutic/platform/telemetry/logtest"
)

// Instance is the program in a separate process, which tests stop and kill. Its
// practices and tokens come from a clinic on the same database.
type Instance struct {
	Clinic      Clinic
	MetricsURL  string // URL of its metrics
	SessionName string // of its database sessions
	Process     *exec.Cmd
	Output      *Output
}

// Launch starts the program on a database, with environment variables, and returns once
// it listens. The database may be behind a proxy.
func (c *Clinic) Launch(t testing.TB, databaseURL string, settings ...string) *Instance {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	p := &Instance{
		Clinic:      *c,
		Process:     exec.CommandContext(t.Context(), self),
		Output:      &Output{},
		SessionName: "omnirapeutic-" + uuid.NewString(),
	}
	address, err := url.Parse(databaseURL)
	require.NoError(t, err)
	query := address.Query()
	query.Set("application_name", p.SessionName)
	address.RawQuery = query.Encode()
	if dbtest.Profile() == db.Portable {
		settings = append([]string{"OMNI_DB_PROFILE=portable"}, settings...)
	}
	p.Process.Env = append([]string{
		runMain + "=1", "PATH=" + os.Getenv("PATH"), "HOME=/nowhere", "OMNI_ADDR=127.0.0.1:0",
		"OMNI_METRICS_ADDR=127.0.0.1:0",
		"OMNI_DATABASE_URL=" + address.String(),
		"OMNI_DB_AUTO_MIGRATE=false", "OMNI_DEMO=false", "OMNI_LOG_LEVEL=warn",
		"OMNI_DB_MAX_CONNS=" + cmp.Or(os.Getenv("OMNI_TEST_MAX_CONNS"), "10"),
	}, settings...)
	p.Process.Stdout, p.Process.Stderr = p.Output, logtest.Writer("a process", p.Output)
	require.NoError(t, p.Process.Start())
	t.Cleanup(func() {
		_ = p.Process.Process.Kill() // most tests have ended it
		_ = p.Process.Wait()
	})
	p.Output.Await(t, "Stop with Ctrl-C")
	p.Clinic.URL = regexp.MustCompile(`listens on (https?://\S+)`).FindStringSubmatch(p.Output.String())[1]
	if reported := regexp.MustCompile(`profiles: (http://\S+)`).FindStringSubmatch(p.Output.String()); reported != nil {
		p.MetricsURL = reported[1]
	}
	return p
}

// Kill kills the process without a chance to react.
func (p *Instance) Kill(t testing.TB) {
	t.Helper()
	require.NoError(t, p.Process.Process.Kill())
	require.Error(t, p.Process.Wait())
	require.Equal(t, syscall.SIGKILL, p.Process.ProcessState.Sys().(syscall.WaitStatus).Signal())
}

// Metrics returns the metrics on the separate listener.
func (p *Instance) Metrics(t testing.TB) string {
	t.Helper()
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get(p.MetricsURL + "/metrics")
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return string(text)
}

// Output is the output of a process. Safe for concurrent use.
type Output struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write appends to the output.
func (p *Output) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(b)
}

// String returns the output up to now.
func (p *Output) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// Await waits until the process has printed a text.
func (p *Output) Await(t testing.TB, text string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !strings.Contains(p.String(), text); time.Sleep(time.Millisecond) {
		require.True(t, time.Now().Before(end), "it does not print %q: %s", text, p.String())
	}
}
