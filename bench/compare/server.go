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
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// The roles of a private PostgreSQL.
const (
	ownerRole   = "omni_owner"
	programRole = "omni_app"
)

// server is a running instance of the program.
type server struct {
	command *exec.Cmd
	url     string

	profiles string // URL of its CPU profile

	data    string
	secrets map[string]string // passwords of its PostgreSQL roles
	took    time.Duration     // time from start to ready
	group   string            // its cgroup folder, if limited to a share

	postmaster string // id of its PostgreSQL's first process
}

// serve starts the program with a data folder and its private PostgreSQL.
func (b *bench) serve(ctx context.Context, data string, settings ...string) (*server, error) {
	return b.serveProgram(ctx, b.program, os.Stderr, data, settings...)
}

// serveProgram is [bench.serve] for any version of the program.
func (*bench) serveProgram(
	ctx context.Context, program string, log *os.File, data string, settings ...string,
) (*server, error) {
	s, err := startProgram(ctx, program, log, append([]string{"OMNI_DATA_DIR=" + data}, settings...)...)
	if err != nil {
		return nil, err
	}
	s.data = data
	content, err := os.ReadFile(filepath.Join(data, "postgres", "passwords.json"))
	if err == nil {
		err = json.Unmarshal(content, &s.secrets)
	}
	if err != nil {
		s.stop()
		return nil, err
	}
	s.postmaster = findPostmaster(data)
	return s, nil
}

// start starts the program and waits until it is ready.
func (b *bench) start(ctx context.Context, settings ...string) (*server, error) {
	return startProgram(ctx, b.program, os.Stderr, settings...)
}

// startProgram starts any version of the program and waits until it is ready. The log receives what it prints.
func startProgram(ctx context.Context, program string, log *os.File, settings ...string) (*server, error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	profiles, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	s := &server{url: "http://" + address, profiles: "http://" + profiles + "/debug/pprof/profile"}
	s.command = exec.CommandContext(ctx, program, "serve")
	s.command.Env = append(append(os.Environ(), "OMNI_ADDR="+address, "OMNI_METRICS_ADDR="+profiles,
		"OMNI_LOG_LEVEL=error"), settings...)
	s.command.Cancel = func() error { return s.command.Process.Signal(syscall.SIGTERM) }
	s.command.Stdout, s.command.Stderr = log, log
	began := time.Now()
	if err := s.command.Start(); err != nil {
		return nil, err
	}
	if err := s.ready(ctx); err != nil {
		s.stop()
		return nil, err
	}
	s.took = time.Since(began)
	return s, nil
}

// freeAddress returns an address on which nothing listens.
func freeAddress(ctx context.Context) (string, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

func (s *server) ready(ctx context.Context) error {
	const patience = time.Minute
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/readyz", nil)
		if err != nil {
			return err
		}
		if response, err := http.DefaultClient.Do(request); err == nil {
			_ = response.Body.Close() // the body is not read
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return errors.New("the server did not become ready")
		case <-time.After(2 * time.Millisecond):
		}
	}
}

func (s *server) stop() {
	_ = s.command.Process.Signal(syscall.SIGTERM) // the process may have ended already
	_ = s.command.Wait()                          // as above
	if s.group != "" {
		_ = os.Remove(s.group) // the group is empty
	}
}

// databaseURL returns a role's URL of its PostgreSQL.
func (s *server) databaseURL(role string) string {
	query := url.Values{"host": {s.socket()}, "port": {"5432"}, "sslmode": {"disable"}}
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(role, s.secrets[role]),
		Path:     "/omnirapeutic",
		RawQuery: query.Encode(),
	}
	return u.String()
}

func (s *server) socket() string { return filepath.Join(s.data, "postgres", "socket") }

// connect connects as the owner, with access to every organization.
func (s *server) connect(ctx context.Context) (*pgx.Conn, error) {
	//nolint:forbidigo // the bench uses no package of the program; its URL has every setting
	settings, err := pgx.ParseConfig(s.databaseURL(ownerRole))
	if err != nil {
		return nil, err
	}
	settings.RuntimeParams["omni.organizations"] = "*"
	return pgx.ConnectConfig(ctx, settings)
}

// call sends in as JSON, unless it is nil, and decodes the answer into out.
func (s *server) call(ctx context.Context, token, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		content, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(content)
	}
	request, err := http.NewRequestWithContext(ctx, method, s.url+"/api/v1"+path, body)
	if err != nil {
		return err
	}
	if in != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode > 299 {
		return fmt.Errorf("%s %s: status %d: %s", method, path, response.StatusCode, strings.TrimSpace(string(content)))
	}
	return json.Unmarshal(content, out)
}

// The administrator of the demo practice.
const (
	adminEmail    = "admin@demo.test"
	adminPassword = "Omni-Demo-Practice-2026" //nolint:gosec // published
)

// signIn returns an access token of the demo practice's administrator.
func (s *server) signIn(ctx context.Context) (string, error) { return s.signInAs(ctx, adminEmail) }

// signInAs returns an access token of a user with the demo practice's password.
func (s *server) signInAs(ctx context.Context, email string) (string, error) {
	var answer struct {
		AccessToken string `json:"accessToken"`
	}
	err := s.call(ctx, "", http.MethodPost, "/auth/login",
		map[string]string{"email": email, "password": adminPassword}, &answer)
	return answer.AccessToken, err
}
