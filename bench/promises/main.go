// Command promises reserves units on servers until it is interrupted, and notes each answer. Rehearsals of
// failures compare the notes with the database: every noted reservation must exist, and exactly once.
//
//	go run ./bench/promises --clients 4 --out FILE http://127.0.0.1:8080 http://127.0.0.1:8081
//
// A client repeats a request that has failed, with the same Idempotency-Key, on the next server. A line of
// the file has the reference of a reservation and the time of its answer, in microseconds since 1970. It
// is written before the client goes on.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/google/uuid"
)

func main() {
	clients := flag.Int("clients", 4, "the number of concurrent clients")
	out := flag.String("out", "promises", "the file of the notes")
	email := flag.String("email", "scheduler@demo.test", "the address to sign in with")
	password := flag.String("password", "Omni-Demo-Practice-2026", "its password")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, flag.Args(), *clients, *out, *email, *password); err != nil {
		fmt.Fprintln(os.Stderr, "promises:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, servers []string, clients int, out, email, password string) error {
	if len(servers) == 0 {
		return errors.New("name the address of a server")
	}
	file, err := os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	c := &caller{servers: servers, notes: file, client: &http.Client{Timeout: answerTimeout}}
	if err := c.prepare(ctx, email, password); err != nil {
		return err
	}
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() { c.reserve(ctx, i) })
	}
	all.Wait()
	return nil
}

// Limits of a request.
const (
	answerTimeout = 10 * time.Second
	retryDelay    = 20 * time.Millisecond
)

// caller calls the servers as one user.
type caller struct {
	servers       []string
	client        *http.Client
	token         string
	authorization string

	mu    sync.Mutex
	notes *os.File
}

// prepare signs in and chooses an authorization.
func (c *caller) prepare(ctx context.Context, email, password string) error {
	var signIn struct{ AccessToken string }
	err := c.call(ctx, 0, http.MethodPost, "/auth/login", "", map[string]string{"email": email, "password": password}, &signIn)
	if err != nil {
		return err
	}
	c.token = signIn.AccessToken
	var page struct{ Data []struct{ ID string } }
	if err := c.call(ctx, 0, http.MethodGet, "/authorizations?status=ACTIVE&limit=1", "", nil, &page); err != nil {
		return err
	}
	if len(page.Data) == 0 {
		return errors.New("there is no active authorization")
	}
	c.authorization = page.Data[0].ID
	return nil
}

// reserve reserves one unit at a time, notes the answer, and releases the unit.
func (c *caller) reserve(ctx context.Context, client int) {
	for ctx.Err() == nil {
		reference := "promise-" + uuid.NewString()
		var answer struct{ Reservation struct{ ID string } }
		body := map[string]any{"units": 1, "reference": reference}
		if !c.insist(ctx, client, "reserve", body, &answer) {
			return
		}
		c.mu.Lock()
		_, err := fmt.Fprintln(c.notes, reference, time.Now().UnixMicro())
		c.mu.Unlock()
		if err != nil {
			fmt.Fprintln(os.Stderr, "promises:", err)
			return
		}
		c.insist(ctx, client, "release", map[string]any{"units": 1, "reservationId": answer.Reservation.ID}, &answer)
	}
}

// insist repeats a request until it is accepted. It returns false if the context has ended before.
func (c *caller) insist(ctx context.Context, client int, verb string, body, answer any) bool {
	key := uuid.NewString()
	for attempt := client; ctx.Err() == nil; attempt++ {
		path := "/authorizations/" + c.authorization + "/" + verb
		if c.call(ctx, attempt, http.MethodPost, path, key, body, answer) == nil {
			return true
		}
		select {
		case <-ctx.Done():
		case <-time.After(retryDelay):
		}
	}
	return false
}

func (c *caller) call(ctx context.Context, server int, method, path, key string, body, answer any) error {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return err
		}
	}
	url := c.servers[server%len(c.servers)] + "/api/v1" + path
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(text))
	if err != nil {
		return err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		request.Header.Set("Idempotency-Key", key)
	}
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	response, err := c.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s", method, path, response.Status)
	}
	return json.NewDecoder(response.Body).Decode(answer)
}
