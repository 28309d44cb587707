package app

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/sirupsen/logrus"

	"omnirapeutic/platform/command"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/telemetry"
	"omnirapeutic/platform/tracing"
)

// logAndCount logs and counts every request once, by route pattern.
func (s *Server) logAndCount(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		start := time.Now()
		s.metrics.inFlight.Inc()
		defer s.metrics.inFlight.Dec()
		if err := next(c); err != nil {
			s.recordDenial(c, err)
			s.answerProblem(err, c)
		}
		elapsed := time.Since(start)
		status := c.Response().Status
		s.metrics.requests.WithLabelValues(methodOf(c.Request()), s.routeOf(c), strconv.Itoa(status)).Inc()
		if !s.isStream(c) { // the duration of a stream is not a response time
			s.metrics.duration.WithLabelValues(methodOf(c.Request()), s.routeOf(c)).Observe(elapsed.Seconds())
		}
		level := logrus.InfoLevel
		if isProbe(c.Path()) {
			level = logrus.DebugLevel // probed every few seconds
		}
		line := telemetry.Request{
			ID: telemetry.RequestID(c.Request().Context()), TraceID: tracing.TraceID(c.Request().Context()),
			Method: methodOf(c.Request()), Route: s.routeOf(c), Status: status, Elapsed: elapsed,
		}
		if caller, err := identity.From(c.Request().Context()); err == nil {
			line.Authenticated, line.UserID, line.OrganizationID = true, caller.UserID, caller.OrganizationID
		}
		s.requestLog.Write(level, line)
		return nil
	}
}

// routeOf returns the route's pattern, never the URL: metrics must not contain ids, and
// logs must not contain arbitrary client input.
func (s *Server) routeOf(c echo.Context) string {
	if path := c.Path(); s.patterns[path] {
		return path
	}
	return "unmatched"
}

// methodOf limits metric labels to known methods.
func methodOf(r *http.Request) string {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return r.Method
	}
	return "other"
}

// logProblem logs server errors with their cause, and denials.
func (s *Server) logProblem(c echo.Context, f *fault.Error, status int, err error) {
	switch {
	case f.Is(errCancelled):
		s.event(c, "request_cancelled").Info("the client disconnected before the answer")
	case f.Is(errShuttingDown), f.Is(errNotReady):
		s.event(c, "request_turned_away").WithFields(logrus.Fields{"code": f.Code(), "error": cause(f, err)}).Warn(f.Title())
	case status >= http.StatusInternalServerError:
		entry := s.event(c, "request_failed").WithFields(logrus.Fields{
			"code":   f.Code(),
			"status": status,
			"error":  cause(f, err),
		})
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
	if id := tracing.TraceID(ctx); id != "" {
		fields["trace_id"] = id
	}
	if caller, err := identity.From(ctx); err == nil {
		fields["user_id"], fields["organization_id"] = caller.UserID, caller.OrganizationID
	}
	return s.options.Logger.WithFields(fields)
}
