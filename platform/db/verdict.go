package db

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"slices"
	"strings"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"
)

// phase is how far an attempt had come when it failed.
type phase string

const (
	begin  phase = "begin"  // taking a connection, BEGIN
	inBody phase = "body"   // the caller's function
	commit phase = "commit" // the function was content; COMMIT has perhaps been sent
)

// kind is what becomes of an attempt.
type kind int

const (
	committed kind = iota
	refused        // the error is the caller's to deal with
	again          // serialization failure or deadlock: try again
	lost           // the connection broke before COMMIT: try again, a few times
	ambiguous      // it broke, or timed out, at COMMIT: nobody here knows
)

// verdict is the judgement on an attempt.
type verdict struct {
	kind      kind
	err       error
	sqlState  string
	phase     phase
	ambiguous bool // it was, and has been resolved or given up
}

// judge decides what becomes of the attempt. The first database error, as the
// driver saw it, counts before the one that came back through gorm and the
// caller's code, which may have been flattened, wrapped or swallowed.
func (a *attempt) judge(ctx context.Context, at phase, err error) verdict {
	if err == nil {
		return verdict{kind: committed}
	}
	first, broken := a.firstError()
	state := SQLState(first)
	if state == "" {
		state = SQLState(err)
	}
	v := verdict{kind: refused, err: keepCause(err, first), sqlState: state, phase: at}
	switch {
	case at == commit:
		v.kind = judgeCommit(err, state)
	case retryable(state) || a.retriesConstraint(err, first):
		v.kind = again
	case ctx.Err() != nil:
		v.err = errors.Join(ctx.Err(), v.err)
	case broken || connectionLost(state, err):
		v.kind = lost
	}
	return v
}

func judgeCommit(err error, state string) kind {
	var server *pgconn.PgError
	switch {
	case !errors.As(err, &server), connectionLost(state, nil), state == pgerrcode.StatementCompletionUnknown,
		server.Severity != "ERROR":
		return ambiguous
	case retryable(state):
		return again
	default:
		return refused // the server says that it has not committed, and why
	}
}

func retryable(state string) bool {
	return state == pgerrcode.SerializationFailure || state == pgerrcode.DeadlockDetected
}

func (a *attempt) retriesConstraint(errs ...error) bool {
	return slices.ContainsFunc(errs, func(err error) bool {
		var server *pgconn.PgError
		return errors.As(err, &server) && server.Code == pgerrcode.UniqueViolation &&
			slices.Contains(a.unit.constraints, server.ConstraintName)
	})
}

// connectionLost reports whether the error means that the connection, or the
// server, is gone.
func connectionLost(state string, err error) bool {
	switch {
	case pgerrcode.IsConnectionException(state), state == pgerrcode.AdminShutdown, state == pgerrcode.CrashShutdown,
		state == pgerrcode.CannotConnectNow, state == pgerrcode.TooManyConnections:
		return true
	case state != "" || err == nil:
		return false
	}
	var connecting *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connecting) || errors.As(err, &network) || errors.Is(err, driver.ErrBadConn) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || strings.Contains(err.Error(), "conn closed")
}

// keepCause makes sure that the first database error can be reached from err.
func keepCause(err, first error) error {
	var server *pgconn.PgError
	if first == nil || errors.Is(err, first) || errors.As(err, &server) {
		return err
	}
	return errors.Join(err, first)
}

// SQLState returns the SQLSTATE in err's tree, or nothing.
func SQLState(err error) string {
	var server *pgconn.PgError
	if errors.As(err, &server) {
		return server.Code
	}
	return ""
}

// ConstraintOf returns the name of the constraint that err says was violated, or nothing.
func ConstraintOf(err error) string {
	var server *pgconn.PgError
	if errors.As(err, &server) {
		return server.ConstraintName
	}
	return ""
}

// IsNotFound reports whether err says that the row asked for is not there.
func IsNotFound(err error) bool { return errors.Is(err, gorm.ErrRecordNotFound) }
