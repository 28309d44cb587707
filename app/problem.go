package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/sirupsen/logrus"

	"omnirapeutic/modules/appointments"
	"omnirapeutic/modules/verification"
	"omnirapeutic/platform/command"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/telemetry"
)

// Errors outside of any module. Errors of the request itself are defined in httpx.
var (
	errRouteNotFound = fault.Define(fault.NotFound, "route-not-found", "Address not found.").
				Advising("This is a bug in the client: check the method and the path.")
	errMethodNotAllowed = fault.Define(fault.NotFound, "method-not-allowed", "This method is not allowed at this address.").
				Advising("The `Allow` header lists the allowed methods.")
	errContention = fault.Define(fault.Contention, "contention", "Too many people are changing the same record at once. "+
		"Nothing has been changed; try again.").
		Advising("Wait for the time in `Retry-After`, and retry the same request with the same `Idempotency-Key`.")
	errDatabase = fault.Define(fault.Unavailable, "database-unavailable",
		"The database does not answer right now. Nothing has been changed; try again soon.")
	errReadOnly = fault.Define(fault.Unavailable, "database-read-only",
		"The database accepts no changes right now, but most data can still be read. Nothing has been changed; try again soon.").
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
	errTimeout      = fault.Define(fault.Unavailable, "timeout", "The request took too long. Nothing has been changed; try again.")
	errCancelled    = fault.Define(fault.Unavailable, "request-cancelled", "The request was cancelled before it was answered.")
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

// Problem is the document that describes an error (RFC 9457). The details of a fault are
// further members.
type Problem struct {
	Type string `json:"type"` // A URN that ends with the code.
	// The text that all errors of this code share.
	Title  string `json:"title"`
	Status int    `json:"status"` // The HTTP status of the response.
	// The text for people about this occurrence.
	Detail   string `json:"detail"`
	Instance string `json:"instance"` // The path of the request.
	Code     string `json:"code"`     // The stable code, for programs.
	// The id of the request, for support questions.
	RequestID string `json:"requestId"`
	// All rules that the request breaks, if several were checked. The first one belongs to the
	// code.
	Reasons []fault.Reason `json:"reasons,omitempty"`
	// The requests that would be accepted instead: other times, other authorizations.
	Alternatives *appointments.Alternatives `json:"alternatives,omitempty"`
}

var problemMembers = []string{"type", "title", "status", "detail", "instance", "code", "requestId"}

const problemType = "urn:omnirapeutic:problem:"

// answerProblem is the only place that turns errors into answers. It logs server
// errors.
func (s *Server) answerProblem(err error, c echo.Context) {
	f := faultOf(err)
	status := StatusOf(f)
	s.logProblem(c, f, status, err)
	if c.Response().Committed {
		return // the answer has begun and cannot be changed
	}
	if page := s.operations[c.Request().Method+" "+c.Path()].ErrorPage; page != "" {
		c.Response().Header().Set(echo.HeaderCacheControl, "no-store")
		_ = c.Redirect(http.StatusFound, page+"#error="+url.QueryEscape(f.Code())) // the browser may have disconnected
		return
	}
	document, encodeErr := documentOf(c.Request(), f, status)
	if encodeErr != nil {
		s.event(c, "details_not_encoded").WithField("error", encodeErr).WithField("code", f.Code()).
			Error("the details of an error cannot be encoded")
	}
	header := c.Response().Header()
	header.Set(echo.HeaderCacheControl, "no-store")
	switch {
	case status == http.StatusUnauthorized:
		header.Set(echo.HeaderWWWAuthenticate, "Bearer")
	case f.Kind() == fault.Contention, status == http.StatusServiceUnavailable, status == http.StatusTooManyRequests:
		header.Set(echo.HeaderRetryAfter, retryAfter(f))
	}
	if f.Is(errShuttingDown) {
		header.Set(echo.HeaderConnection, "close")
	}
	if c.Request().Method == http.MethodHead {
		_ = c.NoContent(status) // the client may have disconnected
		return
	}
	_ = c.Blob(status, "application/problem+json", document) // as above
}

// documentOf returns the document, or on an error the document without details.
func documentOf(r *http.Request, f *fault.Error, status int) ([]byte, error) {
	var alternatives *appointments.Alternatives
	if offered, ok := f.Alternatives().(appointments.Alternatives); ok {
		alternatives = &offered
	}
	document, err := json.Marshal(Problem{
		Type: problemType + f.Code(), Title: f.Title(), Status: status, Detail: f.Error(),
		Instance: r.URL.EscapedPath(), Code: f.Code(), RequestID: telemetry.RequestID(r.Context()),
		Reasons: f.Reasons(), Alternatives: alternatives,
	})
	if err != nil || f.Details() == nil {
		return document, err
	}
	details, err := json.Marshal(f.Details())
	if err != nil {
		return document, err
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(details, &members); err != nil {
		return document, fmt.Errorf("details must be an object: %w", err)
	}
	for _, name := range problemMembers {
		delete(members, name) // the document's own members take precedence
	}
	delete(members, "reasons") // as above, although not every document has these
	delete(members, "alternatives")
	if len(members) == 0 {
		return document, nil
	}
	if details, err = json.Marshal(members); err != nil {
		return document, err
	}
	return append(append(document[:len(document)-1], ','), details[1:]...), nil
}

// patient is implemented by details with a retry delay.
type patient interface{ RetryAfter() time.Duration }

// retryAfter returns whole seconds, at least one.
func retryAfter(f *fault.Error) string {
	wait := time.Second
	if p, ok := f.Details().(patient); ok {
		wait = max(wait, p.RetryAfter())
	}
	return strconv.Itoa(wholeSeconds(wait))
}

// wholeSeconds rounds up, so that waiting that long is sufficient.
func wholeSeconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }

// logProblem logs server errors with their cause, and denials.
func (s *Server) logProblem(c echo.Context, f *fault.Error, status int, err error) {
	switch {
	case f.Is(errCancelled):
		s.event(c, "request_cancelled").Info("the client disconnected before the answer")
	case f.Is(errShuttingDown), f.Is(errNotReady):
		s.event(c, "request_turned_away").WithFields(logrus.Fields{"code": f.Code(), "error": cause(f, err)}).Warn(f.Title())
	case status >= http.StatusInternalServerError:
		entry := s.event(c, "request_failed").WithFields(logrus.Fields{"code": f.Code(), "status": status, "error": cause(f, err)})
		if contention, ok := errors.AsType[*db.ContentionError](err); ok {
			entry = entry.WithFields(logrus.Fields{
				"operation": contention.Operation, "attempts": contention.Attempts,
				"elapsed_ms": contention.Elapsed.Milliseconds(), "sqlstate": contention.SQLState,
			})
		}
		if panicked, ok := errors.AsType[*panicError](err); ok {
			entry = entry.WithField("stack", string(panicked.stack))
		}
		if panicked, ok := errors.AsType[*command.PanicError](err); ok {
			entry = entry.WithField("stack", string(panicked.Stack))
		}
		entry.Error(f.Title())
	case f.Kind() == fault.Forbidden:
		entry := s.event(c, "denied").WithField("code", f.Code())
		if denial, ok := f.Details().(identity.Denial); ok {
			entry = entry.WithField("permission", string(denial.Permission))
		}
		entry.Warn("a request was denied")
	}
}

// cause returns the error to log: the wrapped cause of a fault, or the error itself.
func cause(f *fault.Error, err error) error {
	if inner := f.Unwrap(); inner != nil {
		return inner
	}
	return err
}

// event begins a log line about the request: caller and route, never the URL.
func (s *Server) event(c echo.Context, name string) *logrus.Entry {
	ctx := c.Request().Context()
	fields := logrus.Fields{
		"event": name, "request_id": telemetry.RequestID(ctx), "method": methodOf(c.Request()), "route": s.routeOf(c),
	}
	if caller, err := identity.From(ctx); err == nil {
		fields["user_id"], fields["organization_id"] = caller.UserID, caller.OrganizationID
	}
	return s.options.Logger.WithFields(fields)
}
