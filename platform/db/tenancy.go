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
	return func(u *unit) { u.allOrganizations = true }
}

func tenancyOf(ctx context.Context, u unit) tenancy {
	if u.allOrganizations {
		return tenancy{all: true}
	}
	var t tenancy
	if caller, err := identity.From(ctx); err == nil {
		t.add(caller.OrganizationID)
	}
	t.add(u.organizations...)
	return t
}

// Admit adds organizations to the transaction in the context: the organizations of a
// batch of commands, or one that is being created. They must be determined by the program,
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
func (t *tenancy) add(organizations ...uuid.UUID) bool {
	missing := slices.DeleteFunc(slices.Clone(organizations), t.includes)
	if len(missing) == 0 {
		return false
	}
	all := append(t.organizations, missing...)
	slices.SortFunc(all, func(x, y uuid.UUID) int { return bytes.Compare(x[:], y[:]) })
	t.organizations = slices.Compact(all)
	return true
}

func (t *tenancy) includes(organization uuid.UUID) bool {
	return t.all || slices.Contains(t.organizations, organization)
}

// String returns the value with which the tables' policies compare: an array of uuids,
// an asterisk, or nothing.
func (t *tenancy) String() string {
	switch {
	case t.all:
		return "*"
	case len(t.organizations) == 0:
		return ""
	}
	var text strings.Builder
	for i, id := range t.organizations {
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

// unsentOrganizations returns the statement that sends the attempt's organizations to the database, or
// nothing if the database has it. The caller must send it before any other statement.
func (a *attempt) unsentOrganizations() (writeStatement, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.tenancy.unsent {
		return writeStatement{}, false
	}
	a.tenancy.unsent = false
	return writeStatement{1, setOrganizations, []any{a.tenancy.String()}}, true
}

const setOrganizations = "SELECT set_config('omni.organizations', $1, true)"

// connector makes transactions begin with their organizations.
type connector struct {
	driver.Connector
	log    queryLog
	health *health
	admit  func(ctx context.Context, c *pgx.Conn) error // see [poolOptions]; may be nil
}

// Connect implements driver.Connector.
func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	c.health.acquiring.Add(1)
	connected, err := c.Connector.Connect(ctx)
	c.health.acquiring.Add(-1)
	if err != nil {
		return nil, err
	}
	stdlibConn := connected.(*stdlib.Conn)
	return connection{stdlibConn, c.log, c.health, serverConnOf(stdlibConn.Conn()), c.admit}, nil
}

// connection is the driver's, with a different begin and end of transactions.
type connection struct {
	*stdlib.Conn
	log    queryLog
	health *health
	server *serverConn
	admit  func(ctx context.Context, c *pgx.Conn) error
}

// Close implements driver.Conn: it returns the connection to the pool once no COMMIT is running on
// it.
func (c connection) Close() error { return c.server.releaseWhenIdle(c.Conn.Close) }

// errReadOnlySession is the error of the first write in a read-only session. A standby refuses LOCK
// TABLE and SERIALIZABLE before that, with less specific codes.
var errReadOnlySession = &pgconn.PgError{
	Severity: "ERROR", SeverityUnlocalized: "ERROR",
	Code: pgerrcode.ReadOnlySQLTransaction, Message: "the session is read-only",
}

// BeginTx begins a transaction. Without locks and a first query it sends nothing: BEGIN, the organizations
// and the timeouts travel in front of the transaction's first statement, see [ahead].
func (c connection) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	a := attemptIn(ctx)
	if a == nil {
		return nil, ErrNoTransaction
	}
	if c.Conn.Conn().IsClosed() {
		return nil, driver.ErrBadConn
	}
	if c.admit != nil {
		if err := c.admit(a.caller, c.Conn.Conn()); err != nil {
			return nil, err
		}
	}
	if !o.ReadOnly {
		switch writable, err := askWritable(ctx, c.Conn.Conn()); {
		case err != nil:
			return nil, err
		case !writable:
			return nil, errReadOnlySession
		}
	}
	if len(a.unit.locks) > 0 || a.unit.beginQueries != nil || c.server.bypassed {
		if err := c.beginNow(ctx, a, o); err != nil {
			return nil, err
		}
		if len(a.unit.locks) > 0 {
			return transaction{ctx, c, c.health.startHold()}, nil
		}
		return transaction{ctx, c, nil}, nil
	}
	c.server.ahead.add(beginStatement(o))
	statement, arguments := a.timeoutSettings(c.Conn.Conn())
	c.server.ahead.add(statement, arguments...)
	return transaction{ctx, c, nil}, nil
}

// beginStatement returns the statement that begins the transaction.
func beginStatement(o driver.TxOptions) string {
	statement := "BEGIN ISOLATION LEVEL " + strings.ToUpper(sql.IsolationLevel(o.Isolation).String())
	if o.ReadOnly {
		statement += " READ ONLY"
	}
	return statement
}

// beginNow sends BEGIN, the locks of [Locking], the organizations, the transaction's timeouts and the
// statements of [ReadsWithBegin] in one round trip. The organizations are set for the transaction only, as a
// pooler in transaction mode requires. They are set even if there are none, so that no default of a role
// can add any. LOCK TABLE takes no snapshot, so later reads see the state after the wait; neither
// does SET, which limits the wait.
func (c connection) beginNow(ctx context.Context, a *attempt, o driver.TxOptions) error {
	var batch pgx.Batch
	first := c.queueBegin(&batch, a, o)
	if len(a.unit.locks) > 0 {
		defer c.health.startWait()()
	}

	began := time.Now()
	// The context carries the attempt, so that errors here are recorded as for any
	// statement.
	results := c.Conn.Conn().SendBatch(context.WithValue(a.caller, attemptKey{}, a), &batch)
	err := c.readBegin(ctx, a, results, first, began)
	if closed := results.Close(); err == nil {
		err = closed
	}
	if err != nil {
		_ = c.rollback(ctx) // a connection that stays in a transaction is not used again
	}
	return err
}

// queueBegin adds the statements that begin a transaction to the batch. It returns the queries of
// [ReadsWithBegin], which are the last of them.
func (c connection) queueBegin(batch *pgx.Batch, a *attempt, o driver.TxOptions) []Query {
	batch.Queue(beginStatement(o))
	if len(a.unit.locks) > 0 {
		batch.Queue(a.lockTimeoutStatement())
	}
	for _, table := range a.unit.locks {
		batch.Queue(lockOf(table))
	}
	statement, arguments := a.timeoutSettings(c.Conn.Conn())
	batch.Queue(statement, asAny(arguments)...)
	var first []Query
	if a.unit.beginQueries != nil {
		first = a.unit.beginQueries()
	}
	for _, q := range first {
		batch.Queue(q.Statement, q.Arguments...)
	}
	return first
}

func asAny(texts []string) []any {
	values := make([]any, len(texts))
	for i, text := range texts {
		values[i] = text
	}
	return values
}

// readBegin reads the results of [connection.queueBegin].
func (c connection) readBegin(
	ctx context.Context, a *attempt, results pgx.BatchResults, first []Query, began time.Time,
) error {
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
		_, err = results.Exec() // the organizations and the timeouts
	}
	for _, q := range first {
		if err == nil {
			a.at = bodyPhase
			err = q.readRows(ctx, c.Conn.Conn(), results.Query, c.log.Trace)
		}
	}
	return err
}

func lockOf(table string) string {
	return "LOCK TABLE " + pgx.Identifier{table}.Sanitize() + " IN EXCLUSIVE MODE"
}

// transaction is a transaction that ends on the context with which it began.
type transaction struct {
	ctx context.Context
	connection
	unlocked func() // records the end of the transaction; nil if it has no table's lock
}

// Commit implements driver.Tx. If the caller's context ends, Commit returns and the COMMIT
// continues: see [serverConn.commit].
//
// The answer to the COMMIT of a read-only transaction is not awaited.
func (t transaction) Commit() error {
	a := attemptIn(t.ctx)
	if t.server.ahead.isUnsent() && len(a.deferred) == 0 {
		t.server.ahead.drop() // nothing was read or written
		return nil
	}
	if a.unit.readOnly && t.Conn.Conn().PgConn().TxStatus() != idle {
		t.server.endRead(func() error { return t.commit(context.WithoutCancel(t.ctx)) })
		return nil
	}
	err := t.server.commit(a.caller, func() error { return t.commit(context.WithoutCancel(t.ctx)) })
	if refused, ok := errors.AsType[*refusedWrite](err); ok {
		a.at = bodyPhase
		return refused.error
	}
	return err
}

// refusedWrite means that the server has refused a statement that was sent with COMMIT, so it did
// not commit.
type refusedWrite struct{ error }

// commit sends COMMIT together with the deferred statements.
func (t transaction) commit(ctx context.Context) error {
	if t.unlocked != nil {
		defer t.unlocked()
	}
	a := attemptIn(ctx)
	if len(a.deferred) == 0 {
		return t.end(ctx)
	}
	if t.isOver() {
		return ErrTransactionOver // as in [attempt.driver]
	}
	writes := append(a.deferred, writeStatement{anyRowCount, "commit", nil})
	executed, err := sendBatch(ctx, t.Conn.Conn(), t.log.Trace, writes)
	if executed < len(writes) {
		_ = t.rollback(ctx) // a connection that stays in a transaction is not used again
		var server *pgconn.PgError
		if executed < len(a.deferred) && errors.As(err, &server) {
			return &refusedWrite{err}
		}
	}
	return err
}

// Rollback implements driver.Tx.
func (t transaction) Rollback() error {
	if t.unlocked != nil {
		defer t.unlocked()
	}
	t.server.ahead.drop()
	return t.rollback(t.ctx)
}

// end sends COMMIT.
func (c connection) end(ctx context.Context) error {
	driver := c.Conn.Conn()
	tag, err := driver.Exec(ctx, "commit")
	switch {
	case err == nil && tag.String() == "ROLLBACK":
		return pgx.ErrTxCommitRollback
	case err != nil && driver.PgConn().TxStatus() != idle:
		_ = driver.Close(ctx) // err is the cause
	}
	return err
}

// rollback rolls the connection's transaction back, if it has one. If that fails, it closes the
// connection.
func (c connection) rollback(ctx context.Context) error {
	driver := c.Conn.Conn()
	if c.isOver() || driver.IsClosed() {
		return nil
	}
	_, err := driver.Exec(ctx, "rollback")
	if err != nil {
		_ = driver.Close(ctx) // err is the cause
	}
	return err
}

// isOver reports whether the connection has no transaction and will not begin one with its next
// statement.
func (c connection) isOver() bool {
	return c.Conn.Conn().PgConn().TxStatus() == idle && !c.server.ahead.isUnsent()
}
