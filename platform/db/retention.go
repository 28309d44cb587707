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
		slice, err := ReadCommitted(ctx, d, r.Operation, func(ctx context.Context) (removed, error) {
			return r.slice(ctx, from, removalSlice)
		}, AllOrganizations())
		total += slice.Removed
		if err != nil || slice.Seen < removalSlice {
			return total, err
		}
		from = slice.Last
	}
}

// removed is the result of a slice.
type removed struct {
	Seen    int64
	Removed int64
	Last    *time.Time
}

// slice removes the first rows that are not older than from, up to the limit.
func (r Removal) slice(ctx context.Context, from *time.Time, limit int) (removed, error) {
	tx, err := Handle(ctx)
	if err != nil {
		return removed{}, err
	}
	var done removed
	statement, arguments := r.statement(from, limit)
	err = tx.Raw(statement, arguments...).Scan(&done).Error
	return done, err
}

// statement returns the SQL of a slice. The deletion compares the time again, in case another
// transaction has just renewed a row.
func (r Removal) statement(from *time.Time, limit int) (statement string, arguments []any) {
	where := ""
	if r.Where != "" {
		where = r.Where + " AND "
	}
	arguments = []any{r.Before, limit}
	since := ""
	if from != nil {
		since, arguments = fmt.Sprintf(" AND %s >= $3", r.Time), append(arguments, *from)
	}
	return fmt.Sprintf(`
		WITH slice AS MATERIALIZED (
			SELECT ctid AS place, %[2]s AS moment FROM %[1]s WHERE %[3]s%[2]s < $1%[4]s ORDER BY %[2]s LIMIT $2
		), gone AS (
			DELETE FROM %[1]s WHERE ctid = ANY (ARRAY(SELECT place FROM slice)) AND %[3]s%[2]s < $1 RETURNING 1
		)
		SELECT (SELECT count(*) FROM slice) AS seen, (SELECT count(*) FROM gone) AS removed, (SELECT max(moment) FROM slice) AS last`,
		pgx.Identifier{r.Table}.Sanitize(), r.Time, where, since), arguments
}
