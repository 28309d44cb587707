package verification_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	_ "github.com/jackc/pgx/v5/stdlib" // statements outside the program
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/verification"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/dbtest"
	"omnirapeutic/platform/identity"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

const long = time.Minute // longer than any test takes

// practice is an organization with a verification service.
type practice struct {
	*verification.Service
	owner *sql.DB
	ctx   context.Context // of a caller
	log   *bytes.Buffer   // read it after Close

	mu    sync.Mutex
	ended []string
}

func open(t *testing.T, check verification.Check) *practice {
	t.Helper()
	database := dbtest.New(t)
	owner, err := sql.Open("pgx", database.OwnerURL)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, owner.Close()) })
	organization := uuid.New()
	_, err = owner.ExecContext(t.Context(), `
		INSERT INTO organizations (id, name, time_zone, created_at, updated_at)
		VALUES ($1, 'A practice', 'UTC', now(), now())`, organization)
	require.NoError(t, err)
	p := &practice{owner: owner, log: &bytes.Buffer{}}
	p.ctx = identity.With(t.Context(), identity.Caller{UserID: uuid.New(), OrganizationID: organization})
	logger := logrus.New()
	logger.SetOutput(p.log)
	p.Service = verification.New(verification.Dependencies{
		Database: database.Open(t), Check: check, Clock: time.Now, NewID: func() uuid.UUID { return uuid.Must(uuid.NewV7()) },
		Logger: logger,
		OnEnded: func(outcome string, _ time.Duration) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.ended = append(p.ended, outcome)
		},
	})
	t.Cleanup(p.Close)
	return p
}

// verify starts a run and waits for its end.
func (p *practice) verify(t *testing.T) verification.Run {
	t.Helper()
	r, err := p.Start(p.ctx, verification.Full)
	require.NoError(t, err)
	require.Equal(t, verification.Running, r.State)
	r, err = p.Await(p.ctx, r.ID, long)
	require.NoError(t, err)
	return r
}

func (p *practice) requireFailed(t *testing.T, r verification.Run, why verification.Failure) {
	t.Helper()
	require.Equal(t, verification.Failed, r.State)
	require.Equal(t, why, *r.Failure)
	require.Nil(t, r.Result)
	require.NotNil(t, r.FinishedAt)
}

func TestARunStoresItsResult(t *testing.T) {
	t.Parallel()
	p := open(t, func(_ context.Context, _ uuid.UUID, _ verification.Mode, progress *verification.Progress) (any, error) {
		progress.Authorizations(3, 3)
		progress.Events(5, 7)
		return map[string]int{"found": 4}, nil
	})
	r := p.verify(t)
	require.Equal(t, verification.Finished, r.State)
	require.JSONEq(t, `{"found": 4}`, string(r.Result))
	require.EqualValues(t, 3, *r.Authorizations.Total)
	require.EqualValues(t, 5, r.Events.Checked)
	require.Zero(t, p.Running())
}

func TestAFailingCheckEndsOnlyItsRun(t *testing.T) {
	t.Parallel()
	for name, check := range map[string]verification.Check{
		"it panics": func(context.Context, uuid.UUID, verification.Mode, *verification.Progress) (any, error) {
			panic("a bug in the check")
		},
		"it fails": func(context.Context, uuid.UUID, verification.Mode, *verification.Progress) (any, error) {
			return nil, errors.New("a bug in the check")
		},
		"its result cannot be stored": func(context.Context, uuid.UUID, verification.Mode, *verification.Progress) (any, error) {
			return func() {}, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := open(t, check)
			p.requireFailed(t, p.verify(t), verification.Broken)
			p.requireFailed(t, p.verify(t), verification.Broken)
			p.Close()
			require.Contains(t, p.log.String(), "verification_failed")
			require.Equal(t, []string{"error", "error"}, p.ended)
		})
	}
}

// untilEnd is a check that runs until its context ends.
func untilEnd(begun chan<- struct{}) verification.Check {
	return func(ctx context.Context, _ uuid.UUID, _ verification.Mode, _ *verification.Progress) (any, error) {
		begun <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}
}

func TestCloseInterruptsTheRunAndWaitsForIt(t *testing.T) {
	t.Parallel()
	started := make(chan struct{}, 1)
	p := open(t, untilEnd(started))
	r, err := p.Start(p.ctx, verification.Full)
	require.NoError(t, err)
	<-started
	require.Equal(t, 1, p.Running())
	p.Close()
	require.Zero(t, p.Running())
	ended, err := p.Run(p.ctx, r.ID)
	require.NoError(t, err)
	p.requireFailed(t, ended, verification.Interrupted)
	_, err = p.Start(p.ctx, verification.Full)
	require.ErrorIs(t, err, verification.ErrClosed)
}

func TestARunThatLostItsLeaseEnds(t *testing.T) {
	t.Parallel()
	started := make(chan struct{}, 2)
	p := open(t, untilEnd(started))
	r, err := p.Start(p.ctx, verification.Full)
	require.NoError(t, err)
	<-started
	_, err = p.owner.ExecContext(t.Context(), "UPDATE verifications SET lease_until = now()")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return p.Running() == 0 }, long, 10*time.Millisecond, "its check is stopped")
	ended, err := p.Run(p.ctx, r.ID)
	require.NoError(t, err)
	p.requireFailed(t, ended, verification.Interrupted)

	again, err := p.Start(p.ctx, verification.Full)
	require.NoError(t, err)
	require.NotEqual(t, r.ID, again.ID)
	<-started
}

func TestACancelledRequestDoesNotEndItsRun(t *testing.T) {
	t.Parallel()
	proceed := make(chan struct{})
	p := open(t, func(ctx context.Context, _ uuid.UUID, _ verification.Mode, _ *verification.Progress) (any, error) {
		select {
		case <-proceed:
			return "done", nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	})
	ctx, cancel := context.WithCancel(p.ctx)
	r, err := p.Start(ctx, verification.Full)
	require.NoError(t, err)
	cancel()
	_, err = p.Await(ctx, r.ID, long)
	require.ErrorIs(t, err, context.Canceled)
	close(proceed)
	r, err = p.Await(p.ctx, r.ID, long)
	require.NoError(t, err)
	require.Equal(t, verification.Finished, r.State)
}

func TestOldRunsAreRemoved(t *testing.T) {
	t.Parallel()
	p := open(t, func(context.Context, uuid.UUID, verification.Mode, *verification.Progress) (any, error) {
		return "done", nil
	})
	old, recent := p.verify(t), p.verify(t)
	_, err := p.owner.ExecContext(t.Context(),
		"UPDATE verifications SET started_at = now() - interval '91 days' WHERE id = $1", old.ID)
	require.NoError(t, err)
	removed, err := p.Forget(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, removed)
	_, err = p.Run(p.ctx, old.ID)
	require.ErrorIs(t, err, verification.ErrNotFound)
	_, err = p.Run(p.ctx, recent.ID)
	require.NoError(t, err)
	runs, err := p.Runs(p.ctx, db.Keyset{Descending: true, Limit: 10})
	require.NoError(t, err)
	require.Len(t, runs, 1)
}
