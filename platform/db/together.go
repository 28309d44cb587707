package db

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// Write executes a statement that must write exactly so many rows in the
// transaction of the context: at once or, inside [Together], with others. It goes
// to the driver past gorm, so the arguments are numbered, $1, $2, …, and arrays are
// arguments like others (see [UUIDs]). Errors: *[RowsError], [ErrNoTransaction],
// [ErrTransactionOver], and the driver's.
func Write(ctx context.Context, rows int, statement string, arguments ...any) error {
	w := write{rows, statement, arguments}
	if t, ok := ctx.Value(togetherKey{}).(*together); ok {
		t.writes = append(t.writes, w)
		return nil
	}
	return sendNowOrLast(ctx, []write{w})
}

// Together has everything that fn hands to [Write] executed in one round trip when
// fn has returned nil, in its order, up to the first that fails, whose error it
// returns. So fn does not see what it writes, and must not read it; where it fails
// itself, nothing is sent. Inside another Together it joins that, and in a unit of
// work that is [WritingLast] all waits for COMMIT.
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

// WritingLast has all that the transaction hands to [Write] sent with its COMMIT, in
// one round trip: for work that reads, decides and writes, in that order, and so
// loses nothing by not seeing what it has written. Statements that fail do so when
// the body has returned, and the runner returns their errors; what the function gives
// to the runner is theirs to map. Work that joins a transaction does as the one who
// began it asked for.
//
// Where a statement writes other rows than it must, *[RowsError] comes after COMMIT: it
// tells of a bug, and what must not be committed is to be held by the database.
func WritingLast() Option {
	return func(u *unit) { u.writesLast = true }
}

// Query is a query whose arguments are numbered, $1, $2, …, and what becomes of the rows.
type Query struct {
	Statement string
	Arguments []any

	// Row reads a row: it names a target for each column and does nothing else with
	// the transaction.
	Row func(scan func(targets ...any) error) error
}

// Read runs a query in the transaction of the context. Like [Write] it goes past gorm,
// for what every operation waits for. Errors: [ErrNoTransaction], [ErrTransactionOver],
// those of Row, and the driver's.
func Read(ctx context.Context, q Query) error {
	tx, err := handle(ctx)
	if err != nil {
		return err
	}
	return attemptIn(ctx).driver(func(c *pgx.Conn) error {
		reach, untold := attemptIn(ctx).untold()
		if !untold {
			return q.read(ctx, func() (pgx.Rows, error) { return c.Query(ctx, q.Statement, q.Arguments...) }, tx.Logger.Trace)
		}
		var batch pgx.Batch
		batch.Queue(reach.statement, reach.arguments...)
		batch.Queue(q.Statement, q.Arguments...)
		began := time.Now()
		results := c.SendBatch(ctx, &batch)
		defer func() { _ = results.Close() }() // what failed, the rows have told
		tag, err := results.Exec()
		tx.Logger.Trace(ctx, began, func() (string, int64) { return reach.statement, tag.RowsAffected() }, err)
		if err != nil {
			return err
		}
		return q.read(ctx, results.Query, tx.Logger.Trace)
	})
}

// read has the rows read that are asked for.
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

// tracing is told of each statement; gorm's logger has it as Trace.
type tracing func(ctx context.Context, began time.Time, statement func() (sql string, rows int64), err error)

// tell tells the database of the transaction's reach where it does not know yet.
func tell(ctx context.Context) error {
	if first, untold := attemptIn(ctx).untold(); untold {
		return send(ctx, []write{first})
	}
	return nil
}

// RowsError says that a statement did not write the rows that it was to write.
// Under SERIALIZABLE this is a bug: what was read holds until COMMIT.
type RowsError struct {
	Statement string
	Want, Got int64
}

func (e *RowsError) Error() string {
	return fmt.Sprintf("db: a statement wrote %d rows instead of %d: %s", e.Got, e.Want, e.Statement)
}

type togetherKey struct{}

// together collects what is to be sent. It is used by one goroutine at a time, as
// the transaction is.
type together struct{ writes []write }

type write struct {
	rows      int
	statement string
	arguments []any
}

// sendNowOrLast executes statements, or keeps them for COMMIT.
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

// pipeline executes statements in one round trip, and the reach before them where it
// is still to be told. It returns how many of them were carried out before one failed.
func pipeline(
	ctx context.Context, c *pgx.Conn, trace tracing, writes []write,
) (carriedOut int, failed error) {
	if first, untold := attemptIn(ctx).untold(); untold {
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

// anyRows is the number of rows of a statement that writes none, as COMMIT.
const anyRows = -1

// driver lends out the driver's connection, unless the transaction on it is over:
// what is sent then would be committed by itself.
func (a *attempt) driver(use func(c *pgx.Conn) error) error {
	return a.connection.Raw(func(driver any) error {
		c := driver.(connection).Conn.Conn()
		if c.PgConn().TxStatus() == idle {
			return ErrTransactionOver
		}
		return use(c)
	})
}

// idle is how the protocol says that a connection is in no transaction.
const idle = 'I'
