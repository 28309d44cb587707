package main

import (
	"context"
	"fmt"
	"slices"

	"omnirapeutic/bench/loadtest"
)

// rounds are how often one server and two are compared: two runs of the same
// differ by up to a tenth, which is more than what is looked for.
const rounds = 7

// pairs compares one server with two on one database: run in turn, now the one
// and now the other first, so that whatever the machine does beside meets both.
// What counts is the median of the rounds' ratios; the least and the greatest are
// told with it.
func (b *bench) pairs(ctx context.Context, t *table) error {
	for _, c := range compared {
		var ratios []float64
		var runs []loadtest.Result // on two servers
		for round := range rounds {
			accepted := map[string]float64{}
			order := []string{"1", "2"}
			if round%2 == 1 {
				slices.Reverse(order)
			}
			for _, instances := range order {
				r, err := b.load(ctx, c.scenario, "--instances", instances)
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
		t.load(c.scenario+", combined, two servers", runs[len(runs)/2])
		slices.Sort(ratios)
		t.atLeast(
			fmt.Sprintf("%s: two servers on one database against one, median of %d (%.2f to %.2f)", c.scenario, rounds, ratios[0], ratios[rounds-1]),
			ratios[rounds/2], 1)
	}
	return nil
}
