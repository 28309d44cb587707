// Package jobs runs the periodic work of the program: removing old rows, releasing expired holds,
// publishing reminders. All jobs are in one list and have the same log line and the same metrics.
//
// A job runs on one instance at a time, and once per interval for any number of instances. An
// instance claims it by a row of the table job_schedule and holds it by a lease. When an instance
// dies or freezes, its lease expires and another takes over. The claim is an ordinary UPDATE, so it
// works behind poolers in transaction mode.
package jobs

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"

	"omnirapeutic/platform/db"
)

// Job is periodic work. Run must be safe to repeat and to interrupt: an instance that has lost its
// lease may still finish a statement while another instance begins.
type Job struct {
	Name  string        // name in the log, the metrics and the table job_schedule
	Every time.Duration // interval between starts; 0: never
	// Run does the work and returns the number of processed rows, messages or holds.
	Run func(ctx context.Context) (int64, error)
	// PerInstance: every instance runs the job, because it concerns the process.
	PerInstance bool
	// AtStop: the job also runs when the program stops.
	AtStop bool
}

// Times of the scheduler.
const (
	// lease is how long a claim lasts without a renewal.
	lease = 30 * time.Second
	// renewEvery allows two failed renewals.
	renewEvery = lease / 3
	// recheck is the maximum wait before the schedule is read again: another instance may have
	// claimed the job and died.
	recheck = time.Minute
	// atStop is the maximum duration of a job when the program stops.
	atStop = 2 * time.Second
)

// schedule decides which instance runs a job. Its times are the database's.
type schedule interface {
	// claim takes the job if it is due and no other instance holds it. Otherwise wait is the time
	// until that may be the case.
	claim(ctx context.Context, name string, every time.Duration) (claimed bool, wait time.Duration, err error)
	// renew extends the lease, and reports whether this instance still has it.
	renew(ctx context.Context, name string) (held bool, err error)
	// release releases the job after a run.
	release(ctx context.Context, name string) error
}

// Scheduler runs jobs.
type Scheduler struct {
	jobs     []Job
	schedule schedule
	logger   logrus.FieldLogger
	metrics  metrics
}

// New returns a scheduler of the jobs and registers its metrics. The instance is the id of this
// process.
func New(database *db.DB, instance uuid.UUID, logger logrus.FieldLogger, registry prometheus.Registerer, all ...Job) *Scheduler {
	return &Scheduler{jobs: all, schedule: table{database, instance}, logger: logger, metrics: newMetrics(registry)}
}

// Run runs each job when it is due, until the context ends and the running jobs have stopped.
func (s *Scheduler) Run(ctx context.Context) {
	var work sync.WaitGroup
	for _, j := range s.jobs {
		if j.Every > 0 {
			work.Go(func() { s.repeat(ctx, j) })
		}
	}
	work.Wait()
}

func (s *Scheduler) repeat(ctx context.Context, j Job) {
	for {
		wait := s.turn(ctx, j)
		select {
		case <-ctx.Done():
			if j.AtStop {
				ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), atStop)
				defer cancel()
				s.run(ending, j)
			}
			return
		case <-time.After(wait):
		}
	}
}

// turn runs the job if this instance can claim it, and returns the time until the next check.
func (s *Scheduler) turn(ctx context.Context, j Job) time.Duration {
	if j.PerInstance {
		s.run(ctx, j)
		return j.Every
	}
	claimed, wait, err := s.schedule.claim(ctx, j.Name, j.Every)
	if err != nil {
		s.fail(ctx, j, err, "a periodic job could not be claimed; it is retried at its next turn")
		return min(j.Every, recheck)
	}
	if !claimed {
		return min(wait, recheck)
	}
	s.runHeld(ctx, j)
	if err := s.schedule.release(context.WithoutCancel(ctx), j.Name); err != nil {
		s.fail(ctx, j, err, "a periodic job could not be released; its lease expires by itself")
	}
	return min(j.Every, recheck)
}

// runHeld runs the job, and ends it when the lease is lost.
func (s *Scheduler) runHeld(ctx context.Context, j Job) {
	ctx, cancel := context.WithCancelCause(ctx)
	var renewing sync.WaitGroup
	renewing.Go(func() { s.keepLease(ctx, j, cancel) })
	s.run(ctx, j)
	cancel(nil)
	renewing.Wait()
}

// keepLease renews the lease until the context ends, and cancels the job when the lease is lost.
func (s *Scheduler) keepLease(ctx context.Context, j Job, cancel context.CancelCauseFunc) {
	until := time.Now().Add(lease)
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(renewEvery):
		}
		started := time.Now()
		switch held, err := s.schedule.renew(ctx, j.Name); {
		case err == nil && !held:
			cancel(fmt.Errorf("another instance has taken over the job %s", j.Name))
		case err == nil:
			until = started.Add(lease)
		case started.After(until):
			cancel(fmt.Errorf("the lease of the job %s could not be renewed: %w", j.Name, err))
		}
	}
}

// run runs the job once. A panic ends only the run: if it ended the program, the job would be due
// again after the next start.
func (s *Scheduler) run(ctx context.Context, j Job) {
	began := time.Now()
	rows, err := func() (rows int64, err error) {
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("panic: %v", p)
			}
		}()
		return j.Run(ctx)
	}()
	took := time.Since(began)
	stopped := ctx.Err() != nil && context.Cause(ctx) == context.Canceled //nolint:errorlint // cancelled by the end of the program
	s.metrics.ran(j.Name, rows, took, err)
	log := s.logger.WithFields(logrus.Fields{"event": "job_ran", "operation": j.Name, "rows": rows, "elapsed_ms": took.Milliseconds()})
	switch {
	case err != nil && stopped:
	case err != nil:
		log.WithField("event", "job_failed").WithError(err).Warn("a periodic job did not finish; it continues at its next turn")
	case rows > 0:
		log.Info("a periodic job ran")
	default:
		log.Debug("a periodic job found nothing to do")
	}
}

func (s *Scheduler) fail(ctx context.Context, j Job, err error, message string) {
	if ctx.Err() == nil {
		s.logger.WithFields(logrus.Fields{"event": "job_failed", "operation": j.Name}).WithError(err).Warn(message)
	}
}
