package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"

	"omnirapeutic/config"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/idempotency"
)

// basePath is where routes of the API are mounted.
const basePath = "/api/v1"

// Timeouts of connections. They extend a request's own timeout by the time to read it
// and to write the answer over a slow connection.
const (
	headerTimeout = 5 * time.Second
	lineTimeout   = 15 * time.Second
	idleTimeout   = 2 * time.Minute
	readyTimeout  = 2 * time.Second
	cutTimeout    = time.Second // time for requests to notice their cancellation
	maxHeader     = 32 << 10
)

// ServerOptions configure a [Server]. All fields are required.
type ServerOptions struct {
	Routes       []httpx.Route
	Authenticate Authenticate
	While        While
	Glass        Glass                                        // looks up emergency access grants
	Ready        func(ctx context.Context) (Readiness, error) // returns an error if the program cannot serve
	Registry     *prometheus.Registry                         // the server registers its own metrics
	Trail        Trail                                        // records reads and denials
	Keys         *idempotency.Keys                            // stores the answers to requests with an Idempotency-Key
	Cursors      *httpx.CursorKey                             // encrypts the cursors of lists
	Logger       logrus.FieldLogger
	HTTP         config.HTTP
	Clock        func() time.Time                 // for rate limits and the audit trail
	Document     func(ctx context.Context) []byte // returns the API's document
}

// Server is the HTTP server: routes under /api/v1, and /healthz and /readyz. Safe for
// concurrent use.
type Server struct {
	echo     *echo.Echo
	http     *http.Server
	cut      context.CancelFunc // cancels the context of every request
	stopping atomic.Bool
	patterns map[string]bool // of the served paths
	streams  map[string]bool // patterns of streaming routes: see httpx.Stream
	serving  context.Context // ends when shutdown begins, and ends streams
	endServe context.CancelFunc
	// operations are the routes of the API, by method and pattern.
	operations map[string]httpx.Route
	check      Authenticate
	while      While
	glass      Glass
	trail      Trail
	clock      func() time.Time
	document   func(ctx context.Context) []byte
	keys       *idempotency.Keys
	cursors    *httpx.CursorKey
	ready      func(ctx context.Context) (Readiness, error)
	logger     logrus.FieldLogger
	metrics    *httpMetrics
	limits     config.HTTP
	rates      *rateLimits
}

// NewServer mounts the routes. Its error names every invalid route: one without a
// permission or endpoint, a duplicate, or one whose path parameters differ from those
// of its endpoint.
func NewServer(o ServerOptions) (*Server, error) {
	metrics, err := newHTTPMetrics(o.Registry)
	if err != nil {
		return nil, err
	}
	s := &Server{
		check:      o.Authenticate,
		while:      o.While,
		glass:      o.Glass,
		trail:      o.Trail,
		clock:      o.Clock,
		document:   o.Document,
		operations: map[string]httpx.Route{},
		keys:       o.Keys,
		cursors:    o.Cursors,
		ready:      o.Ready,
		logger:     o.Logger,
		metrics:    metrics,
		limits:     o.HTTP,
		echo:       echo.New(),
		patterns:   map[string]bool{},
		streams:    map[string]bool{},
	}
	s.rates = newRateLimits(o.Clock, o.HTTP.UserRate, o.HTTP.TokenRate)
	s.serving, s.endServe = context.WithCancel(context.Background())
	s.echo.Logger.SetOutput(io.Discard) // the server logs requests itself
	s.echo.IPExtractor = addressBehind(o.HTTP.TrustedProxies)
	s.echo.HTTPErrorHandler = s.answerProblem
	s.echo.Use(s.middleware()...)
	if err := s.mount(o.Routes); err != nil {
		return nil, err
	}
	for _, method := range []string{http.MethodGet, http.MethodHead} { // some load balancers probe with HEAD
		s.echo.Add(method, pathAlive, s.handleAlive)
		s.echo.Add(method, pathReady, s.handleReady)
	}
	s.mountContract()
	s.mountRenamed()

	for _, r := range s.echo.Routes() {
		s.patterns[r.Path] = true
	}

	base, cut := context.WithCancel(context.Background())
	s.cut = cut
	s.http = &http.Server{
		Handler:           s.echo,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       lineTimeout,
		WriteTimeout:      lineTimeout + o.HTTP.RequestTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		BaseContext:       func(net.Listener) context.Context { return base },
		ErrorLog:          errorLog(o.Logger),
	}
	return s, nil
}

var methods = []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}

func (s *Server) mount(routes []httpx.Route) error {
	var problems []error
	taken := map[string]bool{}
	for _, r := range routes {
		problem := problemOf(r)
		key := r.Method + " " + withoutNames(r.Path)
		if problem == "" && taken[key] {
			problem = "is defined twice"
		}
		taken[key] = true
		if problem != "" {
			problems = append(problems, fmt.Errorf("the route %s %s %s", r.Method, r.Path, problem))
			continue
		}
		chain := []echo.MiddlewareFunc{s.limitAddress}
		if r.Permission != httpx.Public {
			chain = []echo.MiddlewareFunc{s.authenticate, s.limitCaller, permit(r), s.breakGlass(r)}
			if r.Endpoint.Streams {
				chain = append(chain, s.untilRevoked)
			}
		}
		if r.Endpoint.Takes("cursor") {
			chain = append(chain, s.sealing)
		}
		for _, method := range methodsOf(r) {
			s.echo.Add(method, basePath+r.Path, s.serve(r), chain...)
			s.operations[method+" "+basePath+r.Path] = r
		}
		if r.Endpoint.Streams {
			s.streams[basePath+r.Path] = true
		}
	}
	return errors.Join(problems...)
}

// methodsOf returns the methods of a route. Documents also have HEAD, which calendar
// programs and link checkers use.
func methodsOf(r httpx.Route) []string {
	if r.Method == http.MethodGet && r.Endpoint.Media != "" {
		return []string{http.MethodGet, http.MethodHead}
	}
	return []string{r.Method}
}

// problemOf returns why a route cannot be mounted, or "".
func problemOf(r httpx.Route) string {
	switch {
	case r.Permission == "":
		return "declares no permission"
	case strings.HasPrefix(string(r.Permission), "*") && r.Permission != httpx.Public && r.Permission != httpx.SignedIn:
		return "declares an unknown permission: " + string(r.Permission)
	case r.Endpoint.IsZero():
		return "has no endpoint"
	case !slices.Contains(methods, r.Method):
		return "has an unsupported method"
	case (r.Method == http.MethodGet || r.ReadOnly) && r.Reads == "" && showsPatients(r.Endpoint.Out):
		return "answers with a patientId and does not declare the patient data it reads"
	case r.Reads != "" && r.Permission == httpx.Public:
		return "shows patient data without authentication"
	case r.ErrorPage != "" && r.Endpoint.Status != http.StatusFound:
		return "is not a redirect but has an error page"
	case r.Endpoint.Streams && r.Method != http.MethodGet:
		return "is a stream with a method other than GET"
	case !strings.HasPrefix(r.Path, "/") || strings.HasSuffix(r.Path, "/") || strings.ContainsAny(r.Path, "*{}? "):
		return "has a path that is not in echo's form, such as /authorizations/:id"
	case !slices.Equal(paramsOf(r.Path), r.Endpoint.Params):
		return fmt.Sprintf("has the path parameters %v, but its endpoint reads %v", paramsOf(r.Path), r.Endpoint.Params)
	}
	return ""
}

func paramsOf(path string) []string {
	var names []string
	for part := range strings.SplitSeq(path, "/") {
		if name, ok := strings.CutPrefix(part, ":"); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// withoutNames replaces parameter names in a path, so that paths that differ only in
// them are equal.
func withoutNames(path string) string {
	parts := strings.Split(path, "/")
	for i, part := range parts {
		if strings.HasPrefix(part, ":") {
			parts[i] = ":"
		}
	}
	return strings.Join(parts, "/")
}

type stateBody struct {
	Status string `json:"status"`
}

func (s *Server) handleAlive(c echo.Context) error {
	return c.JSON(http.StatusOK, stateBody{"alive"})
}

// Handler returns the handler of everything that the server serves.
func (s *Server) Handler() http.Handler { return s.echo }

// Serve serves on the listener, which it closes, until [Server.Shutdown]. Then it
// returns nil at once, while Shutdown waits for running requests.
func (s *Server) Serve(l net.Listener) error {
	if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Shutdown shuts down gracefully: it accepts nothing new, and running requests may
// finish until ctx ends. Then they are cancelled, have a second to answer, and are cut
// off, and Shutdown returns the error of ctx. A repeated call also waits.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stopping.Store(true)
	s.endServe() // readers of streams reconnect to another instance, or later
	defer s.cut()
	err := s.http.Shutdown(ctx)
	if err == nil {
		return nil
	}
	s.cut()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), cutTimeout)
	defer cancel()
	if s.http.Shutdown(last) != nil {
		return errors.Join(err, s.http.Close())
	}
	return err
}

// errorLog receives messages of net/http and the metrics. They are mostly about broken
// connections and may repeat client input, so they are logged at debug level only.
func errorLog(l logrus.FieldLogger) *log.Logger {
	return log.New(lines{l.WithField("event", "http_server")}, "", 0)
}

type lines struct{ entry *logrus.Entry }

// Write logs one line.
func (l lines) Write(text []byte) (int, error) {
	l.entry.Debug(strings.TrimSpace(string(text)))
	return len(text), nil
}
