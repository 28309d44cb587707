package audit_test

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/db"
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
	migrator := func(last string) db.Migrator {
		return db.Migrator{OwnerURL: o.place.OwnerURL, FS: migrationsUpTo(t, last)}
	}
	for number := "99999"; number > "00132"; {
		applied, err := migrator(number).Status(t.Context())
		require.NoError(t, err)
		newest := applied[0]
		for _, m := range applied {
			if m.Applied {
				newest = m
			}
		}
		require.NoError(t, migrator(number).Down(t.Context()))
		if newest.Version == 133 {
			break
		}
	}
	require.True(t, o.verify(t, organization).OK, "the rows are in plain tables")
	var file, after int
	require.NoError(t, o.owner.QueryRowContext(t.Context(), `SELECT pg_relation_filenode('audit_events')`).Scan(&file))
	o.days(t, organization, 3, 2)
	sequence := o.count(t, `SELECT max(sequence) FROM audit_events`)

	require.NoError(t, migrator("00133").Up(t.Context())) // without a role: it grants nothing
	require.NoError(t, o.owner.QueryRowContext(t.Context(),
		`SELECT pg_relation_filenode('partitions.audit_events_first')`).Scan(&after))
	require.Equal(t, file, after)
	o.days(t, organization, 5, 2)
	require.Equal(t, sequence+2, o.count(t, `SELECT max(sequence) FROM audit_events`), "the numbers continue")
	r := o.verify(t, organization)
	require.True(t, r.OK, "%v", r.Problems)
	require.Equal(t, 7, r.Events)
}
