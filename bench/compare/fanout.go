package main

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// fanOuts are the numbers of listeners of one organization on one instance.
var fanOuts = []int{50, 500}

// listenersEach is the number of listeners of one user, the program's maximum.
const listenersEach = 10

// eventsEach is the number of events of one round.
const eventsEach = 3

// measureFanOut measures how long one event takes from the answer to its request until the last listener has
// it, on the servers in turn.
func (b *bench) measureFanOut(ctx context.Context, t *table, database *server, servers []*server) error {
	b.say("signing listeners in")
	if err := database.makeListeners(ctx, slices.Max(fanOuts)/listenersEach); err != nil {
		return err
	}
	tokens := make([]string, slices.Max(fanOuts)/listenersEach)
	for i := range tokens {
		var err error
		if tokens[i], err = servers[0].signInAs(ctx, listenerEmail(i)); err != nil {
			return err
		}
	}
	for _, many := range fanOuts {
		b.say("events for %d listeners", many)
		times := make([][]time.Duration, len(servers))
		for round := range b.rounds {
			for i := range servers {
				i = (i + round) % len(servers) // alternates the order
				run, err := b.fanOut(ctx, servers[i], many, tokens)
				if err != nil {
					return err
				}
				times[i] = append(times[i], run...)
			}
		}
		for i, name := range []string{"", ", before"}[:len(servers)] {
			all := slices.Sorted(slices.Values(times[i]))
			t.fanOutRows = append(t.fanOutRows, fmt.Sprintf("| %d listeners%s | %.0f | %.0f | %.0f |", many, name,
				ms(all[0]), ms(all[len(all)/2]), ms(all[len(all)-1])))
		}
	}
	return nil
}

// listenerEmail returns the address of a user who listens.
func listenerEmail(n int) string { return fmt.Sprintf("listener-%d@large.test", n) }

// makeListeners creates administrators like the existing one, unless they exist.
func (s *server) makeListeners(ctx context.Context, many int) error {
	c, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	for i := range many {
		_, err := c.Exec(ctx, `
			WITH added AS (
				INSERT INTO users (organization_id, id, email, name, password_hash, created_at, updated_at)
				SELECT organization_id, $1, $2, name, password_hash, now(), now() FROM users WHERE email = $3
				ON CONFLICT DO NOTHING RETURNING organization_id, id)
			INSERT INTO user_roles (organization_id, user_id, role) SELECT organization_id, id, 'ADMIN' FROM added`,
			id('L', i), listenerEmail(i), largeEmail)
		if err != nil {
			return err
		}
	}
	return nil
}

// fanOut connects listeners, publishes events, and returns the time of each.
func (b *bench) fanOut(ctx context.Context, s *server, many int, tokens []string) (times []time.Duration, err error) {
	ctx, cancel := context.WithCancel(ctx)
	var listening sync.WaitGroup
	defer listening.Wait()
	defer cancel()
	client := &http.Client{Transport: &http.Transport{MaxIdleConns: -1}}
	received, failed := make(chan struct{}, many*(2*eventsEach+1)), make(chan error, many)
	for i := range many {
		listening.Go(func() { failed <- s.listen(ctx, client, tokens[i/listenersEach], received) })
	}
	for range many { // connected
		if err := next(ctx, received, failed); err != nil {
			return nil, err
		}
	}
	publisher := tokens[0]
	path := "/authorizations/" + id('A', 0).String()
	for range eventsEach {
		for _, operation := range []string{"/reserve", "/release"} {
			var answer map[string]any
			if err := s.call(ctx, publisher, http.MethodPost, path+operation, map[string]int{"units": 1}, &answer); err != nil {
				return nil, err
			}
			answered := time.Now()
			for range many {
				if err := next(ctx, received, failed); err != nil {
					return nil, err
				}
			}
			times = append(times, time.Since(answered))
			time.Sleep(100 * time.Millisecond) // the relay's pause
		}
	}
	return times, nil
}

// next waits for one message of a listener.
func next(ctx context.Context, received <-chan struct{}, failed <-chan error) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	select {
	case <-received:
		return nil
	case err := <-failed:
		return fmt.Errorf("a listener ended: %w", err)
	case <-ctx.Done():
		return fmt.Errorf("a listener has received nothing: %w", ctx.Err())
	}
}

// listen sends to received once when it is connected, and once for each event of an authorization.
func (s *server) listen(ctx context.Context, client *http.Client, token string, received chan<- struct{}) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/api/v1/events", nil)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("GET /events: status %d", response.StatusCode)
	}
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		if line := lines.Text(); strings.HasPrefix(line, "event: ready") || strings.HasPrefix(line, "event: authorization") {
			received <- struct{}{}
		}
	}
	return cmp.Or(lines.Err(), ctx.Err())
}
