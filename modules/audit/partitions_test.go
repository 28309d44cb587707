package audit_test

import (
	"context"
	"database/sql"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/db"
)

// split ends the last partitions of the trail at each of the times.
func (o *office) split(t *testing.T, at ...time.Time) {
	t.Helper()
	for _, table := range []string{"audit_events", "audit_seals"} {
		for _, bound := range at {
			_, err := o.owner.ExecContext(t.Context(), `SELECT split_last_partition($1::text::regclass, $2)`, table, bound)
			require.NoError(t, err)
		}
	}
}

// splitFirst divides the first partitions of an empty trail.
func (o *office) splitFirst(t *testing.T, bound time.Time) {
	t.Helper()
	for _, table := range []string{"audit_events", "audit_seals"} {
		var end time.Time
		require.NoError(t, o.owner.QueryRowContext(t.Context(),
			`SELECT ends_at FROM partitions_of($1::text::regclass) LIMIT 1`, table).Scan(&end))
		_, err := o.owner.ExecContext(t.Context(), fmt.Sprintf(`
			ALTER TABLE %[1]s DETACH PARTITION partitions.%[1]s_first;
			ALTER TABLE %[1]s ATTACH PARTITION partitions.%[1]s_first FOR VALUES FROM ('%[2]s') TO ('%[3]s');
			SELECT add_first_partition('%[1]s')`, table, bound.Format(time.RFC3339), end.Format(time.RFC3339)))
		require.NoError(t, err)
	}
}

// months returns the starts of n months after all partitions of a fresh database.
func months(n int) []time.Time {
	all := make([]time.Time, n)
	for i := range all {
		all[i] = time.Date(2040, time.January+time.Month(i), 1, 0, 0, 0, 0, time.UTC)
	}
	return all
}

// inMonth returns a time in the month that starts at one of [months].
func inMonth(start time.Time) time.Time { return start.AddDate(0, 0, 14) }

// openWithMonths is [open] with partitions that start at [months], in the last of these months.
func openWithMonths(t *testing.T, n int) (*office, []time.Time) {
	t.Helper()
	o, starts := open(t), months(n)
	o.split(t, starts...)
	o.now = inMonth(starts[n-1])
	return o, starts
}

func (o *office) recordAt(t *testing.T, organization uuid.UUID, at ...time.Time) {
	t.Helper()
	for _, occurred := range at {
		e := full(organization)
		e.OccurredAt = occurred
		o.record(t, e)
	}
	o.seal(t)
}

func TestPartitionsAreOnlyReachedThroughTheirTable(t *testing.T) {
	t.Parallel()
	o := open(t)
	o.split(t, months(2)...)
	o.recordAt(t, uuid.New(), moment, inMonth(months(1)[0]))
	rows, err := o.owner.QueryContext(t.Context(), `
		SELECT c.oid::regclass::text FROM pg_class c WHERE c.relispartition AND c.relkind = 'r' ORDER BY 1`)
	require.NoError(t, err)
	var partitions []string
	for rows.Next() {
		var name string
		require.NoError(t, rows.Scan(&name))
		partitions = append(partitions, name)
	}
	require.NoError(t, rows.Err())
	require.Greater(t, len(partitions), 8)
	for _, name := range partitions {
		for _, statement := range []string{
			"SELECT FROM " + name, "DELETE FROM " + name, "INSERT INTO " + name + " DEFAULT VALUES", "TRUNCATE " + name,
			"ALTER TABLE " + name + " ADD extra text", "DROP TABLE " + name,
		} {
			require.Equal(t, "42501", stateOf(t, o.program, statement), statement)
		}
		require.Equal(t, "23001", stateOf(t, o.owner, "TRUNCATE "+name))
	}
	for _, change := range []string{"UPDATE %s SET sequence = DEFAULT", "DELETE FROM %s"} {
		require.Equal(t, "23001", stateOf(t, o.owner, fmt.Sprintf(change, "partitions.audit_events_first")))
		require.Equal(t, "23001", stateOf(t, o.owner, fmt.Sprintf(change, "partitions.audit_seals_2040_01_01")))
	}
	for _, statement := range []string{
		"SELECT split_last_partition('audit_events', '2050-01-01')", "SELECT partition_by_time('audit_lists')",
		"ALTER TABLE audit_events DETACH PARTITION partitions.audit_events_first",
	} {
		require.Equal(t, "42501", stateOf(t, o.program, statement), statement)
	}
}

// TestVerifyFindsPositionsOfOtherPartitions adds a position and a sequence number that exist in another
// partition. No key of the tables prevents it.
func TestVerifyFindsPositionsOfOtherPartitions(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ tamper, check string }{
		"a position twice": {
			`INSERT INTO audit_seals SELECT organization_id, position, occurred_at - interval '1 year', sequence, hash, sealed_at
				FROM audit_seals WHERE position = 2`, "position",
		},
		"a changed position": {`UPDATE audit_seals SET position = 1 WHERE position = 2`, "position"},
		"a seal in another partition": {
			`UPDATE audit_seals SET occurred_at = occurred_at - interval '1 year' WHERE position = 2`, "event",
		},
		"an event in another partition": {
			`UPDATE audit_events SET occurred_at = occurred_at - interval '1 year' WHERE occurred_at > '2040-02-01'`, "event",
		},
		"an event twice": {
			`INSERT INTO audit_events OVERRIDING SYSTEM VALUE
				SELECT organization_id, sequence, occurred_at - interval '1 year', actor_id, request_id, action, outcome,
					subject_type, subject_id, patient_id, address, grant_id, before, after
				FROM audit_events WHERE occurred_at > '2040-02-01'`, "unsealed",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := open(t)
			starts := months(3)
			o.split(t, starts...)
			organization := uuid.New()
			o.recordAt(t, organization, inMonth(starts[0]), inMonth(starts[1]), inMonth(starts[0]))
			r := o.verify(t, organization)
			require.True(t, r.OK, "events may be sealed later than events that occurred after them: %v", r.Problems)
			require.Equal(t, 3, r.Events)
			for _, table := range []string{"audit_events", "audit_seals"} {
				_, err := o.owner.ExecContext(t.Context(), "ALTER TABLE "+table+" DISABLE TRIGGER USER")
				require.NoError(t, err)
			}
			result, err := o.owner.ExecContext(t.Context(), test.tamper)
			require.NoError(t, err)
			changed, err := result.RowsAffected()
			require.NoError(t, err)
			require.EqualValues(t, 1, changed)

			r = o.verify(t, organization)
			var checks []string
			for _, p := range r.Problems {
				checks = append(checks, p.Check)
			}
			require.Contains(t, checks, test.check)
		})
	}
}

func TestAddPartitions(t *testing.T) {
	t.Parallel()
	o := open(t)
	added, err := o.AddPartitions(t.Context())
	require.NoError(t, err)
	require.Zero(t, added, "the migration has added them")
	end, err := o.PartitionsEnd(t.Context())
	require.NoError(t, err)
	now := time.Now().UTC()
	next := time.Date(now.Year(), now.Month()+3, 1, 0, 0, 0, 0, time.UTC)
	require.True(t, end.Equal(next), "%v", end)

	// Without the last month.
	drop := func(table string) {
		t.Helper()
		previous := next.AddDate(0, -1, 0)
		name := "partitions." + table + previous.Format("_2006_01_02")
		_, err := o.owner.ExecContext(t.Context(), `DROP TABLE partitions.`+table+next.Format("_2006_01_02")+`;
			ALTER TABLE `+table+` DETACH PARTITION `+name+`;
			ALTER TABLE `+table+` ATTACH PARTITION `+name+` FOR VALUES FROM ('`+previous.Format(time.RFC3339)+`') TO (MAXVALUE)`)
		require.NoError(t, err)
	}
	drop("audit_events")
	drop("audit_seals")
	holder, err := o.program.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	_, err = holder.ExecContext(t.Context(), `SELECT FROM audit_events`)
	require.NoError(t, err)
	_, err = o.AddPartitions(t.Context())
	require.ErrorContains(t, err, "55P03", "it does not wait for a transaction, because writers would wait behind it")
	require.NoError(t, holder.Rollback())

	added, err = o.AddPartitions(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 2, added)
	end, err = o.PartitionsEnd(t.Context())
	require.NoError(t, err)
	require.True(t, end.Equal(next))

	drop("audit_events")
	o.recordAt(t, uuid.New(), next.AddDate(1, 0, 0))
	_, err = o.AddPartitions(t.Context())
	require.ErrorContains(t, err, "the last partition of audit_events has rows")
	o.split(t, next.AddDate(2, 0, 0))
	added, err = o.AddPartitions(t.Context())
	require.NoError(t, err)
	require.Zero(t, added)
	require.True(t, o.verify(t, uuid.Nil).OK)
}

// plan returns the executed plan of a statement, as the program's role and in a transaction of one
// organization.
func (o *office) plan(t *testing.T, organization uuid.UUID, statement string) string {
	t.Helper()
	tx, err := o.program.BeginTx(t.Context(), &sql.TxOptions{ReadOnly: true})
	require.NoError(t, err)
	defer tx.Rollback() //nolint:errcheck // nothing to commit
	_, err = tx.ExecContext(t.Context(), `SELECT set_config('omni.organizations', $1, true),
		set_config('enable_seqscan', 'off', true)`, "{"+organization.String()+"}") // the partitions are small
	require.NoError(t, err)
	rows, err := tx.QueryContext(t.Context(), "EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, SUMMARY OFF, COSTS OFF) "+statement)
	require.NoError(t, err)
	defer rows.Close() //nolint:errcheck // rows.Err reports it
	var lines []string
	for rows.Next() {
		var line string
		require.NoError(t, rows.Scan(&line))
		lines = append(lines, line)
	}
	require.NoError(t, rows.Err())
	return strings.Join(lines, "\n")
}

// scanned matches a partition in a plan that was read, not only opened.
var scanned = regexp.MustCompile(`Scan .*on audit_(events|seals)_\w+ \w+ \(actual`)

// TestReadsOfManyPartitions reads the plans of statements with 84 months, each with 40 events of four
// organizations.
func TestReadsOfManyPartitions(t *testing.T) {
	t.Parallel()
	o := open(t)
	starts := months(84)
	o.split(t, starts...)
	organization := uuid.New()
	o.fillMonths(t, organization, starts)

	for name, test := range map[string]struct {
		statement string
		opened    int // partitions that are read, at most
	}{
		"the search of a month": {
			`SELECT * FROM audit_events e WHERE organization_id = $1 AND occurred_at >= '2042-03-01' AND occurred_at < '2042-04-01'
				ORDER BY occurred_at DESC, sequence DESC LIMIT 50`, 1,
		},
		"the newest events": {
			`SELECT * FROM audit_events e WHERE organization_id = $1 ORDER BY occurred_at DESC, sequence DESC LIMIT 15`, 4,
		},
		"the newest events of a user": {
			`SELECT * FROM audit_events e WHERE organization_id = $1 AND actor_id = $1
				ORDER BY occurred_at DESC, sequence DESC LIMIT 15`, 4,
		},
		"an event with its seal": {
			`SELECT * FROM (SELECT * FROM audit_events e WHERE organization_id = $1 ORDER BY occurred_at DESC, sequence DESC
				LIMIT 15) e LEFT JOIN LATERAL (SELECT * FROM audit_seals s WHERE s.organization_id = e.organization_id
				AND s.occurred_at = e.occurred_at AND s.sequence = e.sequence OFFSET 0) s ON true`, 8,
		},
		"the period of a section": {
			`SELECT min(occurred_at), max(occurred_at) FROM audit_seals
				WHERE organization_id = $1 AND position > 400 AND position <= 420`, 88,
		},
		"a section in its period": {
			`SELECT * FROM audit_seals s LEFT JOIN LATERAL (
				SELECT * FROM audit_events e WHERE e.organization_id = s.organization_id AND e.occurred_at = s.occurred_at
					AND e.sequence = s.sequence AND e.occurred_at >= '2043-05-01' AND e.occurred_at < '2043-07-01' OFFSET 0) e ON true
				WHERE s.organization_id = $1 AND s.position > 400 AND s.position <= 420
				AND s.occurred_at >= '2043-05-01' AND s.occurred_at < '2043-07-01' ORDER BY s.position`, 4,
		},
		"the last seal up to a position": {
			`SELECT position, hash FROM audit_seals WHERE organization_id = $1 AND position <= 400 ORDER BY position DESC LIMIT 1`,
			88,
		},
	} {
		t.Run(name, func(t *testing.T) {
			plan := o.plan(t, organization, strings.ReplaceAll(test.statement, "$1", "'"+organization.String()+"'"))
			executed := len(scanned.FindAllString(plan, -1))
			require.LessOrEqual(t, executed, test.opened, plan)
			require.Positive(t, executed, plan)
			require.NotContains(t, plan, "Seq Scan", "it reads no other organization's rows")
			var hits, reads int
			for _, line := range strings.Split(plan, "\n") { // of the whole plan
				if _, text, found := strings.Cut(line, "Buffers: shared"); found {
					_, _ = fmt.Sscanf(text, " hit=%d read=%d", &hits, &reads)
					break
				}
			}
			require.LessOrEqual(t, hits+reads, 4*test.opened+60, "a few pages for each partition: %s", plan)
		})
	}
}

// fillMonths records ten events of the organization and 30 of others in each month, in a sealed chain.
func (o *office) fillMonths(t *testing.T, organization uuid.UUID, starts []time.Time) {
	t.Helper()
	_, err := db.ReadCommitted(t.Context(), o.database, "fill", func(ctx context.Context) (struct{}, error) {
		tx, err := db.Handle(ctx)
		if err != nil {
			return struct{}{}, err
		}
		return struct{}{}, tx.Exec(`
			WITH e AS (
				INSERT INTO audit_events (organization_id, occurred_at, actor_id, request_id, action, outcome, subject_type, address)
				SELECT CASE WHEN n % 4 = 0 THEN $1::uuid ELSE md5((n % 4)::text)::uuid END,
					$2::timestamptz + m * interval '1 month' + n * interval '1 minute', $1::uuid, '', 'thing.change', 'done', '', ''
				FROM generate_series(0, $3::integer - 1) m, generate_series(1, 40) n ORDER BY m, n
				RETURNING *
			)
			INSERT INTO audit_seals
			SELECT organization_id, row_number() OVER (PARTITION BY organization_id ORDER BY sequence), occurred_at, sequence,
				sha256(''), now() FROM e`, organization, starts[0].AddDate(0, 0, 1), len(starts)).Error
	}, db.AllOrganizations())
	require.NoError(t, err)
	_, err = o.owner.ExecContext(t.Context(), `ANALYZE audit_events, audit_seals`)
	require.NoError(t, err)
}
