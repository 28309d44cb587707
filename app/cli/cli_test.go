package cli_test

import (
	"bytes"
	"context"
	"database/sql"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the owner's connection
	"github.com/stretchr/testify/require"

	"omnirapeutic/app/cli"
	"omnirapeutic/platform/db/dbtest"
	"omnirapeutic/platform/db/pgurl/pgurltest"
	"omnirapeutic/platform/telemetry/logtest"
)

// TestMain runs the program itself if a test has requested it, so that exit codes and
// signals are the ones of a real process.
func TestMain(m *testing.M) {
	if os.Getenv("OMNI_TEST_RUN_MAIN") != "" {
		os.Exit(cli.Main())
	}
	dbtest.Main(m)
}

// program is a command line to run in an environment.
func program(t *testing.T, environment []string, arguments ...string) *exec.Cmd {
	t.Helper()
	const patience = 5 * time.Minute // sufficient on a busy machine
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	self, err := os.Executable()
	require.NoError(t, err)
	c := exec.CommandContext(ctx, self, arguments...)
	for _, variable := range environment {
		if name, value, _ := strings.Cut(variable, "="); strings.HasSuffix(name, "_SECRET") {
			logtest.Secret("the secret of tokens", value)
		}
	}
	const briefly = "GORACE=atexit_sleep_ms=100" // otherwise the race detector waits a second at the end of every process
	c.Env = append([]string{
		"OMNI_TEST_RUN_MAIN=1", briefly, "PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(),
		"OMNI_POSTGRES_BIN=" + dbtest.Bin(t),
	}, environment...)
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
	logtest.Secret("a password", input)
	logtest.Look("standard error of "+strings.Join(arguments, " "), stderr.Bytes())
	return c.ProcessState.ExitCode(), stdout.String(), stderr.String()
}

// createUser is the prefix of a command that creates a user.
var createUser = []string{"user", "create", "--email", "ada@example.org", "--name", "Ada Example"}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	t.Run("it prints its version", func(t *testing.T) {
		t.Parallel()
		code, out, _ := runProgram(t, nil, "", "version")
		require.Equal(t, cli.ExitOK, code)
		require.Regexp(t, `^omnirapeutic \S+ \(revision \S+, go1\S+, \w+/\w+\)\n$`, out)
	})
	for arguments, explains := range map[string]string{
		"help":                  "OMNI_",
		"help migrate up":       "missing",
		"--help":                "OMNI_",
		"serve --help":          "OMNI_DATA_DIR",
		"migrate --help":        "OMNI_MIGRATE_URL",
		"migrate up --help":     "missing",
		"seed --help":           "Omni-Demo-Practice-2026",
		"verify --help":         "Exit code 0",
		"audit --help":          "Remove",
		"backup --help":         "age-keygen",
		"restore --help":        "OMNI_DATA_DIR",
		"audit remove --help":   "164.316",
		"audit archive --help":  "gzip",
		"audit restore --help":  "search",
		"loadtest --help":       "Exit code 0",
		"user --help":           "ADMIN",
		"user create --help":    "SCHEDULER",
		"config --help":         "OMNI_ADDR",
		"config show --help":    "OMNI_ADDR",
		"config check --help":   "--database",
		"healthcheck --help":    "/readyz",
		"completion --help":     "bash_completion.d",
		"man --help":            "man1",
		"postgres --help":       "OMNI_POSTGRES_BIN",
		"postgres fetch --help": "OMNI_POSTGRES_BIN",
		"version --help":        "revision",
	} {
		t.Run("it explains "+arguments, func(t *testing.T) {
			t.Parallel()
			code, out, _ := runProgram(t, nil, "", strings.Fields(arguments)...)
			require.Equal(t, cli.ExitOK, code)
			require.Contains(t, out, "Usage: ")
			require.Contains(t, out, explains)
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
		"an unknown scenario":          {nil, []string{"loadtest", "--scenario", "typo"}, "typo"},
		"a negative number of clients": {nil, []string{"loadtest", "--clients=-1"}, "clients"},
		"a rate that is not a number":  {nil, []string{"loadtest", "--rate", "NaN"}, "rate"},
		"unwritable results":           {nil, []string{"loadtest", "--json", "/nowhere/load.json"}, "/nowhere/load.json"},
		"an unknown role": {nil, append(slices.Clone(createUser), "--organization", "New", "--time-zone", "UTC",
			"--role", "BOSS"), "BOSS"},
		"an invalid organization id": {
			nil,
			append(slices.Clone(createUser), "--organization", "New", "--role", "ADMIN"), "--time-zone",
		},
		"an invalid database URL": {
			[]string{"OMNI_DATABASE_URL=postgres://h/d?sslmode=s3cret"},
			[]string{"verify"},
			"database.url",
		},
		"a server that does not speak HTTP": {nil, []string{"loadtest", "--url", "ftp://h"}, "ftp"},
		"more servers than allowed":         {nil, []string{"loadtest", "--instances", "17"}, "--instances"},
		"a health check without time":       {nil, []string{"healthcheck", "--timeout", "0s"}, "--timeout"},
		"a health check of no server":       {nil, []string{"healthcheck", "--url", "here"}, "--url"},
		"an invalid setting to check":       {[]string{"OMNI_LOG_LEVEL=loud"}, []string{"config", "check"}, "log.level"},
		"an unwritable profile": {
			nil,
			[]string{"loadtest", "--cpu-profile", "/nowhere/cpu.prof"},
			"/nowhere/cpu.prof",
		},
		"a profile of another server": {
			nil,
			[]string{"loadtest", "--url", "http://h", "--cpu-profile", "cpu.prof"},
			"--cpu-profile",
		},
		"several instances of another server": {
			nil,
			[]string{"loadtest", "--url", "http://h", "--instances", "2"},
			"--instances",
		},
		"the same server twice": {
			nil,
			[]string{"loadtest", "--url", "http://h", "--scenario", "two-instances"},
			"--url A,B",
		},
		"a mode for another server": {
			nil,
			[]string{"loadtest", "--url", "http://h", "--separate"},
			"OMNI_COMMAND_BATCH_LIMIT",
		},
	} {
		t.Run("it refuses "+name+" as invalid usage", func(t *testing.T) {
			t.Parallel()
			code, _, errors := runProgram(t, test.environment, "", test.arguments...)
			require.Equal(t, cli.ExitUsage, code, errors)
			require.Contains(t, errors, test.says)
			require.NotContains(t, errors, "s3cret")
		})
	}
	t.Run("it shows the configuration without secrets", func(t *testing.T) {
		t.Parallel()
		code, out, _ := runProgram(t, []string{"OMNI_TOKEN_SECRET=" + strings.Repeat("s3cret", 8)}, "", "config", "show")
		require.Equal(t, cli.ExitOK, code)
		require.Contains(t, out, "retry:")
		require.NotContains(t, out, "s3cret")
	})
}

func TestInvalidOptionsAreReportedBeforeADatabaseIsStarted(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close() //nolint:errcheck // the process ends with it
	dir := t.TempDir() + "/data"
	code, _, errors := runProgram(t, []string{"OMNI_DATA_DIR=" + dir, "OMNI_ADDR=" + taken.Addr().String()}, "", "serve")
	require.Equal(t, cli.ExitFailed, code)
	require.Contains(t, errors, "OMNI_ADDR")
	require.NoDirExists(t, dir)

	code, _, errors = runProgram(t, []string{"OMNI_DATA_DIR=" + dir, "OMNI_POSTGRES_BIN=/nowhere"}, "", "loadtest")
	require.Equal(t, cli.ExitFailed, code)
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left, "loadtest cleans up after a failed start: %s", errors)
}

func TestExitCodeOfAChildProcessIsNotReturned(t *testing.T) {
	t.Parallel()
	bin, err := os.MkdirTemp("", "omnirapeutic-bin-") // another user must be able to enter
	require.NoError(t, err)
	defer os.RemoveAll(bin)
	require.NoError(t, os.Chmod(bin, 0o755))
	for name, script := range map[string]string{
		"postgres": "echo 'postgres (PostgreSQL) 17.2'",
		"initdb":   "exit 3",
		"pg_ctl":   "exit 3",
	} {
		require.NoError(t, os.WriteFile(bin+"/"+name, []byte("#!/bin/sh\n"+script+"\n"), 0o755))
	}
	code, _, errors := runProgram(t, []string{"OMNI_DATA_DIR=" + bin + "/data", "OMNI_POSTGRES_BIN=" + bin}, "", "verify")
	require.Equal(t, cli.ExitFailed, code, "3 would mean an inconsistent ledger")
	require.Contains(t, errors, "exit status 3")
}

func TestPasswordPromptCanBeInterrupted(t *testing.T) {
	dir := t.TempDir() + "/data"
	t.Setenv("OMNI_DATA_DIR", dir)
	silent, typing, err := os.Pipe() // no input arrives
	require.NoError(t, err)
	defer typing.Close()
	input := os.Stdin
	os.Stdin = silent
	defer func() { os.Stdin = input }()
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	code := cli.Run(ctx,
		append(slices.Clone(createUser), "--organization", "New", "--time-zone", "UTC", "--role", "ADMIN"))
	require.Equal(t, cli.ExitFailed, code)
	require.NoDirExists(t, dir, "nothing was started for it")
}

func TestSecondSignalEndsTheProgramAtOnce(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	c := program(t, []string{
		"OMNI_DATABASE_URL=" + database.AppURL,
		"OMNI_MIGRATE_URL=" + database.OwnerURL,
		"OMNI_ADDR=127.0.0.1:0",
		"OMNI_SHUTDOWN_GRACE=10m",
		"OMNI_DEMO=false",
	}, "serve")
	stdout, err := c.StdoutPipe()
	require.NoError(t, err)
	stderr, err := c.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	address := regexp.MustCompile(`listens on http://(\S+)`).FindStringSubmatch(readUntil(t, stdout, "Stop with Ctrl-C"))
	require.Len(t, address, 2)
	connection, err := net.Dial("tcp", address[1])
	require.NoError(t, err)
	defer connection.Close()
	_, err = io.WriteString(connection, "POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: "+
		"application/json\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n")
	require.NoError(t, err)
	readUntil(t, connection, "100 Continue") // a request is in progress and does not end

	require.NoError(t, c.Process.Signal(syscall.SIGTERM))
	readUntil(t, stderr, "finishing running requests")
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	require.Eventually(t, func() bool { // the second or third signal, because the first takes effect asynchronously
		_ = c.Process.Signal(syscall.SIGTERM)
		return len(ended) > 0
	}, 10*time.Second, 50*time.Millisecond)
	require.Error(t, <-ended)
	require.Equal(t, syscall.SIGTERM, c.ProcessState.Sys().(syscall.WaitStatus).Signal(), "it is killed")
}

func TestCommandsOnADatabase(t *testing.T) {
	t.Parallel()
	server := dbtest.Server(t, true)
	database := dbtest.Of(server)
	environment := []string{
		"OMNI_DATABASE_URL=" + database.AppURL, "OMNI_MIGRATE_URL=" + database.OwnerURL,
		"OMNI_LOG_LEVEL=warn",
	}
	must := func(code int, input string, arguments ...string) string {
		got, out, errors := runProgram(t, environment, input, arguments...)
		require.Equal(t, code, got, "%v: %s%s", arguments, out, errors)
		return out + errors
	}

	require.Contains(t, must(cli.ExitOK, "", "migrate", "status"), "applied")
	must(cli.ExitOK, "", "migrate", "down")
	require.Contains(t, must(cli.ExitOK, "", "migrate", "status"), "missing")
	old := append(environment, "OMNI_DB_AUTO_MIGRATE=false")
	code, _, errors := runProgram(t, old, "", "verify")
	require.Equal(t, cli.ExitFailed, code)
	require.Contains(t, errors, "older", "the program refuses an older schema and says so")
	production := append(environment, "OMNI_PROFILE=production", "OMNI_DB_AUTO_MIGRATE=true",
		"OMNI_TOKEN_SECRET=3q2-7w8kD1cXb5Jm0aVfT9yRzLhQeNsU", "OMNI_ADDR=127.0.0.1:0")
	code, _, errors = runProgram(t, production, "", "verify")
	require.Equal(t, cli.ExitFailed, code)
	require.Contains(t, errors, "older", "production does not migrate implicitly")
	must(cli.ExitOK, "", "migrate", "up")

	require.Contains(t, must(cli.ExitOK, "", "seed"), "loaded")
	require.Contains(t, must(cli.ExitOK, "", "seed"), "nothing was loaded")
	require.Contains(t, must(cli.ExitOK, "", "verify"), "Checked")
	require.Contains(t, must(cli.ExitOK, "", "verify", "--json"), `"ok": true`)

	soon := time.Now().AddDate(0, 3, 0).Format(time.DateOnly) // after the month that has begun
	tomorrow := time.Now().AddDate(0, 0, 1).Format(time.DateOnly)
	require.Contains(t, must(cli.ExitOK, "", "audit", "remove", "--before", "2015-01-01", "--by", "test"), "no month")
	require.Contains(t, must(cli.ExitUsage, "", "audit", "remove", "--before", tomorrow, "--by", "test"), "--young")
	must(cli.ExitUsage, "", "audit", "remove", "--before", tomorrow, "--young") // the actor is missing
	require.Contains(t, must(cli.ExitOK, "", "audit", "remove", "--before", tomorrow, "--by", "test", "--young"),
		"no month")
	archive := filepath.Join(t.TempDir(), "audit.jsonl.gz")
	require.Contains(t, must(cli.ExitOK, "", "audit", "archive", "--before", tomorrow, "--to", archive), "SHA-256")
	require.Contains(t, must(cli.ExitOK, "", "audit", "verify-archive", archive), "positions 1 to")
	must(cli.ExitFailed, "", "audit", "restore", archive) // nothing was removed
	require.Contains(t,
		must(cli.ExitOK, "", "audit", "remove", "--before", soon, "--by", "test", "--young", "--archive", archive),
		"up to position")
	require.Contains(t, must(cli.ExitOK, "", "audit", "restore", archive), "finds these events again")
	content, err := os.ReadFile(archive)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(archive, content[:len(content)-20], 0o600))
	must(cli.ExitUnclean, "", "audit", "verify-archive", archive)
	must(cli.ExitUnclean, "", "audit", "restore", archive)
	require.Contains(t, must(cli.ExitOK, "", "verify"), "Checked")

	code, _, errors = runProgram(t, production, "", "serve")
	require.Equal(t, cli.ExitFailed, code)
	require.Contains(t, errors, "admin@demo.test", "production does not serve the demo practice")
	require.Contains(t, errors, "OMNI_DATABASE_URL")

	create := append(slices.Clone(createUser), "--role", "admin")
	practice := append(create, "--organization", "Example Practice", "--time-zone", "Europe/Berlin")
	require.Contains(t, must(cli.ExitOK, "a long enough password\n", practice...), "ada@example.org")
	again := must(cli.ExitFailed, "a long enough password\n", practice...)
	id := regexp.MustCompile(`--organization (\S+),`).FindStringSubmatch(again)
	require.Len(t, id, 2, "the practice exists, and the message says how to name it: %s", again)
	must(cli.ExitFailed, "a long enough password\n", append(create, "--organization", id[1])...)    // the address is used
	must(cli.ExitFailed, "short\n", append(create, "--organization", "X", "--time-zone", "UTC")...) // a weak password
	must(cli.ExitFailed, "a long enough password\n", append(create, "--organization", " ", "--time-zone", "UTC")...)

	owner, err := sql.Open("pgx", database.OwnerURL)
	require.NoError(t, err)
	defer owner.Close()
	_, err = owner.ExecContext(t.Context(),
		"UPDATE authorizations SET used_units = used_units + 1 WHERE auth_number = 'AUTH-2001'")
	require.NoError(t, err)
	require.Contains(t, must(cli.ExitUnclean, "", "verify"), "3 problems")

	_, err = owner.ExecContext(t.Context(), "UPDATE users SET status = 'DISABLED' WHERE email LIKE '%.test'")
	require.NoError(t, err)
	c := program(t, production, "serve")
	stdout, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	require.NotContains(t, readUntil(t, stdout, "\n"), "demo", "the demo's users are disabled")
	require.NoError(t, c.Process.Signal(syscall.SIGTERM))
	require.NoError(t, c.Wait())

	c = program(t, append(environment, "OMNI_ADDR=127.0.0.1:0"), "measured")
	stdin, err := c.StdinPipe()
	require.NoError(t, err)
	stdout, err = c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	readUntil(t, stdout, "Stop with Ctrl-C")
	require.NoError(t, stdin.Close())
	require.NoError(t, c.Wait(), "a load test's servers end with it, in any case")
}

func TestVerifyComparesAnchoredHeads(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	file := filepath.Join(t.TempDir(), "heads.jsonl")
	environment := []string{
		"OMNI_DATABASE_URL=" + database.AppURL, "OMNI_MIGRATE_URL=" + database.OwnerURL, "OMNI_LOG_LEVEL=warn",
		"OMNI_ADDR=127.0.0.1:0", "OMNI_ANCHORS=file://" + file,
	}
	code, _, errors := runProgram(t, environment, "", "seed")
	require.Equal(t, cli.ExitOK, code, errors)
	c := program(t, environment, "serve")
	require.NoError(t, c.Start())
	var text []byte
	require.Eventually(t, func() bool {
		text, _ = os.ReadFile(file)
		return len(text) > 0
	}, 30*time.Second, 20*time.Millisecond, "the server copies the heads after its start")
	require.NoError(t, c.Process.Signal(syscall.SIGTERM))
	require.NoError(t, c.Wait())

	verify := func(code int) string {
		got, out, errors := runProgram(t, environment, "", "verify", "--heads", file)
		require.Equal(t, code, got, out+errors)
		return out + errors
	}
	require.Regexp(t, `^Compared [1-9]\d* anchored heads, with 0 valid time stamps\.`, verify(cli.ExitOK))

	changed := regexp.MustCompile(`"hash":"....`).ReplaceAll(text, []byte(`"hash":"0000`))
	require.NoError(t, os.WriteFile(file, changed, 0o600))
	require.Contains(t, verify(cli.ExitUnclean), "anchored heads differ from the audit trails")
	require.NoError(t, os.WriteFile(file, []byte("\nheads\n"), 0o600))
	require.Contains(t, verify(cli.ExitUnclean), "line 2 is not an anchored head")
}

func TestVariablesOfLibpqDoNotChangeTheConfiguredDatabase(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	environment := []string{"OMNI_DATABASE_URL=" + database.AppURL, "OMNI_MIGRATE_URL=" + database.OwnerURL}
	for name, value := range pgurltest.Hostile {
		environment = append(environment, name+"="+value)
	}
	for _, arguments := range [][]string{{"migrate", "status"}, {"verify"}} {
		code, out, errors := runProgram(t, environment, "", arguments...)
		require.Equal(t, cli.ExitOK, code, "%v: %s%s", arguments, out, errors)
	}
}

// readUntil reads the output of a program up to the text.
func readUntil(t *testing.T, out io.Reader, text string) string {
	t.Helper()
	var printed []byte
	for !bytes.Contains(printed, []byte(text)) {
		part := make([]byte, 1024)
		n, err := out.Read(part)
		printed = append(printed, part[:n]...)
		require.NoError(t, err, "%s", printed)
	}
	return string(printed)
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
		printed := readUntil(t, stdout, "Stop with Ctrl-C")
		for _, said := range []string{
			"http://127.0.0.1:", "/api/docs", "scheduler@demo.test", "admin@other.test", "Omni-Demo-Practice-2026", "Try next",
		} {
			require.Contains(t, printed, said, "%s start", start)
		}
		second, _, refusal := runProgram(t, environment, "", "serve")
		require.Equal(t, cli.ExitFailed, second)
		require.Contains(t, refusal, "another program uses this data folder")

		require.NoError(t, c.Process.Signal(syscall.SIGTERM))
		require.NoError(t, c.Wait(), "it stops with exit code 0")
	}
}
