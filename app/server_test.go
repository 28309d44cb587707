package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"omnirapeutic/config"
	"omnirapeutic/modules/rbac/revocation"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/telemetry"
	"omnirapeutic/platform/telemetry/logtest"
	"omnirapeutic/platform/trail/trailtest"
)

const (
	tokenReader  = "reader"  // holds thing:read
	tokenNobody  = "nobody"  // holds nothing
	tokenNowhere = "nowhere" // has no organization
	tokenBroken  = "broken"  // its check fails
	tokenSilent  = "silent"  // cannot be checked at the moment
)

var someOrganization = uuid.MustParse("0198f0de-0000-7000-8000-000000000001")

func authenticateTest(_ context.Context, token string) (identity.Caller, error) {
	caller := identity.Caller{
		UserID:         uuid.MustParse("0198f0de-0000-7000-8000-000000000002"),
		OrganizationID: someOrganization,
	}
	switch token {
	case tokenReader:
		caller.Permissions = map[identity.Permission]identity.Scope{"thing:read": identity.Organization}
		return caller, nil
	case tokenNobody:
		return caller, nil
	case tokenNowhere:
		return identity.Caller{
			UserID:      caller.UserID,
			Permissions: map[identity.Permission]identity.Scope{"thing:read": identity.Organization},
		}, nil
	case tokenBroken:
		return identity.Caller{}, errors.New("the authentication is unavailable")
	case tokenSilent:
		return identity.Caller{}, revocation.ErrTokenNotChecked
	}
	return identity.Caller{}, identity.ErrUnauthenticated
}

func whileTest(ctx context.Context, _ identity.Caller) (context.Context, context.CancelFunc) {
	return context.WithCancel(ctx)
}

// testServer is a server with its log.
type testServer struct {
	*Server
	log       *safeBuffer
	trail     trailtest.Recorder
	registry  *prometheus.Registry
	ready     error
	readiness Readiness
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	logtest.Look("log", p)
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func newTestServer(t testing.TB, routes ...httpx.Route) *testServer {
	t.Helper()
	s := &testServer{log: &safeBuffer{}, readiness: Readiness{Database: db.ReadWrite, Reads: true}}
	server, err := NewServer(testOptions(s, routes...))
	require.NoError(t, err)
	s.Server = server
	return s
}

func testOptions(s *testServer, routes ...httpx.Route) ServerOptions {
	s.registry = prometheus.NewRegistry()
	return ServerOptions{
		Routes:       routes,
		Authenticate: authenticateTest,
		UntilRevoked: whileTest,
		Trail:        &s.trail,
		Document:     func(context.Context) []byte { return contract },
		Ready:        func(context.Context) (Readiness, error) { return s.readiness, s.ready },
		Registry:     s.registry,
		Logger:       telemetry.NewLogger(s.log, "debug", "json"),
		HTTP: config.HTTP{
			RequestTimeout: 5 * time.Second, BodyLimit: 1 << 10, ShutdownGrace: time.Second, Docs: true,
		},
		Clock: time.Now,
	}
}

// metrics returns the metrics in the server's registry.
func (s *testServer) metrics(t testing.TB) string {
	t.Helper()
	w := httptest.NewRecorder()
	metricsHandler(s.registry, telemetry.NewLogger(s.log, "debug", "json")).
		ServeHTTP(w, httptest.NewRequest(http.MethodGet, pathMetrics, nil))
	require.Equal(t, http.StatusOK, w.Code)
	return w.Body.String()
}

// do sends one request with headers, given as names and values.
func (s *testServer) do(t testing.TB, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w
}

// events returns the log lines of one event.
func (s *testServer) events(t testing.TB, event string) []map[string]any {
	t.Helper()
	telemetry.Flush(s.options.Logger.(*logrus.Logger)) // lines of requests are buffered
	var found []map[string]any
	for line := range strings.Lines(s.log.String()) {
		var fields map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &fields), line)
		require.NotContains(t, fields, "dropped_fields", line)
		if fields["event"] == event {
			found = append(found, fields)
		}
	}
	return found
}

func codeOf(t testing.TB, w *httptest.ResponseRecorder) string {
	t.Helper()
	var p Problem
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &p), w.Body.String())
	require.Equal(t, w.Code, p.Status)
	return p.Code
}

type byID struct {
	ID string `param:"id"`
}

type thing struct {
	Name string `json:"name"`
}

func route[In, Out any](
	method, path string, p identity.Permission, fn func(context.Context, In) (Out, error),
) httpx.Route {
	return httpx.Route{
		Method:     method,
		Path:       path,
		Permission: p,
		Summary:    "test",
		Endpoint:   httpx.Handle(http.StatusOK, fn),
	}
}

func public[In, Out any](path string, fn func(context.Context, In) (Out, error)) httpx.Route {
	return route(http.MethodGet, path, httpx.Public, fn)
}

func nothing(context.Context, httpx.None) (httpx.None, error) { return httpx.None{}, nil }

func TestMount(t *testing.T) {
	t.Parallel()
	one := func(context.Context, byID) (httpx.None, error) { return httpx.None{}, nil }
	type otherID struct {
		ID string `param:"otherId"`
	}
	other := func(context.Context, otherID) (httpx.None, error) { return httpx.None{}, nil }
	type coverage struct {
		PatientID string `json:"patientId"`
	}
	covered := func(context.Context, httpx.None) (httpx.Page[*coverage], error) { return httpx.Page[*coverage]{}, nil }
	known := public("/a", covered)
	known.Reads = "coverage"
	for name, c := range map[string]struct {
		routes []httpx.Route
		want   []string
	}{
		"it refuses a route with patient data and without Reads": {
			[]httpx.Route{route(http.MethodGet, "/a", "a:b", covered)}, []string{"patientId"},
		},
		"it refuses a public route with patient data": {[]httpx.Route{known}, []string{"without authentication"}},
		"it refuses a route without a permission": {
			[]httpx.Route{route(http.MethodGet, "/a", "", nothing)}, []string{"GET /a declares no permission"},
		},
		"it refuses an unknown permission": {
			[]httpx.Route{route(http.MethodGet, "/a", "*pubic", nothing)}, []string{"*pubic"},
		},
		"it refuses a route without an endpoint": {
			[]httpx.Route{{Method: http.MethodGet, Path: "/a", Permission: "a:b"}}, []string{"no endpoint"},
		},
		"it refuses a method and path twice": {[]httpx.Route{
			route(http.MethodGet, "/a/:id", "a:b", one), route(http.MethodGet, "/a/:otherId", "a:b", other),
			route(http.MethodPut, "/a/:id", "a:b", one),
		}, []string{"GET /a/:otherId is defined twice"}},
		"it refuses an error page for a program's route": {
			[]httpx.Route{{
				Method: http.MethodGet, Path: "/a", Permission: "a:b",
				Endpoint: httpx.Handle(http.StatusOK, nothing), ErrorPage: "https://a.test",
			}},
			[]string{"error page"},
		},
		"it refuses an unknown method":      {[]httpx.Route{route("FETCH", "/a", "a:b", nothing)}, []string{"FETCH"}},
		"it refuses a path without a slash": {[]httpx.Route{route(http.MethodGet, "a", "a:b", nothing)}, []string{"path"}},
		"it refuses a path in another form": {
			[]httpx.Route{route(http.MethodGet, "/a/{id}", "a:b", nothing)},
			[]string{"path"},
		},
		"it refuses an unused path parameter": {
			[]httpx.Route{route(http.MethodGet, "/a/:id", "a:b", nothing)},
			[]string{"[id]"},
		},
		"it refuses a missing path parameter": {
			[]httpx.Route{route(http.MethodGet, "/a/:other", "a:b", one)}, []string{"[other]", "[id]"},
		},
		"it names every refused route": {
			[]httpx.Route{route(http.MethodGet, "/a", "", nothing), route(http.MethodGet, "/b", "", nothing)},
			[]string{"/a", "/b"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := NewServer(testOptions(&testServer{log: &safeBuffer{}}, c.routes...))
			for _, text := range c.want {
				require.ErrorContains(t, err, text)
			}
		})
	}
	t.Run("it refuses a registry that already has its metrics", func(t *testing.T) {
		t.Parallel()
		options := testOptions(&testServer{log: &safeBuffer{}})
		_, err := NewServer(options)
		require.NoError(t, err)
		_, err = NewServer(options)
		require.ErrorContains(t, err, "metrics")
	})
}

func TestProbes(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	require.JSONEq(t, `{"status": "alive"}`, s.do(t, http.MethodGet, "/healthz", "").Body.String())
	require.JSONEq(t, `{"status": "ready", "database": "read-write"}`,
		s.do(t, http.MethodGet, "/readyz?need=write", "").Body.String())
	for _, path := range []string{"/healthz", "/readyz"} {
		require.Equal(t, http.StatusOK, s.do(t, http.MethodHead, path, "").Code, "as some load balancers do")
	}
	s.ready = errors.New("no database")
	require.Equal(t, http.StatusServiceUnavailable, s.do(t, http.MethodHead, "/readyz", "").Code)
	w := s.do(t, http.MethodGet, "/readyz", "")
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.Equal(t, "not-ready", codeOf(t, w))
	require.NotContains(t, w.Body.String(), "no database")
	require.Equal(t, "no database", s.events(t, "request_turned_away")[0]["error"])
	s.ready = nil

	s.readiness = Readiness{Database: db.ReadOnly, Reads: true}
	w = s.do(t, http.MethodGet, "/readyz", "")
	require.Equal(t, http.StatusOK, w.Code)
	require.JSONEq(t, `{"status": "degraded", "database": "read-only"}`, w.Body.String())
	w = s.do(t, http.MethodGet, "/readyz?need=write", "")
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.Contains(t, w.Body.String(), `"database":"read-only"`)
	require.Equal(t, http.StatusUnprocessableEntity, s.do(t, http.MethodGet, "/readyz?need=everything", "").Code)
	s.readiness = Readiness{Database: db.Full}
	w = s.do(t, http.MethodGet, "/readyz", "")
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.Contains(t, w.Body.String(), `"database":"full"`)
}

// running is a server on its own listener.
type running struct {
	*testServer
	url     string
	served  chan error
	entered chan struct{} // a request to /wait has begun
	release chan struct{} // closed when it may end
}

func start(t *testing.T) *running {
	t.Helper()
	r := &running{served: make(chan error, 1), entered: make(chan struct{}), release: make(chan struct{})}
	r.testServer = newTestServer(t, public("/wait", func(ctx context.Context, _ httpx.None) (thing, error) {
		r.entered <- struct{}{}
		select {
		case <-r.release:
			return thing{"done"}, nil
		case <-ctx.Done():
			return thing{}, ctx.Err()
		}
	}))
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	r.url = "http://" + l.Addr().String()
	go func() { r.served <- r.Serve(l) }()
	return r
}

// get requests /wait in the background; the answer is its status and body.
func (r *running) get(t *testing.T) chan string {
	t.Helper()
	answers := make(chan string, 1)
	go func() {
		request, _ := http.NewRequestWithContext(context.Background(), http.MethodGet, r.url+"/api/v1/wait", http.NoBody)
		response, err := new(http.Transport).RoundTrip(request)
		if err != nil {
			answers <- err.Error()
			return
		}
		defer response.Body.Close()
		body, _ := io.ReadAll(response.Body)
		answers <- response.Status + " " + string(body)
	}()
	<-r.entered
	return answers
}

func TestShutdown(t *testing.T) {
	t.Parallel()
	t.Run("it finishes running requests, and accepts no new ones", func(t *testing.T) {
		t.Parallel()
		r := start(t)
		answer := r.get(t)
		stopped := make(chan error, 1)
		go func() { stopped <- r.Shutdown(t.Context()) }()
		require.NoError(t, <-r.served, "the listener is closed first")
		require.True(t, r.stopping.Load())

		w := r.do(t, http.MethodGet, "/api/v1/wait", "")
		require.Equal(t, http.StatusServiceUnavailable, w.Code)
		require.Equal(t, "shutting-down", codeOf(t, w))
		require.Equal(t, "close", w.Header().Get("Connection"))
		require.Equal(t, "1", w.Header().Get("Retry-After"))
		require.Equal(t, http.StatusServiceUnavailable, r.do(t, http.MethodGet, "/readyz", "").Code)
		require.Equal(t, http.StatusOK, r.do(t, http.MethodGet, "/healthz", "").Code)

		close(r.release)
		require.Contains(t, <-answer, `200 OK {"name":"done"}`)
		require.NoError(t, <-stopped)
	})
	t.Run("it cancels unfinished requests in time, and answers them", func(t *testing.T) {
		t.Parallel()
		r := start(t)
		answer := r.get(t)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		require.ErrorIs(t, r.Shutdown(ctx), context.DeadlineExceeded)
		require.Contains(t, <-answer, "request-cancelled")
		require.NoError(t, <-r.served)
	})
	t.Run("it says why it could not serve", func(t *testing.T) {
		t.Parallel()
		s := newTestServer(t)
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		require.NoError(t, err)
		require.NoError(t, l.Close())
		require.Error(t, s.Serve(l))
	})
	t.Run("all timeouts are set", func(t *testing.T) {
		t.Parallel()
		s := newTestServer(t)
		require.Positive(t, s.http.ReadHeaderTimeout)
		require.Positive(t, s.http.ReadTimeout)
		require.Greater(t, s.http.WriteTimeout, s.options.HTTP.RequestTimeout)
		require.Positive(t, s.http.IdleTimeout)
	})
}
