// Command compare measures what docs/performance.md promises as ratios, in one run
// on one machine, and prints one table: the program combining requests, the
// program with a transaction for each, and PostgreSQL with the same statements and
// nothing around it (pgbench). Run it from the repository:
//
//	go run ./bench/compare [-duration 10s] [-clients] [-large]
//
// It needs PostgreSQL's programs, pgbench among them, and writes to a folder of
// its own below the system's temporary one, which it removes.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"time"
)

func main() {
	var b bench
	flag.DurationVar(&b.duration, "duration", 10*time.Second, "how long each scenario is measured")
	flag.BoolVar(&b.curve, "clients", false, "also measure both modes with 1 to 5,000 clients")
	flag.BoolVar(&b.large, "large", false, "also measure beside 1,000,000 authorizations with 10,000,000 entries")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := b.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

// bench is one run of all comparisons.
type bench struct {
	duration     time.Duration
	curve, large bool

	dir     string // of everything that is written
	program string
}

// figures is what a load run came to, as loadtest writes it.
type figures struct {
	Scenario          string  `json:"scenario"`
	Clients           int     `json:"clients"`
	Failed            int64   `json:"failed"`
	AcceptedPerSecond float64 `json:"acceptedPerSecond"`
	LatencyMs         struct {
		P50 float64 `json:"p50"`
		P95 float64 `json:"p95"`
		P99 float64 `json:"p99"`
	} `json:"latencyMs"`
	Integrity struct {
		OK bool `json:"ok"`
	} `json:"integrity"`
	Machine json.RawMessage `json:"machine"`
}

func (b *bench) run(ctx context.Context) (err error) {
	if b.dir, err = os.MkdirTemp("", "omnirapeutic-compare-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	if err := os.Chmod(b.dir, 0o755); err != nil { //nolint:gosec // the private server runs as another user where root starts it
		return err
	}
	b.program = filepath.Join(b.dir, "omnirapeutic")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", b.program, ".").CombinedOutput(); err != nil { //nolint:gosec // our own program
		return fmt.Errorf("build: %w\n%s", err, out)
	}
	t := table{}
	if err := b.modes(ctx, &t); err != nil {
		return err
	}
	if err := b.bare(ctx, &t); err != nil {
		return err
	}
	if b.large {
		if err := b.beside(ctx, &t); err != nil {
			return err
		}
	}
	t.print(os.Stdout)
	if b.curve {
		return b.clients(ctx, os.Stdout)
	}
	return nil
}

// modes runs each scenario both ways.
func (b *bench) modes(ctx context.Context, t *table) error {
	for _, scenario := range []string{"high-contention", "high-throughput", "mixed"} {
		combined, err := b.load(ctx, scenario)
		if err != nil {
			return err
		}
		single, err := b.load(ctx, scenario, "--no-combine")
		if err != nil {
			return err
		}
		t.load(scenario+", combined", combined)
		t.load(scenario+", one transaction per request", single)
		t.ratio(scenario+": combined against one transaction per request", combined.AcceptedPerSecond/single.AcceptedPerSecond, targets[scenario])
		t.measured[scenario] = combined
	}
	alone, err := b.load(ctx, "high-contention", "--clients", "1")
	if err != nil {
		return err
	}
	t.load("high-contention, one client", alone)
	t.atMost("p99 of high-contention against the p50 of a single client", t.measured["high-contention"].LatencyMs.P99/alone.LatencyMs.P50, 15)
	for _, scenario := range []string{"nearly-full", "stampede"} {
		f, err := b.load(ctx, scenario)
		if err != nil {
			return err
		}
		t.load(scenario+", combined", f)
	}
	for _, clients := range []int{50, 200} {
		f, err := b.load(ctx, "no-op", "--clients", strconv.Itoa(clients))
		if err != nil {
			return err
		}
		t.load(fmt.Sprintf("no-op, %d clients", clients), f)
		scenario := map[int]string{50: "high-contention", 200: "high-throughput"}[clients]
		t.ratio(scenario+" against the no-op endpoint", t.measured[scenario].AcceptedPerSecond/f.AcceptedPerSecond, 0.35)
	}
	return nil
}

// targets are the ratios that docs/performance.md promises.
var targets = map[string]float64{"high-contention": 15, "high-throughput": 5}

// load runs one scenario on a server and a database of its own.
func (b *bench) load(ctx context.Context, scenario string, more ...string) (figures, error) {
	file := filepath.Join(b.dir, "figures.json")
	arguments := append([]string{"loadtest", "--scenario", scenario, "--duration", b.duration.String(), "--json", file}, more...)
	command := exec.CommandContext(ctx, b.program, arguments...) //nolint:gosec // our own program
	command.Env = append(os.Environ(), "OMNI_DATA_DIR="+filepath.Join(b.dir, "data"))
	fmt.Fprintln(os.Stderr, "measuring", scenario, more)
	out, err := command.CombinedOutput()
	var f figures
	content, readErr := os.ReadFile(file)
	if readErr == nil {
		readErr = json.Unmarshal(content, &f)
	}
	if readErr != nil {
		return f, fmt.Errorf("loadtest %s: %w\n%s", scenario, errors.Join(err, readErr), out)
	}
	if !f.Integrity.OK {
		return f, fmt.Errorf("loadtest %s: the units are not right\n%s", scenario, out)
	}
	return f, os.Remove(file)
}
