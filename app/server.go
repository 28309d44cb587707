package app

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"

	"omnirapeutic/config"
	"omnirapeutic/platform/command"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/telemetry"
	"omnirapeutic/platform/tracing"
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

// ServerOptions configure a [Server]. All fields but Tracer are required.
type ServerOptions struct {
	Routes       []httpx.Route
	Authenticate Authenticate
	UntilRevoked UntilRevoked
	Emergency    EmergencyAccess                              // looks up emergency access grants
	Ready        func(ctx context.Context) (Readiness, error) // returns an error if the program cannot serve
	Registry     *prometheus.Registry                         // the server registers its own metrics
	Tracer       *tracing.Tracer                              // begins the traces of requests; nil: none
	Trail        Trail                                        // records reads and denials
	Commands     *command.Engine                              // executes requests with an Idempotency-Key once
	Cursors      *httpx.CursorKey                             // encrypts the cursors of lists
	Logger       logrus.FieldLogger
	HTTP         config.HTTP
	Clock        func() time.Time                 // for rate limits and the audit trail
	References   httpx.Resolve                    // reads the records to which ids of answers refer; nil: none
	Document     func(ctx context.Context) []byte // returns the API's document
	// DemoSignIns returns the addresses of the demo practice's users; nil: none.
	DemoSignIns func(ctx context.Context) ([]string, error)
}

// Server is the HTTP server: routes under /api/v1, and /healthz and /readyz. Safe for
// concurrent use.
type Server struct {
	options ServerOptions
	echo    *echo.Echo
	http    *http.Server
	metrics *httpMetrics
	rates   atomic.Pointer[rateLimits]       // replaced by a reload
	address atomic.Pointer[echo.IPExtractor] // likewise

	requestLog *telemetry.RequestLog

	patterns   map[string]bool        // of all served paths
	operations map[string]httpx.Route // routes of the API, by method and pattern
	streams    map[string]bool        // patterns of streaming routes: see httpx.Stream

	stopping       atomic.Bool
	serving        context.Context    // ends when shutdown begins, and ends streams
	endServing     context.CancelFunc // ends serving
	cancelRequests context.CancelFunc // cancels the context of every request
}

// NewServer mounts the routes. Its error names every invalid route: one without a
// permission or endpoint, a duplicate, or one whose path parameters differ from its endpoint's.
func NewServer(o ServerOptions) (*Server, error) {
	metrics, err := newHTTPMetrics(o.Registry)
	if err != nil {
		return nil, err
	}
	s := &Server{
		options:    o,
		metrics:    metrics,
		requestLog: telemetry.NewRequestLog(o.Logger),
		patterns:   map[string]bool{},
		operations: map[string]httpx.Route{},
		streams:    map[string]bool{},
	}
	s.setRates(o.HTTP)
	s.setProxies(o.HTTP)
	s.serving, s.endServing = context.WithCancel(context.Background())
	if err := s.newRouter(); err != nil {
		return nil, err
	}
	requests, cancel := context.WithCancel(context.Background())
	s.cancelRequests = cancel
	s.http = &http.Server{
		Handler:           s.echo,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       lineTimeout,
		WriteTimeout:      lineTimeout + o.HTTP.RequestTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		BaseContext:       func(net.Listener) context.Context { return requests },
		ErrorLog:          errorLog(o.Logger),
	}
	return s, nil
}

// newRouter mounts everything that the server serves.
func (s *Server) newRouter() error {
	s.echo = echo.New()
	s.echo.Logger.SetOutput(io.Discard) // the server logs requests itself
	s.echo.IPExtractor = func(r *http.Request) string { return (*s.address.Load())(r) }
	s.echo.HTTPErrorHandler = s.answerProblem
	s.echo.Use(s.middleware()...)
	if err := s.mount(s.options.Routes); err != nil {
		return err
	}
	for _, method := range []string{http.MethodGet, http.MethodHead} { // some load balancers probe with HEAD
		s.echo.Add(method, pathAlive, s.handleAlive)
		s.echo.Add(method, pathReady, s.handleReady)
	}
	s.mountContract()
	s.mountRedirects()
	for _, r := range s.echo.Routes() {
		s.patterns[r.Path] = true
	}
	return nil
}

// setRates replaces the rate limits. All counts start again.
func (s *Server) setRates(c config.HTTP) {
	s.rates.Store(newRateLimits(s.options.Clock, c.UserRate, c.TokenRate))
}

// setProxies replaces the trusted proxies.
func (s *Server) setProxies(c config.HTTP) {
	address := addressBehind(c.TrustedProxies)
	s.address.Store(&address)
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
	s.endServing() // readers of streams reconnect to another instance, or later
	defer s.cancelRequests()
	err := s.http.Shutdown(ctx)
	if err == nil {
		return nil
	}
	s.cancelRequests()
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
