package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/google/uuid"
)

// practice has the records of a scenario.
type practice struct{ patient, code string }

func (s *suite) newPractice(ctx context.Context) (p practice, err error) {
	p.patient, err = s.create(ctx, "/patients", map[string]any{
		"firstName": "Con", "lastName": "Formance", "dateOfBirth": "2018-05-04",
	})
	if err != nil {
		return p, err
	}
	p.code, err = s.create(ctx, "/service-codes", map[string]any{
		"code": "C" + strings.ToUpper(uuid.NewString()[:7]), "description": "Conformance", "unitMinutes": 15,
	})
	return p, err
}

// authorize creates an authorization and returns its path.
func (s *suite) authorize(ctx context.Context, p practice, units int, more map[string]any) (string, error) {
	today := time.Now().UTC()
	in := map[string]any{
		"patientId": p.patient, "serviceCodeId": p.code, "totalUnits": units, "status": "ACTIVE",
		"startDate": today.AddDate(0, 0, -30).Format(time.DateOnly), "endDate": today.AddDate(0, 0, 300).Format(time.DateOnly),
	}
	for name, value := range more {
		in[name] = value
	}
	id, err := s.create(ctx, "/authorizations", in)
	return "/authorizations/" + id, err
}

// balance is the part of an answer that has the units of an authorization.
type balance struct {
	Reservation   struct{ ID string }
	Authorization struct{ AvailableUnits, ScheduledUnits int }
}

// concurrently sends n requests at once, and returns their answers.
func (s *suite) concurrently(ctx context.Context, n int, send func(i int) (answer, error)) (map[string]int, error) {
	var all sync.WaitGroup
	var mu sync.Mutex
	counts, failures := map[string]int{}, []error{}
	ready := make(chan struct{})
	for i := range n {
		all.Go(func() {
			<-ready
			a, err := send(i)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failures = append(failures, err)
			}
			counts[fmt.Sprintf("%d %s", a.status, a.code)]++
		})
	}
	close(ready)
	all.Wait()
	return counts, errors.Join(append(failures, ctx.Err())...)
}

const (
	accepted = "201 "
	clients  = 40
	room     = 15
)

// lastUnits lets more clients reserve a unit than there are units.
func (s *suite) lastUnits(ctx context.Context) (string, error) {
	p, err := s.newPractice(ctx)
	if err != nil {
		return "", err
	}
	for range s.rounds {
		path, err := s.authorize(ctx, p, room, nil)
		if err != nil {
			return "", err
		}
		counts, err := s.concurrently(ctx, clients, func(i int) (answer, error) {
			return s.insist(ctx, i, path+"/reserve", map[string]any{"units": 1}, &balance{})
		})
		if err != nil {
			return "", err
		}
		if counts[accepted] != room || counts["409 insufficient-units"] != clients-room {
			return "", notMetf("%d clients for %d units: %v", clients, room, counts)
		}
	}
	return fmt.Sprintf("%d times %d clients for %d units", s.rounds, clients, room), nil
}

// operation is a request of the history that is checked: units to reserve, or a reservation to release.
type operation struct {
	units   int
	release int // units of the released reservation; 0: it reserves
}

// outcome is the answer to an operation.
type outcome struct {
	refused   bool
	available int
}

// linearizable records random reserves and releases on one authorization, and looks for an order that explains all
// answers.
func (s *suite) linearizable(ctx context.Context) (string, error) {
	p, err := s.newPractice(ctx)
	if err != nil {
		return "", err
	}
	const total = 12
	path, err := s.authorize(ctx, p, total, nil)
	if err != nil {
		return "", err
	}
	const writers, each = 8, 40
	var mu sync.Mutex
	var history []porcupine.Operation
	var all sync.WaitGroup
	var failed error
	for client := range writers {
		all.Go(func() {
			err := s.write(ctx, client, path, each, func(o porcupine.Operation) {
				mu.Lock()
				defer mu.Unlock()
				history = append(history, o)
			})
			mu.Lock()
			defer mu.Unlock()
			failed = errors.Join(failed, err)
		})
	}
	all.Wait()
	if failed != nil {
		return "", failed
	}
	model := porcupine.Model{
		Init: func() any { return total },
		Step: func(state, input, output any) (bool, any) {
			available, in, out := state.(int), input.(operation), output.(outcome)
			if in.release > 0 {
				available += in.release
				return !out.refused && out.available == available, available
			}
			if in.units > available {
				return out.refused, available
			}
			available -= in.units
			return !out.refused && out.available == available, available
		},
	}
	const patience = time.Minute
	if verdict := porcupine.CheckOperationsTimeout(model, history, patience); verdict != porcupine.Ok {
		return "", notMetf("no order of %d changes explains their answers (%s)", len(history), verdict)
	}
	return fmt.Sprintf("%d changes by %d clients", len(history), writers), nil
}

// write sends the requests of one client. A request that failed is repeated with its key until it has an answer.
func (s *suite) write(ctx context.Context, client int, path string, n int, record func(porcupine.Operation)) error {
	type reservation struct {
		id    string
		units int
	}
	var mine []reservation
	for i := range n {
		in, body, verb := operation{units: 1 + rand.IntN(3)}, map[string]any{}, "reserve"
		if len(mine) > 0 && rand.IntN(2) == 0 {
			last := mine[len(mine)-1]
			mine = mine[:len(mine)-1]
			in = operation{units: last.units, release: last.units}
			body["reservationId"], verb = last.id, "release"
		}
		body["units"] = in.units
		var out balance
		began := time.Now().UnixNano()
		a, err := s.insist(ctx, client+i, path+"/"+verb, body, &out)
		if err != nil {
			return err
		}
		refused := a.status >= http.StatusBadRequest
		if refused && a.code != "insufficient-units" {
			return notMetf("%s: %s", verb, a.raw)
		}
		if verb == "reserve" && !refused {
			mine = append(mine, reservation{out.Reservation.ID, in.units})
		}
		record(porcupine.Operation{
			ClientId: client, Input: in, Call: began,
			Output: outcome{refused, out.Authorization.AvailableUnits}, Return: time.Now().UnixNano(),
		})
	}
	return nil
}

// overlaps lets clients book one practitioner at times of which any two overlap, for a patient each.
func (s *suite) overlaps(ctx context.Context) (string, error) {
	const bookings = 16
	for range s.rounds {
		practitioner, err := s.create(ctx, "/practitioners", map[string]any{
			"firstName": "Con", "lastName": "Formance", "credentials": []string{},
		})
		if err != nil {
			return "", err
		}
		var requests []map[string]any
		start := time.Now().UTC().Truncate(time.Hour).Add(48 * time.Hour)
		for i := range bookings {
			p, err := s.newPractice(ctx)
			if err != nil {
				return "", err
			}
			path, err := s.authorize(ctx, p, 100, nil)
			if err != nil {
				return "", err
			}
			at := start.Add(time.Duration(i) * time.Minute)
			requests = append(requests, map[string]any{
				"patientId": p.patient, "serviceCodeId": p.code, "practitionerId": practitioner,
				"authorizationId": path[len("/authorizations/"):],
				"startTime":       at.Format(time.RFC3339), "endTime": at.Add(time.Hour).Format(time.RFC3339),
			})
		}
		counts, err := s.concurrently(ctx, bookings, func(i int) (answer, error) {
			return s.insist(ctx, i, "/appointments", requests[i], &struct{}{})
		})
		if err != nil {
			return "", err
		}
		if counts[accepted] != 1 || len(counts) != 2 {
			return "", notMetf("%d bookings of which any two overlap: %v", bookings, counts)
		}
	}
	return fmt.Sprintf("%d times %d bookings of which any two overlap", s.rounds, bookings), nil
}

// caps lets clients reserve units of one day up to a cap.
func (s *suite) caps(ctx context.Context) (string, error) {
	p, err := s.newPractice(ctx)
	if err != nil {
		return "", err
	}
	for range s.rounds {
		path, err := s.authorize(ctx, p, 1000, map[string]any{
			"caps": []map[string]any{{"period": "DAY", "units": room}},
		})
		if err != nil {
			return "", err
		}
		day := time.Now().UTC().AddDate(0, 0, 10).Format(time.DateOnly)
		counts, err := s.concurrently(ctx, clients, func(i int) (answer, error) {
			return s.insist(ctx, i, path+"/reserve", map[string]any{"units": 1, "serviceDate": day}, &balance{})
		})
		if err != nil {
			return "", err
		}
		if counts[accepted] != room || len(counts) != 2 {
			return "", notMetf("%d clients for a cap of %d: %v", clients, room, counts)
		}
	}
	return fmt.Sprintf("%d times %d clients for a cap of %d", s.rounds, clients, room), nil
}

// lostCommits breaks connections after the engine has committed and before its answer arrives. Each request is
// repeated with its key, and must take effect once.
func (s *suite) lostCommits(ctx context.Context) (string, error) {
	if s.engine.proxy == nil {
		return "", &notChecked{"the proxy has no TLS: use sslmode=disable"}
	}
	p, err := s.newPractice(ctx)
	if err != nil {
		return "", err
	}
	const requests = 30
	path, err := s.authorize(ctx, p, 1000, nil)
	if err != nil {
		return "", err
	}
	lost := 0
	for i := range requests {
		s.engine.proxy.LoseCommits(1)
		a, err := s.insist(ctx, i, path+"/reserve", map[string]any{"units": 1}, &balance{})
		lost += 1 - s.engine.proxy.Lost()
		s.engine.proxy.LoseCommits(0)
		if err != nil {
			return "", err
		}
		if a.status != http.StatusCreated {
			return "", notMetf("after a lost answer: %s", a.raw)
		}
	}
	var found struct{ ScheduledUnits int }
	if _, err := s.servers[0].call(ctx, http.MethodGet, path, "", nil, &found); err != nil {
		return "", err
	}
	if found.ScheduledUnits != requests {
		return "", notMetf("%d requests, %d lost answers, %d units", requests, lost, found.ScheduledUnits)
	}
	return fmt.Sprintf("%d requests, %d lost answers", requests, lost), nil
}

// verify checks counters, reservations, entries and hashes.
func (s *suite) verify(ctx context.Context) (string, error) {
	var found struct {
		ID, State string
		Result    *struct {
			OK             bool
			Authorizations int
			Problems       []struct{ Check string }
		}
	}
	a, err := s.servers[0].call(ctx, http.MethodPost, "/admin/verify", uuid.NewString(), map[string]any{}, &found)
	for err == nil && a.status < http.StatusBadRequest && found.State == "RUNNING" {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		time.Sleep(100 * time.Millisecond) //nolint:forbidigo // polls a running verification
		a, err = s.servers[0].call(ctx, http.MethodGet, "/admin/verifications/"+found.ID, "", nil, &found)
	}
	switch {
	case err != nil:
		return "", err
	case found.Result == nil || !found.Result.OK:
		return "", notMetf("%s", a.raw)
	}
	return "counters, reservations, entries and hashes agree", nil
}

// refusals reports the statements that the proxy of --refuse has refused.
func (s *suite) refusals(context.Context) (string, error) {
	if !s.refuse {
		return "", &notChecked{"use --refuse"}
	}
	if refused := s.engine.proxy.Refusals(); len(refused) > 0 {
		return "", notMetf("%d statements, the first: %s", len(refused), refused[0])
	}
	return "the proxy has refused no statement", nil
}
