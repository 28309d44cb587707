package db

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"omnirapeutic/platform/identity"
)

// ErrTenancy is returned if work tries to join a transaction that does not admit the
// organizations it needs.
var ErrTenancy = errors.New("db: the transaction does not admit these organizations")

// tenancy is the set of organizations whose rows a transaction can read and write. Row
// level security enforces it for all statements: other organizations' rows are
// invisible, and none can be inserted.
//
// The default is the organization of the caller in the context, and everything with
// [AllOrganizations]. Without a caller it is empty until [Admit] adds organizations.
type tenancy struct {
	all           bool
	organizations []uuid.UUID // sorted
	unsent        bool        // the database has not received it yet
}

// AllOrganizations gives the transaction access to every organization. It is for work
// of the program itself that concerns all of them, and for the look-up of the
// organization of a record. TestTransactionsOfAllOrganizations lists each use with its
// reason.
func AllOrganizations() Option {
	return func(u *unit) { u.all = true }
}

func tenancyOf(ctx context.Context, u unit) tenancy {
	if u.all {
		return tenancy{all: true}
	}
	var t tenancy
	if caller, err := identity.From(ctx); err == nil {
		t.add(caller.OrganizationID)
	}
	t.add(u.reach...)
	return t
}

// Admit adds organizations to the reach of the transaction in the context: those of a
// combined batch, or one that is being created. They must be determined by the program,
// never taken from a request. They are sent to the database with the next statement. It
// returns [ErrNoTransaction] if there is no transaction.
func Admit(ctx context.Context, organizations ...uuid.UUID) error {
	a := attemptIn(ctx)
	if a == nil {
		return ErrNoTransaction
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.tenancy.add(organizations...) {
		a.tenancy.unsent = true
	}
	return nil
}

// add reports whether any of the organizations is new.
func (r *tenancy) add(organizations ...uuid.UUID) bool {
	missing := slices.DeleteFunc(slices.Clone(organizations), r.includes)
	if len(missing) == 0 {
		return false
	}
	all := append(r.organizations, missing...)
	slices.SortFunc(all, func(x, y uuid.UUID) int { return bytes.Compare(x[:], y[:]) })
	r.organizations = slices.Compact(all)
	return true
}

func (r *tenancy) includes(organization uuid.UUID) bool {
	return r.all || slices.Contains(r.organizations, organization)
}

// String returns the value with which the tables' policies compare: an array of uuids,
// an asterisk, or nothing.
func (r *tenancy) String() string {
	switch {
	case r.all:
		return "*"
	case len(r.organizations) == 0:
		return ""
	}
	var text strings.Builder
	for i, id := range r.organizations {
		text.WriteByte("{,"[min(i, 1)])
		text.WriteString(id.String())
	}
	text.WriteByte('}')
	return text.String()
}

// admits reports whether the attempt sees rows of the organization.
func (a *attempt) admits(organization uuid.UUID) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.tenancy.includes(organization)
}

// unsentReach returns the statement that sends the attempt's reach to the database, or
// nothing if the database has it. The caller must send it before any other statement.
func (a *attempt) unsentReach() (write, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.tenancy.unsent {
		return write{}, false
	}
	a.tenancy.unsent = false
	return write{1, setReach, []any{a.tenancy.String()}}, true
}

const setReach = "SELECT set_config('omni.organizations', $1, true)"

// connector makes transactions begin with their reach.
type connector struct {
	driver.Connector
	log    queryLog
	health *health
}

// Connect implements driver.Connector.
func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	connected, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	stdlibConn := connected.(*stdlib.Conn)
	return connection{stdlibConn, c.log, c.health, lineOf(stdlibConn.Conn())}, nil
}

// connection is the driver's, with a different begin and end of transactions.
type connection struct {
	*stdlib.Conn
	log    queryLog
	health *health
	line   *line
}

// Close implements driver.Conn: it returns the connection to the pool once no COMMIT is running on
// it.
func (c connection) Close() error { return c.line.giveBack(c.Conn.Close) }

// errReadOnlySession is the error of the first write in a read-only session. A standby refuses LOCK
// TABLE and SERIALIZABLE before that, with less specific codes.
var errReadOnlySession = &pgconn.PgError{
	Severity: "ERROR", SeverityUnlocalized: "ERROR",
	Code: pgerrcode.ReadOnlySQLTransaction, Message: "the session is read-only",
}

// BeginTx sends BEGIN, the locks of [Locking], the reach, the transaction's timeouts and the
// statements of [ReadingFirst] in one round trip. The reach is set for the transaction only, as a
// pooler in transaction mode requires. It is set even if it is empty, so that no default of a role
// can widen it. LOCK TABLE takes no snapshot, so later reads see the state after the wait; neither
// does SET, which limits the wait.
func (c connection) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	a := attemptIn(ctx)
	if a == nil {
		return nil, ErrNoTransaction
	}
	if c.Conn.Conn().IsClosed() {
		return nil, driver.ErrBadConn
	}
	if !o.ReadOnly && !mayWrite(c.Conn.Conn()) {
		return nil, errReadOnlySession
	}
	var batch pgx.Batch
	options := pgx.TxOptions{IsoLevel: pgx.TxIsoLevel(strings.ToLower(sql.IsolationLevel(o.Isolation).String()))}
	if o.ReadOnly {
		options.AccessMode = pgx.ReadOnly
	}
	batch.BeginTx(options)
	if len(a.unit.locks) > 0 {
		batch.Queue(a.setLockWait())
	}
	for _, table := range a.unit.locks {
		batch.Queue(lockOf(table))
	}
	statement, arguments := a.bounds(c.Conn.Conn())
	batch.Queue(statement, arguments...)
	var first Query
	if a.unit.first != nil {
		first = a.unit.first()
		batch.Queue(first.Statement, first.Arguments...)
	}
	if len(a.unit.locks) > 0 {
		defer c.health.waits()()
	}

	began := time.Now()
	// The context carries the attempt, so that errors here are recorded as for any
	// statement.
	results := c.Conn.Conn().SendBatch(context.WithValue(a.caller, attemptKey{}, a), &batch)
	_, err := results.Exec()
	if err == nil && len(a.unit.locks) > 0 {
		_, err = results.Exec() // the limit of the wait
	}
	for _, table := range a.unit.locks {
		if err == nil {
			_, err = results.Exec()
			c.log.Trace(ctx, began, func() (string, int64) { return lockOf(table), 0 }, err)
		}
	}
	if err == nil {
		_, err = results.Exec() // the reach and the timeouts
	}
	if err == nil && a.unit.first != nil {
		a.at = inBody
		err = first.read(ctx, results.Query, c.log.Trace)
	}
	if closed := results.Close(); err == nil {
		err = closed
	}
	if err != nil {
		_ = results.Tx().Rollback(ctx) // a connection that stays in a transaction is not used again
		return nil, err
	}
	return transaction{ctx, results.Tx(), c.log, c.line}, nil
}

func lockOf(table string) string {
	return "LOCK TABLE " + pgx.Identifier{table}.Sanitize() + " IN EXCLUSIVE MODE"
}

// transaction is a transaction that ends on the context with which it began.
type transaction struct {
	ctx  context.Context
	tx   pgx.Tx
	log  queryLog
	line *line
}

// Commit implements driver.Tx. If the caller's context ends, Commit returns and the COMMIT
// continues: see [line.commit].
func (t transaction) Commit() error {
	a := attemptIn(t.ctx)
	err := t.line.commit(a.caller, func() error { return t.commit(context.WithoutCancel(t.ctx)) })
	if refused, ok := errors.AsType[*refusedWrite](err); ok {
		a.at = inBody
		return refused.error
	}
	return err
}

// refusedWrite means that the server has refused a statement that was sent with COMMIT, so it did
// not commit.
type refusedWrite struct{ error }

// commit sends COMMIT together with the deferred statements.
func (t transaction) commit(ctx context.Context) error {
	a := attemptIn(ctx)
	if len(a.last) == 0 {
		return t.tx.Commit(ctx)
	}
	if t.tx.Conn().PgConn().TxStatus() == idle {
		return ErrTransactionOver // as in [attempt.driver]
	}
	writes := append(a.last, write{anyRows, "commit", nil})
	carriedOut, err := pipeline(ctx, t.tx.Conn(), t.log.Trace, writes)
	if carriedOut < len(writes) {
		_ = t.tx.Rollback(ctx) // a connection that stays in a transaction is not used again
		var server *pgconn.PgError
		if carriedOut < len(a.last) && errors.As(err, &server) {
			return &refusedWrite{err}
		}
	}
	return err
}

// Rollback implements driver.Tx.
func (t transaction) Rollback() error { return t.tx.Rollback(t.ctx) }
