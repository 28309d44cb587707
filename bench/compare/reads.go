package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"omnirapeutic/bench/loadtest"
)

// readClients is the number of concurrent clients of each read.
const readClients = 50

// maxTail is the limit of p99 divided by p50.
const maxTail = 4

// read is a GET request. Single records take turns.
type read struct {
	name  string
	paths []string
	least float64 // target for the median ratio of -against; 0: none

	clients int           // concurrent clients; 0: readClients
	pages   bool          // a request is the list with all of its pages
	most    time.Duration // target for p50; 0: none
}

// readsOf returns the measured requests on a filled practice.
func readsOf(n size) []read {
	list := func(path string, least float64) read {
		return read{name: strings.TrimPrefix(path, "/"), paths: []string{path}, least: least}
	}
	single := func(noun string, kind byte, count int) read {
		r := read{name: noun + "/{id}", least: 1.3}
		for i := range min(count, readClients) {
			r.paths = append(r.paths, "/"+noun+"/"+id(kind, i*count/readClients).String())
		}
		return r
	}
	return []read{
		list("/auth/me", 4),
		list("/appointments?limit=200", 5),
		list("/appointments?limit=20", 0),
		weekOf(n),
		list("/sessions?limit=200", 0),
		list("/authorizations?limit=20", 2.5),
		list("/reports/utilization?limit=200", 5),
		list("/patients?limit=200", 0),
		single("appointments", 'B', n.appointments),
		single("authorizations", 'A', n.authorizations),
		single("patients", 'T', n.patients),
	}
}

// weekOf returns the request for the appointments of a busy week, with their names and the units left. It takes the next
// days of the filled practice with as many appointments. One client draws one calendar.
func weekOf(n size) read {
	const (
		ofWeek = 1_000
		most   = 60 * time.Millisecond
	)
	tomorrow := time.Now().UTC().AddDate(0, 0, 1)
	last := tomorrow.AddDate(0, 0, ofWeek/appointmentsDay-1)
	return read{
		name: fmt.Sprintf("appointments of a week (%d)", min(ofWeek, n.appointments/2)), clients: 1, pages: true, most: most,
		paths: []string{
			"/appointments?limit=200&from=" + tomorrow.Format(time.DateOnly) + "&to=" + last.Format(time.DateOnly),
		},
	}
}

// measureReads fills a practice and measures reads, in turn with the program of -against on the same
// database.
func (b *bench) measureReads(ctx context.Context, t *table) (err error) {
	data := cmp.Or(b.keep, filepath.Join(b.dir, "reads"))
	// This server only runs PostgreSQL, with connections for two others, their listeners and this program.
	s, err := b.serve(ctx, data, "OMNI_DB_MAX_CONNS=100")
	if err != nil {
		return err
	}
	defer s.stop()
	full, err := s.isFull(ctx)
	if err == nil && !full {
		b.say("creating %d appointments", b.size.appointments)
		if err = fill(ctx, s.connect, b.size); err == nil {
			err = b.makeUser(ctx, s)
		}
	}
	if err != nil {
		return err
	}
	token, err := s.signInAs(ctx, largeEmail)
	if err != nil {
		return err
	}
	var servers []*server
	for _, program := range b.programs() {
		measured, err := startProgram(ctx, program, os.Stderr, "OMNI_DATABASE_URL="+s.databaseURL(programRole),
			"OMNI_DB_AUTO_MIGRATE=false")
		if err != nil {
			return err
		}
		defer measured.stop()
		measured.postmaster = s.postmaster
		servers = append(servers, measured)
	}
	database, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer database.Close(ctx)
	t.machine = loadtest.ThisMachine()
	t.note("%d clients, %d patients, %d authorizations, %d appointments, %d rounds of %s, median (min to max).",
		readClients, b.size.patients, b.size.authorizations, b.size.appointments, b.rounds, b.duration)
	for _, r := range readsOf(b.size) {
		if b.only != "" && !strings.HasPrefix(r.name, b.only) {
			continue
		}
		b.say("reading %s", r.name)
		if err := b.readInTurn(ctx, t, r, servers, token, database); err != nil {
			return err
		}
	}
	if b.only != "" && !strings.HasPrefix("events", b.only) {
		return nil
	}
	return b.measureFanOut(ctx, t, s, servers)
}

// readInTurn measures a request on the servers in turn, and reports the ratios of the rounds.
func (b *bench) readInTurn(
	ctx context.Context, t *table, r read, servers []*server, token string, database *pgx.Conn,
) error {
	if b.profiles != "" {
		if err := b.profile(ctx, servers[0], r, token); err != nil {
			return err
		}
	}
	runs := make([][]readRun, len(servers))
	for round := range b.rounds {
		for i := range servers {
			i = (i + round) % len(servers) // alternates the order
			before, err := walPosition(ctx, database)
			if err != nil {
				return err
			}
			run, err := b.readFrom(ctx, servers[i], r, token)
			if err != nil {
				return err
			}
			after, err := walPosition(ctx, database)
			if err != nil {
				return err
			}
			run.wal = (after - before) / float64(run.answered)
			runs[i] = append(runs[i], run)
		}
	}
	for i, name := range []string{r.name, r.name + ", before"}[:len(servers)] {
		t.reads(name, runs[i])
	}
	if r.most > 0 {
		t.atMost(r.name+": p50 in ms", median(runs[0], func(run readRun) float64 { return ms(run.p50) }), ms(r.most))
	}
	tail := median(runs[0], func(run readRun) float64 { return run.tail() })
	t.atMost(r.name+": p99 against p50", tail, maxTail)
	if len(servers) > 1 {
		var ratios []float64
		for round := range b.rounds {
			ratios = append(ratios, runs[0][round].perSecond/runs[1][round].perSecond)
		}
		slices.Sort(ratios)
		t.atLeast(fmt.Sprintf("%s: against before (%.2f to %.2f)", r.name, ratios[0], ratios[len(ratios)-1]),
			ratios[len(ratios)/2], r.least)
	}
	return nil
}

// profile writes a CPU profile of the server while it answers the request.
func (b *bench) profile(ctx context.Context, s *server, r read, token string) error {
	var running sync.WaitGroup
	var failed error
	running.Go(func() { _, failed = b.readFrom(ctx, s, r, token) })
	defer running.Wait()
	url := fmt.Sprintf("%s?seconds=%d", s.profiles, max(1, int(b.duration.Seconds())))
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	running.Wait()
	if err = errors.Join(err, failed); err != nil {
		return err
	}
	name := strings.NewReplacer("/", "-", "?", "-", "{", "", "}", "").Replace(r.name) + ".prof"
	return os.WriteFile(filepath.Join(b.profiles, name), content, 0o600)
}

// readRun is one round of a request on one server.
type readRun struct {
	perSecond   float64
	p50, p99    time.Duration
	cpu         time.Duration // of the server, for each request
	postgresCPU time.Duration // of PostgreSQL, for each request
	answered    int           // requests, warm-up included
	wal         float64       // bytes of the write-ahead log for each request, warm-up included
}

func (r readRun) tail() float64 { return float64(r.p99) / float64(max(r.p50, 1)) }

// warmUp is the share of the duration for which the clients run before the measurement.
const warmUp = 0.25

// readFrom repeats the request with all clients. Any other answer than 200 is an error.
func (b *bench) readFrom(ctx context.Context, s *server, r read, token string) (readRun, error) {
	transport := &http.Transport{MaxIdleConnsPerHost: readClients, DisableCompression: true}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	began := time.Now().Add(time.Duration(float64(b.duration) * warmUp))
	end := began.Add(b.duration)
	var mu sync.Mutex
	var failures []error
	var latencies []time.Duration
	answered := 0
	var clients sync.WaitGroup
	for i := range cmp.Or(r.clients, readClients) {
		clients.Go(func() {
			var own []time.Duration
			var err error
			n := i
			for ; err == nil && time.Now().Before(end); n++ {
				sent := time.Now()
				path := r.paths[n%len(r.paths)]
				for next := path; err == nil && next != ""; {
					if next, err = s.read(ctx, client, token, next); next != "" && r.pages {
						next = path + "&cursor=" + next
					} else {
						next = ""
					}
				}
				if now := time.Now(); now.After(began) && now.Before(end) {
					own = append(own, now.Sub(sent))
				}
			}
			mu.Lock()
			defer mu.Unlock()
			latencies, failures = append(latencies, own...), append(failures, err)
			answered += n - i
		})
	}
	time.Sleep(time.Until(began))
	server, postgres := s.cpuTimes()
	time.Sleep(time.Until(end))
	serverEnd, postgresEnd := s.cpuTimes()
	clients.Wait()
	if err := cmp.Or(failures...); err != nil {
		return readRun{}, err
	}
	if len(latencies) == 0 {
		return readRun{}, errors.New("no request was answered in time")
	}
	slices.Sort(latencies)
	n := len(latencies)
	return readRun{
		perSecond: float64(n) / b.duration.Seconds(), p50: latencies[n/2], p99: latencies[n*99/100],
		cpu: (serverEnd - server) / time.Duration(n), postgresCPU: (postgresEnd - postgres) / time.Duration(n),
		answered: answered,
	}, nil
}

// walPosition returns the length of the write-ahead log. The events of reads are written in the background, so the
// difference of two positions is exact only for many requests.
func walPosition(ctx context.Context, database *pgx.Conn) (bytes float64, err error) {
	err = database.QueryRow(ctx, "SELECT (pg_current_wal_insert_lsn() - '0/0')::float8").Scan(&bytes)
	return bytes, err
}

// nextCursor is the end of a page that another one follows.
var nextCursor = regexp.MustCompile(`"nextCursor":"([^"]+)"}\s*$`)

// read sends a GET request, reads the answer, and returns the cursor of the next page.
func (s *server) read(ctx context.Context, client *http.Client, token, path string) (cursor string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/api/v1"+path, nil)
	if err != nil {
		return "", err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("GET %s: status %d: %s", path, response.StatusCode, content)
	}
	const longest = 1_000 // of the end with the cursor
	if end := nextCursor.FindSubmatch(content[max(0, len(content)-longest):]); end != nil {
		cursor = string(end[1])
	}
	return cursor, err
}

// reads adds a row with the medians of the runs.
func (t *table) reads(name string, runs []readRun) {
	figures := make([]float64, 0, len(runs))
	for _, run := range runs {
		figures = append(figures, run.perSecond)
	}
	slices.Sort(figures)
	t.readRows = append(t.readRows, fmt.Sprintf("| %s | %.0f (%.0f to %.0f) | %.1f | %.1f | %.0f | %.0f | %.1f |", name,
		figures[len(figures)/2], figures[0], figures[len(figures)-1],
		median(runs, func(r readRun) float64 { return ms(r.p50) }), median(runs, func(r readRun) float64 { return ms(r.p99) }),
		median(runs, func(r readRun) float64 { return float64(r.cpu.Microseconds()) }),
		median(runs, func(r readRun) float64 { return float64(r.postgresCPU.Microseconds()) }),
		median(runs, func(r readRun) float64 { return r.wal / 1e3 })))
}

func median(runs []readRun, of func(readRun) float64) float64 {
	var all []float64
	for _, run := range runs {
		all = append(all, of(run))
	}
	slices.Sort(all)
	return all[len(all)/2]
}
