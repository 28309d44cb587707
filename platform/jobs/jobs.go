// Package jobs runs the background work of the program. All jobs are rows of one table, and have
// the same loop, log line and metrics.
//
// Most jobs run on one instance at a time, and once per interval for any number of instances. An
// instance claims such a job by a row of the table job_schedule and holds it by a lease. When an
// instance dies or freezes, its lease expires and another takes over. The claim is an ordinary
// UPDATE, so it works behind poolers in transaction mode.
//
// Other jobs run on every instance, because they concern the process or because the instances
// share their work by locks. A signal can wake such a job before its time.
package jobs

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/lease"
	"omnirapeutic/platform/tracing"
)

// Job is background work. Run must be safe to repeat and to interrupt: an instance that has lost
// its lease may still finish a statement while another instance begins.
type Job struct {
	Name  string        // name in the log, the metrics and the table job_schedule
	Every time.Duration // interval between starts; 0: never
	// Run does the work and returns the number of processed rows, messages or holds.
	Run func(ctx context.Context) (int64, error)
	// PerInstance: every instance runs the job.
	PerInstance bool
	// AtStop: the job also runs when the program stops.
	AtStop bool
	// Quiet: successful runs are logged at debug level only, because they are frequent.
	Quiet bool
	// Failure is the message of a failed run, for operators. Empty: a general one.
	Failure string
	// Wake starts a PerInstance job before its time, but not after a failed run. It may be nil.
	Wake <-chan struct{}
	// Gather waits after a signal for more work, so that one run does it all. It returns false if
	// the context ends. nil: no wait.
	Gather func(ctx context.Context) bool
}

// Gather returns a [Job.Gather] that waits for a fixed time.
func Gather(d time.Duration) func(ctx context.Context) bool {
	return func(ctx context.Context) bool {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(d):
			return true
		}
	}
}

// Times of the scheduler.
const (
	// leaseTime is how long a claim lasts without a renewal.
	leaseTime = 30 * time.Second
	// renewEvery allows two failed renewals.
	renewEvery = leaseTime / 3
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
	tracer   *tracing.Tracer
	metrics  metrics
}

// New returns a scheduler of the jobs and registers its metrics. The instance is the id of this
// process. Each run is a trace; the tracer may be nil.
func New(
	database *db.DB, instance uuid.UUID, logger logrus.FieldLogger, tracer *tracing.Tracer,
	registry prometheus.Registerer, all ...Job,
) *Scheduler {
	s := &Scheduler{
		jobs: all, schedule: table{database, instance}, logger: logger, tracer: tracer, metrics: newMetrics(registry),
	}
	for _, j := range all {
		s.metrics.last.interval.WithLabelValues(j.Name).Set(j.Every.Seconds())
	}
	return s
}

// Run runs each job when it is due, or only the named jobs, until the context ends and the running
// jobs have stopped.
func (s *Scheduler) Run(ctx context.Context, names ...string) {
	var work sync.WaitGroup
	for _, j := range s.jobs {
		if j.Every > 0 && (len(names) == 0 || slices.Contains(names, j.Name)) {
			work.Go(func() { s.repeat(ctx, j) })
		}
	}
	work.Wait()
}

// repeat runs the job until the context ends.
func (s *Scheduler) repeat(ctx context.Context, j Job) {
	for {
		wait, err := s.runIfDue(ctx, j)
		next := j
		if err != nil {
			next.Wake = nil // the cause may last: not before the next interval
		}
		if !due(ctx, next, wait) {
			break
		}
	}
	if j.AtStop {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), atStop)
		defer cancel()
		_ = s.run(ctx, j) // logged
	}
}

// due returns true when the job is due, and false when the context ends.
func due(ctx context.Context, j Job, wait time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(wait):
		return true
	case <-j.Wake:
		return j.Gather == nil || j.Gather(ctx)
	}
}

// runIfDue runs the job if this instance can claim it. It returns the time until the next check, and
// the error of the run.
func (s *Scheduler) runIfDue(ctx context.Context, j Job) (time.Duration, error) {
	if j.PerInstance {
		return j.Every, s.run(ctx, j)
	}
	claimed, wait, err := s.schedule.claim(ctx, j.Name, j.Every)
	if err != nil {
		s.fail(ctx, j, err, "a background job could not be claimed; it is retried at its next turn")
		return min(j.Every, recheck), err
	}
	if !claimed {
		return min(wait, recheck), nil
	}
	err = s.runWithLease(ctx, j)
	if err := s.schedule.release(context.WithoutCancel(ctx), j.Name); err != nil {
		s.fail(ctx, j, err, "a background job could not be released; its lease expires by itself")
	}
	return min(j.Every, recheck), err
}

// runWithLease runs the job, and ends it when the lease is lost.
func (s *Scheduler) runWithLease(ctx context.Context, j Job) error {
	ctx, cancel := context.WithCancelCause(ctx)
	held := lease.Lease{
		Duration: leaseTime,
		Every:    renewEvery,
		Renew:    func(ctx context.Context) (bool, error) { return s.schedule.renew(ctx, j.Name) },
	}
	var renewing sync.WaitGroup
	renewing.Go(func() {
		if err := held.Keep(ctx); err != nil {
			cancel(err)
		}
	})
	err := s.run(ctx, j)
	cancel(nil)
	renewing.Wait()
	return err
}

// run runs the job once, and logs and counts the run. A panic ends only the run: if it ended the
// program, the job would be due again after the next start.
func (s *Scheduler) run(ctx context.Context, j Job) error {
	began := time.Now()
	rows, err := s.trace(ctx, j)
	took := time.Since(began)
	s.metrics.ran(j.Name, rows, took, err)
	log := s.logger.WithFields(logrus.Fields{
		"event":      "job_ran",
		"operation":  j.Name,
		"rows":       rows,
		"elapsed_ms": took.Milliseconds(),
	})
	//nolint:errorlint // cancelled by the end of the program
	stopped := ctx.Err() != nil && context.Cause(ctx) == context.Canceled
	switch {
	case err != nil && stopped:
	case err != nil:
		log.WithField("event", "job_failed").WithError(err).
			Warn(cmp.Or(j.Failure, "a background job did not finish; it continues at its next turn"))
	case rows > 0 && !j.Quiet:
		log.Info("a background job ran")
	default:
		log.Debug("a background job ran")
	}
	return err
}

// trace runs the job in a trace of its own.
func (s *Scheduler) trace(ctx context.Context, j Job) (rows int64, err error) {
	ctx, span := s.tracer.StartRoot(ctx, "job "+j.Name)
	defer span.End()
	rows, err = runSafely(ctx, j)
	span.Set(tracing.Job, j.Name)
	span.SetNumber(tracing.Rows, int(rows))
	if err != nil {
		span.Fail("job-failed")
	}
	return rows, err
}

func runSafely(ctx context.Context, j Job) (rows int64, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return j.Run(ctx)
}

func (s *Scheduler) fail(ctx context.Context, j Job, err error, message string) {
	if ctx.Err() == nil {
		s.logger.WithFields(logrus.Fields{"event": "job_failed", "operation": j.Name}).WithError(err).Warn(message)
	}
}
