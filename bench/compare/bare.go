package main

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

//go:embed reserve.sql
var reserveScript string

// The organization and the rows of pgbench.
const bareRows = 1000

// bare measures PostgreSQL alone: pgbench runs the statements of a reserve and retries
// serialization failures like the program.
func (b *bench) bare(ctx context.Context, t *table) error {
	data := filepath.Join(b.dir, "bare")
	clients := "OMNI_DB_MAX_CONNS=60" // pgbench needs connections too
	server, err := b.serve(ctx, data, clients)
	if err != nil {
		return err
	}
	server.stop()
	if server, err = b.serve(ctx, data, clients); err != nil { // again, to measure a start with existing data
		return err
	}
	defer server.stop()
	const limit = 300 * time.Millisecond
	t.target("start to ready, database present", "≤ 300 ms", fmt.Sprintf("%d ms", server.took.Milliseconds()),
		server.took <= limit)
	if err := server.prepare(ctx); err != nil {
		return err
	}
	if t.postgres, err = server.version(ctx); err != nil {
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
		perSecond, failed, mean, err := b.pgbench(ctx, server, run.rows)
		if err != nil {
			return err
		}
		const clients = 50
		t.bare(run.name, clients, perSecond, failed, mean)
		shared, measured := t.measured[run.scenario]
		if !measured {
			if shared, err = b.load(ctx, run.scenario); err != nil {
				return err
			}
			t.load(run.scenario+", shared", shared)
		}
		t.atLeast(run.scenario+" against pgbench with the same statements", shared.AcceptedPerSecond/perSecond, run.target)
	}
	return nil
}

// prepare inserts the authorizations from which pgbench reserves.
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

func (b *bench) pgbench(
	ctx context.Context, s *server, rows int,
) (perSecond float64, failed int64, mean float64, err error) {
	script := filepath.Join(b.dir, "reserve.sql")
	if err := os.WriteFile(script, []byte(reserveScript), 0o644); err != nil { //nolint:gosec // nothing secret
		return 0, 0, 0, err
	}
	b.say("measuring pgbench on %d rows", rows)
	command := exec.CommandContext(ctx, pgbenchProgram(ctx), //nolint:gosec // PostgreSQL's own
		"--no-vacuum", "--file", script, "--define", "rows="+strconv.Itoa(rows),
		"--client", "50", "--jobs", "1", "--time", strconv.Itoa(int(b.duration.Seconds())),
		"--max-tries", "5", "--protocol", "prepared",
		"--host", s.socket(), "--username", ownerRole, "omnirapeutic")
	command.Env = append(os.Environ(), "PGPASSWORD="+s.secrets[ownerRole],
		"PGOPTIONS=-c enable_seqscan=off -c omni.organizations=*")
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
		n, _ := strconv.ParseFloat(found[1], 64) // digits and a decimal point
		return n
	}
	return number(tpsLine), int64(number(failedLine)), number(meanLine), nil
}

// version is PostgreSQL's version.
func (s *server) version(ctx context.Context) (version string, err error) {
	c, err := s.connect(ctx)
	if err != nil {
		return "", err
	}
	defer c.Close(ctx)
	err = c.QueryRow(ctx, "SELECT split_part(current_setting('server_version'), ' ', 1)").Scan(&version)
	return version, err
}

// pgbenchProgram returns the path of pgbench.
func pgbenchProgram(ctx context.Context) string {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/pgbench") // the pattern is valid
	if len(found) > 0 {
		return found[len(found)-1]
	}
	if out, err := exec.CommandContext(ctx, "pg_config", "--bindir").Output(); err == nil {
		return filepath.Join(strings.TrimSpace(string(out)), "pgbench")
	}
	return "pgbench"
}
