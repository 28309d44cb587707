package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/google/uuid"
)

const (
	stallRounds  = 10
	stallClients = 25 // per server
)

// stall lets two servers reserve units of one authorization and kills one of them
// (SIGKILL) while it holds the lock, in the middle of a transaction. It reports how
// long the other then waits for its next answer. To hit the middle, the server is
// stopped first (SIGSTOP): if the other makes no progress, the stopped one holds the
// lock.
func (b *bench) stall(ctx context.Context, t *table) error {
	survivor, err := b.serve(ctx, filepath.Join(b.dir, "stall"))
	if err != nil {
		return err
	}
	defer survivor.stop()
	c, err := survivor.connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	authorization, err := insertAuthorization(ctx, c)
	if err != nil {
		return err
	}
	token, err := survivor.signIn(ctx)
	if err != nil {
		return err
	}
	running, end := context.WithCancel(ctx)
	defer end()
	living := &reservers{url: survivor.url, authorization: authorization, token: token}
	living.start(running)
	var waits []time.Duration
	var confirmed int64
	for round := range stallRounds {
		b.say("killing an instance, %d of %d", round+1, stallRounds)
		victim, err := b.start(ctx, "OMNI_DATABASE_URL="+survivor.databaseURL(programRole), "OMNI_DB_MAX_CONNS=5",
			"OMNI_DB_AUTO_MIGRATE=false")
		if err != nil {
			return err
		}
		dying := &reservers{url: victim.url, authorization: authorization, token: token}
		dying.start(running)
		wait, err := dying.killWith(running, victim, living)
		if err != nil {
			victim.stop()
			return err
		}
		dying.clients.Wait() // their connections are closed
		confirmed += dying.answered.count()
		waits = append(waits, wait)
	}
	end()
	living.clients.Wait()
	confirmed += living.answered.count()
	if err := checkConfirmed(ctx, survivor, token, authorization, confirmed); err != nil {
		return err
	}
	slices.Sort(waits)
	t.untargeted(fmt.Sprintf("two servers, one killed in mid-transaction: until the other answers, longest of %d (median)",
		stallRounds),
		fmt.Sprintf("%.0f ms (%.0f)", ms(waits[len(waits)-1]), ms(waits[len(waits)/2])))
	t.note("Killed in mid-transaction: the ledger is correct afterwards, and all %d confirmed reservations exist.",
		confirmed)
	return nil
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// reservers are clients that reserve single units until the server no longer answers or
// the context ends.
type reservers struct {
	url, authorization, token string

	clients  sync.WaitGroup
	answered moments
}

// moments records the times of confirmed reservations. Safe for concurrent use.
type moments struct {
	mutex sync.Mutex
	all   []time.Time
}

// add records the current time.
func (m *moments) add() {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.all = append(m.all, time.Now()) // under the lock, so that they are ordered
}

func (m *moments) count() int64 {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return int64(len(m.all))
}

// since returns the first moment after t, and whether there is one.
func (m *moments) since(t time.Time) (time.Time, bool) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	i, _ := slices.BinarySearchFunc(m.all, t, time.Time.Compare)
	if i == len(m.all) {
		return time.Time{}, false
	}
	return m.all[i], true
}

func (r *reservers) start(ctx context.Context) {
	transport := &http.Transport{MaxIdleConnsPerHost: stallClients}
	for range stallClients {
		r.clients.Go(func() {
			defer transport.CloseIdleConnections()
			for ctx.Err() == nil && r.reserve(ctx, transport) == nil {
				r.answered.add()
			}
		})
	}
}

func (r *reservers) reserve(ctx context.Context, transport http.RoundTripper) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost,
		r.url+"/api/v1/authorizations/"+r.authorization+"/reserve",
		bytes.NewReader([]byte(`{"units":1}`)))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+r.token)
	request.Header.Set("Idempotency-Key", uuid.NewString())
	response, err := transport.RoundTrip(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := new(bytes.Buffer).ReadFrom(response.Body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusCreated {
		return fmt.Errorf("reserve: status %d", response.StatusCode)
	}
	return nil
}

// killWith kills the server of these reservers while it holds the lock, and returns how
// long the others then wait for an answer.
func (r *reservers) killWith(ctx context.Context, victim *server, others *reservers) (wait time.Duration, err error) {
	const (
		settle  = 300 * time.Millisecond // until both are under load
		batch   = 50 * time.Millisecond  // several batches long
		silence = 150 * time.Millisecond // longer than any batch
		tries   = 200
	)
	pause(ctx, settle)
	for range tries {
		stoppedAt := time.Now()
		if err := victim.command.Process.Signal(syscall.SIGSTOP); err != nil {
			return 0, err
		}
		pause(ctx, batch+silence)
		if _, progressed := others.answered.since(stoppedAt.Add(batch)); progressed {
			if err := victim.command.Process.Signal(syscall.SIGCONT); err != nil {
				return 0, err
			}
			pause(ctx, batch)
			continue
		}
		killed := time.Now()
		if err := victim.command.Process.Kill(); err != nil {
			return 0, err
		}
		_ = victim.command.Wait() // reports that it was killed
		for until := killed.Add(time.Minute); time.Now().Before(until); pause(ctx, time.Millisecond) {
			if first, ok := others.answered.since(killed); ok {
				return first.Sub(killed), nil
			}
			if ctx.Err() != nil {
				break
			}
		}
		return 0, errors.New("the surviving server no longer answers")
	}
	return 0, errors.New("the server was never in the middle of a transaction")
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// checkConfirmed compares the authorization with the confirmed reservations. It may have
// more, from requests that were cut off before their answer.
func checkConfirmed(ctx context.Context, s *server, token, authorization string, confirmed int64) error {
	var found struct {
		ScheduledUnits int64 `json:"scheduledUnits"`
	}
	if err := s.call(ctx, token, http.MethodGet, "/authorizations/"+authorization, nil, &found); err != nil {
		return err
	}
	const cutOff = (stallRounds + 1) * stallClients
	if found.ScheduledUnits < confirmed || found.ScheduledUnits > confirmed+cutOff {
		return fmt.Errorf("%d reservations were confirmed, but %d units are scheduled", confirmed, found.ScheduledUnits)
	}
	var verified struct {
		ID     string `json:"id"`
		State  string `json:"state"`
		Result struct {
			OK bool `json:"ok"`
		} `json:"result"`
	}
	if err := s.call(ctx, token, http.MethodPost, "/admin/verify", nil, &verified); err != nil {
		return err
	}
	for verified.State == "RUNNING" {
		pause(ctx, time.Second)
		if err := s.call(ctx, token, http.MethodGet, "/admin/verifications/"+verified.ID, nil, &verified); err != nil {
			return err
		}
	}
	if !verified.Result.OK {
		return errors.New("verify found problems after an instance was killed")
	}
	return nil
}
