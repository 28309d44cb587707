package db

import (
	"context"
	"database/sql/driver"
	"errors"
	"slices"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"
)

// phase is the progress of an attempt when it failed.
type phase string

const (
	beginPhase  phase = "begin"  // taking a connection, BEGIN, locks
	bodyPhase   phase = "body"   // the first reads and the caller's function
	commitPhase phase = "commit" // the function returned nil; COMMIT may have been sent
)

// outcomeKind is the outcome of an attempt.
type outcomeKind int

const (
	committed      outcomeKind = iota
	failed                     // the error is returned to the caller
	unavailable                // the database refuses this for every caller, see stateOf; do not retry
	retry                      // serialization failure or deadlock: retry
	connectionLost             // the connection broke before COMMIT: retry a few times
	ambiguous                  // the connection broke or timed out at COMMIT: the outcome is unknown
)

// classification describes the outcome of an attempt.
type classification struct {
	kind               outcomeKind
	err                error
	sqlState           string
	phase              phase
	constraintViolated bool // a constraint of [RetryConstraint] was violated
	commitAmbiguous    bool // the reply to a COMMIT was lost; unless the kind is committed, err says so
}

// classify classifies the attempt. The first database error, as the driver saw it, takes
// precedence over the error that came back through gorm and the caller's code, which
// may have wrapped or swallowed it.
func (a *attempt) classify(ctx context.Context, err error) classification {
	if err == nil {
		return classification{kind: committed}
	}
	first, broken := a.firstError()
	state := SQLState(first)
	if state == "" {
		state = SQLState(err)
	}
	v := classification{kind: failed, err: withCause(err, first), sqlState: state, phase: a.at}
	switch {
	case a.at == commitPhase && errors.Is(err, ErrTransactionOver): // nothing was sent
	case a.at == commitPhase && !a.unit.readOnly: // a read-only transaction is safe to repeat
		v.kind = classifyCommit(err, state)
	case retryable(state), planOutdated(err, first):
		v.kind = retry
	case a.retriesConstraint(err, first):
		v.kind, v.constraintViolated = retry, true
	case isUnavailable(state):
		v.kind = unavailable
	case ctx.Err() != nil:
		v.err = errors.Join(ctx.Err(), v.err)
	case a.at == beginPhase || broken || isConnectionLoss(state) || first == nil && errors.Is(err, driver.ErrBadConn):
		// Before the body there is no transaction, so any network error is a lost
		// connection. In the body, only the driver's errors count, because the body's
		// errors may come from other networks.
		v.kind = connectionLost
	}
	return v
}

func classifyCommit(err error, state string) outcomeKind {
	var server *pgconn.PgError
	var rows *RowsError
	switch {
	case errors.Is(err, pgx.ErrTxCommitRollback):
		return failed // reported by the server: it has rolled back
	case errors.As(err, &rows):
		return failed // committed, but with an unexpected row count: see [WritesWithCommit]
	case !errors.As(err, &server), server.SeverityUnlocalized != "ERROR", isConnectionLoss(state),
		state == pgerrcode.StatementCompletionUnknown:
		return ambiguous
	case retryable(state):
		return retry
	case isUnavailable(state):
		return unavailable
	default:
		return failed // the server reports that it has not committed, and why
	}
}

func retryable(state string) bool {
	return state == pgerrcode.SerializationFailure || state == pgerrcode.DeadlockDetected
}

// planOutdated reports whether a prepared statement's result columns have changed, because a
// migration has changed its table. The driver has discarded the statement, so the next attempt
// prepares it again.
func planOutdated(errs ...error) bool {
	return slices.ContainsFunc(errs, func(err error) bool {
		var server *pgconn.PgError
		return errors.As(err, &server) && server.Code == pgerrcode.FeatureNotSupported &&
			server.Routine == "RevalidateCachedQuery"
	})
}

func (a *attempt) retriesConstraint(errs ...error) bool {
	return slices.ContainsFunc(errs, func(err error) bool {
		var server *pgconn.PgError
		return errors.As(err, &server) && server.Code == pgerrcode.UniqueViolation &&
			slices.Contains(a.unit.constraints, server.ConstraintName)
	})
}

// isUnavailable reports whether the SQLSTATE means that the server works and would refuse the same for
// every caller, so that a retry is pointless for now.
func isUnavailable(sqlState string) bool {
	_, refuses := stateOf(sqlState)
	return refuses
}

// isConnectionLoss reports whether the SQLSTATE means that the connection or the server
// is gone.
func isConnectionLoss(state string) bool {
	switch state {
	case pgerrcode.AdminShutdown, pgerrcode.CrashShutdown, pgerrcode.CannotConnectNow, pgerrcode.TooManyConnections,
		pgerrcode.IdleInTransactionSessionTimeout, transactionTimeout:
		return true
	}
	return pgerrcode.IsConnectionException(state)
}

// transactionTimeout is the SQLSTATE of transaction_timeout, which PostgreSQL 17 added.
const transactionTimeout = "25P04"

// withCause makes sure that errors.As finds the first database error in the returned
// error.
func withCause(err, first error) error {
	if first == nil || errors.Is(err, first) || SQLState(first) != "" && SQLState(first) == SQLState(err) {
		return err
	}
	return errors.Join(first, err)
}

// SQLState returns the SQLSTATE in err's tree, or "".
func SQLState(err error) string {
	var server *pgconn.PgError
	if errors.As(err, &server) {
		return server.Code
	}
	return ""
}

// ConstraintOf returns the name of the violated constraint in err, or "".
func ConstraintOf(err error) string {
	var server *pgconn.PgError
	if errors.As(err, &server) {
		return server.ConstraintName
	}
	return ""
}

// IsNotFound reports whether err means that the row does not exist.
func IsNotFound(err error) bool { return errors.Is(err, gorm.ErrRecordNotFound) }
