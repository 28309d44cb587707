package db

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// Write executes a statement that must write the given number of rows in the
// transaction of the context: at once or, inside [Pipeline], in a pipeline. It bypasses
// gorm, so arguments are numbered ($1, $2, …), and arrays are single arguments (see
// [UUIDs]). Errors: *[RowsError], [ErrNoTransaction], [ErrTransactionOver], and the
// driver's.
func Write(ctx context.Context, rows int, statement string, arguments ...any) error {
	w := writeStatement{rows, statement, arguments}
	if t, ok := ctx.Value(pipelineKey{}).(*pipeline); ok {
		t.writes = append(t.writes, w)
		return nil
	}
	return sendOrDefer(ctx, []writeStatement{w})
}

// Pipeline sends all statements that fn passes to [Write] in one round trip after fn
// has returned nil. They run in order up to the first that fails, whose error Pipeline
// returns. fn must therefore not read what it writes. If fn fails, nothing is sent.
// Inside another Pipeline it joins that one. In a unit of work with [WritesWithCommit], all
// statements wait for COMMIT.
func Pipeline(ctx context.Context, fn func(ctx context.Context) error) error {
	if _, joined := ctx.Value(pipelineKey{}).(*pipeline); joined {
		return fn(ctx)
	}
	var t pipeline
	if err := fn(context.WithValue(ctx, pipelineKey{}, &t)); err != nil || len(t.writes) == 0 {
		return err
	}
	return sendOrDefer(ctx, t.writes)
}

// WritesWithCommit sends all statements that the transaction passes to [Write] with its
// COMMIT, in one round trip. It is for work that reads, decides and writes, in that
// order, and does not read what it has written. Failures appear after the body has
// returned, as errors of the runner, and the function must map them there. Joined work
// follows the options of the outermost unit of work.
//
// If a statement writes an unexpected number of rows, the *[RowsError] is returned
// after COMMIT. It indicates a bug. Database constraints must prevent what must not be
// committed.
func WritesWithCommit() Option {
	return func(u *unit) { u.writesWithCommit = true }
}

// Query is a query with numbered arguments ($1, $2, …) and a function that reads its
// rows.
type Query struct {
	Statement string
	Arguments []any

	// Row reads a row: it passes a target for each column to scan, and must not use the
	// transaction otherwise.
	Row func(scan func(targets ...any) error) error

	scan    func(types *pgtype.Map, rows pgx.Rows) error // replaces Row; see [Into]
	invalid error                                        // the query could not be built
}

// Read runs a query in the transaction of the context. Like [Write] it bypasses gorm,
// for the hot path. Errors: [ErrNoTransaction], [ErrTransactionOver], the errors of
// Row and of the driver.
func Read(ctx context.Context, q Query) error { return ReadAll(ctx, q) }

// ReadAll runs queries in one round trip, in order, up to the first that fails. Errors: as for [Read].
func ReadAll(ctx context.Context, queries ...Query) error {
	tx, err := handle(ctx)
	for _, q := range queries {
		err = cmp.Or(err, q.invalid)
	}
	if err != nil || len(queries) == 0 {
		return err
	}
	return attemptIn(ctx).driver(func(c *pgx.Conn) error {
		first, unsent := attemptIn(ctx).unsentOrganizations()
		if !unsent && len(queries) == 1 {
			q := queries[0]
			return q.readRows(ctx, c, func() (pgx.Rows, error) { return c.Query(ctx, q.Statement, q.Arguments...) },
				tx.Logger.Trace)
		}
		var batch pgx.Batch
		if unsent {
			batch.Queue(first.statement, first.arguments...)
		}
		for _, q := range queries {
			batch.Queue(q.Statement, q.Arguments...)
		}
		began := time.Now()
		results := c.SendBatch(ctx, &batch)
		defer func() { _ = results.Close() }() // errors were returned by rows already
		if unsent {
			tag, err := results.Exec()
			tx.Logger.Trace(ctx, began, func() (string, int64) { return first.statement, tag.RowsAffected() }, err)
			if err != nil {
				return err
			}
		}
		for _, q := range queries {
			if err := q.readRows(ctx, c, results.Query, tx.Logger.Trace); err != nil {
				return err
			}
		}
		return nil
	})
}

// readRows reads the rows of the query.
func (q Query) readRows(
	ctx context.Context, c *pgx.Conn, query func() (pgx.Rows, error), trace traceFunc,
) error {
	began := time.Now()
	rows, err := query()
	if err != nil {
		return err
	}
	defer rows.Close()
	if q.scan != nil {
		err = q.scan(c.TypeMap(), rows)
	}
	for q.Row != nil && err == nil && rows.Next() {
		err = q.Row(rows.Scan)
	}
	rows.Close()
	if err == nil {
		err = rows.Err()
	}
	trace(ctx, began, func() (string, int64) { return q.Statement, rows.CommandTag().RowsAffected() }, err)
	return err
}

// traceFunc is called for each statement; gorm's logger implements it as Trace.
type traceFunc func(ctx context.Context, began time.Time, statement func() (sql string, rows int64), err error)

// sendOrganizations sends the transaction's organizations to the database if it does not have them yet.
func sendOrganizations(ctx context.Context) error {
	if first, unsent := attemptIn(ctx).unsentOrganizations(); unsent {
		return sendNow(ctx, []writeStatement{first})
	}
	return nil
}

// RowsError is returned if a statement wrote an unexpected number of rows. Under
// SERIALIZABLE this is a bug, because the rows that were read remain valid until COMMIT.
type RowsError struct {
	Statement string
	Want, Got int64
}

func (e *RowsError) Error() string {
	return fmt.Sprintf("db: a statement wrote %d rows instead of %d: %s", e.Got, e.Want, e.Statement)
}

type pipelineKey struct{}

// pipeline collects statements. Like the transaction, it is used by one goroutine at a
// time.
type pipeline struct{ writes []writeStatement }

type writeStatement struct {
	rows      int
	statement string
	arguments []any
}

// sendOrDefer executes statements, or defers them to COMMIT.
func sendOrDefer(ctx context.Context, writes []writeStatement) error {
	if a := attemptIn(ctx); a != nil && a.unit.writesWithCommit {
		_, err := handle(ctx)
		if err == nil {
			a.deferred = append(a.deferred, writes...)
		}
		return err
	}
	return sendNow(ctx, writes)
}

// sendNow executes statements in one round trip.
func sendNow(ctx context.Context, writes []writeStatement) error {
	tx, err := handle(ctx)
	if err != nil {
		return err
	}
	return attemptIn(ctx).driver(func(c *pgx.Conn) error {
		_, err := sendBatch(ctx, c, tx.Logger.Trace, writes)
		return err
	})
}

// sendBatch executes statements in one round trip, after sending the organizations if necessary.
// It returns the number of statements executed before the first failure.
func sendBatch(
	ctx context.Context, c *pgx.Conn, trace traceFunc, writes []writeStatement,
) (executed int, failed error) {
	if first, unsent := attemptIn(ctx).unsentOrganizations(); unsent {
		writes = slices.Insert(slices.Clone(writes), 0, first)
		executed--
	}
	var batch pgx.Batch
	for _, w := range writes {
		batch.Queue(w.statement, w.arguments...)
	}
	began := time.Now()
	results := c.SendBatch(ctx, &batch)
	var miscounted error
	for _, w := range writes {
		tag, err := results.Exec()
		if w.rows != anyRowCount {
			trace(ctx, began, func() (string, int64) { return w.statement, tag.RowsAffected() }, err)
		}
		began = time.Now()
		if err != nil {
			failed = err
			break
		}
		executed++
		if got := tag.RowsAffected(); miscounted == nil && w.rows != anyRowCount && got != int64(w.rows) {
			miscounted = &RowsError{Statement: w.statement, Want: int64(w.rows), Got: got}
		}
	}
	if err := results.Close(); failed == nil {
		failed = err
	}
	return executed, cmp.Or(failed, miscounted)
}

// anyRowCount marks a statement without a row count, such as COMMIT.
const anyRowCount = -1

// driver calls fn with the driver's connection, unless the transaction has ended: a
// statement sent then would be committed by itself.
func (a *attempt) driver(use func(c *pgx.Conn) error) error {
	return a.connection.Raw(func(driver any) error {
		c := driver.(connection)
		if c.isOver() {
			return ErrTransactionOver
		}
		return use(c.Conn.Conn())
	})
}

// idle is the protocol's status of a connection without a transaction.
const idle = 'I'
