package db

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// Write executes a statement that must write the given number of rows in the
// transaction of the context: at once or, inside [Together], in a pipeline. It bypasses
// gorm, so arguments are numbered ($1, $2, …), and arrays are single arguments (see
// [UUIDs]). Errors: *[RowsError], [ErrNoTransaction], [ErrTransactionOver], and the
// driver's.
func Write(ctx context.Context, rows int, statement string, arguments ...any) error {
	w := write{rows, statement, arguments}
	if t, ok := ctx.Value(togetherKey{}).(*together); ok {
		t.writes = append(t.writes, w)
		return nil
	}
	return sendNowOrLast(ctx, []write{w})
}

// Together sends all statements that fn passes to [Write] in one round trip after fn
// has returned nil. They run in order up to the first that fails, whose error Together
// returns. fn must therefore not read what it writes. If fn fails, nothing is sent.
// Inside another Together it joins that one. In a unit of work with [WritingLast], all
// statements wait for COMMIT.
func Together(ctx context.Context, fn func(ctx context.Context) error) error {
	if _, joined := ctx.Value(togetherKey{}).(*together); joined {
		return fn(ctx)
	}
	var t together
	if err := fn(context.WithValue(ctx, togetherKey{}, &t)); err != nil || len(t.writes) == 0 {
		return err
	}
	return sendNowOrLast(ctx, t.writes)
}

// WritingLast sends all statements that the transaction passes to [Write] with its
// COMMIT, in one round trip. It is for work that reads, decides and writes, in that
// order, and does not read what it has written. Failures appear after the body has
// returned, as errors of the runner, and the function must map them there. Joined work
// follows the options of the outermost unit of work.
//
// If a statement writes an unexpected number of rows, the *[RowsError] is returned
// after COMMIT. It indicates a bug. Database constraints must prevent what must not be
// committed.
func WritingLast() Option {
	return func(u *unit) { u.writesLast = true }
}

// Query is a query with numbered arguments ($1, $2, …) and a function that reads its
// rows.
type Query struct {
	Statement string
	Arguments []any

	// Row reads a row: it passes a target for each column to scan, and must not use the
	// transaction otherwise.
	Row func(scan func(targets ...any) error) error
}

// Read runs a query in the transaction of the context. Like [Write] it bypasses gorm,
// for the hot path. Errors: [ErrNoTransaction], [ErrTransactionOver], those of Row, and
// the driver's.
func Read(ctx context.Context, q Query) error {
	tx, err := handle(ctx)
	if err != nil {
		return err
	}
	return attemptIn(ctx).driver(func(c *pgx.Conn) error {
		reach, unsent := attemptIn(ctx).unsentReach()
		if !unsent {
			return q.read(ctx, func() (pgx.Rows, error) { return c.Query(ctx, q.Statement, q.Arguments...) }, tx.Logger.Trace)
		}
		var batch pgx.Batch
		batch.Queue(reach.statement, reach.arguments...)
		batch.Queue(q.Statement, q.Arguments...)
		began := time.Now()
		results := c.SendBatch(ctx, &batch)
		defer func() { _ = results.Close() }() // errors were returned by rows already
		tag, err := results.Exec()
		tx.Logger.Trace(ctx, began, func() (string, int64) { return reach.statement, tag.RowsAffected() }, err)
		if err != nil {
			return err
		}
		return q.read(ctx, results.Query, tx.Logger.Trace)
	})
}

// read reads the rows of the query.
func (q Query) read(ctx context.Context, ask func() (pgx.Rows, error), trace tracing) error {
	began := time.Now()
	rows, err := ask()
	if err != nil {
		return err
	}
	defer rows.Close()
	for err == nil && rows.Next() {
		err = q.Row(rows.Scan)
	}
	rows.Close()
	if err == nil {
		err = rows.Err()
	}
	trace(ctx, began, func() (string, int64) { return q.Statement, rows.CommandTag().RowsAffected() }, err)
	return err
}

// tracing is called for each statement; gorm's logger implements it as Trace.
type tracing func(ctx context.Context, began time.Time, statement func() (sql string, rows int64), err error)

// sendReach sends the transaction's reach to the database if it does not have it yet.
func sendReach(ctx context.Context) error {
	if first, unsent := attemptIn(ctx).unsentReach(); unsent {
		return send(ctx, []write{first})
	}
	return nil
}

// RowsError is returned if a statement wrote an unexpected number of rows. Under
// SERIALIZABLE this is a bug, because what was read remains valid until COMMIT.
type RowsError struct {
	Statement string
	Want, Got int64
}

func (e *RowsError) Error() string {
	return fmt.Sprintf("db: a statement wrote %d rows instead of %d: %s", e.Got, e.Want, e.Statement)
}

type togetherKey struct{}

// together collects statements. Like the transaction, it is used by one goroutine at a
// time.
type together struct{ writes []write }

type write struct {
	rows      int
	statement string
	arguments []any
}

// sendNowOrLast executes statements, or defers them to COMMIT.
func sendNowOrLast(ctx context.Context, writes []write) error {
	if a := attemptIn(ctx); a != nil && a.unit.writesLast {
		_, err := handle(ctx)
		if err == nil {
			a.last = append(a.last, writes...)
		}
		return err
	}
	return send(ctx, writes)
}

// send executes statements in one round trip.
func send(ctx context.Context, writes []write) error {
	tx, err := handle(ctx)
	if err != nil {
		return err
	}
	return attemptIn(ctx).driver(func(c *pgx.Conn) error {
		_, err := pipeline(ctx, c, tx.Logger.Trace, writes)
		return err
	})
}

// pipeline executes statements in one round trip, after sending the reach if necessary.
// It returns the number of statements executed before the first failure.
func pipeline(
	ctx context.Context, c *pgx.Conn, trace tracing, writes []write,
) (carriedOut int, failed error) {
	if first, unsent := attemptIn(ctx).unsentReach(); unsent {
		writes = slices.Insert(slices.Clone(writes), 0, first)
		carriedOut--
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
		if w.rows != anyRows {
			trace(ctx, began, func() (string, int64) { return w.statement, tag.RowsAffected() }, err)
		}
		began = time.Now()
		if err != nil {
			failed = err
			break
		}
		carriedOut++
		if got := tag.RowsAffected(); miscounted == nil && w.rows != anyRows && got != int64(w.rows) {
			miscounted = &RowsError{Statement: w.statement, Want: int64(w.rows), Got: got}
		}
	}
	if err := results.Close(); failed == nil {
		failed = err
	}
	return carriedOut, cmp.Or(failed, miscounted)
}

// anyRows marks a statement without a row count, such as COMMIT.
const anyRows = -1

// driver calls fn with the driver's connection, unless the transaction has ended: a
// statement sent then would be committed by itself.
func (a *attempt) driver(use func(c *pgx.Conn) error) error {
	return a.connection.Raw(func(driver any) error {
		c := driver.(connection).Conn.Conn()
		if c.PgConn().TxStatus() == idle {
			return ErrTransactionOver
		}
		return use(c)
	})
}

// idle is the protocol's status of a connection without a transaction.
const idle = 'I'
