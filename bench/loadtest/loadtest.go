// Package loadtest puts a running server under load through its HTTP API, and reports
// how fast it was and whether every unit is accounted for.
//
// It uses only the API, so it measures what a frontend sees. A run signs in once,
// creates a patient and authorizations of its own, and sends the requests of one scenario
// for a while. Then it compares the units that the server reports with the units that it
// confirmed:
//
//	result, err := loadtest.Run(ctx, loadtest.Options{
//		Scenario: "high-contention",
//		URLs:     []string{"http://127.0.0.1:8080"},
//		Email:    "admin@demo.test",
//		Password: "…",
//		Progress: os.Stderr,
//	})
//
// The user must be an administrator, because setup, verification and the retry metrics
// require it. The records of a run remain on the server.
package loadtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	// DefaultDuration is the duration of the load if Options does not set one.
	DefaultDuration = 10 * time.Second

	// WarmUp precedes the measured time: it opens connections and fills caches. Its
	// requests are not measured, but their units are checked and their failures are
	// reported.
	WarmUp = time.Second

	// requestTimeout is how long one request waits for its answer. It is longer than
	// the server's own timeouts, so that the server's answer is recorded.
	requestTimeout = 60 * time.Second

	// grace is how long requests may continue after the last one was due. Unsent
	// requests then count as failed.
	grace = requestTimeout + 5*time.Second

	// patience limits a run with a fixed number of requests.
	patience = 10 * time.Minute
)

// Options configure a run. A zero field selects the scenario's default.
type Options struct {
	Scenario string   // the name of one of [Scenarios]
	URLs     []string // of the server, with or without /api/v1; several must share one database, and share the clients
	Email    string   // of an administrator
	Password string

	// Processes are the process ids of the servers, if they run on this machine and are
	// readable. Their memory is reported.
	Processes []int

	Clients        int           // maximum number of concurrent requests
	Duration       time.Duration // the measured time; not used by scenarios with a fixed number of requests
	Authorizations int           // number to create; fixed in scenarios with one authorization

	// Rate is the number of requests due per second, over all clients. With 0 the loop
	// is closed: a client sends its next request when the last one was answered.
	// Otherwise it is open: requests are due on a fixed schedule, regardless of earlier
	// answers, and latency counts from the time a request was due.
	Rate float64

	// Measure is called when the load begins, warm-up included, and returns a function that is called when
	// it ends. It may be nil.
	Measure func() (stop func())

	Progress io.Writer // receives progress; may be nil
	Mode     string    // free text for the result, such as "shared transactions"
}

// Check returns an error for invalid options, before anything is started.
func (o Options) Check() error {
	_, _, err := o.resolve()
	return err
}

// Run runs one scenario and returns the measurements. An error means that nothing was
// measured: invalid options, no server, no sign-in, a failed setup, or a cancelled
// context. Failed requests, missed targets and lost units are not errors, but part of
// the result.
func Run(ctx context.Context, o Options) (Result, error) {
	o, s, err := o.resolve()
	if err != nil {
		return Result{}, err
	}
	transport := newTransport(o.Clients)
	defer transport.CloseIdleConnections()
	return run(ctx, o, s, transport)
}

// servers are the measured servers: one, or several on one database. Clients are
// assigned to them in turn.
type servers []*api

func (s servers) of(client int) *api { return s[client%len(s)] }

func run(ctx context.Context, o Options, s Scenario, transport http.RoundTripper) (Result, error) {
	var to servers
	for i, base := range o.URLs {
		server := newAPI(i, base, transport)
		if err := server.signIn(ctx, o.Email, o.Password); err != nil {
			return Result{}, fmt.Errorf("signing in to %s: %w", base, err)
		}
		defer server.keepSignedIn(ctx, o.Email, o.Password)()
		to = append(to, server)
	}

	accounts, err := prepare(ctx, to, o, s)
	if err != nil {
		return Result{}, fmt.Errorf("preparing the scenario: %w", err)
	}

	r := newResult(o, s)
	retries := watchRetries(ctx, to)
	usage := watchMemory(o.Processes)
	l := newLoad(o, s, to, accounts)
	if o.Measure == nil {
		l.run(ctx)
	} else {
		stop := o.Measure()
		l.run(ctx)
		stop()
	}
	r.ServerPeakMemoryBytes = usage.peak()
	r.Retries, r.RetrySeries = retries.stop(ctx, l.from)

	if s.exhausts {
		r.LastUnits = lastUnits(ctx, o, s, to, accounts[0])
	}
	if err := ctx.Err(); err != nil {
		return Result{}, fmt.Errorf("the run was ended early: %w", err)
	}
	r.measure(l)
	r.Integrity = checkIntegrity(ctx, to[0], accounts)
	r.judge(s)
	if err := ctx.Err(); err != nil {
		return Result{}, fmt.Errorf("the run was ended early: %w", err)
	}
	return r, nil
}

// resolve sets the defaults and rejects invalid options.
func (o Options) resolve() (Options, Scenario, error) {
	s, err := scenarioNamed(o.Scenario)
	if err != nil {
		return o, s, err
	}
	if o.Clients == 0 {
		o.Clients = s.Clients
	}
	if o.Authorizations == 0 {
		o.Authorizations = s.Authorizations
	}
	if o.Duration == 0 {
		o.Duration = DefaultDuration
	}
	var problems []error
	if o.Clients < 1 {
		problems = append(problems, fmt.Errorf("clients must be 1 or more, not %d", o.Clients))
	}
	if o.Duration < 0 {
		problems = append(problems, fmt.Errorf("duration must be more than 0, not %v", o.Duration))
	}
	if o.Rate < 0 || math.IsNaN(o.Rate) || o.Rate > 1e6 {
		problems = append(problems, fmt.Errorf("rate must be between 0 and 1,000,000 per second, not %v", o.Rate))
	}
	if least, most := s.authorizationRange(); o.Authorizations < least || o.Authorizations > most {
		problems = append(problems,
			fmt.Errorf("the scenario %s needs %d to %d authorizations, not %d", s.Name, least, most, o.Authorizations))
	}
	if len(o.URLs) == 0 {
		problems = append(problems, errors.New("no server is given"))
	}
	given := o.URLs
	o.URLs = make([]string, len(given))
	for i, server := range given {
		if o.URLs[i], err = baseURL(server); err != nil {
			problems = append(problems, err)
		}
	}
	return o, s, errors.Join(problems...)
}

// baseURL returns the API's URL for a server's URL.
func baseURL(server string) (string, error) {
	u, err := url.Parse(strings.TrimRight(server, "/"))
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return server, fmt.Errorf("url must be like http://127.0.0.1:8080, not %q", server)
	}
	u.RawQuery, u.Fragment = "", ""
	if !strings.HasSuffix(u.Path, "/api/v1") {
		u.Path += "/api/v1"
	}
	return u.String(), nil
}
