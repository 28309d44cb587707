package verification

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/sirupsen/logrus"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/lease"
)

const (
	// leaseTime is how long a run belongs to its instance without a renewal.
	leaseTime = 30 * time.Second
	// renewEvery is how often an instance renews the lease and writes the progress.
	renewEvery = time.Second
	// pollEvery is how often a caller checks for the end of a run on another instance.
	pollEvery = 100 * time.Millisecond
	// longest is the maximum duration of a run. A check that hangs must not block the next one
	// forever.
	longest = 24 * time.Hour
	// atStop is the maximum time for writing the end of a run when the program stops.
	atStop = 2 * time.Second
	// keep is how long runs are kept.
	keep = 90 * 24 * time.Hour
)

// ErrClosed means that the program is stopping and starts no run.
var ErrClosed = errors.New("verification: the program is stopping")

var errLeaseLost = errors.New("verification: the lease was lost")

// Check checks the ledger and the audit trail of an organization in a mode, reports its progress, and
// returns the result as JSON.
type Check func(ctx context.Context, organization uuid.UUID, mode Mode, progress *Progress) (result any, err error)

// Dependencies are the dependencies of the service.
type Dependencies struct {
	Database *db.DB
	Check    Check
	Clock    func() time.Time
	NewID    func() uuid.UUID
	Logger   logrus.FieldLogger
	// OnEnded is called when a run of this instance ends, with "finished" or the failure.
	OnEnded func(outcome string, took time.Duration)
}

// Service implements the use cases of verifications. It is safe for concurrent use. Its methods act
// in the organization of the [identity.Caller] in the context and fail without one.
type Service struct {
	Dependencies
	store store
	life  context.Context // Close ends it, and with it the runs
	end   context.CancelFunc

	mu        sync.Mutex
	closed    bool
	working   sync.WaitGroup
	localRuns map[uuid.UUID]chan struct{} // runs of this instance; closed when the run ends
}

// New returns the service. Close it.
func New(d Dependencies) *Service {
	life, end := context.WithCancel(context.Background())
	return &Service{Dependencies: d, life: life, end: end, localRuns: map[uuid.UUID]chan struct{}{}}
}

// Close interrupts the runs of this instance and waits for their end. Later calls of Start return
// [ErrClosed].
func (s *Service) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.end()
	s.working.Wait()
}

// Running returns the number of runs of this instance.
func (s *Service) Running() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.localRuns)
}

// now returns the time with the precision of the database: whole microseconds.
func (s *Service) now() time.Time { return s.Clock().UTC().Truncate(time.Microsecond) }

// enter reports whether work may begin. Close waits for that work.
func (s *Service) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.working.Add(1)
	}
	return !s.closed
}

// Start starts a run for the caller's organization and returns it, or the run that is already
// running on any instance, in any mode. The error is [ErrClosed] when the program stops.
func (s *Service) Start(ctx context.Context, mode Mode) (Run, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return Run{}, err
	}
	if !s.enter() {
		return Run{}, ErrClosed
	}
	created := Run{
		OrganizationID: caller.OrganizationID, ID: s.NewID(), Mode: mode, State: Running, StartedBy: caller.UserID,
		StartedAt: s.now(),
	}
	for {
		current, err := s.insertRun(ctx, created)
		switch {
		case err != nil:
			s.working.Done()
			return Run{}, err
		case len(current) == 0:
			continue // the other run ended between the two statements
		case current[0].ID == created.ID:
			s.runInBackground(created)
		default:
			s.working.Done()
		}
		return current[0].run(), nil
	}
}

// insertRun writes the run, or returns the organization's running one if there is one.
func (s *Service) insertRun(ctx context.Context, created Run) ([]runRow, error) {
	return db.ReadCommitted(ctx, s.Database, "verification.start", func(ctx context.Context) ([]runRow, error) {
		if err := s.store.endExpired(ctx); err != nil {
			return nil, err
		}
		if _, err := s.store.insert(ctx, created, leaseTime); err != nil {
			return nil, err
		}
		return s.store.running(ctx)
	}, db.ProvenBy(func(ctx context.Context) (bool, error) { return s.store.exists(ctx, created.ID) }))
}

// Await returns the run at its end, or its current state after the given time. The error is
// [ErrNotFound].
func (s *Service) Await(ctx context.Context, id uuid.UUID, atMost time.Duration) (Run, error) {
	timeout := time.NewTimer(max(atMost, 0))
	defer timeout.Stop()
	s.mu.Lock()
	ended, isLocal := s.localRuns[id]
	s.mu.Unlock()
	for {
		var poll <-chan time.Time
		if !isLocal {
			r, err := s.Run(ctx, id)
			if err != nil || r.State != Running {
				return r, err
			}
			poll = time.After(pollEvery)
		}
		select {
		case <-ended:
			return s.Run(ctx, id)
		case <-timeout.C:
			return s.Run(ctx, id)
		case <-ctx.Done():
			return Run{}, ctx.Err()
		case <-poll:
		}
	}
}

// Run returns a run of the caller's organization. The error is [ErrNotFound].
func (s *Service) Run(ctx context.Context, id uuid.UUID) (Run, error) {
	return db.Snapshot(ctx, s.Database, "verification.get",
		func(ctx context.Context) (Run, error) { return s.store.get(ctx, id) })
}

// Runs lists the runs of the caller's organization.
func (s *Service) Runs(ctx context.Context, page db.Keyset) ([]Run, error) {
	return db.Snapshot(ctx, s.Database, "verification.list",
		func(ctx context.Context) ([]Run, error) { return s.store.list(ctx, page) })
}

// Forget removes old runs of all organizations and returns their number. Index:
// verifications_by_age.
func (s *Service) Forget(ctx context.Context) (int64, error) {
	return db.RemoveOld(ctx, s.Database, db.Removal{
		Operation: "verification.forget", Table: "verifications", Key: []string{"organization_id", "id"},
		Time: "started_at", Before: s.now().Add(-keep),
	})
}

// runInBackground executes the run in the background.
func (s *Service) runInBackground(r Run) {
	ended := make(chan struct{})
	s.mu.Lock()
	s.localRuns[r.ID] = ended
	s.mu.Unlock()
	go func() {
		defer s.working.Done()
		defer func() {
			s.mu.Lock()
			delete(s.localRuns, r.ID)
			s.mu.Unlock()
			close(ended)
		}()
		s.execute(identity.With(s.life, identity.System(r.OrganizationID)), r)
	}()
}

// execute runs the check, renews the lease meanwhile, and writes the end of the run.
func (s *Service) execute(ctx context.Context, r Run) {
	log := s.Logger.WithFields(logrus.Fields{"operation": "verification", "organization_id": r.OrganizationID})
	began := time.Now()
	var progress Progress
	checking, cancel := context.WithCancelCause(ctx)
	checking, release := context.WithTimeout(checking, longest)
	defer release()
	var renewing sync.WaitGroup
	renewing.Go(func() {
		if err := s.lease(r.ID, &progress).Keep(checking); err != nil {
			cancel(errLeaseLost)
		}
	})
	result, err := s.runCheck(checking, r, &progress)
	lost := context.Cause(checking) == errLeaseLost //nolint:errorlint // compared by identity
	cancel(nil)
	renewing.Wait()

	now := s.now()
	r.FinishedAt = &now
	r.Authorizations, r.Events = progress.counts()
	outcome := "finished"
	switch {
	case err == nil:
		r.State, r.Result = Finished, result
	case lost || ctx.Err() != nil:
		r.State, r.Failure, outcome = Failed, new(Interrupted), string(Interrupted)
		log.WithField("event", "verification_interrupted").Warn("a verification was interrupted; it can be started again")
	default:
		r.State, r.Failure, outcome = Failed, new(Broken), string(Broken)
		log = log.WithError(err)
		if p, ok := errors.AsType[*panicError](err); ok {
			log = log.WithField("stack", string(p.stack))
		}
		log.WithField("event", "verification_failed").Error("a verification ended with an error")
	}
	s.OnEnded(outcome, time.Since(began))
	if lost {
		return // the lease has expired, so the run has already ended
	}
	if err := s.writeEnd(ctx, r); err != nil {
		log.WithField("event", "verification_not_written").WithError(err).
			Warn("the end of a verification was not stored; it shows as interrupted")
	}
}

// panicError is a panic of a check.
type panicError struct {
	value any
	stack []byte
}

func (p *panicError) Error() string { return fmt.Sprintf("panic: %v", p.value) }

// runCheck runs the check. A panic ends the run and not the program.
func (s *Service) runCheck(ctx context.Context, r Run, progress *Progress) (result json.RawMessage, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &panicError{p, debug.Stack()}
		}
	}()
	found, err := s.Check(ctx, r.OrganizationID, r.Mode, progress)
	if err != nil {
		return nil, err
	}
	return json.Marshal(found)
}

// lease returns the lease of a run. Each renewal writes the progress.
func (s *Service) lease(id uuid.UUID, progress *Progress) lease.Lease {
	return lease.Lease{Duration: leaseTime, Every: renewEvery, Renew: func(ctx context.Context) (bool, error) {
		authorizations, events := progress.counts()
		return db.ReadCommitted(ctx, s.Database, "verification.renew", func(ctx context.Context) (bool, error) {
			return s.store.renew(ctx, id, authorizations, events, leaseTime)
		})
	}}
}

// writeEnd writes the end of the run. It retries as long as the lease lasts. When the program
// stops, it tries once, for a short time.
func (s *Service) writeEnd(ctx context.Context, r Run) error {
	for until := time.Now().Add(leaseTime); ; {
		stopping := ctx.Err() != nil
		err := s.writeEndOnce(context.WithoutCancel(ctx), r)
		if err == nil || errors.Is(err, errLeaseLost) || stopping || time.Now().After(until) {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(renewEvery):
		}
	}
}

func (s *Service) writeEndOnce(ctx context.Context, r Run) error {
	ctx, cancel := context.WithTimeout(ctx, atStop)
	defer cancel()
	held, err := db.ReadCommitted(ctx, s.Database, "verification.end", func(ctx context.Context) (bool, error) {
		return s.store.end(ctx, r)
	})
	if err == nil && !held {
		err = errLeaseLost
	}
	return err
}
