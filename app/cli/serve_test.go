package cli_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"omnirapeutic/app/cli"
	"omnirapeutic/platform/db/dbtest"
	"omnirapeutic/platform/telemetry/logtest"
)

// onDatabase is the environment of a program with the test's own database.
func onDatabase(t *testing.T, more ...string) []string {
	t.Helper()
	database := dbtest.New(t)
	return append([]string{
		"OMNI_DATABASE_URL=" + database.AppURL, "OMNI_MIGRATE_URL=" + database.OwnerURL,
		"OMNI_ADDR=127.0.0.1:0",
	}, more...)
}

// serving starts a serving program and returns its output so far.
func serving(t *testing.T, c *exec.Cmd, until string) (printed, address string) {
	t.Helper()
	stdout, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	t.Cleanup(func() { _ = c.Process.Kill() }) // it has ended if the test passed
	printed = readUntil(t, stdout, until)
	found := regexp.MustCompile(`http://(127\.0\.0\.1:\d+)`).FindStringSubmatch(printed)
	require.Len(t, found, 2, printed)
	return printed, found[1]
}

func TestPrintedCommandsWork(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"sh", "curl", "sed"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("the commands need", tool)
		}
	}
	c := program(t, onDatabase(t, "OMNI_LOG_LEVEL=warn"), "serve")
	printed, _ := serving(t, c, "Stop with Ctrl-C")
	_, rest, ok := strings.Cut(printed, "Try next, in another terminal:\n")
	require.True(t, ok, printed)
	commands, _, ok := strings.Cut(rest, "\n\n")
	require.True(t, ok)
	out, err := exec.Command("sh", "-e", "-c", commands).CombinedOutput()
	require.NoError(t, err, "%s", out)
	answers := json.NewDecoder(bytes.NewReader(out))
	var list struct{ Data []struct{ ID string } }
	require.NoError(t, answers.Decode(&list), "%s", out)
	require.Len(t, list.Data, 1)
	var booked struct {
		Reservation struct {
			AuthorizationID string
			Units           int
		}
	}
	require.NoError(t, answers.Decode(&booked), "%s", out)
	require.Equal(t, list.Data[0].ID, booked.Reservation.AuthorizationID)
	require.Equal(t, 4, booked.Reservation.Units)
	require.NoError(t, c.Process.Signal(syscall.SIGTERM))
	require.NoError(t, c.Wait())
}

// openDir returns a directory that every account can access, as PostgreSQL requires.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "omnirapeutic-")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755))
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return dir
}

func TestInJSONModeEveryLineIsJSON(t *testing.T) {
	t.Parallel()
	requireJSON := func(t *testing.T, text string) (events []string) {
		t.Helper()
		for line := range strings.Lines(text) {
			var event struct{ Event, Msg string }
			require.NoError(t, json.Unmarshal([]byte(line), &event), line)
			require.NotEmpty(t, event.Event, line)
			events = append(events, event.Event)
		}
		return events
	}
	t.Run("from the first line to the last", func(t *testing.T) {
		t.Parallel()
		c := program(t, onDatabase(t, "OMNI_LOG_FORMAT=json", "OMNI_PORT=tcp://10.96.0.7:8080"), "serve")
		var log bytes.Buffer
		c.Stderr = &log
		printed, address := serving(t, c, "\n")
		require.Equal(t, []string{"greeting"}, requireJSON(t, printed))
		require.Contains(t, printed, "scheduler@demo.test")
		answer, err := http.Get("http://" + address + "/healthz")
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		require.NoError(t, c.Process.Signal(syscall.SIGTERM))
		require.NoError(t, c.Wait())
		events := requireJSON(t, log.String())
		require.Equal(t, []string{"starting", "variables_ignored", "schema_checking", "demo_loading"}, events[:4])
		require.Contains(t, log.String(), `"variables":"OMNI_PORT"`)
		require.Contains(t, events, "stopping")
		logtest.Look("standard error of serve", log.Bytes())
	})
	for name, test := range map[string]struct {
		environment, arguments []string
		code                   int
		says                   string
	}{
		"a wrong setting": {
			[]string{"OMNI_ADDR=nonsense", "OMNI_LOG_FORMAT=json"},
			[]string{"serve"},
			cli.ExitUsage,
			"OMNI_ADDR",
		},
		"one in production":  {[]string{"OMNI_PROFILE=production"}, []string{"serve"}, cli.ExitUsage, "token.secret"},
		"an unknown command": {[]string{"OMNI_LOG_FORMAT=json"}, []string{"fly"}, cli.ExitUsage, "fly"},
		"an unreachable database": {
			[]string{"OMNI_LOG_FORMAT=json", "OMNI_DATABASE_URL=postgres://a@/x?host=/nowhere"},
			[]string{"verify"},
			cli.ExitFailed, "/nowhere",
		},
		"several lines in a cause": {
			[]string{"OMNI_LOG_FORMAT=json", "OMNI_POSTGRES_BIN=/nowhere", "OMNI_DATA_DIR=" + openDir(t)},
			[]string{"verify"},
			cli.ExitFailed, "apt-get",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, out, errors := runProgram(t, test.environment, "", test.arguments...)
			require.Equal(t, test.code, code, errors)
			require.Empty(t, out)
			require.Contains(t, errors, test.says)
			require.Contains(t, requireJSON(t, errors), "command_failed")
		})
	}
}

func TestNoLineOfARequestIsLostOnSIGTERM(t *testing.T) {
	t.Parallel()
	c := program(t, onDatabase(t, "OMNI_LOG_FORMAT=json", "OMNI_DEMO=false"), "serve")
	var log bytes.Buffer
	c.Stderr = &log
	_, address := serving(t, c, "\n")
	const clients, each = 8, 100
	const hostile = `"}%0A{"level":"fatal"<script>`
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for range each {
				request, err := http.NewRequest(http.MethodGet, "http://"+address+"/api/v1/"+hostile, nil)
				if err != nil {
					t.Error(err)
					return
				}
				request.Header.Set("User-Agent", hostile)
				answer, err := http.DefaultClient.Do(request)
				if err != nil {
					t.Error(err)
					return
				}
				if err := answer.Body.Close(); err != nil {
					t.Error(err)
				}
				assert.Equal(t, http.StatusNotFound, answer.StatusCode)
			}
		})
	}
	all.Wait()
	require.NoError(t, c.Process.Signal(syscall.SIGTERM), "at once, while lines are buffered")
	require.NoError(t, c.Wait())
	lines := map[string]int{}
	for line := range strings.Lines(log.String()) {
		require.NotContains(t, line, "script")
		var event struct {
			Event, Route string
			ID           string `json:"request_id"`
		}
		require.NoError(t, json.Unmarshal([]byte(line), &event), line)
		if event.Event == "request" {
			require.Equal(t, "unmatched", event.Route)
			lines[event.ID]++
		}
	}
	require.Len(t, lines, clients*each)
}

func TestAClosedStandardErrorDoesNotEndTheServer(t *testing.T) {
	t.Parallel()
	c := program(t, onDatabase(t, "OMNI_DEMO=false"), "serve")
	reader, writer, err := os.Pipe()
	require.NoError(t, err)
	c.Stderr = writer
	_, address := serving(t, c, "Stop with Ctrl-C")
	require.NoError(t, writer.Close())
	require.NoError(t, reader.Close())
	for range 3 { // each is logged, and the output is not read
		answer, err := http.Get("http://" + address + "/api/v1/patients")
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		require.Equal(t, http.StatusUnauthorized, answer.StatusCode)
	}
	require.NoError(t, c.Process.Signal(syscall.SIGTERM))
	require.NoError(t, c.Wait(), "it stops gracefully")
}

func TestSIGTERMLetsRunningRequestsFinish(t *testing.T) {
	t.Parallel()
	c := program(t, onDatabase(t, "OMNI_DEMO=false"), "serve")
	stderr, err := c.StderrPipe()
	require.NoError(t, err)
	_, address := serving(t, c, "Stop with Ctrl-C")
	connection, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer connection.Close()
	const body = `{"email":"nobody@example.org","password":"not the right one"}`
	_, err = io.WriteString(connection,
		"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"+
			"Content-Length: 61\r\nExpect: 100-continue\r\n\r\n")
	require.NoError(t, err)
	require.Len(t, body, 61)
	answers := bufio.NewReader(connection)
	line, err := answers.ReadString('\n')
	require.NoError(t, err)
	require.Contains(t, line, "100 Continue", "the request is running")
	require.NoError(t, c.Process.Signal(syscall.SIGTERM))
	readUntil(t, stderr, "finishing running requests")
	_, err = io.WriteString(connection, body)
	require.NoError(t, err)
	_, err = answers.ReadString('\n') // ends the interim response
	require.NoError(t, err)
	answer, err := http.ReadResponse(answers, nil)
	require.NoError(t, err, "the connection is not broken")
	require.Equal(t, http.StatusUnauthorized, answer.StatusCode)
	require.NoError(t, answer.Body.Close())
	_, _ = io.Copy(io.Discard, stderr)
	require.NoError(t, c.Wait())
}

func TestHealthCheck(t *testing.T) {
	t.Parallel()
	environment := onDatabase(t, "OMNI_DEMO=false")
	c := program(t, environment, "serve")
	_, address := serving(t, c, "Stop with Ctrl-C")
	for _, check := range []struct {
		arguments []string
		says      string
	}{
		{nil, `"status":"ready"`},
		{[]string{"--write"}, `"database":"read-write"`},
		{[]string{"--live"}, `"status":"alive"`},
		{[]string{"--url", "http://" + address + "/"}, `"status":"ready"`},
	} {
		here := append(slices.Clone(environment), "OMNI_ADDR="+strings.Replace(address, "127.0.0.1", "0.0.0.0", 1))
		code, out, errors := runProgram(t, here, "", append([]string{"healthcheck"}, check.arguments...)...)
		require.Equal(t, cli.ExitOK, code, errors)
		require.Contains(t, out, check.says)
	}
	require.NoError(t, c.Process.Signal(syscall.SIGTERM))
	require.NoError(t, c.Wait())
	code, _, errors := runProgram(t, append(environment, "OMNI_ADDR="+address), "", "healthcheck")
	require.Equal(t, cli.ExitFailed, code)
	require.Contains(t, errors, "connection refused")
}

func TestHealthCheckReportsAServerThatCannotServe(t *testing.T) {
	t.Parallel()
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "not ready", http.StatusServiceUnavailable)
	}))
	defer s.Close()
	code, _, errors := runProgram(t, []string{
		"OMNI_ADDR=" + s.Listener.Addr().String(), "OMNI_TLS_CERTIFICATE=/c.pem", "OMNI_TLS_KEY=/k.pem",
	}, "", "healthcheck")
	require.Equal(t, cli.ExitFailed, code)
	require.Contains(t, errors, "503 Service Unavailable: not ready", "a certificate for another name is accepted")
	code, _, errors = runProgram(t, nil, "", "healthcheck", "--url", s.URL)
	require.Equal(t, cli.ExitFailed, code)
	require.Contains(t, errors, "certificate", "--url may name another machine, so its certificate is checked")
}

func TestConfigCheck(t *testing.T) {
	t.Parallel()
	code, out, errors := runProgram(t, onDatabase(t), "", "config", "check", "--database")
	require.Equal(t, cli.ExitOK, code, errors)
	require.Contains(t, out, "valid")
	code, _, errors = runProgram(t, []string{"OMNI_TLS_CERTIFICATE=/nowhere.pem", "OMNI_TLS_KEY=/k.pem"}, "", "config",
		"check")
	require.Equal(t, cli.ExitFailed, code)
	require.Contains(t, errors, "/nowhere.pem")
	code, _, errors = runProgram(t, nil, "", "config", "check", "--database")
	require.Equal(t, cli.ExitFailed, code)
	require.Contains(t, errors, "OMNI_DATABASE_URL")
	code, _, errors = runProgram(t, []string{"OMNI_DATABASE_URL=postgres://a@/x?host=/nowhere"}, "", "config", "check",
		"--database")
	require.Equal(t, cli.ExitFailed, code)
	require.Contains(t, errors, "/nowhere")
}

func TestServeWaitsForTheDatabase(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	port := taken.Addr().String()
	require.NoError(t, taken.Close())
	c := program(t, []string{
		"OMNI_DATABASE_URL=postgres://a@" + port + "/x", "OMNI_DB_WAIT=10m", "OMNI_ADDR=127.0.0.1:0", "OMNI_LOG_FORMAT=json",
	}, "serve")
	stderr, err := c.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	readUntil(t, stderr, "database_awaited")
	database, err := net.Listen("tcp", port)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, database.Close()) })
	connection, err := database.Accept()
	require.NoError(t, err, "it tries again")
	require.NoError(t, connection.Close())
	require.NoError(t, c.Process.Signal(syscall.SIGTERM))
	readUntil(t, stderr, "command_failed")
	require.Error(t, c.Wait(), "a wait can be stopped")
}

func TestUserCreateWithoutInputSaysHowToGiveThePassword(t *testing.T) {
	t.Parallel()
	code, _, errors := runProgram(t, nil, "",
		append(slices.Clone(createUser), "--organization", "New", "--time-zone", "UTC",
			"--role", "ADMIN")...)
	require.Equal(t, cli.ExitFailed, code)
	require.Contains(t, errors, "no password was given")
	require.Contains(t, errors, "user create … < password.txt")
}

func TestAnOperatorResetsAForgottenPassword(t *testing.T) {
	t.Parallel()
	environment := onDatabase(t, "OMNI_DEMO=false")
	create := append(slices.Clone(createUser), "--organization", "New", "--time-zone", "UTC", "--role", "ADMIN")
	code, _, errors := runProgram(t, environment, "a-meadow-of-red-clover", create...)
	require.Equal(t, cli.ExitOK, code, errors)

	reset := []string{"user", "reset-password", "--email", "Ada@example.org"}
	code, _, errors = runProgram(t, environment, "short", reset...)
	require.Equal(t, cli.ExitFailed, code)
	require.Contains(t, errors, "at least 15 characters")
	code, _, errors = runProgram(t, environment, "a-field-of-blue-flax", "user", "reset-password", "--email",
		"eve@example.org")
	require.Equal(t, cli.ExitFailed, code)
	require.Contains(t, errors, "User not found")
	code, out, errors := runProgram(t, environment, "a-field-of-blue-flax", reset...)
	require.Equal(t, cli.ExitOK, code, errors)
	require.Contains(t, out, "ada@example.org")

	_, address := serving(t, program(t, environment, "serve"), "Stop with Ctrl-C")
	for password, status := range map[string]int{
		"a-meadow-of-red-clover": http.StatusUnauthorized,
		"a-field-of-blue-flax":   http.StatusOK,
	} {
		signIn := strings.NewReader(`{"email":"ada@example.org","password":"` + password + `"}`)
		answer, err := http.Post("http://"+address+"/api/v1/auth/login", "application/json", signIn)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		require.Equal(t, status, answer.StatusCode, password)
	}
}

func TestMigrateAsTheWrongRoleNamesTheRightOne(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	code, _, errors := runProgram(t, []string{"OMNI_DATABASE_URL=" + database.AppURL}, "", "migrate", "down")
	require.Equal(t, cli.ExitFailed, code)
	require.Contains(t, errors, "belong to omni_owner: name omni_owner in OMNI_MIGRATE_URL")
}
