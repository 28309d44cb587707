package app

import (
	"context"
	"fmt"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
	"github.com/sirupsen/logrus"

	"omnirapeutic/platform/telemetry"
)

// middleware is the chain of every request, from the outside in. Routes of the
// API then pass routeMiddleware before their own decoding.
//
// cors is outside of everything that can fail, because pages may read problem documents
// too. compress is innermost, so that it has finished when an error is answered.
//
// logAndCount is outside of recoverPanics and calls answerProblem, so that it knows the status of
// every answer, including those after panics.
func (s *Server) middleware() []echo.MiddlewareFunc {
	return []echo.MiddlewareFunc{
		assignRequestID,                  // a request id
		storeAddress,                     // the client's address
		secureHeaders,                    // on every answer
		s.logAndCount,                    // access log and metrics; errors become problem documents here
		cors(s.options.HTTP.CORSOrigins), // preflights are answered here
		recoverPanics,                    // panics become errors
		s.limitBody,                      // 413 above the limit
		s.rejectDuringShutdown,           // rejects new requests during shutdown
		s.limitDuration,                  // a deadline for everything below
		compress(),
	}
}

// assignRequestID assigns the request an id, which appears in the answer, the log, the audit
// trail and the ledger. It ignores ids sent by clients: they may be ambiguous, belong to
// others or contain personal data, and these records are never deleted.
func assignRequestID(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		id := uuid.Must(uuid.NewV7()).String()
		c.Response().Header().Set(echo.HeaderXRequestID, id)
		c.SetRequest(c.Request().WithContext(telemetry.WithRequestID(c.Request().Context(), id)))
		return next(c)
	}
}

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
		s.event(c, "request").WithFields(logrus.Fields{
			"status":      status,
			"duration_ms": float64(elapsed.Microseconds()) / 1000, //nolint:mnd // three digits of a millisecond
		}).Log(level, "request answered")
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

// panicError is a recovered panic with its stack.
type panicError struct {
	value any
	stack []byte
}

func (p *panicError) Error() string { return fmt.Sprintf("panic: %v", p.value) }

// Unwrap returns the error that the code panicked with, if it was one.
func (p *panicError) Unwrap() error {
	err, _ := p.value.(error)
	return err
}

// recoverPanics converts panics to errors that are logged with their stack. A panic with a
// domain error is a bug too, so its text is not sent to the client.
func recoverPanics(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			value := recover()
			if value == nil {
				return
			}
			if value == http.ErrAbortHandler { //nolint:errorlint // net/http compares it so
				panic(value)
			}
			err = errInternal.Because(&panicError{value: value, stack: debug.Stack()})
		}()
		return next(c)
	}
}

const (
	pathAlive = "/healthz"
	pathReady = "/readyz"
)

func isProbe(path string) bool { return path == pathAlive || path == pathReady }

// rejectDuringShutdown answers 503 to requests that arrive during shutdown. Liveness probes are
// still answered.
func (s *Server) rejectDuringShutdown(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if s.stopping.Load() && c.Path() != pathAlive {
			return errShuttingDown
		}
		return next(c)
	}
}

// limitDuration sets a deadline for inner handlers. A stream has none and ends when
// shutdown begins.
func (s *Server) limitDuration(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		var ctx context.Context
		var cancel context.CancelFunc
		if s.isStream(c) {
			ctx, cancel = context.WithCancel(c.Request().Context())
			defer context.AfterFunc(s.serving, cancel)()
		} else {
			ctx, cancel = context.WithTimeout(c.Request().Context(), s.options.HTTP.RequestTimeout)
		}
		defer cancel()
		c.SetRequest(c.Request().WithContext(ctx))
		return next(c)
	}
}

func (s *Server) isStream(c echo.Context) bool {
	return s.streams[c.Path()] && c.Request().Method == http.MethodGet
}
