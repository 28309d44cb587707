package e2e

import (
	"cmp"
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

	"omnirapeutic/platform/telemetry/logtest"
)

// runMain makes the test binary the program.
const runMain = "OMNI_TEST_RUN_MAIN"

// instance is the program in a separate process, which tests stop and kill. Its
// practices and tokens come from a clinic on the same database.
type instance struct {
	clinic     clinic
	metricsURL string // URL of its metrics
	name       string // of its database sessions
	process    *exec.Cmd
	out        *printed
}

// launch starts the program on a database, with environment variables, and returns once
// it listens. The database may be behind a proxy.
func (c *clinic) launch(t testing.TB, databaseURL string, settings ...string) *instance {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	p := &instance{
		clinic:  *c,
		process: exec.CommandContext(t.Context(), self),
		out:     &printed{},
		name:    "omnirapeutic-" + uuid.NewString(),
	}
	address, err := url.Parse(databaseURL)
	require.NoError(t, err)
	query := address.Query()
	query.Set("application_name", p.name)
	address.RawQuery = query.Encode()
	p.process.Env = append([]string{
		runMain + "=1", "PATH=" + os.Getenv("PATH"), "HOME=/nowhere", "OMNI_ADDR=127.0.0.1:0",
		"OMNI_METRICS_ADDR=127.0.0.1:0",
		"OMNI_DATABASE_URL=" + address.String(),
		"OMNI_DB_AUTO_MIGRATE=false", "OMNI_DEMO=false", "OMNI_LOG_LEVEL=warn",
		"OMNI_DB_MAX_CONNS=" + cmp.Or(os.Getenv("OMNI_TEST_MAX_CONNS"), "10"),
	}, settings...)
	p.process.Stdout, p.process.Stderr = p.out, logtest.Writer("a process", p.out)
	require.NoError(t, p.process.Start())
	t.Cleanup(func() {
		_ = p.process.Process.Kill() // most tests have ended it
		_ = p.process.Wait()
	})
	p.out.await(t, "Stop with Ctrl-C")
	p.clinic.url = regexp.MustCompile(`listens on (https?://\S+)`).FindStringSubmatch(p.out.all())[1]
	if reported := regexp.MustCompile(`profiles: (http://\S+)`).FindStringSubmatch(p.out.all()); reported != nil {
		p.metricsURL = reported[1]
	}
	return p
}

// kill kills the process without a chance to react.
func (p *instance) kill(t testing.TB) {
	t.Helper()
	require.NoError(t, p.process.Process.Kill())
	require.Error(t, p.process.Wait())
	require.Equal(t, syscall.SIGKILL, p.process.ProcessState.Sys().(syscall.WaitStatus).Signal())
}

// printed is the output of a process. Safe for concurrent use.
type printed struct {
	mu   sync.Mutex
	text strings.Builder
}

func (p *printed) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(b)
}

func (p *printed) all() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

func (p *printed) await(t testing.TB, text string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !strings.Contains(p.all(), text); time.Sleep(time.Millisecond) {
		require.True(t, time.Now().Before(end), "it does not print %q: %s", text, p.all())
	}
}
