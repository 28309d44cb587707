package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

//go:embed reserve.sql
var reserveScript string

// The organization and the rows that pgbench works on.
const bareRows = 1000

// bare measures PostgreSQL alone: the statements of a reserve from pgbench, which
// retries serialization failures as the program does.
func (b *bench) bare(ctx context.Context, t *table) error {
	server, err := b.serve(ctx)
	if err != nil {
		return err
	}
	defer server.stop()
	if err := server.prepare(ctx); err != nil {
		return err
	}
	for _, run := range []struct {
		name, scenario string
		rows           int
		target         float64
	}{
		{"pgbench, one row", "high-contention", 1, 20},
		{"pgbench, 1,000 rows", "high-throughput", bareRows, 2},
	} {
		perSecond, failed, mean, err := server.pgbench(ctx, run.rows, b.duration)
		if err != nil {
			return err
		}
		const clients = 50
		t.bare(run.name, clients, perSecond, failed, mean)
		t.ratio(run.scenario+" against pgbench with the same statements", t.measured[run.scenario].AcceptedPerSecond/perSecond, run.target)
	}
	return nil
}

// server is the program, serving on a data folder of its own.
type server struct {
	bench   *bench
	command *exec.Cmd
	socket  string
	url     string
	secrets map[string]string
}

func (b *bench) serve(ctx context.Context) (*server, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		return nil, err
	}
	data := filepath.Join(b.dir, "bare")
	s := &server{bench: b, socket: filepath.Join(data, "postgres", "socket"), url: "http://" + address}
	s.command = exec.CommandContext(ctx, b.program, "serve")                                                                         //nolint:gosec // our own program
	s.command.Env = append(os.Environ(), "OMNI_DATA_DIR="+data, "OMNI_ADDR="+address, "OMNI_LOG_LEVEL=warn", "OMNI_DB_MAX_CONNS=60") // pgbench has its clients beside the program
	s.command.Cancel = func() error { return s.command.Process.Signal(syscall.SIGTERM) }
	if err := s.command.Start(); err != nil {
		return nil, err
	}
	if err := s.ready(ctx); err != nil {
		s.stop()
		return nil, err
	}
	content, err := os.ReadFile(filepath.Join(data, "postgres", "passwords.json"))
	if err == nil {
		err = json.Unmarshal(content, &s.secrets)
	}
	if err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

func (s *server) ready(ctx context.Context) error {
	const patience = 30 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/readyz", nil)
		if err != nil {
			return err
		}
		if response, err := http.DefaultClient.Do(request); err == nil {
			_ = response.Body.Close() // nothing is read from it
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return errors.New("the server did not become ready")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (s *server) stop() {
	_ = s.command.Process.Signal(syscall.SIGTERM) // it may have ended by itself
	_ = s.command.Wait()                          // as above
}

const ownerRole = "omni_owner"

func (s *server) connect(ctx context.Context) (*pgx.Conn, error) {
	query := url.Values{"host": {s.socket}, "port": {"5432"}, "sslmode": {"disable"}}
	u := url.URL{Scheme: "postgres", User: url.UserPassword(ownerRole, s.secrets[ownerRole]), Path: "/omnirapeutic", RawQuery: query.Encode()}
	return pgx.Connect(ctx, u.String())
}

// prepare enters the authorizations that pgbench reserves from.
func (s *server) prepare(ctx context.Context) error {
	c, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	_, err = c.Exec(ctx, fmt.Sprintf(`
		CREATE TABLE bare AS
			SELECT row_number() OVER () AS n, gen_random_uuid() AS id, a.organization_id
			FROM (SELECT * FROM authorizations LIMIT 1) a, generate_series(1, %d);
		ALTER TABLE bare ADD PRIMARY KEY (n);
		INSERT INTO authorizations (organization_id, id, patient_id, service_code_id, initial_units, total_units,
				start_date, end_date, status, last_hash, created_at, updated_at)
			SELECT a.organization_id, b.id, a.patient_id, a.service_code_id, 10000000, 10000000,
				a.start_date, a.end_date, 'ACTIVE', sha256(''), now(), now()
			FROM bare b, (SELECT * FROM authorizations LIMIT 1) a;
		ANALYZE authorizations; ANALYZE bare`, bareRows))
	return err
}

var (
	tpsLine    = regexp.MustCompile(`(?m)^tps = ([\d.]+)`)
	failedLine = regexp.MustCompile(`(?m)^number of failed transactions: (\d+)`)
	meanLine   = regexp.MustCompile(`(?m)^latency average = ([\d.]+)`)
)

func (s *server) pgbench(ctx context.Context, rows int, duration time.Duration) (perSecond float64, failed int64, mean float64, err error) {
	script := filepath.Join(s.bench.dir, "reserve.sql")
	if err := os.WriteFile(script, []byte(reserveScript), 0o644); err != nil { //nolint:gosec // nothing secret
		return 0, 0, 0, err
	}
	fmt.Fprintln(os.Stderr, "measuring pgbench on", rows, "rows")
	command := exec.CommandContext(ctx, pgbenchProgram(ctx), "--no-vacuum", "--file", script, "--define", "rows="+strconv.Itoa(rows), //nolint:gosec // PostgreSQL's own
		"--client", "50", "--jobs", "1", "--time", strconv.Itoa(int(duration.Seconds())), "--max-tries", "5", "--protocol", "prepared",
		"--host", s.socket, "--username", ownerRole, "omnirapeutic")
	command.Env = append(os.Environ(), "PGPASSWORD="+s.secrets[ownerRole], "PGOPTIONS=-c enable_seqscan=off")
	out, err := command.CombinedOutput()
	if err != nil {
		return 0, 0, 0, fmt.Errorf("pgbench: %w\n%s", err, out)
	}
	text := string(out)
	number := func(line *regexp.Regexp) float64 {
		found := line.FindStringSubmatch(text)
		if found == nil {
			return 0
		}
		n, _ := strconv.ParseFloat(found[1], 64) // digits and a point
		return n
	}
	return number(tpsLine), int64(number(failedLine)), number(meanLine), nil
}

// pgbenchProgram is found where PostgreSQL's programs usually are.
func pgbenchProgram(ctx context.Context) string {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/pgbench") // the pattern is well-formed
	if len(found) > 0 {
		return found[len(found)-1]
	}
	if out, err := exec.CommandContext(ctx, "pg_config", "--bindir").Output(); err == nil {
		return filepath.Join(strings.TrimSpace(string(out)), "pgbench")
	}
	return "pgbench"
}
