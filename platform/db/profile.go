package db

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Profile is the set of features of the database that the program uses.
type Profile string

const (
	// PostgreSQL uses what PostgreSQL has.
	PostgreSQL Profile = "postgresql"
	// Portable uses what other engines with PostgreSQL's protocol and serializable transactions have too:
	// no ctid, LOCK TABLE, LISTEN, NOTIFY, exclusion or deferrable constraints, triggers, columns of the type json,
	// partitions, settings of a session, and advisory locks.
	Portable Profile = "portable"
)

// IsPortable reports whether the profile is [Portable].
func (d *DB) IsPortable() bool { return d.portable }

func (d *DB) profile() Profile {
	if d.portable {
		return Portable
	}
	return PostgreSQL
}

// isPortable reports whether the transaction in the context uses the portable profile.
func isPortable(ctx context.Context) bool {
	a := attemptIn(ctx)
	return a != nil && a.portable
}

// Statement is a statement with a text for each profile.
type Statement struct{ postgresql, portable string }

// For returns the text for the transaction in the context.
func (s Statement) For(ctx context.Context) string {
	if isPortable(ctx) {
		return s.portable
	}
	return s.postgresql
}

// Rows selects the rows that a statement changes.
type Rows struct {
	Key []string // the columns of the table's primary key, or another key
	// Query finds the rows. It names what it selects t.{row}, for any alias t.
	Query string
}

// ByRows returns a statement that changes the rows of a query. Its text has {rows}, or a.{rows} with the
// table's alias a, in place of the condition, and may have {row} as the query does. The query finds the rows one by
// one. In a join with it, the planner would read a small table completely, and SSI would lock it.
//
// In the profile [PostgreSQL] the condition compares ctid, PostgreSQL's address of a row, which saves a second look-up.
// In [Portable] it compares the key.
func ByRows(text string, r Rows) Statement {
	render := func(columns []string, condition func(target, query string) string) string {
		row := func(in string) string {
			return rowOf.ReplaceAllStringFunc(in, func(found string) string {
				return prefixed(strings.TrimSuffix(found, "{row}"), columns)
			})
		}
		query := row(r.Query)
		return rowsOf.ReplaceAllStringFunc(row(text), func(found string) string {
			return condition(prefixed(strings.TrimSuffix(found, "{rows}"), columns), query)
		})
	}
	return Statement{
		postgresql: render([]string{"ctid"}, func(target, query string) string {
			return target + " = ANY (ARRAY(" + query + "))"
		}),
		portable: render(r.Key, func(target, query string) string { return "(" + target + ") IN (" + query + ")" }),
	}
}

var (
	rowOf  = regexp.MustCompile(`(\w+\.)?\{row\}`)
	rowsOf = regexp.MustCompile(`(\w+\.)?\{rows\}`)
)

func prefixed(prefix string, columns []string) string {
	return prefix + strings.Join(columns, ", "+prefix)
}

// WithNotify returns the statement with its {notify CHANNEL, PAYLOAD}: pg_notify in the profile [PostgreSQL], and
// the channel, which has no effect, in [Portable].
func (s Statement) WithNotify() Statement {
	return Statement{
		postgresql: notifyIn.ReplaceAllString(s.postgresql, "pg_notify($1, $2)"),
		portable:   notifyIn.ReplaceAllString(s.portable, "CAST($1 AS text)"),
	}
}

var notifyIn = regexp.MustCompile(`\{notify ([^,]+), ([^}]+)\}`)

// Notify sends a notification on the channel when the transaction in the context commits. In the profile
// [Portable] it does nothing: listeners poll.
func Notify(ctx context.Context, channel string) error {
	if isPortable(ctx) {
		return nil
	}
	_, err := Exec(ctx, "SELECT pg_notify(?, '')", channel)
	return err
}

// pollInterval is how often a listener polls in the profile [Portable].
const pollInterval = 200 * time.Millisecond

// poll calls Connected until the context ends, so that the listener looks for what it may have missed.
func poll(ctx context.Context, l Listener) {
	for ctx.Err() == nil {
		l.Connected()
		_ = sleep(ctx, pollInterval) // it fails at the end of the context only
	}
}

// CommitOrder has SQL that orders transactions. A reader that asks for all rows since its last mark misses none, even
// if transactions become visible in another order than their rows were written.
type CommitOrder struct {
	Mark  string // an expression for the mark of this read, as text
	Since string // the condition for rows of c since the mark in the argument ?
}

// CommitOrderOf returns the order of the transactions of the profile. In [PostgreSQL] the column transaction has the
// transaction's number, and the mark is the oldest number that was open. In [Portable] the column stored_at has the
// database's time at the begin of the transaction, and the mark is longer ago than any transaction takes.
func CommitOrderOf(ctx context.Context) CommitOrder {
	if isPortable(ctx) {
		return CommitOrder{
			Mark: fmt.Sprintf("CAST(CAST(floor(extract(epoch FROM now() - interval '%d seconds')) AS bigint) AS text)",
				int(longestTransaction.Seconds())),
			Since: "c.stored_at >= to_timestamp(CAST(CAST(? AS text) AS double precision))",
		}
	}
	return CommitOrder{
		Mark:  "CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text)",
		Since: "c.transaction >= CAST(CAST(? AS text) AS xid8)",
	}
}

// longestTransaction is longer than a transaction of the program lasts: its requests have a timeout, and the server ends
// transactions that wait for their client.
const longestTransaction = 2 * time.Minute
