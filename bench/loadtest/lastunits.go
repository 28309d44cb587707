package loadtest

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// LastUnits describes the end of an authorization: its total is reduced to the booked
// units plus a few, and then all clients together request twice as many as are left.
type LastUnits struct {
	Room     int64  `json:"room"` // units that were left
	Sent     int64  `json:"sent"` // requests of one unit each
	Accepted int64  `json:"accepted"`
	Refused  int64  `json:"refused"`
	Failed   int64  `json:"failed"`
	Problem  string `json:"problem,omitempty"` // why the test could not run, or the first failure
}

// Exact reports whether exactly the last units were granted and all other requests were
// refused properly.
func (l LastUnits) Exact() bool {
	return l.Problem == "" && l.Failed == 0 && l.Accepted == l.Room && l.Accepted+l.Refused == l.Sent
}

func lastUnits(ctx context.Context, o Options, s Scenario, to servers, a *account) *LastUnits {
	say(o.Progress, "Using up the last units …")
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ended := &LastUnits{Room: int64(o.Clients), Sent: 2 * int64(o.Clients)}
	if err := leaveRoom(ctx, to[0], a, ended.Room); err != nil {
		ended.Problem = err.Error()
		return ended
	}
	var outcomes [failed + 1]atomic.Int64
	var failure atomic.Pointer[string]
	var clients sync.WaitGroup
	for i := range o.Clients {
		clients.Go(func() {
			caller, plan := newCaller(ctx, to.of(i)), newPlanner(s, []*account{a}, i)
			for range 2 {
				v, _ := caller.perform(plan.next(), false)
				outcomes[v.outcome].Add(1)
				if v.outcome == failed {
					text := v.code + ": " + v.detail
					failure.CompareAndSwap(nil, &text)
				}
			}
		})
	}
	clients.Wait()
	ended.Accepted = outcomes[accepted].Load()
	ended.Refused = outcomes[refused].Load()
	ended.Failed = outcomes[failed].Load()
	if first := failure.Load(); first != nil {
		ended.Problem = *first
	}
	return ended
}

// leaveRoom sets the authorization's total to the booked units plus room. It asks the
// server for the booked units after abandoned requests have had time to end.
func leaveRoom(ctx context.Context, server *api, a *account, room int64) error {
	if a.unknown[reserve].Load() > 0 {
		sleep(ctx, 5*time.Second)
	}
	found, err := readBalance(ctx, server, a)
	if err != nil {
		return fmt.Errorf("reading the authorization: %w", err)
	}
	total := found.Scheduled + found.Used + room
	err = server.call(ctx, http.MethodPatch, "/authorizations/"+a.id, map[string]any{"totalUnits": total}, nil)
	if err != nil {
		return fmt.Errorf("reducing the authorization to its last units: %w", err)
	}
	a.total = total
	return nil
}
