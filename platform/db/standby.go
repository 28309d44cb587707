package db

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/sirupsen/logrus"

	"omnirapeutic/platform/tracing"
)

// StandbyConfig configures reads from a standby.
type StandbyConfig struct {
	URL    string        // "": no standby
	MaxLag time.Duration // a standby that is further behind is not used
}

// standby answers reads of [WithEventualReads] while it follows the primary closely. Safe for concurrent use.
type standby struct {
	*DB      // a pool of connections to the standby, or to several of them behind a proxy
	maxLag   time.Duration
	history  *history
	counters *standbyMetrics
	logger   logrus.FieldLogger
	started  sync.Once
	stop     context.CancelFunc
	watching context.Context // ends with the DB
	stopped  sync.WaitGroup

	mu      sync.Mutex
	down    FallbackReason // not empty while the standby cannot be used; see [standby.watch]
	running map[*standbyRead]struct{}
}

// Bounds of a read from a standby. A read that exceeds one is made by the primary.
const (
	// admissionTimeout limits the wait for a connection and the answer to admissionQuery.
	admissionTimeout = 500 * time.Millisecond
	// readShare is the part of the request's remaining time that the read may take.
	readShare = 0.5
	// cancelDelay is how long the standby may take to confirm the cancellation of a statement.
	cancelDelay = 100 * time.Millisecond
)

// Reasons to end a read from a standby.
var (
	errStandbySlow = errors.New("db: the standby does not answer in time")
	errStandbyDown = errors.New("db: the standby does not answer")
)

// refusedStandby is the error of a connection whose server must not answer.
type refusedStandby struct{ reason FallbackReason }

func (r *refusedStandby) Error() string { return "db: the standby cannot be used: " + string(r.reason) }

// openStandby prepares the connections to the standby, which need not answer yet.
func openStandby(ctx context.Context, c Config, mode pgx.QueryExecMode, primary *DB) (*standby, error) {
	s := &standby{
		maxLag: c.Standby.MaxLag, history: newHistory(primary.pool, c.Standby.MaxLag),
		counters: newStandbyMetrics(), logger: c.Logger, running: map[*standbyRead]struct{}{}, down: Lagging,
	}
	c.URL = c.Standby.URL
	var err error
	s.DB, err = newDB(ctx, c, NewMetrics(), poolOptions{mode: mode, cancelDelay: cancelDelay, admit: s.admit})
	if err != nil {
		return nil, err
	}
	s.watching, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	return s, nil
}

// WatchStandby observes the standby for reads, if there is one, until [DB.Close]. The first eventual read starts
// it too. Until there is a first result, the primary answers.
func (d *DB) WatchStandby() {
	if s := d.standby; s != nil {
		s.started.Do(func() { s.stopped.Go(func() { s.watch(s.watching) }) })
	}
}

// close ends the observation and closes all connections.
func (s *standby) close() {
	s.stop()
	s.stopped.Wait()
	s.DB.Close()
}

// standbyRead is a read from the standby.
type standbyRead struct {
	standby *standby
	cancel  context.CancelCauseFunc
	timer   *time.Timer // ends the read
	most    time.Duration

	lag time.Duration // set by admit
}

type standbyReadKey struct{}

// readFromStandby runs the body once on the standby, if there is one that can be used. It reports whether the
// body has succeeded; if not, the caller runs it on the primary. All errors of the body lead to the primary,
// because a record that is missing on the standby may just be new.
func (d *DB) readFromStandby(ctx context.Context, r *Reads, u unit, body func(context.Context) error) bool {
	if d.standby == nil {
		r.fallBack(NotConfigured)
		return false
	}
	d.WatchStandby()
	if reason, before := r.fellBack(); before {
		d.standby.counters.fellBack(reason)
		return false
	}
	return d.standby.read(ctx, r, d.links, u, body)
}

func (s *standby) read(ctx context.Context, r *Reads, links Links, u unit, body func(context.Context) error) bool {
	if reason := s.unusable(); reason != "" {
		s.fallBack(r, reason)
		return false
	}
	reading, done := s.begin(ctx)
	defer done()
	one := *s.DB
	one.links = links
	attempting, span := startAttempt(reading, u, 1)
	span.Set(tracing.Server, tracing.Standby)
	a, err := one.attempt(attempting, u, 1, false, body)
	outcome := a.classify(reading, err)
	endAttempt(span, outcome)
	if outcome.kind != committed {
		s.fallBack(r, reasonOf(reading, outcome))
		return false
	}
	read := reading.Value(standbyReadKey{}).(*standbyRead)
	r.answered(read.lag)
	s.counters.answered()
	a.runAfterCommit(ctx)
	return true
}

// fallBack records that the primary answers.
func (s *standby) fallBack(r *Reads, reason FallbackReason) {
	r.fallBack(reason)
	s.counters.fellBack(reason)
}

// begin returns the context of a read, which ends after its bounds or when the standby does not answer anymore.
func (s *standby) begin(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	read := &standbyRead{standby: s, cancel: cancel}
	if deadline, hasDeadline := ctx.Deadline(); hasDeadline {
		read.most = time.Duration(float64(time.Until(deadline)) * readShare)
	}
	read.timer = time.AfterFunc(admissionTimeout, func() { cancel(errStandbySlow) })
	s.mu.Lock()
	s.running[read] = struct{}{}
	s.mu.Unlock()
	return context.WithValue(ctx, standbyReadKey{}, read), func() {
		read.timer.Stop()
		s.mu.Lock()
		delete(s.running, read)
		s.mu.Unlock()
		cancel(nil)
	}
}

// admit checks the server of a connection before the read's transaction begins, because several standbys may be
// behind one URL. The read's snapshot is taken afterwards, so it is at least as new.
func (s *standby) admit(ctx context.Context, c *pgx.Conn) error {
	read, ok := ctx.Value(standbyReadKey{}).(*standbyRead)
	if !ok {
		return &refusedStandby{Failed}
	}
	lag, err := s.lagOf(ctx, c)
	if err != nil {
		if refused, ok := errors.AsType[*refusedStandby](err); ok && refused.reason == Promoted {
			_ = c.Close(ctx) // the next connection may find a standby
		}
		return err
	}
	read.lag = lag
	if read.timer.Stop() && read.most > 0 {
		read.timer.Reset(read.most)
	}
	return nil
}

// admissionQuery asks a server whether it may answer. The position is in bytes.
const admissionQuery = `
	SELECT pg_is_in_recovery(), current_user::text,
		coalesce((pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::bigint, 0),
		coalesce((SELECT id::text FROM replication_history), '')`

// lagOf returns how old the state is that the server shows, at most. The error is a *[refusedStandby] if the
// server must not be used, or that of the query.
func (s *standby) lagOf(ctx context.Context, c *pgx.Conn) (time.Duration, error) {
	var standby bool
	var role, id string
	var replayed int64
	if err := c.QueryRow(ctx, admissionQuery).Scan(&standby, &role, &replayed, &id); err != nil {
		return 0, err
	}
	if !standby {
		return 0, &refusedStandby{Promoted}
	}
	lag, reason := s.history.lagOf(position{id: id, role: role, bytes: replayed}, time.Now())
	if reason == "" && lag > s.maxLag {
		reason = Lagging
	}
	if reason != "" {
		return lag, &refusedStandby{reason}
	}
	return lag, nil
}

// unusable returns why no read can use the standby, or "".
func (s *standby) unusable() FallbackReason {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.down
}

// reasonOf returns why a read has failed.
func reasonOf(ctx context.Context, o classification) FallbackReason {
	cause := context.Cause(ctx)
	refused, isRefused := errors.AsType[*refusedStandby](o.err)
	switch {
	case isRefused:
		return refused.reason
	case errors.Is(cause, errStandbySlow), errors.Is(cause, errStandbyDown), o.kind == connectionLost:
		return Down
	case o.sqlState == pgerrcode.SerializationFailure, o.sqlState == pgerrcode.DeadlockDetected:
		return Conflict // source: PostgreSQL manual, "Handling Query Conflicts"
	}
	return Failed
}
