package db

import (
	"context"

	"github.com/jackc/pgerrcode"
)

// State says what the database can do at the moment.
type State string

// The states of a database.
const (
	// ReadWrite is a database that works.
	ReadWrite State = "read-write"
	// ReadOnly is a standby, or a database whose transactions are read-only by default.
	ReadOnly State = "read-only"
	// Full is a database whose disk, memory or another resource is used up.
	Full State = "full"
	// Blocked is a database whose writers wait for a lock that its holder does not release.
	Blocked State = "blocked"
	// Unconfirmed is a database that does not answer a COMMIT, as while it waits for a
	// synchronous standby.
	Unconfirmed State = "unconfirmed"
	// SchemaMismatch is a database that lacks a table, a column or a function that this
	// program uses, as during an upgrade.
	SchemaMismatch State = "schema-mismatch"
	// Unreachable is a database that does not answer.
	Unreachable State = "unreachable"
)

// stateOf returns the state of a database that refuses a statement with the SQLSTATE,
// and false where the refusal says nothing about the database as a whole. It is the one
// place where SQLSTATEs are classified so.
func stateOf(sqlState string) (State, bool) {
	switch sqlState {
	case pgerrcode.ReadOnlySQLTransaction:
		return ReadOnly, true
	case pgerrcode.LockNotAvailable: // lock_timeout
		return Blocked, true
	case pgerrcode.UndefinedColumn, pgerrcode.UndefinedTable, pgerrcode.UndefinedFunction:
		return SchemaMismatch, true
	case pgerrcode.TooManyConnections: // another attempt may get one
		return "", false
	case pgerrcode.IOError:
		return Full, true
	}
	return Full, pgerrcode.IsInsufficientResources(sqlState)
}

// State returns what the database can do: whether it answers and is read-only, and what
// the transactions of the last seconds have met. The error says why it is Unreachable.
func (d *DB) State(ctx context.Context) (State, error) {
	const question = "SELECT pg_is_in_recovery() OR current_setting('default_transaction_read_only')::boolean"
	var readOnly bool
	if err := d.pool.QueryRow(ctx, question).Scan(&readOnly); err != nil {
		return Unreachable, unavailable("ask for the state", err)
	}
	if readOnly {
		return ReadOnly, nil
	}
	return d.metrics.health.current(), nil
}
