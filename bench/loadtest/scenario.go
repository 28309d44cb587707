package loadtest

import (
	"fmt"
	"strings"
	"time"
)

// Scenario is one kind of load.
type Scenario struct {
	Name           string
	Summary        string        // what it does, in one sentence
	Clients        int           // default number of concurrent clients
	Authorizations int           // default number
	TargetP95      time.Duration // upper limit of the 95th percentile of latency; 0: no target
	TargetMemory   int64         // maximum resident memory of the server, in bytes; 0: no target

	// RequestsPerClient is the mean number of requests per client if the scenario sends
	// a fixed number of them. It is 0 if the scenario lasts for Options.Duration.
	RequestsPerClient int

	single   bool // uses one authorization
	mixed    bool // reserves, releases and consumes; otherwise it only reserves
	halfRoom bool // the authorization has room for half of the requests
	exhausts bool // ends with a test of the last units
	idle     bool // requests without work
	books    bool // books, cancels and completes appointments
}

var scenarios = []Scenario{
	{
		Name:    "high-contention",
		Summary: "All clients reserve units of one authorization. At the end they use up its last units.",
		Clients: 50, Authorizations: 1, TargetP95: 200 * time.Millisecond,
		single: true, exhausts: true,
	},
	{
		Name:    "high-throughput",
		Summary: "Clients reserve units of many authorizations, chosen at random for each request.",
		Clients: 200, Authorizations: 1000, TargetP95: 150 * time.Millisecond,
	},
	{
		Name:    "mixed",
		Summary: "70 % reserve, 20 % release and 10 % consume; a fifth of the clients work on one authorization.",
		Clients: 100, Authorizations: 100, TargetP95: 175 * time.Millisecond,
		mixed: true,
	},
	{
		Name:    "booking",
		Summary: "Half of the requests book appointments with one of five practitioners, the others complete or cancel them.",
		Clients: 50, Authorizations: 50, TargetP95: 200 * time.Millisecond,
		books: true,
	},
	{
		Name:    "nearly-full",
		Summary: "All clients reserve units of one authorization that has room for half of the requests.",
		Clients: 50, Authorizations: 1, RequestsPerClient: 40,
		single: true, halfRoom: true,
	},
	{
		Name:    "stampede",
		Summary: "A very large number of clients reserve units of one authorization.",
		Clients: 5000, Authorizations: 1, TargetMemory: 250_000_000,
		single: true,
	},
	{
		Name:    "no-op",
		Summary: "Clients send requests that are validated like a reserve but do no work: the upper limit of the server.",
		Clients: 50, Authorizations: 1,
		single: true, idle: true,
	},
}

// Scenarios returns the scenarios of [Run], in the order of the documentation.
func Scenarios() []Scenario {
	return append([]Scenario(nil), scenarios...)
}

func scenarioNamed(name string) (Scenario, error) {
	names := make([]string, 0, len(scenarios))
	for _, s := range scenarios {
		if s.Name == name {
			return s, nil
		}
		names = append(names, s.Name)
	}
	return Scenario{}, fmt.Errorf("unknown scenario %q; the scenarios are %s", name, strings.Join(names, ", "))
}

func (s Scenario) authorizationRange() (least, most int) {
	switch {
	case s.single:
		return 1, 1
	case s.mixed:
		return 2, 100_000
	default:
		return 1, 100_000
	}
}

// requests is the fixed number of requests to send, or 0.
func (s Scenario) requests(o Options) int64 {
	return int64(s.RequestsPerClient) * int64(o.Clients)
}

// unitsEach returns the total of each authorization.
func (s Scenario) unitsEach(o Options) int64 {
	if s.halfRoom {
		return s.requests(o) / 2
	}
	// More than a server is likely to grant in the time, so that nothing is refused,
	// but within the API's limit. If a run of many minutes uses them up, the remaining
	// requests are refused.
	const (
		perSecond = 50_000
		most      = 10_000_000
	)
	return min(most, max(1_000_000, perSecond*int64((o.Duration+WarmUp)/time.Second)))
}
