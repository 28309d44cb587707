package main

import (
	"context"
	"fmt"
	"slices"
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

// pairs compares one server with two on one database: run in turn, now the one
// and now the other first, so that whatever the machine does beside meets both.
// What counts is the median of the rounds' ratios; all of them are told with it, so that
// the reader can see how much of it is chance.
func (b *bench) pairs(ctx context.Context, t *table) error {
	for _, c := range paired {
		var ratios []float64
		var runs []loadtest.Result // on two servers
		for round := range rounds {
			accepted := map[string]float64{}
			order := []string{"1", "2"}
			if round%2 == 1 {
				slices.Reverse(order)
			}
			for _, instances := range order {
				r, err := b.load(ctx, c.scenario, append([]string{"--instances", instances}, c.arguments...)...)
				if err != nil {
					return err
				}
				accepted[instances] = r.AcceptedPerSecond
				if instances == "2" {
					runs = append(runs, r)
				}
			}
			ratios = append(ratios, accepted["2"]/accepted["1"])
		}
		slices.SortFunc(runs, func(a, b loadtest.Result) int { return int(a.AcceptedPerSecond - b.AcceptedPerSecond) })
		t.load(c.what+", combined, two servers", runs[len(runs)/2])
		slices.Sort(ratios)
		t.atLeast(
			fmt.Sprintf("%s: two servers on one database against one, median of %d (%.2f to %.2f)", c.what, rounds, ratios[0], ratios[rounds-1]),
			ratios[rounds/2], 1)
		t.note("%s, two servers against one, each round: %s.", c.what, strings.Trim(fmt.Sprintf("%.2f", ratios), "[]"))
	}
	return nil
}
