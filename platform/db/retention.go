package db

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Removal selects old rows of a table.
type Removal struct {
	Operation string    // name in metrics
	Table     string    // table name
	Key       []string  // the columns of its primary key
	Time      string    // the column or expression that an index begins with (after the columns of Where)
	Where     string    // a condition on other columns, constant and never from a request; empty: none
	Before    time.Time // rows with an earlier time are removed
}

// removalSlice is the maximum number of rows that one transaction removes: a few milliseconds, so
// that autovacuum, checkpoints and other writers are not blocked.
const removalSlice = 1000

// RemoveOld removes the oldest rows of a table, of all organizations, in slices, each in its own
// transaction, and returns their number. Rows that other transactions change meanwhile are checked
// again in their new state.
func RemoveOld(ctx context.Context, d *DB, r Removal) (total int64, err error) {
	var from *time.Time // earlier rows are gone: skip their index entries
	for {
		result, err := ReadCommitted(ctx, d, r.Operation, func(ctx context.Context) (slice, error) {
			return r.removeSlice(ctx, from, removalSlice)
		}, AllOrganizations())
		total += result.Removed
		if err != nil || result.Examined < removalSlice {
			return total, err
		}
		from = result.Last
	}
}

// slice is the result of removing one slice.
type slice struct {
	Examined int64
	Removed  int64
	Last     *time.Time
}

// removeSlice removes the first rows that are not older than from, up to the limit.
func (r Removal) removeSlice(ctx context.Context, from *time.Time, limit int) (slice, error) {
	tx, err := Handle(ctx)
	if err != nil {
		return slice{}, err
	}
	var result slice
	statement, arguments := r.statement(from, limit)
	err = tx.Raw(statement.For(ctx), arguments...).Scan(&result).Error
	return result, err
}

// statement returns the SQL of a slice. The deletion compares the time again, in case another
// transaction has just renewed a row.
func (r Removal) statement(from *time.Time, limit int) (statement Statement, arguments []any) {
	where := ""
	if r.Where != "" {
		where = r.Where + " AND "
	}
	arguments = []any{r.Before, limit}
	since := ""
	if from != nil {
		since, arguments = fmt.Sprintf(" AND %s >= $3", r.Time), append(arguments, *from)
	}
	return ByRows(fmt.Sprintf(`
		WITH slice AS MATERIALIZED (
			SELECT {row}, %[2]s AS moment FROM %[1]s WHERE %[3]s%[2]s < $1%[4]s ORDER BY %[2]s LIMIT $2
		), gone AS (
			DELETE FROM %[1]s WHERE {rows} AND %[3]s%[2]s < $1 RETURNING 1
		)
		SELECT (SELECT count(*) FROM slice) AS seen, (SELECT count(*) FROM gone) AS removed, (SELECT max(moment)
			FROM slice) AS last`,
		pgx.Identifier{r.Table}.Sanitize(), r.Time, where, since), Rows{r.Key, "SELECT s.{row} FROM slice s"}), arguments
}
