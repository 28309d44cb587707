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

// rounds are how often one server and two are compared: two runs of the same
// differ by up to a tenth, which is more than what is looked for.
const rounds = 9

// paired are the loads that are put on one server and on two: the scenarios as they
// are, and the first of them with more clients. With few of them each of two servers
// has fewer to gather.
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

// pairs compares one server with two on one database, all on the machine's processors:
// the second brings none.
func (b *bench) pairs(ctx context.Context, t *table) error {
	for _, c := range paired {
		err := inTurn(t, c.what, "two servers", func(servers int) (loadtest.Result, error) {
			return b.load(ctx, c.scenario, append([]string{"--instances", strconv.Itoa(servers)}, c.arguments...)...)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// share is what each server has of a processor where it brings its own, as a container
// with a limit does: so little that the machine has enough for two, for the database
// and for the clients.
const share = 0.4

// apart compares one server with two on one database, each with a processor's share of
// its own. The database has no limit, nor have the clients.
func (b *bench) apart(ctx context.Context, t *table) error {
	for _, c := range compared {
		err := inTurn(t, c.scenario, fmt.Sprintf("two servers of %g processors each", share), func(servers int) (loadtest.Result, error) {
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

// loadApart runs a scenario on so many servers on a new database, once each is ready and
// held to its share.
func (b *bench) loadApart(ctx context.Context, scenario string, servers int) (r loadtest.Result, err error) {
	data := filepath.Join(b.dir, "apart")
	defer func() { err = errors.Join(err, os.RemoveAll(data)) }()
	const connections = "OMNI_DB_MAX_CONNS=7" // of two, with what listens, as many as the private PostgreSQL of one with 7 lets in
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
		if err := s.hold(share); err != nil {
			return r, err
		}
		urls = append(urls, s.url)
	}
	return b.load(ctx, scenario, "--url", strings.Join(urls, ","))
}

// inTurn compares one server with two, now the one and now the other first, so that
// whatever the machine does beside meets both. What counts is the median of the rounds'
// ratios; all of them are told with it, so that the reader can see how much of it is chance.
func inTurn(t *table, what, two string, load func(servers int) (loadtest.Result, error)) error {
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
	t.load(what+", combined, "+two, middle(runs[2]))
	t.load(what+", combined, one of them", middle(runs[1]))
	slices.Sort(ratios)
	t.atLeast(
		fmt.Sprintf("%s: %s on one database against one, median of %d (%.2f to %.2f)", what, two, rounds, ratios[0], ratios[rounds-1]),
		ratios[rounds/2], 1)
	t.note("%s, %s against one, each round: %s. Failed requests, of all rounds: %d.", what, two, strings.Trim(fmt.Sprintf("%.2f", ratios), "[]"), failed)
	return nil
}

// middle returns the run in the middle.
func middle(runs []loadtest.Result) loadtest.Result {
	slices.SortFunc(runs, func(a, b loadtest.Result) int { return int(a.AcceptedPerSecond - b.AcceptedPerSecond) })
	return runs[len(runs)/2]
}
