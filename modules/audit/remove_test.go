package audit_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/audit"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/telemetry/logtest"
)

// asOwner returns the service with the rights of the tables' owner.
func (o *office) asOwner(t *testing.T) *audit.Service {
	t.Helper()
	opened, err := db.Open(t.Context(), db.Config{URL: o.place.OwnerURL, MaxConns: 2})
	require.NoError(t, err)
	t.Cleanup(opened.Close)
	logger := logtest.Logger()
	return audit.New(audit.Dependencies{Database: opened, Clock: func() time.Time { return o.now }, Logger: logger})
}

// days records one event on each of n days.
func (o *office) days(t *testing.T, organization uuid.UUID, from, n int) {
	t.Helper()
	for day := from; day < from+n; day++ {
		e := full(organization)
		e.OccurredAt = moment.AddDate(0, 0, day)
		o.record(t, e)
	}
	o.seal(t)
}

func TestRemove(t *testing.T) {
	t.Parallel()
	o, starts := openWithMonths(t, 4)
	first, second := uuid.New(), uuid.New()
	o.recordAt(t, first, inMonth(starts[0]), inMonth(starts[0]), inMonth(starts[1]), inMonth(starts[2]))
	o.recordAt(t, second, inMonth(starts[1]))
	owner := o.asOwner(t)

	removal := audit.Removal{Before: starts[1].AddDate(0, 0, 20), By: "operator"}
	made, err := owner.Remove(t.Context(), removal)
	require.NoError(t, err)
	require.Len(t, made, 1, "the other trail has nothing in the month that has ended")
	require.EqualValues(t, 2, made[0].Position)
	require.EqualValues(t, 2, made[0].Removed)
	require.Zero(t, o.count(t, `SELECT count(*) FROM pg_class WHERE relname LIKE 'audit%_2040_01_01'`), "the partition is dropped")
	r := o.verify(t, first)
	require.True(t, r.OK, "%v", r.Problems)
	require.Equal(t, 3, r.Events, "two events and the removal itself")
	require.EqualValues(t, 2, r.Removed)
	require.EqualValues(t, 5, r.Heads[0].Position)
	for _, right := range o.recomputed(t, first) {
		require.True(t, right, "recomputation continues from the checkpoint")
	}
	made, err = owner.Remove(t.Context(), removal)
	require.NoError(t, err)
	require.Empty(t, made, "it is done")

	o.recordAt(t, second, moment) // a clock is wrong, or the event was on a disk for long
	made, err = owner.Remove(t.Context(), audit.Removal{Before: o.now.AddDate(1, 0, 0), By: "operator"})
	require.NoError(t, err)
	require.Len(t, made, 2)
	all := o.verify(t, uuid.Nil)
	require.True(t, all.OK, "%v", all.Problems)
	require.EqualValues(t, 2+2+2, all.Removed)
	o.recordAt(t, first, moment, o.now)
	r = o.verify(t, first)
	require.True(t, r.OK, "every time has a partition, and the chain continues: %v", r.Problems)
}

// TestARemovalEndsWithTheLastEventOfAMonth seals an event of January after an event of February.
func TestARemovalEndsWithTheLastEventOfAMonth(t *testing.T) {
	t.Parallel()
	o, starts := openWithMonths(t, 3)
	organization := uuid.New()
	o.recordAt(t, organization, inMonth(starts[0]), starts[1].Add(time.Second), starts[1].Add(-time.Second), inMonth(starts[1]))
	owner := o.asOwner(t)
	made, err := owner.Remove(t.Context(), audit.Removal{Before: starts[1], By: "operator"})
	require.NoError(t, err)
	require.Empty(t, made, "an event of February would have to go too, which is not older")
	made, err = owner.Remove(t.Context(), audit.Removal{Before: starts[1].Add(time.Minute), By: "operator"})
	require.NoError(t, err)
	require.Len(t, made, 1)
	require.EqualValues(t, 3, made[0].Removed)
	r := o.verify(t, organization)
	require.True(t, r.OK, "%v", r.Problems)
	require.Equal(t, 2, r.Events)
}

func TestATrailThatIsKeptKeepsItsMonths(t *testing.T) {
	t.Parallel()
	o, starts := openWithMonths(t, 4)
	held, other := uuid.New(), uuid.New()
	o.recordAt(t, other, inMonth(starts[0]), inMonth(starts[1]), inMonth(starts[2]))
	o.recordAt(t, held, inMonth(starts[1]))
	remove := func(kept map[uuid.UUID]time.Time) []audit.Checkpoint {
		t.Helper()
		made, err := o.asOwner(t).Remove(t.Context(), audit.Removal{Before: starts[3], By: "operator", Kept: kept})
		require.NoError(t, err)
		require.True(t, o.verify(t, uuid.Nil).OK)
		return made
	}
	made := remove(map[uuid.UUID]time.Time{held: {}})
	require.Len(t, made, 1, "only the month in which it has no event")
	require.EqualValues(t, 1, made[0].Position)
	require.Empty(t, remove(map[uuid.UUID]time.Time{held: starts[1]}), "it has an event since then")
	require.Len(t, remove(map[uuid.UUID]time.Time{held: starts[2]}), 2)
}

// TestWritersDoNotWaitForARemoval holds the partition with an open transaction. The removal waits, and a writer
// does not.
func TestWritersDoNotWaitForARemoval(t *testing.T) {
	t.Parallel()
	o, starts := openWithMonths(t, 3)
	organization := uuid.New()
	o.recordAt(t, organization, inMonth(starts[0]), inMonth(starts[1]))
	holder, err := o.program.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer holder.Rollback() //nolint:errcheck // ends below
	_, err = holder.ExecContext(t.Context(), `SELECT FROM audit_events`)
	require.NoError(t, err)
	owner := o.asOwner(t)
	removed := make(chan error, 1)
	go func() {
		_, err := owner.Remove(context.WithoutCancel(t.Context()), audit.Removal{Before: starts[1].AddDate(0, 0, 1), By: "operator"})
		removed <- err
	}()
	require.Eventually(t, func() bool {
		return o.count(t, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
			AND query LIKE '%DETACH PARTITION%' AND wait_event_type = 'Lock' AND pid <> pg_backend_pid()`) == 1
	}, 20*time.Second, time.Millisecond)
	o.recordAt(t, organization, o.now) // does not wait
	require.Empty(t, removed)
	require.NoError(t, holder.Commit())
	require.NoError(t, <-removed)
	r := o.verify(t, organization)
	require.True(t, r.OK, "%v", r.Problems)
}

// TestAnInterruptedRemovalIsFinished has a checkpoint, and a partition of the events that is detached.
func TestAnInterruptedRemovalIsFinished(t *testing.T) {
	t.Parallel()
	o, starts := openWithMonths(t, 3)
	organization := uuid.New()
	o.recordAt(t, organization, inMonth(starts[0]), inMonth(starts[0]), inMonth(starts[1]))
	_, err := o.owner.ExecContext(t.Context(), `INSERT INTO audit_checkpoints
		SELECT organization_id, position, hash, 2, 'x', $1 FROM audit_seals WHERE position = 2`, o.now)
	require.NoError(t, err)
	require.True(t, o.verify(t, organization).OK, "its partitions are being dropped")
	detach := func(bound time.Time) {
		t.Helper()
		_, err := o.owner.ExecContext(t.Context(), fmt.Sprintf(`
			DO $$ DECLARE p record; BEGIN
				FOR p IN SELECT name FROM partitions_of('audit_events') WHERE ends_at <= '%s' LOOP
					EXECUTE format('ALTER TABLE audit_events DETACH PARTITION %%s', p.name);
				END LOOP; END $$`, bound.Format(time.RFC3339)))
		require.NoError(t, err)
	}
	detach(starts[1])
	require.True(t, o.verify(t, organization).OK)
	o.now = o.now.Add(2 * time.Hour)
	require.Equal(t, "position", o.verify(t, organization).Problems[0].Check, "the removal was interrupted")
	made, err := o.asOwner(t).Remove(t.Context(), audit.Removal{Before: moment, By: "operator"})
	require.NoError(t, err)
	require.Empty(t, made)
	require.Zero(t, o.count(t, `SELECT count(*) FROM pg_class WHERE relname LIKE 'audit%_2040_01_01'`))
	r := o.verify(t, organization)
	require.True(t, r.OK, "%v", r.Problems)
	require.EqualValues(t, 2, r.Removed)

	detach(starts[2])
	require.Equal(t, "event", o.verify(t, organization).Problems[0].Check)
	_, err = o.asOwner(t).Remove(t.Context(), audit.Removal{Before: moment, By: "operator"})
	require.NoError(t, err)
	r = o.verify(t, organization)
	require.True(t, r.OK, "events without a checkpoint are put back: %v", r.Problems)
	require.Equal(t, 1, r.Events)
}

func TestOnlyTheOwnerRemoves(t *testing.T) {
	t.Parallel()
	o := open(t)
	organization := uuid.New()
	o.days(t, organization, 0, 3)
	_, err := o.Remove(t.Context(), audit.Removal{Before: moment.AddDate(1, 0, 0), By: "the program"})
	require.ErrorContains(t, err, "42501")
	_, err = o.asOwner(t).Remove(t.Context(), audit.Removal{Before: moment.AddDate(1, 0, 0)})
	require.Error(t, err, "without an operator")

	require.Equal(t, "23001", stateOf(t, o.owner, `SET omnirapeutic.audit_removal = 'on'; DELETE FROM audit_events`),
		"there is no checkpoint")
	require.Equal(t, "23001", stateOf(t, o.owner,
		`INSERT INTO audit_checkpoints VALUES ('`+organization.String()+`', 2, sha256(''), 2, 'x', now())`), "its hash is invented")
	_, err = o.owner.ExecContext(t.Context(),
		`INSERT INTO audit_checkpoints SELECT organization_id, position, hash, 2, 'x', now() - interval '1 year'
			FROM audit_seals WHERE position = 2`)
	require.NoError(t, err)
	require.Equal(t, "23001", stateOf(t, o.owner,
		`INSERT INTO audit_checkpoints SELECT organization_id, position, hash, 1, 'x', now() FROM audit_seals WHERE position = 1`),
		"it precedes the last checkpoint")
	require.Equal(t, "23001", stateOf(t, o.owner, `RESET omnirapeutic.audit_removal; DELETE FROM audit_events`),
		"without the setting")
	require.Equal(t, "23001", stateOf(t, o.owner,
		`SET omnirapeutic.audit_removal = 'on'; DELETE FROM audit_seals WHERE position = 3`), "it is after the checkpoint")
	require.Equal(t, "23001", stateOf(t, o.owner,
		`SET omnirapeutic.audit_removal = 'on'; UPDATE audit_events SET address = ''`), "only DELETE is allowed")
	require.Equal(t, "23001", stateOf(t, o.owner, `SET omnirapeutic.audit_removal = 'on'; DELETE FROM audit_checkpoints`))
	require.Equal(t, 3, o.count(t, `SELECT count(*) FROM audit_events`))
	require.Equal(t, "position", o.verify(t, organization).Problems[0].Check, "events up to a checkpoint must be removed")
}

func TestNothingIsRemovedFromADamagedTrail(t *testing.T) {
	t.Parallel()
	o := open(t)
	o.days(t, uuid.New(), 0, 3)
	_, err := o.owner.ExecContext(t.Context(), `ALTER TABLE audit_events DISABLE TRIGGER USER`)
	require.NoError(t, err)
	_, err = o.owner.ExecContext(t.Context(), `UPDATE audit_events SET address = '' WHERE sequence = 2`)
	require.NoError(t, err)
	_, err = o.asOwner(t).Remove(t.Context(), audit.Removal{Before: moment.AddDate(1, 0, 0), By: "operator"})
	require.ErrorIs(t, err, audit.ErrDamaged)
	require.Equal(t, 3, o.count(t, `SELECT count(*) FROM audit_events`))
}
