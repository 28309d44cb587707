package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"omnirapeutic/bench/loadtest"
)

// commandLoads are the loads of -commands, with their targets for the median ratio of -against; 0: none.
var commandLoads = []struct {
	what, scenario string
	clients        int // 0: the scenario's default
	least          float64
}{
	{"high-contention", "high-contention", 0, 1.6},
	{"high-contention, one client", "high-contention", 1, 0},
	{"high-throughput", "high-throughput", 0, 1.5},
	{"mixed", "mixed", 0, 1.5},
	{"booking", "booking", 0, 1.8},
	{"booking, one client", "booking", 1, 0},
	{"no-op", "no-op", 0, 0},
}

// commandRun is one round of a load on one server. The costs are per accepted request, warm-up included.
type commandRun struct {
	loadtest.Result
	cpu, postgresCPU time.Duration
	wal              float64 // bytes of the write-ahead log, with the relay's and the seals'
}

// commandServer is a server with a database of its own.
type commandServer struct {
	*server
	database *pgx.Conn
}

// measureCommands measures requests that change units and appointments, in turn with the program of
// -against. Each program has a private PostgreSQL, so that versions with different tables can be compared.
func (b *bench) measureCommands(ctx context.Context, t *table) error {
	var servers []commandServer
	for i, program := range b.programs() {
		s, err := b.startMeasured(ctx, program, i)
		if err != nil {
			return err
		}
		defer s.stop()
		database, err := s.connect(ctx)
		if err != nil {
			return err
		}
		defer database.Close(ctx)
		servers = append(servers, commandServer{s, database})
	}
	var contended []commandRun
	t.note("Commands: %d rounds of %s, log level %s, median (min to max).", b.rounds, b.duration, b.logLevel)
	for _, l := range commandLoads {
		runs := make([][]commandRun, len(servers))
		for round := range b.rounds {
			for i := range servers {
				i = (i + round) % len(servers) // alternates the order
				b.say("%s, round %d", l.what, round+1)
				run, err := b.loadCommands(ctx, servers[i], l.scenario, l.clients)
				if err != nil {
					return err
				}
				runs[i] = append(runs[i], run)
			}
		}
		for i, name := range []string{l.what, l.what + ", before"}[:len(servers)] {
			t.commands(name, runs[i])
		}
		if l.what == "high-contention" {
			contended = runs[0]
		}
		if len(servers) > 1 {
			t.ratios(l.what, runs[0], runs[1], l.least)
		}
	}
	return b.setWise(ctx, t, servers[0], contended)
}

// programs returns the program and the one of -against.
func (b *bench) programs() []string {
	return slices.DeleteFunc([]string{b.program, b.against}, func(p string) bool { return p == "" })
}

// startMeasured starts a program with a database of its own. Its log goes to a file.
func (b *bench) startMeasured(ctx context.Context, program string, i int) (*server, error) {
	log, err := os.Create(filepath.Join(b.dir, fmt.Sprintf("server-%d.log", i)))
	if err != nil {
		return nil, err
	}
	return b.serveProgram(ctx, program, log, filepath.Join(b.dir, fmt.Sprintf("commands-%d", i)),
		"OMNI_LOG_LEVEL="+b.logLevel)
}

// loadCommands runs a scenario and measures its costs.
func (b *bench) loadCommands(ctx context.Context, s commandServer, scenario string, clients int) (commandRun, error) {
	var run commandRun
	var failed error
	position := func() (bytes float64) {
		if err := s.database.QueryRow(ctx, "SELECT (pg_current_wal_lsn() - '0/0')::float8").Scan(&bytes); err != nil {
			failed = err
		}
		return bytes
	}
	r, err := loadtest.Run(ctx, loadtest.Options{
		Scenario: scenario, URLs: []string{s.url}, Email: adminEmail, Password: adminPassword,
		Clients: clients, Duration: b.duration,
		Measure: func() func() {
			server, postgres, wal := processorTimes(s.server, position)
			return func() {
				serverEnd, postgresEnd, walEnd := processorTimes(s.server, position)
				run.cpu, run.postgresCPU, run.wal = serverEnd-server, postgresEnd-postgres, walEnd-wal
			}
		},
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return run, err
	}
	if wrong := r.Wrong(); len(wrong) > 0 {
		return run, fmt.Errorf("%s: %v", scenario, wrong)
	}
	accepted := max(1, r.Accepted+r.WarmUp.Accepted)
	run.Result = r
	run.cpu, run.postgresCPU = run.cpu/time.Duration(accepted), run.postgresCPU/time.Duration(accepted)
	run.wal /= float64(accepted)
	return run, nil
}

func processorTimes(s *server, position func() float64) (server, postgres time.Duration, wal float64) {
	wal = position()
	server, postgres = s.cpuTimes()
	return server, postgres, wal
}

// commands adds a row with the medians of the runs.
func (t *table) commands(name string, runs []commandRun) {
	of := func(figure func(commandRun) float64) []float64 {
		var all []float64
		for _, run := range runs {
			all = append(all, figure(run))
		}
		slices.Sort(all)
		return all
	}
	middle := func(figure func(commandRun) float64) float64 { return of(figure)[len(runs)/2] }
	rates := of(func(r commandRun) float64 { return r.AcceptedPerSecond })
	var failed int64
	for _, run := range runs {
		failed += failures(run.Result)
	}
	t.machine = runs[0].Machine
	t.commandRows = append(t.commandRows, fmt.Sprintf("| %s | %d | %.0f (%.0f to %.0f) | %d | %.1f | %.1f | %.0f | %.0f | %.1f |",
		name, runs[0].Clients, rates[len(rates)/2], rates[0], rates[len(rates)-1], failed,
		middle(func(r commandRun) float64 { return r.LatencyMs.P50 }),
		middle(func(r commandRun) float64 { return r.LatencyMs.P99 }),
		middle(func(r commandRun) float64 { return float64(r.cpu.Microseconds()) }),
		middle(func(r commandRun) float64 { return float64(r.postgresCPU.Microseconds()) }),
		middle(func(r commandRun) float64 { return r.wal / 1e3 })))
}

// ratios reports the ratios of the rounds.
func (t *table) ratios(what string, now, before []commandRun, least float64) {
	var all []float64
	for round := range now {
		all = append(all, now[round].AcceptedPerSecond/before[round].AcceptedPerSecond)
	}
	slices.Sort(all)
	t.atLeast(fmt.Sprintf("%s: against before (%.2f to %.2f)", what, all[0], all[len(all)-1]), all[len(all)/2], least)
}
