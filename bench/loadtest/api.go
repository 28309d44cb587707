package loadtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// StatusError is an unsuccessful answer of the server.
type StatusError struct {
	Method, Path string
	Status       int
	Code, Detail string // from the problem document; empty without one
}

// Error returns the request, the status and the server's explanation.
func (e *StatusError) Error() string {
	text := fmt.Sprintf("%s %s: status %d", e.Method, e.Path, e.Status)
	if e.Code != "" {
		text += " " + e.Code
	}
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	return text
}

// api makes the calls before and after the load, where convenience matters more than
// speed.
type api struct {
	number    int    // number of the server, from 0
	base      string // including /api/v1
	transport http.RoundTripper
	bearer    atomic.Pointer[string] // the value of the Authorization header
	lifetime  time.Duration          // of an access token
}

func newAPI(number int, base string, transport http.RoundTripper) *api {
	a := &api{number: number, base: base, transport: transport}
	a.bearer.Store(new(string))
	return a
}

// signIn gets an access token for all further requests. All clients share it, so that
// password hashing is not measured.
func (a *api) signIn(ctx context.Context, email, password string) error {
	var answer struct {
		AccessToken string `json:"accessToken"`
		ExpiresIn   int    `json:"expiresIn"` // in seconds
	}
	credentials := map[string]string{"email": email, "password": password}
	if err := a.call(ctx, http.MethodPost, "/auth/login", credentials, &answer); err != nil {
		return err
	}
	if answer.AccessToken == "" {
		return errors.New("the server's answer has no accessToken")
	}
	bearer := "Bearer " + answer.AccessToken
	a.bearer.Store(&bearer)
	a.lifetime = time.Duration(answer.ExpiresIn) * time.Second
	return nil
}

// keepSignedIn signs in again whenever two thirds of the token's lifetime have passed, until the
// returned function is called.
func (a *api) keepSignedIn(ctx context.Context, email, password string) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if a.lifetime <= 0 {
			return // unknown lifetime: the token has to last
		}
		pause := a.lifetime * 2 / 3
		for sleep(ctx, pause) {
			pause = a.lifetime * 2 / 3
			if err := a.signIn(ctx, email, password); err != nil {
				pause = a.lifetime / 20 // allows several attempts before the old token expires
			}
		}
	}()
	return func() {
		cancel()
		<-ended
	}
}

// call sends in and decodes the answer into out; both may be nil. It retries temporary
// errors with the same idempotency key, so that no effect is duplicated.
func (a *api) call(ctx context.Context, method, path string, in, out any) error {
	key := uuid.NewString()
	const attempts = 5
	for n := 1; ; n++ {
		err := a.try(ctx, method, path, key, in, out)
		if err == nil || n == attempts || !isTemporary(err) || !sleep(ctx, time.Duration(n)*200*time.Millisecond) {
			return err
		}
	}
}

func isTemporary(err error) bool {
	if status, ok := errors.AsType[*StatusError](err); ok {
		return status.Status >= 500
	}
	var syntax *json.SyntaxError
	return !errors.As(err, &syntax)
}

func (a *api) try(ctx context.Context, method, path, key string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, 2*requestTimeout)
	defer cancel()
	var body io.Reader
	if in != nil {
		encoded, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, method, a.base+path, body)
	if err != nil {
		return err
	}
	if in != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if method != http.MethodGet {
		request.Header.Set("Idempotency-Key", key)
	}
	if bearer := *a.bearer.Load(); bearer != "" && path != "/auth/login" {
		request.Header.Set("Authorization", bearer)
	}
	answer, err := a.transport.RoundTrip(request)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(io.LimitReader(answer.Body, 64<<20))
	if err != nil {
		return fmt.Errorf("%s %s: reading the answer: %w", method, path, err)
	}
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		p := parseProblem(content)
		return &StatusError{Method: method, Path: path, Status: answer.StatusCode, Code: p.Code, Detail: p.Detail}
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(content, out); err != nil {
		return fmt.Errorf("%s %s: unexpected answer: %w", method, path, err)
	}
	return nil
}

// problem has the needed members of a problem document.
type problem struct {
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// parseProblem returns the zero value for other documents.
func parseProblem(content []byte) problem {
	var p problem
	if json.Unmarshal(content, &p) != nil {
		return problem{}
	}
	return p
}

// sleep returns false if the context ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return ctx.Err() == nil
	}
}
