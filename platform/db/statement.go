package db

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"gorm.io/gorm"
)

// Exec executes a statement in the transaction of the context, and returns the number of affected
// rows. Placeholders are question marks, or $1, $2 and so on.
func Exec(ctx context.Context, statement string, values ...any) (rows int64, err error) {
	tx, err := Handle(ctx)
	if err != nil {
		return 0, err
	}
	result := tx.Exec(statement, values...)
	return result.RowsAffected, result.Error
}

// Select returns the rows of a query in the transaction of the context: structs, or values of one
// column.
func Select[T any](ctx context.Context, query string, values ...any) (rows []T, err error) {
	err = Read(ctx, SelectInto(ctx, &rows, query, values...))
	return rows, err
}

// SelectInto returns the query of [Select], for [ReadAll]. Its rows are appended to rows.
func SelectInto[T any](ctx context.Context, rows *[]T, query string, values ...any) Query {
	tx, err := handle(ctx)
	if err != nil {
		return Query{invalid: err}
	}
	built := tx.Raw(query, values...)
	q := Into(rows, built.Statement.SQL.String(), built.Statement.Vars...)
	q.invalid = built.Error
	return q
}

// SelectOne returns the first row of a query, like [Select]. Without a row, [IsNotFound] is true for
// the error.
func SelectOne[T any](ctx context.Context, query string, values ...any) (row T, err error) {
	rows, err := Select[T](ctx, query, values...)
	if err != nil {
		return row, err
	}
	if len(rows) == 0 {
		return row, gorm.ErrRecordNotFound
	}
	return rows[0], nil
}

// ExecAlone executes a statement outside of a transaction, for statements that PostgreSQL refuses in one, such as
// DETACH PARTITION CONCURRENTLY. A wait for a lock ends with SQLSTATE 55P03 after the given time. The statement is
// not retried.
func (d *DB) ExecAlone(ctx context.Context, lockTimeout time.Duration, statement string) error {
	connection, err := d.pool.Acquire(ctx)
	if err != nil {
		return newUnavailableError("exec", err)
	}
	defer connection.Release()
	set := fmt.Sprintf("SET lock_timeout = %d", lockTimeout.Milliseconds())
	if _, err := connection.Exec(ctx, set, pgx.QueryExecModeExec); err != nil {
		return err
	}
	_, err = connection.Exec(ctx, statement, pgx.QueryExecModeExec)
	if _, resetErr := connection.Exec(ctx, "RESET lock_timeout", pgx.QueryExecModeExec); resetErr != nil {
		_ = connection.Conn().Close(context.WithoutCancel(ctx)) // another user must not get the setting
	}
	return err
}
