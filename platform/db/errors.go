package db

import (
	"fmt"
	"time"
)

// ContentionError is returned if every attempt lost to a concurrent transaction.
// Nothing has been changed. A retry may succeed later.
type ContentionError struct {
	Operation string
	Attempts  int
	Elapsed   time.Duration
	SQLState  string
	cause     error
}

func (e *ContentionError) Error() string {
	return fmt.Sprintf("db: %s gave up after %d attempts in %s: %v", e.Operation, e.Attempts,
		e.Elapsed.Round(time.Millisecond), e.cause)
}

// Unwrap returns the last database error.
func (e *ContentionError) Unwrap() error { return e.cause }

// AmbiguousCommitError is returned if the reply to a COMMIT was lost and its outcome
// could not be determined.
type AmbiguousCommitError struct {
	Operation string
	cause     error
}

// NewAmbiguousCommitError returns the error for a caller that stops waiting for the COMMIT of the
// operation because of the cause.
func NewAmbiguousCommitError(operation string, cause error) *AmbiguousCommitError {
	return &AmbiguousCommitError{operation, cause}
}

func (e *AmbiguousCommitError) Error() string {
	return fmt.Sprintf("db: the outcome of the COMMIT of %s is unknown: %v", e.Operation, e.cause)
}

// Unwrap returns the error of the COMMIT.
func (e *AmbiguousCommitError) Unwrap() error { return e.cause }

// UnavailableError is returned if the database cannot be reached, its connections keep breaking, or
// it would refuse the request for every caller. Nothing has been changed.
type UnavailableError struct {
	Operation string
	State     State // state of the database; Unreachable if it has not answered
	cause     error
}

func newUnavailableError(operation string, cause error) *UnavailableError {
	state, known := stateOf(SQLState(cause))
	if !known {
		state = Unreachable
	}
	return &UnavailableError{Operation: operation, State: state, cause: cause}
}

func (e *UnavailableError) Error() string {
	return fmt.Sprintf("db: the database is %s (%s): %v", e.State, e.Operation, e.cause)
}

// Unwrap returns the cause.
func (e *UnavailableError) Unwrap() error { return e.cause }
