package command_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/app/command"
	"omnirapeutic/platform/db/dbtest"
)

// TestMain runs the program itself where a test has asked for it, so that exit
// codes and signals are those of a real process.
func TestMain(m *testing.M) {
	if os.Getenv("OMNI_TEST_RUN_MAIN") != "" {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		code := command.Run(ctx, os.Args[1:])
		stop()
		os.Exit(code)
	}
	dbtest.Main(m)
}

// program is a command line to run in an environment.
func program(t *testing.T, environment []string, arguments ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	self, err := os.Executable()
	require.NoError(t, err)
	c := exec.CommandContext(ctx, self, arguments...)
	c.Env = append([]string{"OMNI_TEST_RUN_MAIN=1", "PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}, environment...)
	return c
}

// run runs the command line to its end.
func runProgram(t *testing.T, environment []string, input string, arguments ...string) (code int, out, errors string) {
	t.Helper()
	c := program(t, environment, arguments...)
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr, c.Stdin = &stdout, &stderr, strings.NewReader(input)
	err := c.Run()
	if c.ProcessState == nil {
		require.NoError(t, err)
	}
	return c.ProcessState.ExitCode(), stdout.String(), stderr.String()
}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	t.Run("it tells its version", func(t *testing.T) {
		t.Parallel()
		code, out, _ := runProgram(t, nil, "", "version")
		require.Equal(t, command.ExitOK, code)
		require.Contains(t, out, "omnirapeutic")
	})
	for _, arguments := range [][]string{
		{"--help"},
		{"serve", "--help"},
		{"migrate", "--help"},
		{"migrate", "up", "--help"},
		{"seed", "--help"},
		{"verify", "--help"},
		{"loadtest", "--help"},
		{"user", "create", "--help"},
		{"config", "show", "--help"},
		{"postgres", "fetch", "--help"},
		{"version", "--help"},
	} {
		t.Run("it explains "+strings.Join(arguments, " "), func(t *testing.T) {
			t.Parallel()
			code, out, _ := runProgram(t, nil, "", arguments...)
			require.Equal(t, command.ExitOK, code)
			require.Contains(t, out, "Usage: omnirapeutic")
		})
	}
	for name, test := range map[string]struct {
		environment, arguments []string
		says                   string
	}{
		"an unknown command":         {nil, []string{"fly"}, "fly"},
		"an unknown flag":            {nil, []string{"serve", "--fast"}, "--fast"},
		"an unknown variable":        {[]string{"OMNI_ADRR=:1"}, []string{"config", "show"}, "OMNI_ADRR"},
		"a wrong value":              {[]string{"OMNI_DB_MAX_CONNS=many"}, []string{"config", "show"}, "many"},
		"a missing file":             {nil, []string{"--config", "/nowhere.yaml", "config", "show"}, "/nowhere.yaml"},
		"production without secrets": {[]string{"OMNI_PROFILE=production"}, []string{"serve"}, "token.secret"},
		"production with demo data": {
			[]string{"OMNI_PROFILE=production", "OMNI_TOKEN_SECRET=" + strings.Repeat("s3cret", 8), "OMNI_DEMO=true"},
			[]string{"serve"},
			"demo",
		},
	} {
		t.Run("it refuses "+name+" as a wrong use", func(t *testing.T) {
			t.Parallel()
			code, _, errors := runProgram(t, test.environment, "", test.arguments...)
			require.Equal(t, command.ExitUsage, code, errors)
			require.Contains(t, errors, test.says)
			require.NotContains(t, errors, "s3cret")
		})
	}
	t.Run("it shows the configuration without secrets", func(t *testing.T) {
		t.Parallel()
		code, out, _ := runProgram(t, []string{"OMNI_TOKEN_SECRET=" + strings.Repeat("s3cret", 8)}, "", "config", "show")
		require.Equal(t, command.ExitOK, code)
		require.Contains(t, out, "retry:")
		require.NotContains(t, out, "s3cret")
	})
}

func TestCommandsOnADatabase(t *testing.T) {
	t.Parallel()
	server := dbtest.Server(t, true)
	database := dbtest.Of(server)
	environment := []string{"OMNI_DATABASE_URL=" + database.AppURL, "OMNI_MIGRATE_URL=" + database.OwnerURL, "OMNI_LOG_LEVEL=warn"}
	must := func(code int, input string, arguments ...string) string {
		got, out, errors := runProgram(t, environment, input, arguments...)
		require.Equal(t, code, got, "%v: %s%s", arguments, out, errors)
		return out + errors
	}

	require.Contains(t, must(command.ExitOK, "", "migrate", "status"), "applied")
	must(command.ExitOK, "", "migrate", "down")
	require.Contains(t, must(command.ExitOK, "", "migrate", "status"), "missing")
	old := append(environment, "OMNI_DB_AUTO_MIGRATE=false")
	code, _, errors := runProgram(t, old, "", "verify")
	require.Equal(t, command.ExitFailed, code)
	require.Contains(t, errors, "older", "the program refuses an older schema and says so")
	must(command.ExitOK, "", "migrate", "up")

	require.Contains(t, must(command.ExitOK, "", "seed"), "loaded")
	require.Contains(t, must(command.ExitOK, "", "seed"), "nothing was loaded")
	require.Contains(t, must(command.ExitOK, "", "verify"), "Checked")
	require.Contains(t, must(command.ExitOK, "", "verify", "--json"), `"ok": true`)

	create := []string{"user", "create", "--email", "ada@example.org", "--name", "Ada Example", "--role", "admin"}
	practice := append(create, "--organization", "Example Practice", "--time-zone", "Europe/Berlin")
	require.Contains(t, must(command.ExitOK, "a long enough password\n", practice...), "ada@example.org")
	must(command.ExitFailed, "a long enough password\n", practice...)                                   // the address is taken
	must(command.ExitFailed, "short\n", append(create, "--organization", "X", "--time-zone", "UTC")...) // a weak password
	must(command.ExitFailed, "a long enough password\n", append(create, "--organization", "nowhere")...)

	load := must(command.ExitOK, "", "loadtest", "--scenario", "nearly-full", "--clients", "5")
	require.Contains(t, load, "integrity")
}

func TestServeStartsAndStops(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "omnirapeutic-main-") // the private server's user must be able to enter
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755))
	defer os.RemoveAll(dir)
	environment := []string{"OMNI_DATA_DIR=" + dir + "/data", "OMNI_ADDR=127.0.0.1:0"}
	for _, start := range []string{"first", "second"} {
		c := program(t, environment, "serve")
		stdout, err := c.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, c.Start())
		printed := make([]byte, 0, 4096)
		for !bytes.Contains(printed, []byte("Stop with Ctrl-C")) {
			part := make([]byte, 1024)
			n, err := stdout.Read(part)
			printed = append(printed, part[:n]...)
			require.NoError(t, err, "%s start: %s", start, printed)
		}
		for _, said := range []string{"http://127.0.0.1:", "scheduler@demo.test", "admin@other.test", "Omni-Demo-2026", "Try next"} {
			require.Contains(t, string(printed), said)
		}
		second, _, refusal := runProgram(t, environment, "", "serve")
		require.Equal(t, command.ExitFailed, second)
		require.Contains(t, refusal, "another program uses this data folder")

		require.NoError(t, c.Process.Signal(syscall.SIGTERM))
		require.NoError(t, c.Wait(), "it stops with exit code 0")
	}
}
