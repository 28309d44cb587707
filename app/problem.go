package app

import (
	"context"
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"omnirapeutic/modules/verification"
	"omnirapeutic/platform/command"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
)

// Errors outside of any module. Errors of the request itself are defined in httpx.
var (
	errRouteNotFound = fault.Define(fault.NotFound, "route-not-found", "Address not found.").
				Advising("This is a bug in the client: check the method and the path.")
	errMethodNotAllowed = fault.Define(fault.NotFound, "method-not-allowed",
		"This method is not allowed at this address.").
		Advising("The `Allow` header lists the allowed methods.")
	errContention = fault.Define(fault.Contention, "contention", "Too many people are changing the same record at once. "+
		"Nothing has been changed; try again.").
		Advising("Wait for the time in `Retry-After`, and retry the same request with the same `Idempotency-Key`.")
	errDatabase = fault.Define(fault.Unavailable, "database-unavailable",
		"The database does not answer right now. Nothing has been changed; try again soon.")
	errReadOnly = fault.Define(fault.Unavailable, "database-read-only",
		"The database accepts no changes right now, but most data can still be read. Nothing has been changed; try again "+
			"soon.").
		Advising("Allow reading, and retry the same request with the same `Idempotency-Key` later.")
	errDatabaseFull = fault.Define(fault.Unavailable, "database-full",
		"The database is full. Nothing has been changed; try again soon, and inform your administrator.")
	errDatabaseBusy = fault.Define(fault.Unavailable, "database-busy",
		"The database is blocked by another change. Nothing has been changed; try again in a few seconds.")
	errSchemaMismatch = fault.Define(fault.Unavailable, "schema-mismatch",
		"The server and its database are being upgraded and do not match yet. Nothing has been changed; try again soon.")
	errOutcomeUnknown = fault.Define(fault.Unavailable, "outcome-unknown", "The connection to the database was lost "+
		"while saving. Check whether the change was saved, or repeat the request with the same Idempotency-Key.").
		Advising("Retry the same request with the same `Idempotency-Key` to learn the outcome.")
	errTimeout = fault.Define(fault.Unavailable, "timeout",
		"The request took too long. Nothing has been changed; try again.")
	errCancelled = fault.Define(fault.Unavailable, "request-cancelled",
		"The request was cancelled before it was answered.")
	errShuttingDown = fault.Define(fault.Unavailable, "shutting-down", "The server is stopping. Try again in a moment.")
	errNotReady     = fault.Define(fault.Unavailable, "not-ready", "The server is not ready to serve.")
	errQueueFull    = fault.Define(fault.Unavailable, "queue-full", "Too many requests are waiting for the database. "+
		"Nothing has been changed; try again soon.").
		Advising("Wait for the time in `Retry-After`, and retry the same request with the same `Idempotency-Key`.")
	errInternal = fault.Define(fault.Unavailable, "internal", "Something went wrong on our side.").
			Advising("Report the `requestId`. To learn the outcome, retry the same request with the same `Idempotency-Key`.")
)

// statuses maps kinds to HTTP statuses. Exceptions for single codes are in StatusOf.
var statuses = map[fault.Kind]int{
	fault.Malformed:       http.StatusBadRequest,
	fault.Invalid:         http.StatusUnprocessableEntity,
	fault.Unauthenticated: http.StatusUnauthorized,
	fault.Forbidden:       http.StatusForbidden,
	fault.NotFound:        http.StatusNotFound,
	fault.Conflict:        http.StatusConflict,
	fault.Stale:           http.StatusPreconditionFailed,
	fault.TooLarge:        http.StatusRequestEntityTooLarge,
	fault.Unsupported:     http.StatusUnsupportedMediaType,
	fault.TooMany:         http.StatusTooManyRequests,
	fault.Contention:      http.StatusInternalServerError,
	fault.Unavailable:     http.StatusServiceUnavailable,
}

// StatusOf returns the status of an error. Wrong methods and bugs have no kind, because
// no module may return them.
func StatusOf(f *fault.Error) int {
	switch f.Code() {
	case errMethodNotAllowed.Code():
		return http.StatusMethodNotAllowed
	case errInternal.Code():
		return http.StatusInternalServerError
	}
	if status, ok := statuses[f.Kind()]; ok {
		return status
	}
	return http.StatusInternalServerError
}

// faultOf returns the error for the client. Unknown errors become an internal error
// without details, which wraps the original for the log.
func faultOf(err error) *fault.Error {
	// Database errors come first, because they may wrap a deadline.
	if _, ok := errors.AsType[*db.AmbiguousCommitError](err); ok {
		return errOutcomeUnknown.Because(err)
	}
	if _, ok := errors.AsType[*db.ContentionError](err); ok {
		return errContention.Because(err)
	}
	if _, ok := errors.AsType[*command.QueueFullError](err); ok {
		return errQueueFull.Because(err)
	}
	if errors.Is(err, command.ErrQueueClosed) || errors.Is(err, verification.ErrClosed) {
		return errShuttingDown.Because(err)
	}
	if f, ok := fault.From(err); ok {
		return f
	}
	if errors.Is(err, context.Canceled) {
		return errCancelled.Because(err)
	}
	if u, ok := errors.AsType[*db.UnavailableError](err); ok {
		return faultOfState(u.State).Because(err)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return errTimeout.Because(err)
	}
	if h, ok := errors.AsType[*echo.HTTPError](err); ok {
		return faultOfEcho(h)
	}
	return errInternal.Because(err)
}

// faultOfState returns the error for clients when the database cannot serve.
func faultOfState(s db.State) *fault.Error {
	switch s {
	case db.ReadOnly:
		return errReadOnly
	case db.Full:
		return errDatabaseFull
	case db.Blocked:
		return errDatabaseBusy
	case db.SchemaMismatch:
		return errSchemaMismatch
	}
	return errDatabase
}

func faultOfEcho(h *echo.HTTPError) *fault.Error {
	switch h.Code {
	case http.StatusNotFound:
		return errRouteNotFound
	case http.StatusMethodNotAllowed:
		return errMethodNotAllowed
	case http.StatusRequestEntityTooLarge:
		return httpx.ErrBodyTooLarge.Because(h)
	case http.StatusUnsupportedMediaType:
		return httpx.ErrUnsupported.Because(h)
	case http.StatusBadRequest:
		return httpx.ErrMalformed.Because(h)
	}
	return errInternal.Because(h)
}
