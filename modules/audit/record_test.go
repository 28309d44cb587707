package audit_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	_ "github.com/jackc/pgx/v5/stdlib" // statements outside the program
	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/audit"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/dbtest"
	"omnirapeutic/platform/telemetry/logtest"
	"omnirapeutic/platform/trail"
)

var moment = time.Date(2026, 7, 1, 9, 0, 0, 123_456_000, time.UTC)

// office is an audit trail in its own database.
type office struct {
	*audit.Service
	place    dbtest.Database
	database *db.DB
	owner    *sql.DB
	program  *sql.DB // plain SQL, as the program's role
	now      time.Time
}

func open(t *testing.T) *office {
	t.Helper()
	place := dbtest.New(t)
	o := &office{
		place: place, database: place.Open(t), owner: connect(t, place.OwnerURL),
		program: connect(t, dbtest.WithAllOrganizations(place.AppURL)), now: moment,
	}
	logger := logtest.Logger()
	o.Service = audit.New(audit.Dependencies{
		Database: o.database, Clock: func() time.Time { return o.now }, Logger: logger,
	})
	return o
}

func connect(t *testing.T, url string) *sql.DB {
	t.Helper()
	opened, err := sql.Open("pgx", url)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, opened.Close()) })
	return opened
}

func (o *office) record(t *testing.T, events ...trail.Event) {
	t.Helper()
	require.NoError(t, o.try(t.Context(), nil, events...))
}

// try records the events and ends the transaction with the error.
func (o *office) try(ctx context.Context, end error, events ...trail.Event) error {
	_, err := db.Serializable(ctx, o.database, "test", func(ctx context.Context) (struct{}, error) {
		return struct{}{}, errors.Join(o.Record(ctx, events), end)
	}, db.AllOrganizations())
	return err
}

func (o *office) count(t *testing.T, query string, arguments ...any) (n int) {
	t.Helper()
	require.NoError(t, o.owner.QueryRowContext(t.Context(), query, arguments...).Scan(&n))
	return n
}

// event returns an event of the organization.
func event(organization uuid.UUID) trail.Event {
	return trail.Event{
		OrganizationID: organization, ActorID: uuid.New(), RequestID: "r-1", Action: "thing.change",
		SubjectType: "thing", SubjectID: uuid.New(), OccurredAt: moment,
	}
}

func TestRecord(t *testing.T) {
	t.Parallel()
	o := open(t)
	full, empty := event(uuid.New()), trail.Event{Action: "audit.remove", OccurredAt: moment}
	full.PatientID, full.GrantID, full.Address = new(uuid.New()), new(uuid.New()), "192.0.2.1"
	full.Before, full.After = map[string]int{"units": 1}, map[string]int{"units": 2}
	o.record(t, full, empty)

	var actor, subject, patient, grant uuid.UUID
	var action, outcome, before, after, address, request string
	var at time.Time
	row := o.owner.QueryRowContext(t.Context(), `SELECT actor_id, subject_id, patient_id, grant_id,
			action, outcome, before, after, address, request_id, occurred_at
		FROM audit_events WHERE organization_id = $1`, full.OrganizationID)
	require.NoError(t, row.Scan(&actor, &subject, &patient, &grant, &action, &outcome, &before, &after, &address, &request,
		&at))
	require.Equal(t, []uuid.UUID{full.ActorID, full.SubjectID, *full.PatientID, *full.GrantID},
		[]uuid.UUID{actor, subject, patient, grant})
	require.Equal(t, []string{"thing.change", "done", `{"units":1}`, `{"units":2}`, "192.0.2.1", "r-1"},
		[]string{action, outcome, before, after, address, request})
	require.True(t, at.Equal(moment))
	require.Equal(t, 1, o.count(t, `SELECT count(*) FROM audit_events WHERE organization_id = $1 AND outcome = 'done'
		AND num_nulls(actor_id, subject_id, patient_id, grant_id, before, after) = 6`, uuid.Nil))
	require.Equal(t, 2, o.count(t, `SELECT count(*) FROM audit_unsealed`))
}

func TestRecordIsPartOfTheChange(t *testing.T) {
	t.Parallel()
	o := open(t)
	refused := errors.New("refused")
	require.ErrorIs(t, o.try(t.Context(), refused, event(uuid.New())), refused)
	require.Zero(t, o.count(t, `SELECT count(*) FROM audit_events`))
	require.Zero(t, o.count(t, `SELECT count(*) FROM audit_unsealed`))
	require.Error(t, o.Record(t.Context(), []trail.Event{event(uuid.New())}), "without a transaction")
	require.NoError(t, o.Record(t.Context(), nil))
}

func TestRecordRefusesInvalidEvents(t *testing.T) {
	t.Parallel()
	o := open(t)
	for name, spoil := range map[string]func(*trail.Event){
		"no action":      func(e *trail.Event) { e.Action = "" },
		"no verb":        func(e *trail.Event) { e.Action = "thing" },
		"a sentence":     func(e *trail.Event) { e.Action = "thing.change of Ada" },
		"no time":        func(e *trail.Event) { e.OccurredAt = time.Time{} },
		"a string":       func(e *trail.Event) { e.After = "Ada" },
		"a list":         func(e *trail.Event) { e.Before = []int{1} },
		"not encodable":  func(e *trail.Event) { e.After = map[string]any{"f": func() {}} },
		"unknown result": func(e *trail.Event) { e.Outcome = "perhaps" },
	} {
		e := event(uuid.New())
		spoil(&e)
		require.Error(t, o.try(t.Context(), nil, e), name)
	}
	require.Zero(t, o.count(t, `SELECT count(*) FROM audit_events`))
}

func TestTheTrailIsAppendOnly(t *testing.T) {
	t.Parallel()
	o := open(t)
	o.record(t, event(uuid.New()))
	_, err := o.owner.ExecContext(t.Context(),
		`INSERT INTO audit_seals SELECT organization_id, 1, occurred_at, sequence, sha256(''), now() FROM audit_events`)
	require.NoError(t, err)
	_, err = o.owner.ExecContext(t.Context(),
		`INSERT INTO audit_checkpoints SELECT organization_id, 1, hash, 1, 'x', now() FROM audit_seals`)
	require.NoError(t, err)
	for _, table := range []string{"audit_events", "audit_seals", "audit_checkpoints"} {
		for _, statement := range []string{
			"UPDATE " + table + " SET organization_id = organization_id", "DELETE FROM " + table, "TRUNCATE " + table,
		} {
			require.Equal(t, "42501", stateOf(t, o.program, statement), "the program's role lacks the privilege: %s", statement)
			require.Equal(t, "23001", stateOf(t, o.owner, statement), "the trigger binds the owner: %s", statement)
		}
	}
	for _, statement := range []string{
		"DELETE FROM audit_chains", "TRUNCATE audit_chains", "TRUNCATE audit_unsealed",
		"UPDATE audit_unsealed SET sequence = 0",
		"INSERT INTO audit_checkpoints SELECT organization_id, 2, hash, 1, 'x', now() FROM audit_seals",
	} {
		require.Equal(t, "42501", stateOf(t, o.program, statement), statement)
	}
}

func stateOf(t *testing.T, database *sql.DB, statement string) string {
	t.Helper()
	_, err := database.ExecContext(t.Context(), statement)
	refused, ok := errors.AsType[*pgconn.PgError](err)
	require.True(t, ok, "%s: %v", statement, err)
	return refused.Code
}
