package db

import (
	"fmt"
	"time"
)

// ContentionError says that every attempt was overtaken by a concurrent
// transaction. Nothing has been changed; asking again later may succeed.
type ContentionError struct {
	Operation string
	Attempts  int
	Elapsed   time.Duration
	SQLState  string
	cause     error
}

func (e *ContentionError) Error() string {
	return fmt.Sprintf("db: %s gave up after %d attempts in %s: %v", e.Operation, e.Attempts, e.Elapsed.Round(time.Millisecond), e.cause)
}

// Unwrap returns the last database error.
func (e *ContentionError) Unwrap() error { return e.cause }

// AmbiguousCommitError says that the answer to a COMMIT was lost, and that it
// could not be found out whether it was carried out.
type AmbiguousCommitError struct {
	Operation string
	cause     error
}

func (e *AmbiguousCommitError) Error() string {
	return fmt.Sprintf("db: it is not known whether %s was committed: %v", e.Operation, e.cause)
}

// Unwrap returns what went wrong at COMMIT.
func (e *AmbiguousCommitError) Unwrap() error { return e.cause }

// UnavailableError is returned if the database cannot be reached, its connections keep breaking, or
// it would refuse the request for every caller. Nothing has been changed.
type UnavailableError struct {
	Operation string
	State     State // of the database; Unreachable if it has not answered
	cause     error
}

func unavailable(operation string, cause error) *UnavailableError {
	state, known := stateOf(SQLState(cause))
	if !known {
		state = Unreachable
	}
	return &UnavailableError{Operation: operation, State: state, cause: cause}
}

func (e *UnavailableError) Error() string {
	return fmt.Sprintf("db: the database is %s (%s): %v", e.State, e.Operation, e.cause)
}

// Unwrap returns what went wrong.
func (e *UnavailableError) Unwrap() error { return e.cause }
