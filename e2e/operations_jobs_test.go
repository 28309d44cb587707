package e2e

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
)

// TestOneInstanceReleasesExpiredHoldsAtTheStart runs the background jobs of two
// instances: each job runs immediately, on one of them.
func TestOneInstanceReleasesExpiredHoldsAtTheStart(t *testing.T) {
	t.Parallel()
	first := harness.Open(t)
	second := harness.SecondInstance(t, first, first.Database.Open(t))
	path := first.Authorize(t, 10)
	first.Admin().Post(t, path+"/reserve", harness.Body{"units": 2, "expiresInSeconds": 60})
	first.Clock.SetAhead(5 * time.Minute)

	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for _, instance := range []*harness.Clinic{first, second} {
		running.Go(func() { instance.App.RunJobs(ctx) })
	}
	ran := func(job string) (n int) {
		for _, instance := range []*harness.Clinic{first, second} {
			for line := range strings.Lines(instance.Metrics(t)) {
				var runs int
				if _, err := fmt.Sscanf(line, `omnirapeutic_job_seconds_count{job="`+job+`",outcome="done"} %d`,
					&runs); err == nil {
					n += runs
				}
			}
		}
		return n
	}
	for _, job := range first.App.BackgroundJobs() {
		require.Eventually(t, func() bool { return ran(job.Name) > 0 }, 20*time.Second, 10*time.Millisecond,
			"%s runs immediately", job.Name)
	}
	stop()
	running.Wait()
	require.Equal(t, 1, first.CountEntries(t, path, "expire"))
	for _, job := range first.App.BackgroundJobs() {
		if !job.PerInstance && job.Every >= time.Hour {
			require.Equal(t, 1, ran(job.Name), "%s runs on one instance", job.Name)
		}
	}
}

// fillForRemoval writes 20,000 rows into every table that jobs read, one in forty of them old
// enough for removal. [filledRows] returns it with another number.
var fillForRemoval = []string{
	`DO $$ DECLARE c record; BEGIN -- referenced rows do not exist
		FOR c IN SELECT conrelid::regclass AS name, conname FROM pg_constraint WHERE contype = 'f' AND conparentid = 0 LOOP
			EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', c.name, c.conname);
		END LOOP; END $$`,
	`CREATE TEMP TABLE rows AS
		SELECT n, o.id AS organization_id, md5('x' || n)::uuid AS id,
			CASE WHEN n % 40 = 0 THEN now() - interval '100 days' - n * interval '1 second' ELSE now() - n * interval '1 millisecond' END AS at
		FROM generate_series(1, 20000) n CROSS JOIN LATERAL (SELECT id FROM organizations
		ORDER BY id OFFSET n % 2 LIMIT 1) o`,
	`INSERT INTO commands (organization_id, id, call_id, kind, fingerprint, answer, created_at)
		SELECT organization_id, id, id, 'reserve', '\x00', '{}', at FROM rows`,
	`INSERT INTO access_changes (organization_id, kind, subject_id, level, changed_at)
		SELECT organization_id, 'user', id, 1, at FROM rows`,
	`INSERT INTO second_factors (organization_id, user_id, secret, started_at, confirmed_at)
		SELECT organization_id, id, '\x00', at, CASE WHEN n % 40 <> 0 THEN at END FROM rows`,
	`INSERT INTO sign_ins (organization_id, id, user_id, epoch, started_at, used_at, idle_until, ends_at, address,
			throttle_key)
		SELECT organization_id, id, id, 0, at, at, at + interval '20 days', at + interval '20 days', '', '\x00' FROM rows`,
	`INSERT INTO refresh_tokens (organization_id, hash, sign_in_id, issued_at)
		SELECT organization_id, sha256(n::text::bytea), id, at FROM rows`,
	`INSERT INTO appointment_reminders (organization_id, appointment_id, starts_at, minutes_before, published_at)
		SELECT organization_id, id, at, 60, at FROM rows`,
	`INSERT INTO event_streams (organization_id, last_position)
		SELECT id, 20000 FROM organizations ON CONFLICT (organization_id) DO UPDATE SET last_position = 20000`,
	`INSERT INTO events (organization_id, position, type, subject_id, permission, payload, occurred_at)
		SELECT organization_id, row_number() OVER (PARTITION BY organization_id ORDER BY at), 'x', id, 'x', '{}', at
		FROM rows`,
	`INSERT INTO webhook_deliveries (organization_id, webhook_id, position, state, next_attempt_at)
		SELECT organization_id, organization_id, position, 'DELIVERED', occurred_at FROM events`,
	`INSERT INTO appointments (organization_id, id, service_code_id, status, starts_at, ends_at, service_date,
			created_by, created_at, updated_at)
		SELECT organization_id, id, id, 'SCHEDULED', start, start + interval '1 hour', start::date, id, at, at
		FROM rows CROSS JOIN LATERAL (
			SELECT date_trunc('minute', at) + CASE WHEN n % 40 = 0 THEN interval '0' ELSE n * interval '1 hour' END AS start) s`,
	`INSERT INTO unit_reservations (organization_id, authorization_id, id, sequence, units, service_date, expires_at, created_at, updated_at)
		SELECT organization_id, id, id, 1, 1, at::date, at + interval '300 days', at, at FROM rows`,
	`INSERT INTO anonymous_attempts (minute, source, action, reason, attempts, last_at) SELECT at, n, 'x', 'x', 1, at
		FROM rows`,
	`INSERT INTO verifications (organization_id, id, state, started_by, started_at, finished_at, lease_until, result)
		SELECT organization_id, id, 'FINISHED', id, at, at, at, '{}' FROM rows`,
	`INSERT INTO mails (organization_id, id, address, kind, state, created_at, expires_at, next_attempt_at, done_at)
		SELECT organization_id, id, '', 'invitation', 'SENT', at, at, at, at FROM rows`,
	`ANALYZE`,
	`SELECT pg_stat_force_next_flush()`, // otherwise the reads of this session are counted later
}

// filledRows returns the statements of fillForRemoval for many kept rows and the same 500 old ones.
func filledRows(rows int) []string {
	statements := slices.Clone(fillForRemoval)
	for i, statement := range statements {
		statement = strings.ReplaceAll(statement, "20000", strconv.Itoa(rows))
		statements[i] = strings.ReplaceAll(statement, "n % 40", "n % "+strconv.Itoa(rows/oldRows))
	}
	return statements
}

// oldRows is the number of rows that each job removes.
const oldRows = 500

// rowsRead returns the number of rows and index entries that ended sessions have read in all
// tables.
func rowsRead(t testing.TB, owner *sql.DB) (n int64) {
	t.Helper()
	require.NoError(t, owner.QueryRowContext(t.Context(), `
		SELECT (SELECT coalesce(sum(seq_tup_read), 0) FROM pg_stat_user_tables)
		     + (SELECT coalesce(sum(idx_tup_read), 0) FROM pg_stat_user_indexes)`).Scan(&n))
	return n
}

// runCounted runs a job in its own sessions, as the program's role, and returns the numbers of
// removed and read rows.
func runCounted(t testing.TB, c *harness.Clinic, owner *sql.DB, name string) (removed, read int64) {
	t.Helper()
	before := rowsRead(t, owner)
	opened := c.Database.Open(t)
	instance := harness.SecondInstance(t, c, opened)
	for _, job := range instance.App.BackgroundJobs() {
		if job.Name == name {
			n, err := job.Run(t.Context())
			require.NoError(t, err)
			removed = n
		}
	}
	opened.Close() // a session adds what it has read to the statistics when it ends
	require.Eventually(t, func() bool {
		var sessions int
		err := owner.QueryRowContext(t.Context(), `
			SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
			AND application_name LIKE 'omnirapeutic%'`).Scan(&sessions)
		return err == nil && sessions == 0
	}, 20*time.Second, 10*time.Millisecond)
	return removed, rowsRead(t, owner) - before
}

// filledForRemoval returns a practice on a filled database, and a connection as the tables' owner.
func filledForRemoval(t testing.TB, statements []string) (*harness.Clinic, *sql.DB) {
	t.Helper()
	database := harness.TwoPractices.New(t)
	opened := database.Open(t)
	c := harness.Serve(t, database, opened)
	owner, err := sql.Open("pgx", c.Database.OwnerURL)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, owner.Close()) })
	owner.SetMaxOpenConns(1) // the statements share a temporary table
	for _, statement := range statements {
		_, err := owner.ExecContext(t.Context(), statement)
		require.NoError(t, err)
	}
	opened.Close()
	return c, owner
}

// BenchmarkPeriodicJobs removes 500 rows of each table with 10,000, and with 1,000,000 kept rows, and
// reports for each job the rows and index entries that it reads for a removed row. They should not depend
// on the number of kept rows.
func BenchmarkPeriodicJobs(b *testing.B) {
	for _, rows := range []int{10_000, 1_000_000} {
		b.Run(strconv.Itoa(rows), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				c, owner := filledForRemoval(b, filledRows(rows))
				for _, job := range c.App.BackgroundJobs() {
					if !strings.HasPrefix(job.Name, "remove-") {
						continue
					}
					b.StartTimer()
					removed, read := runCounted(b, c, owner, job.Name)
					b.StopTimer()
					b.ReportMetric(float64(read)/float64(removed), job.Name+"-rows/removed")
				}
				b.StartTimer()
			}
		})
	}
}

// TestPeriodicJobsReadOnlyDueRows fills every table that jobs read with many rows, few
// of them old, and runs each job twice as the program's role. The first run reads in proportion to
// the rows that it removes, the second next to nothing.
func TestPeriodicJobsReadOnlyDueRows(t *testing.T) {
	t.Parallel()
	c, owner := filledForRemoval(t, fillForRemoval)
	const few int64 = 2000 // of 20,000 in each table; it covers reads of the system's own tables
	for _, job := range c.App.BackgroundJobs() {
		if job.PerInstance {
			runCounted(t, c, owner, job.Name) // reads the present state once
			_, read := runCounted(t, c, owner, job.Name)
			if job.Name != "load-revocations" { // a new process loads the revocations of the last hours
				require.LessOrEqual(t, read, few, "%s has nothing to do, and reads many rows", job.Name)
			}
			continue
		}
		removed, read := runCounted(t, c, owner, job.Name)
		if strings.HasPrefix(job.Name, "remove-") {
			require.GreaterOrEqual(t, removed, int64(oldRows), job.Name)
		}
		require.LessOrEqual(t, read, 10*removed+few, "%s removes %d rows, and reads many more", job.Name, removed)
		again, read := runCounted(t, c, owner, job.Name)
		require.LessOrEqual(t, again, int64(2), "%s has finished", job.Name)
		// PostgreSQL may still read the index entries of the rows that were just removed.
		require.LessOrEqual(t, read, few+2*removed, "%s has nothing to do, and reads many rows", job.Name)
	}
}
