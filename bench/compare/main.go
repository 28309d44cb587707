// Command compare measures the figures in docs/performance.md, in one run on one machine, and
// prints them as tables. It compares the program with shared transactions, the program with one
// transaction per request, two programs on one database, and PostgreSQL alone with the same
// statements (pgbench). Run it from the repository:
//
//	go run ./bench/compare                       # the comparisons
//	go run ./bench/compare -clients -duration 3s # both modes with 1 to 5,000 clients, plots into docs/performance
//	go run ./bench/compare -large                # with 1,000,000 authorizations and 10,000,000 entries in the database
//	go run ./bench/compare -stall                # how long a killed instance delays another
//	go run ./bench/compare -pairs                # one server against two on one database
//	go run ./bench/compare -apart                # the same, each with its own share of a processor (Linux, root)
//	go run ./bench/compare -pgbench              # shared, against PostgreSQL alone
//	go run ./bench/compare -reads -duration 2s   # reads on a filled practice, in turn with -against another binary
//	go run ./bench/compare -commands -duration 2s # changes of units and appointments, in turn with -against another binary
//
// All but the first can be combined and replace the comparisons. The command needs PostgreSQL's
// programs, including pgbench. It writes to a folder below the system's temporary one, and removes
// it.
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
	"strings"
	"time"

	"omnirapeutic/bench/loadtest"
)

func main() {
	var b bench
	flag.DurationVar(&b.duration, "duration", 10*time.Second, "measured time of each scenario")
	flag.BoolVar(&b.curve, "clients", false, "measure both modes with 1 to 5,000 clients")
	flag.StringVar(&b.plots, "plots", filepath.Join("docs", "performance"), "the folder for the plots of -clients")
	flag.BoolVar(&b.large, "large", false, "measure with 1,000,000 authorizations and 10,000,000 entries in the database")
	flag.StringVar(&b.keep, "keep", "", "the data folder for -large or -reads: it is kept, and reused if it is complete")
	flag.BoolVar(&b.stalls, "stall", false, "measure how long a killed instance delays another")
	flag.BoolVar(&b.paired, "pairs", false, "measure one server against two on one database")
	flag.BoolVar(&b.separate, "apart", false, "measure one server against two, each with its own share of a processor")
	flag.BoolVar(&b.alone, "pgbench", false, "measure PostgreSQL alone with the same statements")
	flag.BoolVar(&b.reading, "reads", false, "measure reads on a filled practice, and server-sent events")
	flag.BoolVar(&b.commanding, "commands", false, "measure changes of units and appointments, with their costs")
	flag.StringVar(&b.logLevel, "log-level", "info", "the servers' log level of -commands")
	flag.StringVar(&b.against, "against", "", "the binary of another version, which -reads and -commands measure in turn")
	flag.StringVar(&b.only, "only", "", "measure only the reads of -reads that begin with this path; events: only server-sent events")
	flag.StringVar(&b.profiles, "profiles", "", "a folder for CPU profiles of -reads")
	flag.IntVar(&b.rounds, "rounds", 5, "rounds of -reads and -commands")
	flag.IntVar(&b.size.patients, "patients", 2_000, "patients of -reads")
	flag.IntVar(&b.size.authorizations, "authorizations", 4_000, "authorizations of -reads")
	flag.IntVar(&b.size.appointments, "appointments", 100_000, "appointments of -reads")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := b.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

// bench is one run.
type bench struct {
	duration             time.Duration
	curve, large, stalls bool
	paired, separate     bool
	alone                bool
	plots, keep          string

	commanding    bool
	logLevel      string
	reading       bool
	against, only string
	profiles      string
	rounds        int
	size          size

	dir     string // for temporary files
	program string
}

func (b *bench) run(ctx context.Context) (err error) {
	if b.dir, err = os.MkdirTemp("", "omnirapeutic-compare-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	//nolint:gosec // the private server runs as another user where root starts it
	if err := os.Chmod(b.dir, 0o755); err != nil {
		return err
	}
	b.program = filepath.Join(b.dir, "omnirapeutic")
	build := exec.CommandContext(ctx, "go", "build", "-o", b.program, ".") //nolint:gosec // our own program
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w\n%s", err, out)
	}
	t := &table{}
	// Partial results are useful too.
	defer func() { t.print(os.Stdout) }()
	if !b.curve && !b.large && !b.stalls && !b.paired && !b.separate && !b.alone && !b.reading && !b.commanding {
		for _, part := range []func(context.Context, *table) error{b.modes, b.pairs, b.apart, b.stall, b.noOp, b.bare} {
			if err := part(ctx, t); err != nil {
				return err
			}
		}
	}
	for _, part := range []struct {
		selected bool
		measure  func(context.Context, *table) error
	}{
		{b.stalls, b.stall},
		{b.paired, b.pairs},
		{b.separate, b.apart},
		{b.alone, b.bare},
		{b.reading, b.measureReads},
		{b.commanding, b.measureCommands},
		{b.large, b.compareLarge},
		{b.curve, b.clients},
	} {
		if !part.selected {
			continue
		}
		if err := part.measure(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

// load runs one scenario with the program's own loadtest, on a private server and
// database unless --url is given. Failed requests are part of the result. An error
// means that there is no result, or that units are wrong.
func (b *bench) load(ctx context.Context, scenario string, more ...string) (loadtest.Result, error) {
	file := filepath.Join(b.dir, "figures.json")
	arguments := append([]string{"loadtest", "--scenario", scenario, "--duration", b.duration.String(), "--json", file},
		more...)
	command := exec.CommandContext(ctx, b.program, arguments...) //nolint:gosec // our own program
	command.Env = append(os.Environ(), "OMNI_DATA_DIR="+filepath.Join(b.dir, "data"))
	b.say("measuring %s", strings.Join(append([]string{scenario}, more...), " "))
	out, err := command.CombinedOutput()
	var r loadtest.Result
	content, readErr := os.ReadFile(file)
	if readErr == nil {
		readErr = json.Unmarshal(content, &r)
	}
	if readErr != nil {
		return r, fmt.Errorf("loadtest %s: %w\n%s", scenario, errors.Join(err, readErr), out)
	}
	if !r.Integrity.OK {
		return r, fmt.Errorf("loadtest %s: the units are wrong\n%s", scenario, out)
	}
	return r, os.Remove(file)
}

// say prints progress to standard error; the tables go to standard output.
func (*bench) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, time.Now().Format("15:04:05 ")+format+"\n", args...)
}
