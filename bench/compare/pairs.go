package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"omnirapeutic/bench/loadtest"
)

// rounds is the number of comparisons of one and two servers. Equal runs differ by up
// to a tenth, which is more than the difference of interest.
const rounds = 9

// paired are the loads for one and two servers: the scenarios, and the first of them
// with more clients. With few clients, each of two servers has fewer requests to
// share transactions.
var paired = []struct {
	what, scenario string
	arguments      []string
}{
	{"high-contention", "high-contention", nil},
	{"high-contention, 100 clients", "high-contention", []string{"--clients", "100"}},
	{"high-contention, 200 clients", "high-contention", []string{"--clients", "200"}},
	{"high-throughput", "high-throughput", nil},
	{"mixed", "mixed", nil},
}

// pairs compares one server with two on one database, sharing all processors of the
// machine.
func (b *bench) pairs(ctx context.Context, t *table) error {
	for _, c := range paired {
		err := alternate(t, c.what, "two servers", func(servers int) (loadtest.Result, error) {
			return b.load(ctx, c.scenario, append([]string{"--instances", strconv.Itoa(servers)}, c.arguments...)...)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// share is each server's share of a processor in apart, like a container's limit. It is
// small enough that the machine can run two servers, the database and the clients.
const share = 0.4

// apart compares one server with two on one database, each with its own share of a
// processor. The database and the clients are not limited.
func (b *bench) apart(ctx context.Context, t *table) error {
	for _, c := range compared {
		err := alternate(t, c.scenario, fmt.Sprintf("two servers of %g processors each",
			share), func(servers int) (loadtest.Result, error) {
			return b.loadApart(ctx, c.scenario, servers)
		})
		if errors.Is(err, errNoGroups) {
			t.note("Servers with a share of a processor each were not measured: %v.", err)
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// loadApart runs a scenario on a number of servers on a new database, once each is ready
// and limited to its share.
func (b *bench) loadApart(ctx context.Context, scenario string, servers int) (r loadtest.Result, err error) {
	data := filepath.Join(b.dir, "apart")
	defer func() { err = errors.Join(err, os.RemoveAll(data)) }()
	// Two servers, with their LISTEN connections, fit the connection limit of one.
	const connections = "OMNI_DB_MAX_CONNS=7"
	first, err := b.serve(ctx, data, connections)
	if err != nil {
		return r, err
	}
	defer first.stop()
	all := []*server{first}
	for len(all) < servers {
		s, err := b.start(ctx, connections, "OMNI_DATABASE_URL="+first.databaseURL(programRole), "OMNI_DB_AUTO_MIGRATE=false")
		if err != nil {
			return r, err
		}
		defer s.stop()
		all = append(all, s)
	}
	var urls []string
	for _, s := range all {
		if err := s.limit(share); err != nil {
			return r, err
		}
		urls = append(urls, s.url)
	}
	return b.load(ctx, scenario, "--url", strings.Join(urls, ","))
}

// alternate alternates the order of one server and two, so that other load of the machine
// affects both. The result is the median of the rounds' ratios. All ratios are reported, to
// show the variance.
func alternate(t *table, what, two string, load func(servers int) (loadtest.Result, error)) error {
	var ratios []float64
	var failed int64
	runs := map[int][]loadtest.Result{}
	for round := range rounds {
		order := []int{1, 2}
		if round%2 == 1 {
			slices.Reverse(order)
		}
		for _, servers := range order {
			r, err := load(servers)
			if err != nil {
				return err
			}
			runs[servers] = append(runs[servers], r)
			failed += failures(r)
		}
		ratios = append(ratios, runs[2][round].AcceptedPerSecond/runs[1][round].AcceptedPerSecond)
	}
	t.load(what+", shared, "+two, medianRun(runs[2]))
	t.load(what+", shared, one of them", medianRun(runs[1]))
	slices.Sort(ratios)
	t.atLeast(
		fmt.Sprintf("%s: %s on one database against one, median of %d (%.2f to %.2f)", what, two, rounds, ratios[0],
			ratios[rounds-1]),
		ratios[rounds/2], 1)
	t.note("%s, %s against one, each round: %s. Failed requests, of all rounds: %d.", what, two,
		strings.Trim(fmt.Sprintf("%.2f", ratios), "[]"), failed)
	return nil
}

// medianRun returns the median run.
func medianRun(runs []loadtest.Result) loadtest.Result {
	slices.SortFunc(runs, func(a, b loadtest.Result) int { return int(a.AcceptedPerSecond - b.AcceptedPerSecond) })
	return runs[len(runs)/2]
}
