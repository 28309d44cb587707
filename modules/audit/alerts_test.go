package audit_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/audit"
	"omnirapeutic/platform/telemetry/logtest"
	"omnirapeutic/platform/trail"
)

// errRolledBack ends a transaction.
var errRolledBack = errors.New("rolled back")

func openWatched(t *testing.T) *office {
	t.Helper()
	o := open(t)
	o.Service = audit.New(audit.Dependencies{
		Database: o.database, Clock: func() time.Time { return o.now }, Logger: logtest.Logger(),
		Alerts: audit.AlertLimits{Patients: 100, Denials: 5, Emergency: "emergency.taken"},
	})
	return o
}

// readOf returns a read of new patients by an actor.
func readOf(organization, actor uuid.UUID, patients int, at time.Time) trail.Event {
	e := event(organization)
	e.Action, e.ActorID, e.SubjectType, e.SubjectID, e.OccurredAt = "patient.read", actor, "patient", uuid.Nil, at
	for range patients {
		id := uuid.New()
		e.Records = append(e.Records, trail.Subject{Type: "patient", ID: id, PatientID: id})
	}
	return e
}

// alerts returns the number of alerts that one run of the job finds.
func (o *office) alerts(t *testing.T) int64 {
	t.Helper()
	n, err := o.FindAlerts(t.Context())
	require.NoError(t, err)
	return n
}

func TestReadingManyPatientsIsAnAlert(t *testing.T) {
	t.Parallel()
	o := openWatched(t)
	organization, actor, other := uuid.New(), uuid.New(), uuid.New()
	note := func(events ...trail.Event) {
		t.Helper()
		require.NoError(t, o.Note(t.Context(), events))
	}
	same := readOf(organization, other, 60, moment)
	note(readOf(organization, actor, 60, moment), same, same)
	note(readOf(organization, actor, 40, moment.Add(time.Minute)), same)
	require.Zero(t, o.alerts(t), "100 patients are allowed, and a patient counts once")
	note(readOf(organization, actor, 1, moment.Add(2*time.Minute)))
	require.EqualValues(t, 1, o.alerts(t))
	note(readOf(organization, actor, 50, moment.Add(3*time.Minute)))
	require.Zero(t, o.alerts(t), "once in ten minutes")
	require.Equal(t, 1, o.count(t, `SELECT count(*) FROM audit_events WHERE action = 'alert.mass-read'
		AND organization_id = $1 AND subject_id = $2 AND subject_type = 'user' AND actor_id IS NULL
		AND after::jsonb = '{"patients": 101, "minutes": 10, "cause": "patient.read"}'`, organization, actor))

	o.now = moment.Add(time.Hour)
	note(readOf(organization, actor, 70, o.now), readOf(organization, actor, 30, o.now))
	require.Zero(t, o.alerts(t), "reads of an hour ago do not count")
	require.EqualValues(t, 1, o.Alerts()[audit.AlertMassRead])
}

func TestABurstOfDenialsIsAnAlert(t *testing.T) {
	t.Parallel()
	o := openWatched(t)
	organization, actor := uuid.New(), uuid.New()
	denied := func(n int, actor uuid.UUID, at time.Time) {
		t.Helper()
		for range n {
			e := event(organization)
			e.Outcome, e.ActorID, e.Address, e.OccurredAt = trail.Denied, actor, "192.0.2.9", at
			require.NoError(t, o.Note(t.Context(), []trail.Event{e}))
		}
	}
	denied(3, actor, moment)
	denied(5, actor, moment.Add(11*time.Minute))
	require.Zero(t, o.alerts(t), "five in ten minutes are allowed")
	denied(1, actor, moment.Add(12*time.Minute))
	denied(6, uuid.Nil, moment) // sign-ins from one address
	require.EqualValues(t, 2, o.alerts(t))
	require.Equal(t, 1, o.count(t, `SELECT count(*) FROM audit_events WHERE action = 'alert.denials'
		AND subject_id = $1 AND after::jsonb ->> 'denials' = '6'`, actor))
	require.Equal(t, 1, o.count(t, `SELECT count(*) FROM audit_events WHERE action = 'alert.denials'
		AND subject_id IS NULL AND address = '192.0.2.9'`))
}

func TestEmergencyAccessIsAnAlertAndAlertsAreNotLost(t *testing.T) {
	t.Parallel()
	o := openWatched(t)
	e := event(uuid.New())
	e.Action, e.PatientID, e.GrantID = "emergency.taken", new(uuid.New()), new(uuid.New())
	o.record(t, e)
	require.ErrorIs(t, o.try(t.Context(), errRolledBack, e), errRolledBack)
	o.tamper(t, `ALTER TABLE audit_unsealed RENAME TO hidden`)
	_, err := o.FindAlerts(t.Context())
	require.ErrorIs(t, err, trail.ErrNotRecorded)
	o.tamper(t, `ALTER TABLE hidden RENAME TO audit_unsealed`)
	require.EqualValues(t, 1, o.alerts(t), "of the committed event")
	require.Equal(t, 1, o.count(t, `SELECT count(*) FROM audit_events WHERE action = 'alert.emergency-access'
		AND patient_id = $1 AND grant_id = $2`, *e.PatientID, *e.GrantID))
	require.Equal(t, map[audit.AlertKind]int64{
		audit.AlertMassRead: 0, audit.AlertDenials: 0, audit.AlertEmergency: 1,
	}, o.Alerts())
}
