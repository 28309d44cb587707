package loadtest

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// load is the phase of a run in which requests are sent.
type load struct {
	options  Options
	scenario Scenario
	accounts []*account
	servers  servers

	begin  time.Time     // when the first request is due
	from   time.Time     // start of the measured time
	window time.Duration // length of the measured time; 0 for a fixed number of requests
	end    time.Time     // when the last answer arrived
	pace   pace

	samples  []sample
	failures map[string]*Failure
	unsent   int64 // planned requests that were not sent in time
	live     live

	unitsLeft bool // no account was full when the load ended
}

// sample is one request. Times are relative to the start of the measured time.
type sample struct {
	due, sent, done time.Duration
	kind            kind
	outcome         outcome
}

func (s sample) latency() time.Duration { return s.done - s.due }

// live has the figures for the progress display. Safe for concurrent use.
type live struct {
	sent     atomic.Int64
	outcomes [failed + 1]atomic.Int64
	latency  roughHistogram
}

func newLoad(o Options, s Scenario, to servers, accounts []*account) *load {
	return &load{options: o, scenario: s, servers: to, accounts: accounts, failures: map[string]*Failure{}}
}

// run sends all requests and returns when the last was answered or abandoned. Call it
// once.
func (l *load) run(ctx context.Context) {
	ctx, cancel := context.WithDeadline(ctx, l.schedule(time.Now()))
	defer cancel()
	stopProgress := showProgress(l)

	clients := make([]*client, l.options.Clients)
	var running sync.WaitGroup
	for i := range clients {
		clients[i] = &client{
			load:     l,
			caller:   newCaller(ctx, l.servers.of(i)),
			plan:     newPlanner(l.scenario, l.accounts, i),
			failures: map[string]*Failure{},
		}
		running.Go(func() { clients[i].work(ctx) })
	}
	running.Wait()
	l.end = time.Now()
	stopProgress()
	l.gather(clients)
}

// schedule sets the times of the run, and returns when to give up.
func (l *load) schedule(now time.Time) time.Time {
	o := l.options
	l.begin, l.from = now, now
	number := l.scenario.requests(o)
	if number == 0 {
		l.from, l.window = now.Add(WarmUp), o.Duration
	}
	until := l.from.Add(l.window)
	switch {
	case o.Rate > 0 && number == 0:
		number = int64(math.Ceil(until.Sub(now).Seconds() * o.Rate))
		l.pace = &openLoop{begin: now, rate: o.Rate, total: number}
	case o.Rate > 0:
		l.pace = &openLoop{begin: now, rate: o.Rate, total: number}
		return now.Add(time.Duration(float64(number) / o.Rate * float64(time.Second))).Add(grace)
	case number > 0:
		l.pace = &fixedNumber{total: number}
		return now.Add(patience)
	default:
		l.pace = &closedLoop{until: until}
	}
	return until.Add(grace)
}

func (l *load) gather(clients []*client) {
	var sent int
	for _, c := range clients {
		sent += len(c.samples)
	}
	l.samples = make([]sample, 0, sent)
	for _, c := range clients {
		l.samples = append(l.samples, c.samples...)
		for code, f := range c.failures {
			addFailure(l.failures, code, f.Example, f.Count)
		}
	}
	l.unitsLeft = true
	for _, a := range l.accounts {
		l.unitsLeft = l.unitsLeft && a.expected().booked.Max < a.total
	}
	if planned := l.pace.planned(); planned > 0 {
		l.unsent = planned - int64(sent)
	}
	if l.unsent > 0 {
		addFailure(l.failures, "not sent", "The request was not sent before the run ended.", l.unsent)
	}
}

func addFailure(to map[string]*Failure, code, example string, n int64) {
	f := to[code]
	if f == nil {
		f = &Failure{Code: code, Example: example}
		to[code] = f
	}
	f.Count += n
}

// client is one of the concurrent clients.
type client struct {
	load     *load
	caller   *caller
	plan     planner
	samples  []sample
	failures map[string]*Failure
}

func (c *client) work(ctx context.Context) {
	for {
		due, ok := c.load.pace.next(ctx)
		if !ok {
			return
		}
		c.request(due)
	}
}

func (c *client) request(due time.Time) {
	live := &c.load.live
	live.sent.Add(1)
	s := c.plan.next()
	sent := time.Now()
	v, reservation := c.caller.perform(s, c.plan.wantsReservations())
	done := time.Now()

	c.plan.observe(s, v, reservation)
	from := c.load.from
	taken := sample{due: due.Sub(from), sent: sent.Sub(from), done: done.Sub(from), kind: s.kind, outcome: v.outcome}
	c.samples = append(c.samples, taken)
	live.outcomes[v.outcome].Add(1)
	if v.outcome == failed {
		addFailure(c.failures, v.code, v.detail, 1)
		return
	}
	live.latency.add(taken.latency())
}

// perform sends one operation and records the outcome in its account. It returns the id
// of the created reservation, if wanted.
func (c *caller) perform(s step, wantReservation bool) (v verdict, reservation string) {
	status, answer, err := c.post(s.address(c.api.number), s.body())
	v = classify(s.kind, status, answer, err)
	if v.outcome == accepted && wantReservation && (s.kind == reserve || s.kind == book) {
		if reservation, err = s.created(answer); err != nil {
			v = verdict{outcome: failed, unknown: true, code: "answer not understood", detail: err.Error()}
		}
	}
	s.account.record(s.kind, v)
	return v, reservation
}
