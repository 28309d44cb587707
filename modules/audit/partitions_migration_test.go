package audit_test

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/postgres"
)

// migrationsUpTo returns the migrations of the program up to a number.
func migrationsUpTo(t *testing.T, last string) fs.FS {
	t.Helper()
	names, err := fs.Glob(db.Migrations(), "*.sql")
	require.NoError(t, err)
	chosen := fstest.MapFS{}
	for _, name := range names {
		if strings.Compare(name[:5], last) <= 0 {
			text, err := fs.ReadFile(db.Migrations(), name)
			require.NoError(t, err)
			chosen[name] = &fstest.MapFile{Data: text}
		}
	}
	return chosen
}

// TestTheTrailBecomesTheFirstPartition reverts the partitions of a trail with events, and adds them again. The
// file of the rows stays the same, so nothing is copied, and the program has its privileges at once.
func TestTheTrailBecomesTheFirstPartition(t *testing.T) {
	t.Parallel()
	o := open(t)
	organization := uuid.New()
	o.days(t, organization, 0, 3)
	insert := func() {
		t.Helper()
		_, err := o.program.ExecContext(t.Context(), `
			WITH e AS (INSERT INTO audit_events (organization_id, occurred_at, request_id, action, outcome, subject_type, address)
				VALUES ($1, $2, '', 'thing.change', 'done', '', '') RETURNING *)
			INSERT INTO audit_unsealed (organization_id, sequence, sequences, times)
				SELECT organization_id, sequence, ARRAY[sequence], ARRAY[occurred_at] FROM e`, organization, moment)
		require.NoError(t, err)
	}
	owner := db.Migrator{OwnerURL: o.place.OwnerURL}
	for hasPartitions := true; hasPartitions; {
		require.NoError(t, owner.Down(t.Context()))
		hasPartitions = o.count(t, `SELECT count(*) FROM pg_inherits`) > 0
	}
	insert()
	var before, after int
	require.NoError(t, o.owner.QueryRowContext(t.Context(), `SELECT pg_relation_filenode('audit_events')`).Scan(&before))
	sequence := o.count(t, `SELECT max(sequence) FROM audit_events`)

	// Without a role, so that only the migration itself grants privileges.
	require.NoError(t, db.Migrator{OwnerURL: o.place.OwnerURL, FS: migrationsUpTo(t, "00133")}.Up(t.Context()))
	require.NoError(t, o.owner.QueryRowContext(t.Context(),
		`SELECT pg_relation_filenode('partitions.audit_events_first')`).Scan(&after))
	require.Equal(t, before, after)
	insert()
	require.Equal(t, sequence+1, o.count(t, `SELECT max(sequence) FROM audit_events`), "the numbers continue")
	require.NoError(t, db.Migrator{OwnerURL: o.place.OwnerURL, AppRole: postgres.AppRole}.Up(t.Context()))
	r := o.verify(t, organization)
	require.True(t, r.OK, "%v", r.Problems)
	require.Equal(t, 5, r.Events)
}
