package audit_test

import (
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
	o := open(t)
	first, second := uuid.New(), uuid.New()
	o.days(t, first, 0, 10)
	o.days(t, second, 5, 2)
	owner := o.asOwner(t)

	made, err := owner.Remove(t.Context(), audit.Removal{Before: moment.AddDate(0, 0, 4), By: "operator"})
	require.NoError(t, err)
	require.Len(t, made, 1, "the other trail is younger")
	require.EqualValues(t, 4, made[0].Position)
	require.EqualValues(t, 4, made[0].Removed)
	r := o.verify(t, first)
	require.True(t, r.OK, "%v", r.Problems)
	require.Equal(t, 7, r.Events, "six events and the removal itself")
	require.EqualValues(t, 4, r.Removed)
	require.EqualValues(t, 11, r.Heads[0].Position)
	for _, right := range o.recomputed(t, first) {
		require.True(t, right, "recomputation continues from the checkpoint")
	}

	made, err = owner.Remove(t.Context(), audit.Removal{Before: moment.AddDate(1, 0, 0), By: "operator"})
	require.NoError(t, err)
	require.Len(t, made, 2)
	all := o.verify(t, uuid.Nil)
	require.True(t, all.OK, "%v", all.Problems)
	require.EqualValues(t, 13, all.Removed)
	o.days(t, first, 20, 3)
	r = o.verify(t, first)
	require.True(t, r.OK, "the chain continues: %v", r.Problems)
	require.Equal(t, 4, r.Events)

	made, err = owner.Remove(t.Context(), audit.Removal{Before: moment, By: "operator"})
	require.NoError(t, err)
	require.Empty(t, made)
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
		`INSERT INTO audit_checkpoints SELECT organization_id, position, hash, 2, 'x', now() FROM audit_seals WHERE position = 2`)
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
