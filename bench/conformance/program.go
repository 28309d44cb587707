package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/google/uuid"
)

// migrate applies the migrations with the program.
func (s *suite) migrate(ctx context.Context) (string, error) {
	command := exec.CommandContext(ctx, s.program, "migrate", "up")
	command.Env = s.environment()
	out, err := command.CombinedOutput()
	if err != nil {
		return "", notMetf("%s", lastLine(out))
	}
	return fmt.Sprintf("%d migrations", bytes.Count(out, []byte("applied 2"))), nil
}

func lastLine(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return lines[len(lines)-1]
}

func (s *suite) environment(settings ...string) []string {
	own := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + os.TempDir(), "OMNI_DATA_DIR=" + os.TempDir(),
		"OMNI_DATABASE_URL=" + s.engine.programURL(), "OMNI_DB_PROFILE=portable", "OMNI_LOG_LEVEL=error",
		"OMNI_DB_AUTO_MIGRATE=false", "OMNI_RATE_LIMIT=0", "OMNI_TOKEN_RATE_LIMIT=0", "OMNI_RETRY_MAX_ATTEMPTS=50",
		"OMNI_COMMAND_BATCHES=4",
	}
	return append(own, settings...)
}

// server is an instance of the program.
type server struct {
	command *exec.Cmd
	url     string
	token   string
	log     lockedBuffer
}

// serve starts two instances, and signs in to the demo practice. One gives each command a transaction of its own.
func (s *suite) serve(ctx context.Context) (string, error) {
	for _, settings := range [][]string{{"OMNI_DEMO=true"}, {"OMNI_DEMO=false", "OMNI_COMMAND_BATCH_LIMIT=1"}} {
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return "", err
		}
		address := listener.Addr().String()
		if err := listener.Close(); err != nil {
			return "", err
		}
		i := &server{url: "http://" + address + "/api/v1", command: exec.CommandContext(ctx, s.program, "serve")}
		i.command.Env = s.environment(append(settings, "OMNI_ADDR="+address)...)
		i.command.Stdout, i.command.Stderr = &i.log, &i.log
		i.command.Cancel = func() error { return i.command.Process.Signal(syscall.SIGTERM) }
		if err := i.command.Start(); err != nil {
			return "", err
		}
		s.servers = append(s.servers, i)
		if err := i.signIn(ctx); err != nil {
			return "", notMetf("%v: %s", err, lastLine(i.log.bytes()))
		}
	}
	return fmt.Sprintf("%d instances on the demo practice", len(s.servers)), nil
}

// signIn waits until the instance serves.
func (i *server) signIn(ctx context.Context) error {
	const patience = 3 * time.Minute
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		var answer struct{ AccessToken string }
		_, err := i.call(ctx, http.MethodPost, "/auth/login", "",
			map[string]any{"email": "admin@demo.test", "password": "Omni-Demo-Practice-2026"}, &answer)
		if err == nil && answer.AccessToken != "" {
			i.token = answer.AccessToken
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(errors.New("the program does not serve"), err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (i *server) stop() {
	_ = i.command.Process.Signal(syscall.SIGTERM) // it may have ended
	_ = i.command.Wait()                          // as above
}

// answer is the answer to a request.
type answer struct {
	status int
	code   string // of a refusal
	raw    []byte
}

// call sends a request and decodes the answer into out, unless it is a refusal.
func (i *server) call(ctx context.Context, method, path, key string, in, out any) (answer, error) {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return answer{}, err
		}
		body = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, i.url+path, body)
	if err != nil {
		return answer{}, err
	}
	if in != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if i.token != "" {
		request.Header.Set("Authorization", "Bearer "+i.token)
	}
	if key != "" {
		request.Header.Set("Idempotency-Key", key)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	a := answer{status: response.StatusCode}
	if a.raw, err = io.ReadAll(response.Body); err != nil {
		return answer{}, err
	}
	if a.status >= http.StatusBadRequest {
		var problem struct{ Code string }
		err = json.Unmarshal(a.raw, &problem)
		a.code = problem.Code
		return a, err
	}
	return a, json.Unmarshal(a.raw, out)
}

// insist repeats a request with one key until it is accepted or refused for good. Attempts go to the instances in
// turn.
func (s *suite) insist(ctx context.Context, first int, path string, in, out any) (answer, error) {
	key := uuid.NewString()
	for attempt := first; ; attempt++ {
		a, err := s.servers[attempt%len(s.servers)].call(ctx, http.MethodPost, path, key, in, out)
		if err == nil && a.status < http.StatusInternalServerError {
			return a, nil
		}
		select {
		case <-ctx.Done():
			return a, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// create posts a record on the first instance and returns its id.
func (s *suite) create(ctx context.Context, path string, in map[string]any) (string, error) {
	var created struct{ ID string }
	a, err := s.servers[0].call(ctx, http.MethodPost, path, uuid.NewString(), in, &created)
	if err == nil && a.status >= http.StatusBadRequest {
		err = fmt.Errorf("POST %s: %s", path, a.raw)
	}
	return created.ID, err
}

// lockedBuffer is the output of a process. Safe for concurrent use.
type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

// Write appends to the buffer.
func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *lockedBuffer) bytes() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Clone(b.buffer.Bytes())
}
