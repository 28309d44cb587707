package audit_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/audit"
	"omnirapeutic/platform/trail"
)

func (o *office) seal(t *testing.T) int {
	t.Helper()
	n, err := o.Seal(t.Context())
	require.NoError(t, err)
	return n
}

// verify checks the organization's trail, or all trails for uuid.Nil.
func (o *office) verify(t *testing.T, organization uuid.UUID) audit.Findings {
	t.Helper()
	r, err := o.Verify(t.Context(),
		audit.VerificationScope{Organization: organization, Everything: organization == uuid.Nil}, nil)
	require.NoError(t, err)
	return r
}

// full returns an event in which every field is set.
func full(organization uuid.UUID) trail.Event {
	e := event(organization)
	e.PatientID, e.GrantID, e.Address = new(uuid.New()), new(uuid.New()), "2001:db8::1"
	e.Before, e.After = map[string]any{"text": "line\nbreak \"é\" <&>"}, map[string]any{"units": 2.5}
	return e
}

func TestSeal(t *testing.T) {
	t.Parallel()
	o := open(t)
	first, second := uuid.New(), uuid.New()
	require.Zero(t, o.seal(t), "there are no events yet")
	require.True(t, o.verify(t, uuid.Nil).OK)

	o.record(t, full(first), event(second), event(first), trail.Event{Action: "auth.sign-in", OccurredAt: moment})
	require.Equal(t, 4, o.seal(t))
	require.Zero(t, o.seal(t))
	o.record(t, event(first))
	require.Equal(t, 1, o.seal(t))
	require.Equal(t, 3, o.count(t, `SELECT max(position) FROM audit_seals WHERE organization_id = $1`, first))
	require.Equal(t, 0, o.count(t, `SELECT count(*) FROM audit_unsealed`))

	r := o.verify(t, first)
	require.True(t, r.OK, "%v", r.Problems)
	require.Equal(t, 3, r.Events)
	require.EqualValues(t, 3, r.Heads[0].Position)
	all := o.verify(t, uuid.Nil)
	require.True(t, all.OK, "%v", all.Problems)
	require.Equal(t, 5, all.Events, "including events without an organization")
	require.Len(t, all.Heads, 3)
}

// TestSealersRunBesideWriters runs sealers of several instances during writes: every event gets
// one position.
func TestSealersRunBesideWriters(t *testing.T) {
	t.Parallel()
	o := open(t)
	organizations := []uuid.UUID{uuid.New(), uuid.New(), uuid.New()}
	const writers, each, sealers = 6, 20, 3
	start := make(chan struct{})
	var writing, sealing sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			<-start
			for i := range each {
				if err := o.try(t.Context(), nil, event(organizations[(w+i)%3]), event(organizations[i%3])); err != nil {
					t.Error(err)
				}
			}
		})
	}
	done := make(chan struct{})
	for range sealers {
		sealing.Go(func() {
			<-start
			for {
				if _, err := o.Seal(t.Context()); err != nil {
					t.Error(err)
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	close(start)
	writing.Wait()
	close(done)
	sealing.Wait()
	r := o.verify(t, uuid.Nil)
	require.True(t, r.OK, "%v", r.Problems)
	require.Equal(t, 2*writers*each, r.Events)
	require.Zero(t, r.Waiting)
}

// TestSealContinuesUntilNothingIsUnsealed: events of one statement are sealed together, in
// several transactions if needed.
func TestSealContinuesUntilNothingIsUnsealed(t *testing.T) {
	t.Parallel()
	o := open(t)
	organization := uuid.New()
	const statements, each = 9, 250
	for range statements {
		events := make([]trail.Event, each)
		for i := range events {
			events[i] = event(organization)
		}
		o.record(t, events...)
	}
	require.Equal(t, statements, o.count(t, `SELECT count(*) FROM audit_unsealed`),
		"one row for all events of a statement")
	require.Equal(t, statements*each, o.verify(t, organization).Events)
	require.Zero(t, o.count(t, `SELECT count(*) FROM audit_unsealed`))
	require.Equal(t, statements*each, o.count(t, `SELECT count(*) FROM audit_seals s1 JOIN audit_seals s2
		ON s2.position = s1.position + 1 AND s2.sequence > s1.sequence`)+1, "in the order of their sequence numbers")
}

// TestDeletedUnsealedEventsAreReported: if an event is deleted before it is sealed, the others of
// its statement are not sealed, and the problem is reported.
func TestDeletedUnsealedEventsAreReported(t *testing.T) {
	t.Parallel()
	o := open(t)
	organization := uuid.New()
	o.record(t, event(organization), event(organization), event(organization))
	o.record(t, event(organization))
	for _, statement := range []string{
		`ALTER TABLE audit_events DISABLE TRIGGER USER`,
		`DELETE FROM audit_events WHERE sequence = 2`,
		`UPDATE audit_unsealed SET recorded_at = now() - interval '61 seconds'`,
	} {
		_, err := o.owner.ExecContext(t.Context(), statement)
		require.NoError(t, err)
	}
	require.Equal(t, 1, o.seal(t), "events of other statements are sealed")
	r := o.verify(t, organization)
	require.Len(t, r.Problems, 3)
	require.Equal(t, "event", r.Problems[0].Check)
	require.EqualValues(t, 2, r.Problems[0].Sequence)
	for i, sequence := range []int64{1, 3} {
		require.Equal(t, "unsealed", r.Problems[1+i].Check)
		require.Equal(t, sequence, r.Problems[1+i].Sequence)
		require.Contains(t, r.Problems[1+i].Found, "none, since ")
	}
}

// TestADeletedSingleUnsealedEventIsReported: only the marker of the unsealed event is left.
func TestADeletedSingleUnsealedEventIsReported(t *testing.T) {
	t.Parallel()
	o := open(t)
	organization := uuid.New()
	o.record(t, event(organization))
	o.record(t, event(organization))
	o.tamper(t, `DELETE FROM audit_events WHERE sequence = 2`)
	require.Equal(t, 1, o.seal(t))
	for _, scope := range []uuid.UUID{organization, uuid.Nil} {
		r := o.verify(t, scope)
		require.False(t, r.OK)
		require.Len(t, r.Problems, 1)
		require.Equal(t, "event", r.Problems[0].Check)
		require.EqualValues(t, 2, r.Problems[0].Sequence)
		require.Equal(t, organization, r.Problems[0].OrganizationID)
	}
}

// TestUnsealableEventsBlockNoOthers: with many unsealable events in many organizations, the
// others are sealed and the sealer becomes idle.
func TestUnsealableEventsBlockNoOthers(t *testing.T) {
	t.Parallel()
	o := open(t)
	const statements, each, damaged = 4, 300, 25
	big := uuid.UUID{0: 1} // the sealer begins with it
	for range statements {
		events := make([]trail.Event, each)
		for i := range events {
			events[i] = event(big)
		}
		o.record(t, events...)
	}
	for i := range damaged {
		o.record(t, event(uuid.UUID{0: 2, 1: byte(i)}))
	}
	o.tamper(t,
		`DELETE FROM audit_events e USING audit_unsealed u WHERE e.organization_id = u.organization_id AND e.sequence = u.sequence`)
	last := uuid.UUID{0: 3}
	o.record(t, event(big))
	o.record(t, event(last), event(last))

	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	n, err := o.Seal(ctx)
	require.NoError(t, err)
	require.Equal(t, 3, n)
	require.True(t, o.verify(t, last).OK)
	require.Equal(t, statements+damaged, o.verify(t, uuid.Nil).ProblemCount, "the deleted events")
}

// tamper changes rows as the tables' owner, with triggers disabled.
func (o *office) tamper(t *testing.T, statements ...string) {
	t.Helper()
	for _, statement := range append([]string{`ALTER TABLE audit_events DISABLE TRIGGER USER`}, statements...) {
		_, err := o.owner.ExecContext(t.Context(), statement)
		require.NoError(t, err)
	}
}

func TestAnEventIsNotSealedBeforeItIsCommitted(t *testing.T) {
	t.Parallel()
	o := open(t)
	organization := uuid.New()
	late, err := o.program.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	const insert = `WITH e AS (INSERT INTO audit_events (organization_id, occurred_at, request_id, action, outcome, subject_type, address)
		VALUES ($1, $2, '', 'thing.change', 'done', '', '') RETURNING organization_id, sequence, occurred_at)
		INSERT INTO audit_unsealed (organization_id, sequence, sequences, times)
		SELECT organization_id, sequence, ARRAY[sequence], ARRAY[occurred_at] FROM e`
	_, err = late.ExecContext(t.Context(), insert, organization, moment)
	require.NoError(t, err)
	o.record(t, event(organization))
	require.Equal(t, 1, o.seal(t), "it has the later number and is sealed first")
	require.NoError(t, late.Commit())
	require.Equal(t, 1, o.seal(t), "no event is skipped")
	r := o.verify(t, organization)
	require.True(t, r.OK, "%v", r.Problems)
	require.Equal(t, 2, r.Events)
}

// TestVerifyFinds changes rows as the tables' owner, with triggers disabled, one change at a
// time.
func TestVerifyFinds(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		it, tamper string
		checks     []string
	}{
		{"a changed actor", `UPDATE audit_events SET actor_id = gen_random_uuid() WHERE sequence = 2`, []string{"hash"}},
		{
			"a changed time", `UPDATE audit_events SET occurred_at = occurred_at + interval '1 second' WHERE sequence = 2`,
			[]string{"event"},
		},
		{
			"a changed before value", `UPDATE audit_events SET before = '{"text": "other"}' WHERE sequence = 1`,
			[]string{"hash"},
		},
		{
			"a before value with another format", `UPDATE audit_events SET before = before::jsonb::text WHERE sequence = 1`,
			[]string{"hash"},
		},
		{"a deleted event", `DELETE FROM audit_events WHERE sequence = 2`, []string{"event"}},
		{"a deleted seal", `DELETE FROM audit_seals WHERE position = 2`, []string{"position", "hash", "unsealed"}},
		{"a deleted last seal", `DELETE FROM audit_seals WHERE position = 3`, []string{"position", "head", "unsealed"}},
		{
			"a deleted event with its seal",
			`WITH s AS (DELETE FROM audit_seals WHERE position = 3 RETURNING sequence)
				DELETE FROM audit_events e USING s WHERE e.sequence = s.sequence`,
			[]string{"position", "head"},
		},
		{"a changed hash", `UPDATE audit_seals SET hash = sha256(hash) WHERE position = 2`, []string{"hash"}},
		{"a changed head", `UPDATE audit_chains SET last_hash = sha256(last_hash)`, []string{"head"}},
		{
			"an inserted event",
			`INSERT INTO audit_events (organization_id, occurred_at, request_id, action, outcome, subject_type, address)
			 SELECT organization_id, occurred_at, '', 'thing.change', 'done', '', '' FROM audit_events WHERE sequence = 1`,
			[]string{"unsealed"},
		},
	} {
		t.Run("it finds "+test.it, func(t *testing.T) {
			t.Parallel()
			o := open(t)
			organization := uuid.New()
			o.record(t, full(organization), event(organization), event(organization))
			require.True(t, o.verify(t, organization).OK)
			for _, table := range []string{"audit_events", "audit_seals"} {
				_, err := o.owner.ExecContext(t.Context(), "ALTER TABLE "+table+" DISABLE TRIGGER USER")
				require.NoError(t, err)
			}
			result, err := o.owner.ExecContext(t.Context(), test.tamper)
			require.NoError(t, err)
			changed, err := result.RowsAffected()
			require.NoError(t, err)
			require.EqualValues(t, 1, changed)

			r := o.verify(t, organization)
			require.False(t, r.OK)
			found := map[string]bool{}
			for _, p := range r.Problems {
				require.Equal(t, organization, p.OrganizationID)
				require.NotEmpty(t, p.String())
				found[p.Check] = true
			}
			for _, check := range test.checks {
				require.True(t, found[check], "%s is not in %v", check, r.Problems)
			}
			require.Len(t, r.Problems, r.ProblemCount)
		})
	}
}

func TestVerifyReportsEventsThatStayUnsealed(t *testing.T) {
	t.Parallel()
	o := open(t)
	organization := uuid.New()
	o.record(t, event(organization))
	holder, err := o.owner.BeginTx(t.Context(), nil) // locks the chain against sealers
	require.NoError(t, err)
	defer holder.Rollback() //nolint:errcheck // nothing to commit
	_, err = o.program.ExecContext(t.Context(), `INSERT INTO audit_chains (organization_id) VALUES ($1)`, organization)
	require.NoError(t, err)
	_, err = holder.ExecContext(t.Context(), `SELECT FROM audit_chains FOR UPDATE`)
	require.NoError(t, err)

	r := o.verify(t, organization)
	require.True(t, r.OK, "%v", r.Problems)
	require.Equal(t, 1, r.Waiting)
	_, err = o.owner.ExecContext(t.Context(), `UPDATE audit_unsealed SET recorded_at = now() - interval '61 seconds'`)
	require.NoError(t, err)
	require.Equal(t, "unsealed", o.verify(t, organization).Problems[0].Check)
	b, err := o.Backlog(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, b.Waiting)
	require.GreaterOrEqual(t, b.Oldest, 61*time.Second)
	require.NoError(t, holder.Rollback())
	require.True(t, o.verify(t, organization).OK)
}

// TestAuditorsCanRecomputeHashes runs the statement of docs/operations.md before and after a
// change.
func TestAuditorsCanRecomputeHashes(t *testing.T) {
	t.Parallel()
	o := open(t)
	organization := uuid.New()
	denied := trail.Event{OrganizationID: organization, Action: "auth.sign-in", OccurredAt: moment, Outcome: trail.Denied}
	o.record(t, full(organization), denied, event(organization))
	require.Equal(t, 3, o.seal(t))
	require.Equal(t, []bool{true, true, true}, o.recomputed(t, organization))
	_, err := o.owner.ExecContext(t.Context(), `ALTER TABLE audit_events DISABLE TRIGGER USER`)
	require.NoError(t, err)
	_, err = o.owner.ExecContext(t.Context(), `UPDATE audit_events SET address = '192.0.2.9' WHERE sequence = 2`)
	require.NoError(t, err)
	require.Equal(t, []bool{true, false, true}, o.recomputed(t, organization))
}

// recomputed runs the statement that recomputes hashes.
func (o *office) recomputed(t *testing.T, organization uuid.UUID) []bool {
	t.Helper()
	return o.documented(t, organization, "SELECT s.position, ")
}

// documented runs the statement of docs/operations.md with the given beginning.
func (o *office) documented(t *testing.T, organization uuid.UUID, beginning string) (right []bool) {
	t.Helper()
	text, err := os.ReadFile("../../docs/operations.md")
	require.NoError(t, err)
	_, after, found := strings.Cut(string(text), "```sql\n"+beginning)
	require.True(t, found)
	statement, _, found := strings.Cut(after, "```")
	require.True(t, found)
	rows, err := o.owner.QueryContext(t.Context(),
		beginning+strings.Replace(statement, "…", organization.String(), 1))
	require.NoError(t, err)
	defer func() { require.NoError(t, rows.Close()) }()
	for rows.Next() {
		var position int
		var ok bool
		require.NoError(t, rows.Scan(&position, &ok))
		right = append(right, ok)
	}
	require.NoError(t, rows.Err())
	return right
}

// TestVerifyOfALongTrail damages a trail of several sections near their borders.
func TestVerifyOfALongTrail(t *testing.T) {
	t.Parallel()
	o := open(t)
	organization := uuid.New()
	const each, statements = 500, 22
	for range statements {
		events := make([]trail.Event, each)
		for i := range events {
			events[i] = event(organization)
		}
		o.record(t, events...)
	}
	r := o.verify(t, organization)
	require.True(t, r.OK, "%v", r.Problems)
	require.Equal(t, each*statements, r.Events)
	require.Len(t, r.Heads, 1)
	for _, damage := range []struct {
		it, change string
		want       []string // the checks and positions of the problems
	}{
		{"a seal before a border", `DELETE FROM audit_seals WHERE position = 5000`, []string{"position 5001", "hash 5001", "unsealed 0"}},
		{
			"a seal after a border", `DELETE FROM audit_seals WHERE position = 5001`,
			[]string{"position 5002", "hash 5002", "unsealed 0"},
		},
		{
			"the hash at a border", `UPDATE audit_seals SET hash = sha256(hash) WHERE position = 10000`,
			[]string{"hash 10000", "hash 10001"},
		},
		{
			"an event", `UPDATE audit_events SET address = 'x' WHERE (organization_id, sequence) IN (
			SELECT organization_id, sequence FROM audit_seals WHERE position IN (1, 5001, 11000))`,
			[]string{"hash 1", "hash 5001", "hash 11000"},
		},
		{
			"all seals of a section", `DELETE FROM audit_seals WHERE position BETWEEN 5001 AND 10000`,
			[]string{"position 10001", "hash 10001", "unsealed 0"},
		},
		{"a missing event", `DELETE FROM audit_events WHERE (organization_id, sequence) IN (
			SELECT organization_id, sequence FROM audit_seals WHERE position = 5001)`, []string{"event 5001"}},
		{"an event without a seal", `INSERT INTO audit_events (organization_id, occurred_at, request_id, action, outcome,
				subject_type, address)
			SELECT organization_id, occurred_at, '', 'x', 'done', '', '' FROM audit_events LIMIT 1`, []string{"unsealed 0"}},
		{
			"an event instead of another", `WITH gone AS (
				DELETE FROM audit_events WHERE (organization_id, sequence) IN (
					SELECT organization_id, sequence FROM audit_seals WHERE position = 7000) RETURNING *)
			INSERT INTO audit_events (organization_id, occurred_at, request_id, action, outcome, subject_type, address)
			SELECT organization_id, occurred_at, request_id, action, outcome, subject_type, address FROM gone`,
			[]string{"event 7000", "unsealed 0"},
		},
	} {
		t.Run(damage.it, func(t *testing.T) { //nolint:paralleltest // they share a trail
			tx, err := o.owner.BeginTx(t.Context(), nil)
			require.NoError(t, err)
			for _, statement := range []string{
				"CREATE TABLE kept_seals AS TABLE audit_seals", "CREATE TABLE kept_events AS TABLE audit_events",
				"ALTER TABLE audit_seals DISABLE TRIGGER USER", "ALTER TABLE audit_events DISABLE TRIGGER USER", damage.change,
			} {
				_, err := tx.ExecContext(t.Context(), statement)
				require.NoError(t, err, statement)
			}
			require.NoError(t, tx.Commit())
			r := o.verify(t, organization)
			var found []string
			for _, p := range r.Problems {
				if check := fmt.Sprintf("%s %d", p.Check, p.Position); !slices.Contains(found, check) {
					found = append(found, check)
				}
			}
			require.Equal(t, damage.want, found, "%v", r.Problems)
			for _, statement := range []string{
				"DELETE FROM audit_seals", "DELETE FROM audit_events", "INSERT INTO audit_seals TABLE kept_seals",
				"INSERT INTO audit_events OVERRIDING SYSTEM VALUE TABLE kept_events", "DROP TABLE kept_seals",
				"DROP TABLE kept_events",
			} {
				_, err := o.owner.ExecContext(t.Context(), statement)
				require.NoError(t, err, statement)
			}
		})
	}
}
