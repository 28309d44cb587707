package main

import (
	"context"
	"fmt"
	"strconv"
)

// compared are the scenarios that are run in both modes and shown in all tables. The
// ratio is the target for accepted/s shared against one transaction per request; 0
// means no target.
var compared = []struct {
	scenario string
	ratio    float64
}{{"high-contention", 15}, {"high-throughput", 5}, {"mixed", 0}}

// modes runs each scenario in both modes, and then the scenarios that exist in one mode only.
func (b *bench) modes(ctx context.Context, t *table) error {
	for _, c := range compared {
		shared, err := b.load(ctx, c.scenario)
		if err != nil {
			return err
		}
		single, err := b.load(ctx, c.scenario, "--separate")
		if err != nil {
			return err
		}
		t.shared(c.scenario, shared)
		t.load(c.scenario+", one transaction per request", single)
		t.atLeast(c.scenario+": shared against one transaction per request",
			shared.AcceptedPerSecond/single.AcceptedPerSecond, c.ratio)
	}
	alone, err := b.load(ctx, "high-contention", "--clients", "1")
	if err != nil {
		return err
	}
	t.load("high-contention, one client", alone)
	t.atMost("p99 of high-contention against the p50 of a single client",
		t.measured["high-contention"].LatencyMs.P99/alone.LatencyMs.P50, 15)
	for _, scenario := range []string{"nearly-full", "stampede"} {
		r, err := b.load(ctx, scenario)
		if err != nil {
			return err
		}
		t.shared(scenario, r)
	}
	return nil
}

// noOp is a request without work behind the same middleware. It measures the cost of
// HTTP, token and JSON alone.
func (b *bench) noOp(ctx context.Context, t *table) error {
	for _, c := range []struct {
		scenario string
		clients  int
	}{{"high-contention", 50}, {"high-throughput", 200}} {
		r, err := b.load(ctx, "no-op", "--clients", strconv.Itoa(c.clients))
		if err != nil {
			return err
		}
		t.load(fmt.Sprintf("no-op, %d clients", c.clients), r)
		t.atLeast(c.scenario+" against the no-op endpoint", t.measured[c.scenario].AcceptedPerSecond/r.AcceptedPerSecond,
			0.35)
	}
	return nil
}
