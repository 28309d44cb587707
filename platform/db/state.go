package db

import (
	"context"

	"github.com/jackc/pgerrcode"
)

// State is the current state of the database.
type State string

// The states of a database.
const (
	// ReadWrite: the database works.
	ReadWrite State = "read-write"
	// ReadOnly: a standby, or transactions are read-only by default.
	ReadOnly State = "read-only"
	// Full: the disk, the memory or another resource is used up.
	Full State = "full"
	// Blocked: writers wait for a lock that its holder does not release.
	Blocked State = "blocked"
	// Unconfirmed: the server does not answer a COMMIT, for example while it waits for a
	// synchronous standby.
	Unconfirmed State = "unconfirmed"
	// SchemaMismatch: a table, a column or a function that this program uses is missing, as during
	// an upgrade.
	SchemaMismatch State = "schema-mismatch"
	// Unreachable: the database does not answer.
	Unreachable State = "unreachable"
)

// stateOf returns the state of a database that refuses a statement with the SQLSTATE, and false if
// the refusal does not concern the whole database. It is the only place that classifies SQLSTATEs
// this way.
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

// State returns what the database can do. It checks whether the database answers and is read-only,
// and includes what transactions met in the last seconds. The error is the cause of Unreachable.
func (d *DB) State(ctx context.Context) (State, error) {
	const question = "SELECT pg_is_in_recovery() OR current_setting('default_transaction_read_only')::boolean"
	var readOnly bool
	if err := d.pool.QueryRow(ctx, question).Scan(&readOnly); err != nil {
		return Unreachable, newUnavailableError("ask for the state", err)
	}
	if readOnly {
		return ReadOnly, nil
	}
	return d.metrics.health.current(), nil
}
