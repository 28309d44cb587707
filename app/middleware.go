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

// middleware is what every request goes through, from the outside in. Routes of
// the API then go through authenticate, limitCaller and permit, before their own
// reading of the request: see mount.
//
// cors stands outside of everything that can fail: a page may read problem
// documents too. compress stands inside of everything, so that it has done its work
// when an error is answered.
//
// observe stands outside of rescue and calls answerProblem, so that it knows the
// status of every answer, of a panic's too.
func (s *Server) middleware() []echo.MiddlewareFunc {
	return []echo.MiddlewareFunc{
		identify,                   // a request id
		locate,                     // the address of who asks
		secureHeaders,              // on every answer
		s.observe,                  // access log and metrics; errors become problem documents here
		cors(s.limits.CORSOrigins), // preflights are answered here
		rescue,                     // panics become errors
		s.limitBody,                // 413 beyond
		s.turnAway,                 // new requests while the server stops
		s.limitDuration,            // a deadline for everything below
		compress(),
	}
}

// identify gives the request an id, in the answer, the log, the trail and the books. One
// that a client sends is passed over: it could stand for several requests, or be that of
// somebody else's, and could say of whom it was, where nothing is ever removed.
func identify(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		id := uuid.Must(uuid.NewV7()).String()
		c.Response().Header().Set(echo.HeaderXRequestID, id)
		c.SetRequest(c.Request().WithContext(telemetry.WithRequestID(c.Request().Context(), id)))
		return next(c)
	}
}

// observe logs and counts every request once, by the pattern of its route.
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
		if !s.isStream(c) { // how long somebody listens says nothing of how quick we are
			s.metrics.duration.WithLabelValues(methodOf(c.Request()), s.routeOf(c)).Observe(elapsed.Seconds())
		}
		level := logrus.InfoLevel
		if isProbe(c.Path()) {
			level = logrus.DebugLevel // asked every few seconds by machines
		}
		s.event(c, "request").WithFields(logrus.Fields{
			"status": status, "duration_ms": float64(elapsed.Microseconds()) / 1000, //nolint:mnd // three digits of a millisecond
		}).Log(level, "request answered")
		return nil
	}
}

// routeOf returns the route's pattern, never the URL itself: ids do not belong in
// metrics, and what a client makes up does not belong in a log.
func (s *Server) routeOf(c echo.Context) string {
	if path := c.Path(); s.patterns[path] {
		return path
	}
	return "unmatched"
}

// methodOf bounds the methods that are told apart.
func methodOf(r *http.Request) string {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return r.Method
	}
	return "other"
}

// panicError is a panic that was caught, with the stack of where it came from.
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

// rescue turns panics into errors that are logged with their stack. A panic with
// a domain error is a bug like any other: its text is not for the client.
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

// turnAway answers 503 to what comes after the server was told to stop. That it
// is alive is still told.
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

// limitDuration gives what is below a deadline. A stream has none, and ends when
// the server begins to stop.
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

// Authenticate checks an access token and returns whom it stands for. The error
// is identity.ErrUnauthenticated where the token is not valid, and another one where
// that cannot be told.
type Authenticate func(ctx context.Context, token string) (identity.Caller, error)

// errNoBearer is for a header that was meant to sign somebody in.
var errNoBearer = identity.ErrUnauthenticated.With(nil, "The Authorization header must be given once, as the word Bearer, a space and the access token.")

// authenticate puts the caller into the context. No database is asked.
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

// untilRevoked ends an answer that goes on when the access token is revoked by which
// it was asked for.
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

// bearerToken returns the token of the one Authorization header.
func bearerToken(h http.Header) (string, bool) {
	given := h.Values(echo.HeaderAuthorization)
	if len(given) != 1 {
		return "", false
	}
	scheme, token, _ := strings.Cut(given[0], " ")
	token = strings.TrimSpace(token)
	return token, strings.EqualFold(scheme, "Bearer") && token != ""
}

// permit lets only callers through who hold the permission that the route needs: for
// the whole organization, where the route does not keep to the reach of its caller.
// From there on they act under it. A caller without an organization holds none. One
// who must set up a second factor first is let through to where that is done.
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
			case r.Limited != 0:
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

// httpMetrics count requests. Labels are patterns of routes, never values.
type httpMetrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	inFlight prometheus.Gauge
}

// newHTTPMetrics fails where the registry has them already.
func newHTTPMetrics(registry prometheus.Registerer) (*httpMetrics, error) {
	m := &httpMetrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "omnirapeutic_http_requests_total", Help: "Requests answered.",
		}, []string{"method", "route", "status"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "omnirapeutic_http_request_duration_seconds", Help: "Time from a request to its answer.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"method", "route"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "omnirapeutic_http_requests_in_flight", Help: "Requests being served.",
		}),
	}
	for _, c := range []prometheus.Collector{m.requests, m.duration, m.inFlight} {
		if err := registry.Register(c); err != nil {
			return nil, fmt.Errorf("register HTTP metrics: %w", err)
		}
	}
	return m, nil
}
