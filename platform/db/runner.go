package db

import (
	"context"
	"database/sql"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgerrcode"
	"gorm.io/gorm"

	"omnirapeutic/platform/tracing"
)

// Serializable runs fn in one SERIALIZABLE transaction and returns fn's value once the
// commit is confirmed. fn may run several times and must have no effects outside the
// database; see [AfterCommit] for those.
func Serializable[T any](
	ctx context.Context, d *DB, operation string, fn func(ctx context.Context) (T, error), options ...Option,
) (T, error) {
	return run(ctx, d, unit{operation: operation, isolation: sql.LevelSerializable}, fn, options)
}

// Snapshot runs fn in one REPEATABLE READ, READ ONLY transaction: all reads see the
// same state.
func Snapshot[T any](
	ctx context.Context, d *DB, operation string, fn func(ctx context.Context) (T, error), options ...Option,
) (T, error) {
	return run(ctx, d, unit{operation: operation, isolation: sql.LevelRepeatableRead, readOnly: true}, fn, options)
}

// ReadCommitted runs fn in one READ COMMITTED transaction. It is for queues only: work
// that takes rows under a lock each and needs no consistent view of other rows. It does
// not conflict with [Serializable] work: neither aborts the other. Each statement sees
// all rows committed before it began. Work that decides something from what it reads
// must use [Serializable], which refuses to join this.
func ReadCommitted[T any](
	ctx context.Context, d *DB, operation string, fn func(ctx context.Context) (T, error), options ...Option,
) (T, error) {
	return run(ctx, d, unit{operation: operation, isolation: sql.LevelReadCommitted}, fn, options)
}

// unit describes a unit of work before its first attempt.
type unit struct {
	operation        string
	isolation        sql.IsolationLevel
	readOnly         bool
	proof            func(ctx context.Context) (bool, error)
	constraints      []string
	locks            []string       // tables
	allOrganizations bool           // see [AllOrganizations]
	writesWithCommit bool           // see [WritesWithCommit]
	genericPlans     bool           // see [GenericPlans]
	organizations    []uuid.UUID    // see [ReadsWithBegin]
	beginQueries     func() []Query // nil: no query is sent with BEGIN
}

// Option configures a unit of work.
type Option func(*unit)

// ProvenBy sets the proof by which the runner finds out whether a COMMIT without a
// reply took effect. The proof runs in a snapshot of its own.
//
// The proof may return false while the server is still committing. The body must
// therefore write the proof's row under a unique key. When it is run again (see
// [InDoubt]), it must read that key first: PostgreSQL then makes it wait for the first
// attempt and fail with 40001, after which it finds the row.
//
// If the proof returns true, the value of the attempt in doubt is returned. If others
// may write the same key, the proof must distinguish its own row from theirs.
func ProvenBy(proof func(ctx context.Context) (committed bool, err error)) Option {
	return func(u *unit) { u.proof = proof }
}

// RetryConstraint retries a violation (23505) of one of these unique constraints like a
// serialization failure. The body then finds [InDoubt] true and reads the existing row.
// Writing blindly the first time is cheaper than reading each time. Reading a missing
// key also makes SSI abort transactions that write nearby keys. The first such retry is
// immediate and does not count as an attempt, because the other transaction has
// committed.
func RetryConstraint(names ...string) Option {
	return func(u *unit) { u.constraints = append(u.constraints, names...) }
}

// Locking makes the transaction take an exclusive lock on the table first, to wait for
// other instances of the program. A SERIALIZABLE transaction that waits later would
// fail, because its snapshot is older than the wait; LOCK TABLE takes no snapshot. The
// lock saves attempts, and correctness does not depend on it. It is not taken by work
// that joins a transaction. It ends with the transaction, also if a process is killed.
// The table must be empty, so that nothing else has a reason to lock it.
func Locking(table string) Option {
	return func(u *unit) { u.locks = append(u.locks, table) }
}

// ReadsWithBegin sends queries in the round trip that begins the transaction, after its
// locks. It is for work that knows its first queries before it has to wait. The
// organizations become part of the transaction's, with the same requirements as
// for [Admit].
//
// The queries are built for each attempt, and their rows are read before the body begins.
// They are not run for work that joins a transaction, whose body must read by itself.
func ReadsWithBegin(organizations []uuid.UUID, queries func() []Query) Option {
	return func(u *unit) { u.organizations, u.beginQueries = organizations, queries }
}

// GenericPlans makes PostgreSQL plan each prepared statement once per connection, not for each
// execution. By default it plans for the actual arguments while such plans look cheaper, and with
// short arrays they always do: planning then takes longer than the execution. It is for
// transactions whose statements find all rows by key, and is ignored in read-only ones. Source:
// PostgreSQL manual, PREPARE, notes on plan_cache_mode.
func GenericPlans() Option {
	return func(u *unit) { u.genericPlans = true }
}

func run[T any](ctx context.Context, d *DB, u unit, fn func(context.Context) (T, error), options []Option) (T, error) {
	var value, none T
	for _, o := range options {
		o(&u)
	}
	if outer := attemptIn(ctx); outer != nil {
		if err := outer.join(u); err != nil {
			return none, err
		}
		return fn(ctx) // one transaction for a unit of work, also across modules
	}
	err := d.run(ctx, u, func(ctx context.Context) (err error) {
		value, err = fn(ctx)
		return err
	})
	if err != nil {
		return none, err
	}
	return value, nil
}

// run runs the body until it is committed, refused or given up.
func (d *DB) run(ctx context.Context, u unit, body func(context.Context) error) error {
	if r := readsIn(ctx); r != nil && u.readOnly && d.readFromStandby(ctx, r, u, body) {
		return nil
	}
	r := retrier{
		policy: d.policy, operation: u.operation, observer: d.observers, started: time.Now(),
		random: rand.Float64,
	}
	inDoubt := false
	if !u.readOnly && d.unanswered.tooMany() {
		err := &UnavailableError{Operation: u.operation, State: Unconfirmed, cause: errUnanswered}
		r.finish(Unavailable, classification{kind: unavailable, err: err})
		return err
	}
	for {
		r.attempts++
		attemptCtx, span := startAttempt(ctx, u, r.attempts)
		a, err := d.attempt(attemptCtx, u, r.attempts, inDoubt, body)
		outcome := a.classify(ctx, err)
		endAttempt(span, outcome)
		if planOutdated(outcome.err) {
			d.replaceConnections()
		}
		inDoubt = inDoubt || outcome.kind == ambiguous || outcome.constraintViolated
		if outcome.kind == ambiguous {
			r.ambiguities++
			outcome = d.resolve(ctx, u, outcome)
		}
		if outcome.kind == committed {
			r.finish(Committed, outcome)
			a.runAfterCommit(ctx)
			return nil
		}
		if done, err := r.nextAttempt(ctx, outcome); done {
			return err
		}
	}
}

// attempt makes one attempt at the transaction.
//
// The connection is taken with the caller's context, so that the wait for one ends when
// the caller gives up. The transaction uses a context that briefly outlives the
// caller's: database/sql rolls back with the context of BEGIN, and a cancelled context
// destroys the connection.
func (d *DB) attempt(
	ctx context.Context, u unit, number int, inDoubt bool, body func(context.Context) error,
) (*attempt, error) {
	if d.portable {
		u.locks, u.genericPlans = nil, false // conflicting transactions are retried instead
	}
	a := &attempt{
		unit: u, number: number, inDoubt: inDoubt, at: beginPhase, caller: ctx, links: d.links, tenancy: tenancyOf(ctx, u),
		standby:  d.ofStandby,
		portable: d.portable,
	}
	defer a.end()
	ctx = context.WithValue(ctx, attemptKey{}, a)
	lasting, release := outlive(ctx, rollbackGrace)
	defer release()

	err := d.gorm.WithContext(ctx).Connection(func(connection *gorm.DB) error {
		a.connection = connection.Statement.ConnPool.(*sql.Conn) // type guaranteed by gorm
		return connection.WithContext(lasting).Transaction(func(tx *gorm.DB) error {
			a.at = bodyPhase
			a.start(tx)
			if err := body(ctx); err != nil {
				a.markFailed()
				return err
			}
			if first, _ := a.firstError(); first != nil {
				return first // the body swallowed it; COMMIT would silently roll back
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			if inDoubt && !u.readOnly {
				if err := confirm(ctx); err != nil {
					return err
				}
			}
			a.at = commitPhase
			return nil
		}, &sql.TxOptions{Isolation: u.isolation, ReadOnly: u.readOnly})
	})
	return a, err
}

// errUnanswered is returned if too many connections wait for the answer to a COMMIT.
var errUnanswered = errors.New("db: the server does not answer COMMIT; it may be waiting for a synchronous standby")

// confirm makes the transaction in the context write something with its COMMIT. A transaction that
// read another one's result may answer with it only once that is as durable as the server's
// synchronous_commit promises. COMMIT waits for the standbys up to its own position in the log, and
// so for everything that was visible before. A COMMIT without a write does not wait. In the profile
// [Portable] it does nothing: on such engines, rows become visible only when they are durable.
func confirm(ctx context.Context) error {
	if isPortable(ctx) {
		return nil
	}
	return sendOrDefer(ctx, []writeStatement{
		{anyRowCount, "SELECT pg_logical_emit_message(true, 'omnirapeutic', '')", nil},
	})
}

// rollbackGrace is how long a rollback or a COMMIT under way may take after the
// caller's context has ended.
const rollbackGrace = time.Second

// outlive returns a context that ends a while after the other one does.
func outlive(ctx context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	outliving, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(grace, cancel)
		context.AfterFunc(outliving, func() { timer.Stop() })
	})
	return outliving, func() { stop(); cancel() }
}

// resolve determines whether an ambiguous COMMIT took effect.
func (d *DB) resolve(ctx context.Context, u unit, v classification) classification {
	unknown := &AmbiguousCommitError{Operation: u.operation, cause: v.err}
	if u.proof == nil {
		return classification{kind: failed, err: unknown, commitAmbiguous: true}
	}
	for n := 0; ; n++ {
		if err := sleep(ctx, d.policy.Delay(n, rand.Float64)); err != nil {
			return classification{kind: failed, err: errors.Join(unknown, err), commitAmbiguous: true}
		}
		proven, err := d.runProof(ctx, u)
		switch {
		case err == nil && proven:
			return classification{kind: committed, commitAmbiguous: true}
		case err == nil:
			return classification{
				kind: retry, err: unknown, sqlState: pgerrcode.StatementCompletionUnknown, phase: commitPhase,
				commitAmbiguous: true,
			}
		case n+1 >= proofAttempts || ctx.Err() != nil:
			return classification{kind: failed, err: errors.Join(unknown, err), commitAmbiguous: true}
		}
	}
}

// proofAttempts is the maximum number of attempts to read a proof. With the default
// policy they take about six seconds.
const proofAttempts = 12

// runProof runs the proof once. Because it follows a broken connection, it counts as a
// retry. A positive result is confirmed: see confirm.
func (d *DB) runProof(ctx context.Context, u unit) (proven bool, err error) {
	snapshot := unit{operation: u.operation, isolation: sql.LevelRepeatableRead, allOrganizations: u.allOrganizations}
	ctx, span := startAttempt(ctx, snapshot, 1)
	span.Set(tracing.Phase, "proof")
	a, err := d.attempt(ctx, snapshot, 2, false, func(ctx context.Context) (err error) {
		if proven, err = u.proof(ctx); err != nil || !proven {
			return err
		}
		return confirm(ctx)
	})
	endAttempt(span, a.classify(ctx, err))
	return proven, err
}
