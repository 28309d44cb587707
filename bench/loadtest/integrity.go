package loadtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/sync/errgroup"
)

// Integrity compares the units that the server reports with those confirmed in its
// answers, per authorization, and includes the server's own verification.
type Integrity struct {
	OK             bool     `json:"ok"`
	Authorizations int      `json:"authorizations"` // number compared
	Expected       Expected `json:"expected"`       // sums over all authorizations
	Found          Balance  `json:"found"`
	UnknownUnits   int64    `json:"unknownUnits"` // units of requests with unknown outcome, which cause the ranges
	Mismatches     []string `json:"mismatches"`   // descriptions, at most 20
	MismatchCount  int      `json:"mismatchCount"`
	Verify         Verify   `json:"verify"`
}

// Expected is the expected state after the run, in units.
type Expected struct {
	Scheduled Span `json:"scheduled"`
	Used      Span `json:"used"`
}

// Balance is the units of one or several authorizations.
type Balance struct {
	Total     int64 `json:"totalUnits"`
	Scheduled int64 `json:"scheduledUnits"`
	Used      int64 `json:"usedUnits"`
	Available int64 `json:"availableUnits"`
}

// Verify is the result of the server's verification. It covers the whole ledger of the
// organization, not only the units of this run.
type Verify struct {
	OK             bool              `json:"ok"`
	Authorizations int64             `json:"authorizations"` // number checked
	Reservations   int64             `json:"reservations"`
	Entries        int64             `json:"entries"`
	ProblemCount   int64             `json:"problemCount"`
	Problems       []json.RawMessage `json:"problems"`        // the first problems
	Error          string            `json:"error,omitempty"` // why there is no result
}

// checkIntegrity must be called when no request is running.
func checkIntegrity(ctx context.Context, server *api, accounts []*account) Integrity {
	balances := make([]Balance, len(accounts))
	failures := make([]error, len(accounts))
	var group errgroup.Group
	group.SetLimit(sideCalls)
	for i, a := range accounts {
		group.Go(func() error {
			balances[i], failures[i] = readBalance(ctx, server, a)
			return nil
		})
	}
	_ = group.Wait() // its functions return no error

	result := Integrity{Authorizations: len(accounts), Mismatches: []string{}}
	for i, a := range accounts {
		result.compare(a, balances[i], failures[i])
	}
	result.Verify = verify(ctx, server)
	result.OK = result.MismatchCount == 0 && result.Verify.OK
	return result
}

func readBalance(ctx context.Context, server *api, a *account) (Balance, error) {
	var found Balance
	err := server.call(ctx, http.MethodGet, "/authorizations/"+url.PathEscape(a.id), nil, &found)
	return found, err
}

func (r *Integrity) compare(a *account, found Balance, err error) {
	e := a.expected()
	r.Expected.Scheduled = r.Expected.Scheduled.plus(e.scheduled)
	r.Expected.Used = r.Expected.Used.plus(e.used)
	for k := range kinds {
		r.UnknownUnits += a.unknown[k].Load()
	}
	if err != nil {
		r.mismatch("%s could not be read: %v", a.id, err)
		return
	}
	r.Found.Total += found.Total
	r.Found.Scheduled += found.Scheduled
	r.Found.Used += found.Used
	r.Found.Available += found.Available
	booked := found.Scheduled + found.Used
	switch {
	case found.Total != a.total:
		r.mismatch("%s has a total of %d, should be %d", a.id, found.Total, a.total)
	case booked > found.Total:
		r.mismatch("%s has booked %d of %d", a.id, booked, found.Total)
	case found.Available != found.Total-booked:
		r.mismatch("%s reports %d available units, but total minus booked is %d", a.id, found.Available, found.Total-booked)
	case !e.scheduled.holds(found.Scheduled):
		r.mismatch("%s has %d scheduled, should have %s", a.id, found.Scheduled, e.scheduled)
	case !e.used.holds(found.Used):
		r.mismatch("%s has %d used, should have %s", a.id, found.Used, e.used)
	case !e.booked.holds(booked):
		r.mismatch("%s has %d booked (scheduled and used), should have %s", a.id, booked, e.booked)
	}
}

func (r *Integrity) mismatch(format string, args ...any) {
	const shown = 20
	r.MismatchCount++
	if len(r.Mismatches) < shown {
		r.Mismatches = append(r.Mismatches, fmt.Sprintf(format, args...))
	}
}

// verification is a verification of the server.
type verification struct {
	ID      string `json:"id"`
	State   string `json:"state"`
	Failure *struct {
		Detail string `json:"detail"`
	} `json:"failure"`
	Result *Verify `json:"result"`
}

// verifyPoll is the interval for polling a running verification.
const verifyPoll = 500 * time.Millisecond

// verified starts a verification and waits for its result.
func verified(ctx context.Context, server *api) (Verify, error) {
	var v verification
	if err := server.call(ctx, http.MethodPost, "/admin/verify", nil, &v); err != nil {
		return Verify{}, err
	}
	for v.State == "RUNNING" && sleep(ctx, verifyPoll) {
		path := "/admin/verifications/" + url.PathEscape(v.ID)
		v = verification{}
		if err := server.call(ctx, http.MethodGet, path, nil, &v); err != nil {
			return Verify{}, err
		}
	}
	switch {
	case v.Result != nil:
		return *v.Result, nil
	case v.Failure != nil:
		return Verify{}, errors.New(v.Failure.Detail)
	}
	return Verify{}, fmt.Errorf("the verification has no result: its state is %q", v.State)
}

func verify(ctx context.Context, server *api) Verify {
	v, err := verified(ctx, server)
	if err != nil {
		return Verify{Problems: []json.RawMessage{}, Error: err.Error()}
	}
	if v.Problems == nil {
		v.Problems = []json.RawMessage{}
	}
	v.ProblemCount = max(v.ProblemCount, int64(len(v.Problems)))
	v.OK = v.OK && v.ProblemCount == 0
	return v
}
