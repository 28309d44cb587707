// Command conformance runs the program in the portable profile on a database engine, and prints which of its
// requirements the engine meets:
//
//	go run ./bench/conformance --url postgres://owner:password@host:5432/postgres?sslmode=disable
//
// The role of the URL must be allowed to create a database. The command creates one, migrates it, runs two instances
// of the program on it, and drops it at the end. With --refuse, a proxy before the engine refuses every statement that
// the profile does not use. The exit code is 0 if each requirement is met, 1 if one is not, and 2 if the command fails
// before.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"text/tabwriter"
	"time"
)

func main() {
	var s suite
	flag.StringVar(&s.url, "url", "", "the engine, with a role that may create a database")
	flag.StringVar(&s.program, "program", "", "the program; by default it is built from this repository")
	flag.BoolVar(&s.refuse, "refuse", false, "refuse every statement that the portable profile does not use")
	flag.IntVar(&s.rounds, "rounds", 3, "rounds of each scenario with concurrent clients")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	results, err := s.run(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(2)
	}
	os.Exit(report(results))
}

// result is the outcome of one requirement.
type result struct {
	requirement string
	detail      string
	err         error // a *notMet, or an error of the engine
	took        time.Duration
}

// notMet says that the engine does not meet a requirement.
type notMet struct{ why string }

func (e *notMet) Error() string { return e.why }

// notChecked says that a requirement could not be checked.
type notChecked struct{ why string }

func (e *notChecked) Error() string { return e.why }

func notMetf(format string, arguments ...any) error {
	return &notMet{fmt.Sprintf(format, arguments...)}
}

// report prints the table and returns the exit code.
func report(results []result) (code int) {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "requirement\tresult\ttime\tdetail")
	for _, r := range results {
		outcome, detail := "met", r.detail
		if r.err != nil {
			outcome, detail = outcomeOf(r.err), r.err.Error()
		}
		if outcome != "met" && outcome != unchecked {
			code = 1
		}
		fmt.Fprintf(w, "%s\t%s\t%d ms\t%s\n", r.requirement, outcome, r.took.Milliseconds(), detail)
	}
	_ = w.Flush() // to the terminal
	return code
}

const unchecked = "not checked"

func outcomeOf(err error) string {
	if _, ok := errors.AsType[*notMet](err); ok {
		return "NOT MET"
	}
	if _, ok := errors.AsType[*notChecked](err); ok {
		return unchecked
	}
	return "error"
}

// suite runs the requirements on one engine.
type suite struct {
	url     string
	program string
	refuse  bool
	rounds  int

	engine   *engine
	database string // URL of the new database
	servers  []*server
}

// requirements are checked in this order. If one with the mark needed is not met, the others cannot be checked.
func (s *suite) requirements() []requirement {
	return []requirement{
		{"it refuses a lost update", s.lostUpdate, false},
		{"it refuses write skew between rows", s.writeSkew, false},
		{"it refuses write skew between a range and its new rows", s.rangeSkew, false},
		{"it refuses to read a state that no order explains", s.readOnlyAnomaly, false},
		{"it applies the migrations", s.migrate, true},
		{"two instances serve", s.serve, true},
		{"the last units are reserved once", s.lastUnits, false},
		{"the answers of concurrent changes are linearizable", s.linearizable, false},
		{"bookings at one time do not overlap", s.overlaps, false},
		{"a cap of a day is not exceeded", s.caps, false},
		{"a COMMIT without an answer takes effect once", s.lostCommits, false},
		{"the ledger verifies", s.verify, false},
		{"other features are not used", s.refusals, false},
	}
}

type requirement struct {
	name   string
	check  func(ctx context.Context) (detail string, err error)
	needed bool
}

func (s *suite) run(ctx context.Context) (results []result, err error) {
	if s.url == "" {
		return nil, errors.New("name the engine with --url")
	}
	if s.program == "" {
		dir, err := os.MkdirTemp("", "conformance-")
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
		s.program = filepath.Join(dir, "omnirapeutic")
		build := exec.CommandContext(ctx, "go", "build", "-o", s.program, ".")
		if out, err := build.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build the program: %w: %s", err, out)
		}
	}
	if s.engine, err = openEngine(ctx, s.url, s.refuse); err != nil {
		return nil, err
	}
	defer s.engine.close()
	fmt.Println(s.engine.version)
	defer func() {
		for _, server := range s.servers {
			server.stop()
		}
	}()
	for _, r := range s.requirements() {
		began := time.Now()
		detail, err := r.check(ctx)
		results = append(results, result{r.name, detail, err, time.Since(began)})
		if ctx.Err() != nil {
			return results, ctx.Err()
		}
		if err != nil && r.needed {
			break
		}
	}
	return results, nil
}
