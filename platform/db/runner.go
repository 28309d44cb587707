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
)

// Serializable runs fn in one SERIALIZABLE transaction and returns what fn
// returned, once the commit is proven. fn may run several times and must have no
// effects outside the database; see [AfterCommit] for those.
func Serializable[T any](ctx context.Context, d *DB, operation string, fn func(ctx context.Context) (T, error), options ...Option) (T, error) {
	return run(ctx, d, unit{operation: operation, isolation: sql.LevelSerializable}, fn, options)
}

// Snapshot runs fn in one REPEATABLE READ, READ ONLY transaction: all that it
// reads is of one moment.
func Snapshot[T any](ctx context.Context, d *DB, operation string, fn func(ctx context.Context) (T, error), options ...Option) (T, error) {
	return run(ctx, d, unit{operation: operation, isolation: sql.LevelRepeatableRead, readOnly: true}, fn, options)
}

// ReadCommitted runs fn in one READ COMMITTED transaction, for queues only: work
// that takes rows nobody else needs to agree on, each under a lock of its own. It
// takes no part in the conflicts of [Serializable] work, so it neither aborts
// nor is aborted by it, and each of its statements sees what was committed before
// that statement began. Whoever decides something from what it reads belongs in
// [Serializable], which refuses to join this.
func ReadCommitted[T any](ctx context.Context, d *DB, operation string, fn func(ctx context.Context) (T, error), options ...Option) (T, error) {
	return run(ctx, d, unit{operation: operation, isolation: sql.LevelReadCommitted}, fn, options)
}

// unit is what is known of a unit of work before its first attempt.
type unit struct {
	operation   string
	isolation   sql.IsolationLevel
	readOnly    bool
	proof       func(ctx context.Context) (bool, error)
	constraints []string
	locks       []string     // tables
	all         bool         // see [AllOrganizations]
	writesLast  bool         // see [WritingLast]
	reach       []uuid.UUID  // see [ReadingFirst]
	first       func() Query // nil: nothing is read with BEGIN
}

// Option changes how a unit of work is run.
type Option func(*unit)

// ProvenBy gives the runner a way to find out, after a COMMIT whose answer was
// lost, whether it was carried out. The proof is asked in a snapshot of its own.
//
// The proof may say no while the server is still committing. So the body must
// write what the proof looks for under a unique key, and, when it is run again
// (see [InDoubt]), read that key first: PostgreSQL then makes it wait for the
// first attempt and fail with 40001, after which it finds what that one wrote.
//
// A yes says that the value of the attempt whose COMMIT was in doubt holds. Where
// others may write the same key, the proof must know its own row from theirs.
func ProvenBy(proof func(ctx context.Context) (committed bool, err error)) Option {
	return func(u *unit) { u.proof = proof }
}

// RetryConstraint has a violation (23505) of one of these unique constraints
// retried like a serialization failure: the body then asks [InDoubt] and reads what
// is there. To write blindly the first time costs less than to read each time, and
// a read of a key that is not there yet makes SSI abort transactions that merely
// write beside it. The first such retry is made at once and does not count as an
// attempt: whoever has the key has committed.
func RetryConstraint(names ...string) Option {
	return func(u *unit) { u.constraints = append(u.constraints, names...) }
}

// Locking has the transaction take the table's lock before anything else, which
// nobody else then holds: the way to wait for other instances of the program. A
// SERIALIZABLE transaction that waits later fails once the one before it has
// committed, because its snapshot is older than the wait; LOCK TABLE takes none.
// The lock saves attempts, and what is right does not depend on it: it is not
// taken where [Config.NoLocks] says so, nor by work that joins a transaction. It
// ends with the transaction, also where a process is killed. The table must hold
// nothing, so that nobody has another reason to lock it.
func Locking(table string) Option {
	return func(u *unit) { u.locks = append(u.locks, table) }
}

// ReadingFirst has a query carried out in the round trip in which the transaction
// begins, once it has its locks: for work that knows what it will read before it has to
// wait. The transaction reaches the organizations that the query is about, which must be
// what those of [Admit] are.
//
// The query is made for each attempt, and its rows are read before the body begins.
// Work that joins a transaction has none made: its body must then read for itself.
func ReadingFirst(organizations []uuid.UUID, query func() Query) Option {
	return func(u *unit) { u.reach, u.first = organizations, query }
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

// run tries the body until it is committed, refused, or given up.
func (d *DB) run(ctx context.Context, u unit, body func(context.Context) error) error {
	r := retrier{policy: d.policy, operation: u.operation, observer: d.observers, started: time.Now(), random: rand.Float64}
	inDoubt := false
	if !u.readOnly && d.unanswered.tooMany() {
		err := &UnavailableError{Operation: u.operation, State: Unconfirmed, cause: errUnanswered}
		r.finish(Unavailable, verdict{kind: unable, err: err})
		return err
	}
	for {
		r.attempts++
		a, err := d.attempt(ctx, u, r.attempts, inDoubt, body)
		verdict := a.judge(ctx, err)
		if planOutdated(verdict.err) {
			d.forgetPlans()
		}
		inDoubt = inDoubt || verdict.kind == ambiguous || verdict.taken
		if verdict.kind == ambiguous {
			r.ambiguities++
			verdict = d.resolve(ctx, u, verdict)
		}
		if verdict.kind == committed {
			r.finish(Committed, verdict)
			a.runAfterCommit(ctx)
			return nil
		}
		if done, err := r.next(ctx, verdict); done {
			return err
		}
	}
}

// attempt makes one try at the transaction.
//
// The connection is taken with the caller's context, so that waiting for one
// ends when the caller gives up. The transaction begins and ends on a context
// that outlives the caller's for a moment: database/sql rolls back with the
// context that it began with, and a cancelled one destroys the connection.
func (d *DB) attempt(ctx context.Context, u unit, number int, inDoubt bool, body func(context.Context) error) (*attempt, error) {
	a := &attempt{unit: u, number: number, inDoubt: inDoubt, at: begin, caller: ctx, tenancy: tenancyOf(ctx, u)}
	if !d.locks {
		a.unit.locks = nil
	}
	defer a.end()
	ctx = context.WithValue(ctx, attemptKey{}, a)
	lasting, release := outlive(ctx, rollbackGrace)
	defer release()

	err := d.gorm.WithContext(ctx).Connection(func(connection *gorm.DB) error {
		a.connection = connection.Statement.ConnPool.(*sql.Conn) // as gorm says
		return connection.WithContext(lasting).Transaction(func(tx *gorm.DB) error {
			a.at = inBody
			a.start(tx)
			if err := body(ctx); err != nil {
				a.giveUp()
				return err
			}
			if first, _ := a.firstError(); first != nil {
				return first // the body swallowed it; COMMIT would roll back without a word
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			if inDoubt && !u.readOnly {
				if err := confirm(ctx); err != nil {
					return err
				}
			}
			a.at = commit
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
// so for everything that was visible before. A COMMIT without a write does not wait.
func confirm(ctx context.Context) error {
	return sendNowOrLast(ctx, []write{{anyRows, "SELECT pg_logical_emit_message(true, 'omnirapeutic', '')", nil}})
}

// rollbackGrace is how long a rollback or a COMMIT under way may take after the
// caller's context has ended.
const rollbackGrace = time.Second

// outlive returns a context that ends a while after the other one does.
func outlive(ctx context.Context, while time.Duration) (context.Context, context.CancelFunc) {
	lasting, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(while, cancel)
		context.AfterFunc(lasting, func() { timer.Stop() })
	})
	return lasting, func() { stop(); cancel() }
}

// resolve finds out whether an ambiguous COMMIT was carried out.
func (d *DB) resolve(ctx context.Context, u unit, v verdict) verdict {
	unknown := &AmbiguousCommitError{Operation: u.operation, cause: v.err}
	if u.proof == nil {
		return verdict{kind: refused, err: unknown, ambiguous: true}
	}
	for n := 0; ; n++ {
		if err := sleep(ctx, d.policy.Delay(n, rand.Float64)); err != nil {
			return verdict{kind: refused, err: errors.Join(unknown, err), ambiguous: true}
		}
		there, err := d.ask(ctx, u)
		switch {
		case err == nil && there:
			return verdict{kind: committed, ambiguous: true}
		case err == nil:
			return verdict{kind: again, err: unknown, sqlState: pgerrcode.StatementCompletionUnknown, phase: commit, ambiguous: true}
		case n+1 >= proofAttempts || ctx.Err() != nil:
			return verdict{kind: refused, err: errors.Join(unknown, err), ambiguous: true}
		}
	}
}

// proofAttempts is how often a proof is asked for when asking itself fails; with
// the default policy this takes about six seconds.
const proofAttempts = 12

// ask asks once. As anything that follows a broken connection, it is not the
// first attempt. A yes is confirmed: see confirm.
func (d *DB) ask(ctx context.Context, u unit) (there bool, err error) {
	question := unit{operation: u.operation, isolation: sql.LevelRepeatableRead, all: u.all}
	_, err = d.attempt(ctx, question, 2, false, func(ctx context.Context) (err error) {
		if there, err = u.proof(ctx); err != nil || !there {
			return err
		}
		return confirm(ctx)
	})
	return there, err
}
