package app

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"

	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/telemetry"
	"omnirapeutic/platform/trail"
)

// middleware is the chain of every request, from the outside in. API routes then pass
// authenticate, limitCaller and permit before their own decoding; see mount.
//
// cors is outside of everything that can fail, because pages may read problem documents
// too. compress is innermost, so that it has finished when an error is answered.
//
// observe is outside of rescue and calls answerProblem, so that it knows the status of
// every answer, including those after panics.
func (s *Server) middleware() []echo.MiddlewareFunc {
	return []echo.MiddlewareFunc{
		identify,                   // a request id
		locate,                     // the client's address
		secureHeaders,              // on every answer
		s.observe,                  // access log and metrics; errors become problem documents here
		cors(s.limits.CORSOrigins), // preflights are answered here
		rescue,                     // panics become errors
		s.limitBody,                // 413 above the limit
		s.turnAway,                 // rejects new requests during shutdown
		s.limitDuration,            // a deadline for everything below
		compress(),
	}
}

// identify assigns the request an id, which appears in the answer, the log, the audit
// trail and the ledger. It ignores ids sent by clients: they may be ambiguous, belong to
// others or contain personal data, and these records are never deleted.
func identify(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		id := uuid.Must(uuid.NewV7()).String()
		c.Response().Header().Set(echo.HeaderXRequestID, id)
		c.SetRequest(c.Request().WithContext(telemetry.WithRequestID(c.Request().Context(), id)))
		return next(c)
	}
}

// observe logs and counts every request once, by route pattern.
func (s *Server) observe(next echo.HandlerFunc) echo.HandlerFunc {
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
			"status": status, "duration_ms": float64(elapsed.Microseconds()) / 1000, //nolint:mnd // three digits of a millisecond
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

// rescue converts panics to errors that are logged with their stack. A panic with a
// domain error is a bug too, so its text is not sent to the client.
func rescue(next echo.HandlerFunc) echo.HandlerFunc {
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

// turnAway answers 503 to requests that arrive during shutdown. Liveness probes are
// still answered.
func (s *Server) turnAway(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if s.stopping.Load() && c.Path() != pathAlive {
			return errShuttingDown
		}
		return next(c)
	}
}

// limitBody refuses a body that is too large: immediately if its length is given, otherwise while
// reading it. After any refusal it reads the rest of the body, see drain.
func (s *Server) limitBody(next echo.HandlerFunc) echo.HandlerFunc {
	limit := s.limits.BodyLimit
	return func(c echo.Context) error {
		r := c.Request()
		body, length := r.Body, r.ContentLength
		if body == nil || body == http.NoBody {
			return next(c)
		}
		var err error
		if length > limit {
			err = httpx.ErrBodyTooLarge.With(nil, "The body may have at most %d bytes.", limit)
		} else {
			r.Body = http.MaxBytesReader(c.Response().Writer, body, limit)
			err = next(c)
		}
		if err != nil {
			drain(r, body, max(leastDrained, 2*limit)) //nolint:mnd // see drain
		}
		return err
	}
}

// leastDrained is the minimum number of bytes that are read of a refused request.
const leastDrained = 16 << 20

// drain reads the rest of a refused request's body before the answer is written, up to the limit. A
// connection that is closed with unread data is reset. Many clients write the whole request before
// they read, and would see a broken connection instead of the answer. Its duration is limited like
// that of every body.
func drain(r *http.Request, body io.Reader, most int64) {
	if r.ContentLength > most || r.ProtoMajor > 1 || r.Header.Get("Expect") != "" {
		return // useless: HTTP/2 resets only the stream, and such a client waits before it sends
	}
	_, _ = io.CopyN(io.Discard, body, most) // as far as possible
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
			ctx, cancel = context.WithTimeout(c.Request().Context(), s.limits.RequestTimeout)
		}
		defer cancel()
		c.SetRequest(c.Request().WithContext(ctx))
		return next(c)
	}
}

func (s *Server) isStream(c echo.Context) bool {
	return s.streams[c.Path()] && c.Request().Method == http.MethodGet
}

// Authenticate verifies an access token and returns its caller. The error is
// identity.ErrUnauthenticated if the token is invalid, and another one if it cannot be
// verified.
type Authenticate func(ctx context.Context, token string) (identity.Caller, error)

// errNoBearer is returned for an Authorization header of another scheme.
var errNoBearer = identity.ErrUnauthenticated.With(nil, "The Authorization header must be given once, as the word "+
	"Bearer, a space and the access token.")

// authenticate puts the caller into the context. It does not query the database.
func (s *Server) authenticate(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		token, ok := bearerToken(c.Request().Header)
		switch {
		case !ok && c.Request().Header.Values(echo.HeaderAuthorization) == nil:
			return identity.ErrUnauthenticated
		case !ok:
			return errNoBearer
		}
		ctx := c.Request().Context()
		caller, err := s.check(ctx, token)
		if err != nil {
			return err
		}
		caller.RequestID, caller.Address = telemetry.RequestID(ctx), trail.Address(ctx)
		c.SetRequest(c.Request().WithContext(identity.With(ctx, caller)))
		return next(c)
	}
}

// While returns a context that ends when the caller's access token is revoked.
type While func(ctx context.Context, caller identity.Caller) (context.Context, context.CancelFunc)

// untilRevoked ends a stream when the access token with which it was requested is
// revoked.
func (s *Server) untilRevoked(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		caller, err := identity.From(c.Request().Context())
		if err != nil {
			return err
		}
		ctx, stop := s.while(c.Request().Context(), caller)
		defer stop()
		c.SetRequest(c.Request().WithContext(ctx))
		return next(c)
	}
}

// bearerToken returns the token of the only Authorization header.
func bearerToken(h http.Header) (string, bool) {
	given := h.Values(echo.HeaderAuthorization)
	if len(given) != 1 {
		return "", false
	}
	scheme, token, _ := strings.Cut(given[0], " ")
	token = strings.TrimSpace(token)
	return token, strings.EqualFold(scheme, "Bearer") && token != ""
}

// permit admits only callers with the permission of the route, and makes them act under
// it. The permission must cover the whole organization unless the route limits its
// records to the caller's scope. A caller without an organization has no permissions. A
// caller who must set up a second factor is admitted only to the routes for it.
func permit(r httpx.Route) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			caller, err := identity.From(c.Request().Context())
			if err != nil {
				return err
			}
			switch {
			case caller.EnrolOnly && !r.Enrolling:
				err = identity.ErrEnrolFirst
			case r.Permission == httpx.SignedIn:
			case r.RecordScopes != 0:
				err = caller.Require(r.Permission)
			default:
				err = caller.RequireWhole(r.Permission)
			}
			if err != nil {
				return err
			}
			c.SetRequest(c.Request().WithContext(identity.With(c.Request().Context(), caller.Acts(r.Permission))))
			return next(c)
		}
	}
}

// httpMetrics count requests. Labels are route patterns, never values.
type httpMetrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	inFlight prometheus.Gauge
}

// newHTTPMetrics returns an error if the registry already has the metrics.
func newHTTPMetrics(registry prometheus.Registerer) (*httpMetrics, error) {
	m := &httpMetrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "omnirapeutic_http_requests_total", Help: "Answered requests.",
		}, []string{"method", "route", "status"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "omnirapeutic_http_request_duration_seconds", Help: "Time from the request to the answer, in seconds.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"method", "route"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "omnirapeutic_http_requests_in_flight", Help: "Requests in progress.",
		}),
	}
	for _, c := range []prometheus.Collector{m.requests, m.duration, m.inFlight} {
		if err := registry.Register(c); err != nil {
			return nil, fmt.Errorf("register HTTP metrics: %w", err)
		}
	}
	return m, nil
}
