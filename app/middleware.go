package app

import (
	"context"
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

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
	chain := []echo.MiddlewareFunc{
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
	if s.options.Tracer != nil {
		chain = slices.Insert(chain, 1, s.traceRequest)
	}
	return chain
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
