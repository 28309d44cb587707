package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/telemetry"
)

// TestRequestID checks that each request has a server-generated id, regardless of its
// headers.
func TestRequestID(t *testing.T) {
	t.Parallel()
	s := newTestServer(t, public("/id", func(ctx context.Context, _ httpx.None) (thing, error) {
		return thing{telemetry.RequestID(ctx)}, nil
	}))
	seen := map[string]bool{}
	for name, given := range map[string][]string{
		"none":                   nil,
		"a plain one":            {"Ada-Example-2019-05-04"},
		"an empty one":           {""},
		"other bytes":            {"a\tb"},
		"two":                    {"a", "b"},
		"one of ours":            {"019ac0de-0000-7000-8000-000000000001"},
		"the same request again": {"019ac0de-0000-7000-8000-000000000001"},
	} {
		var headers []string
		for _, id := range given {
			headers = append(headers, "X-Request-Id", id)
		}
		w := s.do(t, http.MethodGet, "/api/v1/id", "", headers...)
		require.Len(t, w.Header().Values("X-Request-Id"), 1, name)
		id := w.Header().Get("X-Request-Id")
		require.JSONEq(t, `{"name": "`+id+`"}`, w.Body.String(), name)
		created, err := uuid.Parse(id)
		require.NoError(t, err, name)
		require.Equal(t, uuid.Version(7), created.Version(), name)
		require.NotContains(t, given, id, name)
		require.False(t, seen[id], name)
		seen[id] = true
		logged := s.events(t, "request")
		require.Equal(t, id, logged[len(logged)-1]["request_id"], name)
	}
}

func TestPermissionsAreChecked(t *testing.T) {
	t.Parallel()
	called := make(chan identity.Caller, 100)
	fn := func(ctx context.Context, _ httpx.None) (httpx.None, error) {
		caller, _ := identity.From(ctx)
		called <- caller
		return httpx.None{}, nil
	}
	s := newTestServer(t, route(http.MethodPost, "/read", "thing:read", fn),
		route(http.MethodPost, "/signed-in", httpx.SignedIn, fn), route(http.MethodPost, "/public", httpx.Public, fn))
	for name, c := range map[string]struct {
		path   string
		header []string
		status int
	}{
		"it admits a caller with the permission":     {"/read", []string{"Bearer " + tokenReader}, 200},
		"it accepts the scheme in any case":          {"/read", []string{"bearer  " + tokenReader}, 200},
		"it refuses a caller without the permission": {"/read", []string{"Bearer " + tokenNobody}, 403},
		"it refuses a caller without a token":        {"/read", nil, 401},
		"it refuses an invalid token":                {"/read", []string{"Bearer x"}, 401},
		"it refuses another scheme":                  {"/read", []string{"Basic " + tokenReader}, 401},
		"it refuses a token without scheme":          {"/read", []string{tokenReader}, 401},
		"it refuses an empty token":                  {"/read", []string{"Bearer "}, 401},
		"it refuses two tokens": {
			"/read",
			[]string{"Bearer " + tokenReader, "Bearer " + tokenReader},
			401,
		},
		"it refuses a caller without an organization": {"/read", []string{"Bearer " + tokenNowhere}, 401},
		"it fails if tokens cannot be checked":        {"/read", []string{"Bearer " + tokenBroken}, 500},
		"it answers 503 if revocations are unknown":   {"/read", []string{"Bearer " + tokenSilent}, 503},
		"it admits any signed-in caller":              {"/signed-in", []string{"Bearer " + tokenNobody}, 200},
		"it refuses a caller who is not signed in":    {"/signed-in", nil, 401},
		"it admits anyone":                            {"/public", nil, 200},
		"it requires no token on a public route":      {"/public", []string{"Bearer x"}, 200},
	} {
		t.Run(name, func(t *testing.T) {
			var headers []string
			for _, value := range c.header {
				headers = append(headers, "Authorization", value)
			}
			w := s.do(t, http.MethodPost, "/api/v1"+c.path, "", headers...)
			require.Equal(t, c.status, w.Code, w.Body.String())
			require.Equal(t, c.status == 200, len(called) == 1)
			if c.status == 200 {
				if caller := <-called; c.path != "/public" {
					require.Equal(t, w.Header().Get("X-Request-Id"), caller.RequestID)
				}
			}
		})
	}
	t.Run("it sends Retry-After if revocations are unknown", func(t *testing.T) {
		w := s.do(t, http.MethodPost, "/api/v1/read", "", "Authorization", "Bearer "+tokenSilent)
		require.Equal(t, "token-not-checked", codeOf(t, w))
		require.NotEmpty(t, w.Header().Get("Retry-After"))
	})
	t.Run("it distinguishes an invalid header from a missing one", func(t *testing.T) {
		detail := func(headers ...string) string {
			w := s.do(t, http.MethodPost, "/api/v1/read", "", headers...)
			require.Equal(t, "unauthenticated", codeOf(t, w))
			var problem struct{ Detail string }
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &problem))
			return problem.Detail
		}
		require.Equal(t, "Sign in first: this requires a valid access token.", detail())
		for _, value := range []string{tokenReader, "Basic " + tokenReader, "Bearer ", "Bearer"} {
			require.Equal(t, "The Authorization header must be given once, as the word Bearer, a space and the "+
				"access token.", detail("Authorization", value), value)
		}
	})
	t.Run("it decides before it reads the request", func(t *testing.T) {
		w := s.do(t, http.MethodPost, "/api/v1/read?unknown=1", "{not json", "Authorization", "Bearer "+tokenNobody)
		require.Equal(t, "forbidden", codeOf(t, w))
		require.Contains(t, w.Body.String(), `"permission":"thing:read"`)
	})
	t.Run("it logs denials with caller and permission", func(t *testing.T) {
		found := s.events(t, "denied")
		require.NotEmpty(t, found)
		require.Equal(t, "thing:read", found[0]["permission"])
		require.Equal(t, someOrganization.String(), found[0]["organization_id"])
		require.NotEmpty(t, found[0]["user_id"])
	})
}

func TestPanicsBecomeErrors(t *testing.T) {
	t.Parallel()
	boom := func(value any) httpx.Route {
		return public("/boom", func(context.Context, httpx.None) (httpx.None, error) { panic(value) })
	}
	for name, value := range map[string]any{
		"it answers a panic with text":           "Miller",
		"it answers a panic with an error":       errors.New("Miller"),
		"it answers a panic with a domain error": fault.ErrInvalid.With(nil, "Miller"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newTestServer(t, boom(value))
			w := s.do(t, http.MethodGet, "/api/v1/boom", "")
			require.Equal(t, http.StatusInternalServerError, w.Code)
			require.Equal(t, "internal", codeOf(t, w))
			require.NotContains(t, w.Body.String(), "Miller")
			require.NotContains(t, w.Body.String(), "goroutine")
			found := s.events(t, "request_failed")
			require.Len(t, found, 1)
			require.Contains(t, found[0]["stack"], "middleware_test.go")
			require.InDelta(t, 500, s.events(t, "request")[0]["status"], 0)
		})
	}
	t.Run("it lets a handler abort the connection", func(t *testing.T) {
		t.Parallel()
		s := newTestServer(t, boom(http.ErrAbortHandler))
		require.PanicsWithValue(t, http.ErrAbortHandler, func() { s.do(t, http.MethodGet, "/api/v1/boom", "") })
	})
}

func TestLimits(t *testing.T) {
	t.Parallel()
	s := newTestServer(t,
		route(http.MethodPost, "/body", httpx.Public, func(_ context.Context, in thing) (thing, error) { return in, nil }),
		public("/slow", func(ctx context.Context, _ httpx.None) (httpx.None, error) {
			<-ctx.Done()
			return httpx.None{}, fmt.Errorf("query: %w", ctx.Err())
		}))
	t.Run("it refuses a long body by its length", func(t *testing.T) {
		t.Parallel()
		w := s.do(t, http.MethodPost, "/api/v1/body", `{"name": "`+strings.Repeat("x", 1<<10)+`"}`)
		require.Equal(t, http.StatusRequestEntityTooLarge, w.Code)
		require.Equal(t, "body-too-large", codeOf(t, w))
	})
	t.Run("it refuses a long body of unknown length", func(t *testing.T) {
		t.Parallel()
		r := httptest.NewRequest(http.MethodPost, "/api/v1/body",
			io.MultiReader(strings.NewReader(`{"name": "`), strings.NewReader(strings.Repeat("x", 1<<10))))
		r.Header.Set("Content-Type", "application/json")
		r.ContentLength = -1
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, r)
		require.Equal(t, "body-too-large", codeOf(t, w))
	})
	t.Run("it accepts a body below the limit", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, http.StatusOK,
			s.do(t, http.MethodPost, "/api/v1/body", `{"name": "`+strings.Repeat("x", 900)+`"}`).Code)
	})
	t.Run("it ends a request that takes too long", func(t *testing.T) {
		t.Parallel()
		slow := newTestServer(t)
		options := testOptions(slow, public("/slow", func(ctx context.Context, _ httpx.None) (httpx.None, error) {
			<-ctx.Done()
			return httpx.None{}, fmt.Errorf("query: %w", ctx.Err())
		}))
		options.HTTP.RequestTimeout = 5 * time.Millisecond
		server, err := NewServer(options)
		require.NoError(t, err)
		slow.Server = server
		w := slow.do(t, http.MethodGet, "/api/v1/slow", "")
		require.Equal(t, http.StatusServiceUnavailable, w.Code)
		require.Equal(t, "timeout", codeOf(t, w))
	})
}

func TestRequestsAreLoggedAndCounted(t *testing.T) {
	t.Parallel()
	s := newTestServer(t, route(http.MethodGet, "/things/:id", "thing:read", func(context.Context, struct {
		byID
		Name string `query:"name"`
	},
	) (thing, error) {
		return thing{"Miller"}, nil
	}))
	const path = "/api/v1/things/0198f0de?name=Miller"
	s.do(t, http.MethodGet, path, "", "Authorization", "Bearer "+tokenReader, "X-Forwarded-For", "6.6.6.6")
	s.do(t, http.MethodDelete, path, "")
	s.do(t, http.MethodGet, "/api/v1/Miller", "")
	s.do(t, "MILLER", "/", "")
	s.do(t, http.MethodGet, "/healthz", "")
	lines := s.events(t, "request")

	t.Run("it logs each request once, by route", func(t *testing.T) {
		t.Parallel()
		require.Len(t, lines, 5)
		require.Equal(t, "/api/v1/things/:id", lines[0]["route"])
		require.Equal(t, "GET", lines[0]["method"])
		require.InDelta(t, 200, lines[0]["status"], 0)
		require.NotEmpty(t, lines[0]["user_id"])
		require.NotEmpty(t, lines[0]["request_id"])
		require.Contains(t, lines[0], "duration_ms")
		require.InDelta(t, 405, lines[1]["status"], 0)
		require.Equal(t, "unmatched", lines[2]["route"])
		require.Equal(t, "other", lines[3]["method"])
		require.Equal(t, "debug", lines[4]["level"])
	})
	t.Run("it logs no client input and no output", func(t *testing.T) {
		t.Parallel()
		for _, text := range []string{"Miller", "MILLER", "0198f0de?", tokenReader + "\"", "6.6.6.6"} {
			require.NotContains(t, s.log.String(), text)
		}
	})
	t.Run("it counts requests by route, method and status", func(t *testing.T) {
		t.Parallel()
		metrics := s.metrics(t)
		require.Contains(t, metrics,
			`omnirapeutic_http_requests_total{method="GET",route="/api/v1/things/:id",status="200"} 1`)
		require.Contains(t, metrics,
			`omnirapeutic_http_requests_total{method="DELETE",route="/api/v1/things/:id",status="405"} 1`)
		require.Contains(t, metrics, `omnirapeutic_http_request_duration_seconds_count{method="GET",route="unmatched"} 1`)
		require.Contains(t, metrics, `omnirapeutic_http_requests_in_flight 0`)
		require.NotContains(t, metrics, "Miller")
	})
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	s := newTestServer(t, route(http.MethodPost, "/things", httpx.Public, nothing))
	t.Run("it answers 404 for an unknown path", func(t *testing.T) {
		t.Parallel()
		for _, path := range []string{"/else", "/api/v1", "/api/v1/thing", "/api/v1/things/", "/things"} {
			w := s.do(t, http.MethodGet, path, "")
			require.Equal(t, http.StatusNotFound, w.Code, path)
			require.Equal(t, "route-not-found", codeOf(t, w))
		}
	})
	t.Run("it answers 405 with the allowed methods", func(t *testing.T) {
		t.Parallel()
		w := s.do(t, http.MethodGet, "/api/v1/things", "")
		require.Equal(t, http.StatusMethodNotAllowed, w.Code)
		require.Equal(t, "method-not-allowed", codeOf(t, w))
		require.Contains(t, w.Header().Get("Allow"), "POST")
	})
	t.Run("it answers HEAD without a body", func(t *testing.T) {
		t.Parallel()
		require.Empty(t, s.do(t, http.MethodHead, "/nowhere", "").Body.String())
	})
}
