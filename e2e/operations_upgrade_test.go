//go:build long

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/app/demo"
	"omnirapeutic/platform/postgres"
)

// compatibleCommit returns the commit whose program must work with the present schema. It skips the
// test if there is none yet.
func compatibleCommit(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile("../.ci/compatible")
	require.NoError(t, err)
	for line := range strings.Lines(string(content)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			return line
		}
	}
	t.Skip(".ci/compatible names no commit: no earlier program works with the baseline of the schema")
	return ""
}

func runProgram(t *testing.T, dir string, environment []string, name string, arguments ...string) {
	t.Helper()
	c := exec.CommandContext(t.Context(), name, arguments...)
	c.Dir, c.Env = dir, append(os.Environ(), environment...)
	out, err := c.CombinedOutput()
	require.NoError(t, err, "%s %s: %s", name, strings.Join(arguments, " "), out)
}

// buildProgram builds the program of a commit, or of the working tree for "".
func buildProgram(t *testing.T, commit string) (program string) {
	t.Helper()
	root, err := filepath.Abs("..")
	require.NoError(t, err)
	program = filepath.Join(t.TempDir(), "omnirapeutic")
	if commit == "" {
		runProgram(t, root, nil, "go", "build", "-o", program, ".")
		return program
	}
	tree := filepath.Join(t.TempDir(), "former")
	runProgram(t, root, nil, "git", "worktree", "add", "--detach", tree, commit)
	t.Cleanup(func() {
		_ = exec.CommandContext(context.Background(), "git", "-C", root, "worktree", "remove", "--force", tree).Run()
	})
	runProgram(t, tree, nil, "go", "build", "-o", program, ".")
	return program
}

// listeningLine is the line that a serving program prints.
var listeningLine = regexp.MustCompile(`listens on (http://\S+)`)

// output collects a program's output.
type output struct {
	mutex sync.Mutex
	text  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.text.String()
}

// startProgram starts a serving program, and returns its address and a function that stops it.
func startProgram(t *testing.T, program string, environment []string) (url string, stop func()) {
	t.Helper()
	var out output
	c := exec.CommandContext(t.Context(), program)
	c.Env, c.Stdout, c.Stderr = append(os.Environ(), environment...), &out, &out
	require.NoError(t, c.Start())
	var found []string
	require.Eventually(t, func() bool {
		found = listeningLine.FindStringSubmatch(out.String())
		return found != nil
	}, time.Minute, 50*time.Millisecond, "%s", &out)
	return found[1], func() {
		require.NoError(t, c.Process.Signal(os.Interrupt))
		require.NoError(t, c.Wait(), "%s", &out)
	}
}

// load sends requests to a server and counts failures: every list of the API, and bookings of
// units.
type load struct {
	url, token string
	paths      []string
	sent       atomic.Int64
	failed     sync.Map // request → answer
}

func newLoad(t *testing.T, url string) *load {
	t.Helper()
	l := &load{url: url}
	var signedIn struct{ AccessToken string }
	status, answer := l.send(t.Context(), http.MethodPost, "/api/v1/auth/login",
		fmt.Sprintf(`{"email":"admin@demo.test","password":%q}`, demo.Password))
	require.Equal(t, http.StatusOK, status, "%s", answer)
	require.NoError(t, json.Unmarshal(answer, &signedIn))
	l.token = signedIn.AccessToken
	var contract struct {
		Paths map[string]map[string]json.RawMessage
	}
	content, err := os.ReadFile("../app/openapi.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(content, &contract))
	for path, operations := range contract.Paths {
		path = "/api/v1" + strings.TrimPrefix(path, "/api/v1")
		if _, reads := operations["get"]; reads && !strings.Contains(path, "{") && !strings.HasSuffix(path, "/events") {
			if status, _ := l.send(t.Context(), http.MethodGet, path, ""); status == http.StatusOK {
				l.paths = append(l.paths, path)
			}
		}
	}
	slices.Sort(l.paths)
	require.Greater(t, len(l.paths), 10, "readable lists")
	return l
}

// send returns 0 if there was no answer.
func (l *load) send(ctx context.Context, method, path, body string) (status int, answer []byte) {
	l.sent.Add(1)
	request, err := http.NewRequestWithContext(ctx, method, l.url+path, strings.NewReader(body))
	if err != nil {
		return 0, []byte(err.Error())
	}
	request.Header.Set("Authorization", "Bearer "+l.token)
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Idempotency-Key", uuid.NewString())
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, []byte(err.Error())
	}
	defer response.Body.Close()
	answer, err = io.ReadAll(response.Body)
	if err != nil {
		return 0, []byte(err.Error())
	}
	return response.StatusCode, answer
}

// run sends requests from four clients until the returned function is called.
func (l *load) run(t *testing.T, authorization string) (stop func()) {
	t.Helper()
	done := make(chan struct{})
	var clients sync.WaitGroup
	check := func(method, path, body string, fine ...int) {
		status, answer := l.send(context.Background(), method, path, body)
		if !slices.Contains(fine, status) {
			l.failed.Store(method+" "+path, fmt.Sprintf("%d %s", status, answer))
		}
	}
	for range 4 {
		clients.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				check(http.MethodGet, l.paths[i%len(l.paths)], "", http.StatusOK)
				check(http.MethodPost, "/api/v1/authorizations/"+authorization+"/reserve", `{"units":1}`, http.StatusCreated,
					http.StatusConflict)
				check(http.MethodPost, "/api/v1/authorizations/"+authorization+"/release", `{"units":1}`, http.StatusOK,
					http.StatusConflict)
			}
		})
	}
	return func() { close(done); clients.Wait() }
}

// requireNoFailure checks that every request succeeded.
func (l *load) requireNoFailure(t *testing.T) {
	t.Helper()
	l.failed.Range(func(sent, came any) bool {
		t.Errorf("%s: %s", sent, came)
		return true
	})
	t.Logf("%d requests to %s", l.sent.Load(), l.url)
}

// TestPreviousProgramServesOnTheNewSchema upgrades like an operator: the former program serves,
// the schema is migrated under it, and the new program starts next to it. No request to either may
// fail.
func TestPreviousProgramServesOnTheNewSchema(t *testing.T) {
	former, present := buildProgram(t, compatibleCommit(t)), buildProgram(t, "")
	dir, err := os.MkdirTemp("", "omnirapeutic-upgrade-")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755)) // PostgreSQL never runs as root
	server, err := postgres.Start(t.Context(), postgres.Options{Dir: filepath.Join(dir, "pg")})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, server.Stop(context.Background()))
		require.NoError(t, os.RemoveAll(dir))
	})
	environment := []string{
		"OMNI_DATABASE_URL=" + server.AppURL(server.Database()), "OMNI_MIGRATE_URL=" + server.OwnerURL(server.Database()),
		"OMNI_ADDR=127.0.0.1:0", "OMNI_DEMO=true", "OMNI_RATE_LIMIT=100000", "OMNI_RATE_BURST=100000", "OMNI_METRICS_ADDR=",
		"OMNI_DB_AUTO_MIGRATE=true",
		"OMNI_TOKEN_SECRET=" + strings.ReplaceAll(uuid.NewString()+uuid.NewString(), "-", ""),
	}
	formerURL, stopFormer := startProgram(t, former, environment)
	old := newLoad(t, formerURL)
	var list struct{ Data []struct{ ID string } }
	_, answer := old.send(t.Context(), http.MethodGet, "/api/v1/authorizations?status=ACTIVE&limit=1", "")
	require.NoError(t, json.Unmarshal(answer, &list))
	require.NotEmpty(t, list.Data, "%s", answer)

	stopOld := old.run(t, list.Data[0].ID)
	time.Sleep(2 * time.Second)
	runProgram(t, ".", environment, present, "migrate", "up")
	time.Sleep(2 * time.Second)
	presentURL, stopPresent := startProgram(t, present, environment)
	now := newLoad(t, presentURL)
	stopNew := now.run(t, list.Data[0].ID)
	time.Sleep(3 * time.Second)
	status, answer := old.send(t.Context(), http.MethodGet, "/readyz", "")
	require.Equal(t, http.StatusOK, status, "%s", answer)
	for _, crossed := range []*load{{url: formerURL, token: now.token}, {url: presentURL, token: old.token}} {
		status, answer := crossed.send(t.Context(), http.MethodGet, "/api/v1/auth/me", "")
		require.Equal(t, http.StatusOK, status, "a load balancer sends a user to either instance: %s", answer)
	}
	stopOld()
	stopFormer()
	stopNew()
	old.requireNoFailure(t)
	now.requireNoFailure(t)
	formerAgain, stopAgain := startProgram(t, former, environment) // an old instance restarts before it is replaced
	newLoad(t, formerAgain)
	stopAgain()
	stopPresent()
}
