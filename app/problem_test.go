package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/authorization"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/trail"
)

type shortage struct {
	Available int    `json:"available"`
	Status    string `json:"status"` // a name of the document itself
}

type search struct {
	Q string `query:"q"`
}

type searchIn struct {
	byID
	search
	thing
}

type cooling struct{}

func (cooling) RetryAfter() time.Duration { return 90*time.Second + time.Millisecond }

func TestProblem(t *testing.T) {
	t.Parallel()
	const secret = "SQLSTATE 23505 Miller"
	hidden := errors.New(secret)
	for name, c := range map[string]struct {
		err    error
		status int
		code   string
		header map[string]string
	}{
		"it answers 400 to a malformed request": {httpx.ErrMalformed.Because(hidden), 400, "malformed-request", nil},
		"it answers 401 and how to sign in": {
			identity.ErrUnauthenticated, 401, "unauthenticated",
			map[string]string{"WWW-Authenticate": "Bearer"},
		},
		"it answers 403 without a permission": {identity.Caller{}.Require("thing:read"), 403, "forbidden", nil},
		"it answers 404 to an unknown record": {authorization.ErrNotFound, 404, "authorization-not-found", nil},
		"it answers 409 to a conflict": {fmt.Errorf("in a module: %w",
			authorization.ErrInsufficientUnits.Because(hidden)), 409, "insufficient-units", nil},
		"it answers 413 to a body that is too large":     {httpx.ErrBodyTooLarge, 413, "body-too-large", nil},
		"it answers 415 to another media type than JSON": {httpx.ErrUnsupported, 415, "unsupported-media-type", nil},
		"it answers 422 to invalid fields": {
			fault.InvalidFields(fault.Field{Field: "units"}), 422,
			"validation-failed", nil,
		},
		"it answers 500 to contention, with Retry-After": {
			fmt.Errorf("reserve: %w", &db.ContentionError{}), 500, "contention",
			map[string]string{"Retry-After": "1"},
		},
		"it answers 503 without a database": {
			fmt.Errorf("x: %w", &db.UnavailableError{}), 503, "database-unavailable",
			map[string]string{"Retry-After": "1"},
		},
		"it answers 503 if the database is read-only": {
			&db.UnavailableError{State: db.ReadOnly}, 503, "database-read-only",
			map[string]string{"Retry-After": "1"},
		},
		"it answers 503 if the database is full": {
			&db.UnavailableError{State: db.Full}, 503, "database-full",
			map[string]string{"Retry-After": "1"},
		},
		"it answers 503 if the database is blocked": {
			&db.UnavailableError{State: db.Blocked}, 503, "database-busy",
			map[string]string{"Retry-After": "1"},
		},
		"it answers 503 if the schema does not match": {
			&db.UnavailableError{State: db.SchemaMismatch}, 503, "schema-mismatch",
			map[string]string{"Retry-After": "1"},
		},
		"it answers 503 if the outcome is unknown": {errors.Join(context.DeadlineExceeded,
			&db.AmbiguousCommitError{}), 503, "outcome-unknown", map[string]string{"Retry-After": "1"}},
		"it answers 503 after a timeout": {
			fmt.Errorf("%w: %w", context.DeadlineExceeded, hidden), 503, "timeout", map[string]string{"Retry-After": "1"},
		},
		"it answers 503 if the client has disconnected": {context.Canceled, 503, "request-cancelled", nil},
		"it answers 500 to any other error and reveals nothing": {
			hidden, 500, "internal",
			map[string]string{"Retry-After": ""},
		},
		"it answers 413 to echo's error for it": {echo.ErrStatusRequestEntityTooLarge, 413, "body-too-large", nil},
		"it answers 415 to echo's error for it": {echo.ErrUnsupportedMediaType, 415, "unsupported-media-type", nil},
		"it answers 400 to echo's error for it": {
			echo.NewHTTPError(http.StatusBadRequest, secret), 400, "malformed-request", nil,
		},
		"it answers 500 to other errors of echo": {echo.NewHTTPError(http.StatusTeapot, secret), 500, "internal", nil},
		"it leaves out details that cannot be encoded": {authorization.ErrInsufficientUnits.With(struct{ F func() }{},
			"no"), 409, "insufficient-units", nil},
		"it leaves out details that are not an object": {
			authorization.ErrInsufficientUnits.With([]int{1}, "no"), 409, "insufficient-units", nil,
		},
		"it leaves out nil details": {
			authorization.ErrNotFound.With((*shortage)(nil), "no"), 404, "authorization-not-found", nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newTestServer(t,
				public("/fail", func(context.Context, search) (httpx.None, error) { return httpx.None{}, c.err }))
			w := s.do(t, http.MethodGet, "/api/v1/fail?q=Miller", "")
			require.Equal(t, c.status, w.Code)
			require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
			require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
			require.NotContains(t, w.Body.String(), "Miller")
			for name, value := range c.header {
				require.Equal(t, value, w.Header().Get(name))
			}
			var p Problem
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &p), w.Body.String())
			f, _ := fault.ByCode(c.code)
			require.Equal(t, c.code, p.Code)
			require.Equal(t, "/api/errors/"+c.code, p.Type)
			require.Equal(t, f.Title(), p.Title)
			require.NotEmpty(t, p.Detail)
			require.Equal(t, c.status, p.Status)
			require.Equal(t, "/api/v1/fail", p.Instance)
			require.Equal(t, w.Header().Get("X-Request-Id"), p.RequestID)
		})
	}
	t.Run("it adds the details, and none of them overrides its own members", func(t *testing.T) {
		t.Parallel()
		s := newTestServer(t, public("/fail", func(context.Context, httpx.None) (httpx.None, error) {
			return httpx.None{}, authorization.ErrInsufficientUnits.With(shortage{5, "ACTIVE"}, "Available: %d", 5)
		}))
		w := s.do(t, http.MethodGet, "/api/v1/fail", "")
		require.JSONEq(t, `{"type": "/api/errors/insufficient-units",
			"title": "The authorization does not have enough units available.", "status": 409,
			"detail": "Available: 5", "instance": "/api/v1/fail", "code": "insufficient-units", "requestId": "`+
			w.Header().Get("X-Request-Id")+`", "available": 5}`, w.Body.String())
	})
	t.Run("it lists invalid fields", func(t *testing.T) {
		t.Parallel()
		s := newTestServer(t, public("/fail", func(context.Context, httpx.None) (httpx.None, error) {
			return httpx.None{}, fault.InvalidFields(fault.Field{Field: "units", Code: "min", Message: "must be at least 1"})
		}))
		w := s.do(t, http.MethodGet, "/api/v1/fail", "")
		require.Contains(t, w.Body.String(), `"errors":[{"field":"units","code":"min","message":"must be at least 1"}]`)
	})
	t.Run("it sends Retry-After in whole seconds", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, "91", retryAfter(errInternal.With(cooling{}, "wait")))
		require.Equal(t, "1", retryAfter(errInternal))
	})
	t.Run("it has a status for every kind", func(t *testing.T) {
		t.Parallel()
		for kind := fault.Malformed; kind <= fault.Unavailable; kind++ {
			require.NotZero(t, statuses[kind], kind)
		}
		for _, f := range fault.All() {
			require.GreaterOrEqual(t, StatusOf(f), 400, f.Code())
		}
	})
}

func TestProblemLog(t *testing.T) {
	t.Parallel()
	log := func(t *testing.T, err error) *testServer {
		t.Helper()
		s := newTestServer(t,
			public("/fail/:id", func(context.Context, searchIn) (httpx.None, error) { return httpx.None{}, err }))
		s.do(t, http.MethodGet, "/api/v1/fail/Miller?q=Miller", `{"name": "Miller"}`)
		return s
	}
	t.Run("it logs server errors once, with their cause", func(t *testing.T) {
		t.Parallel()
		found := log(t, errors.New("disk full")).events(t, "request_failed")
		require.Len(t, found, 1)
		require.Equal(t, "disk full", found[0]["error"])
		require.Equal(t, "internal", found[0]["code"])
		require.Equal(t, "error", found[0]["level"])
		require.Equal(t, "/api/v1/fail/:id", found[0]["route"])
		require.NotEmpty(t, found[0]["request_id"])
	})
	t.Run("it logs contention", func(t *testing.T) {
		t.Parallel()
		found := log(t,
			fmt.Errorf("x: %w",
				&db.ContentionError{Operation: "reserve", Attempts: 5, Elapsed: 2 * time.Second, SQLState: "40001"})).
			events(t, "request_failed")
		require.Len(t, found, 1)
		require.Equal(t, "reserve", found[0]["operation"])
		require.InDelta(t, 5, found[0]["attempts"], 0)
		require.InDelta(t, 2000, found[0]["elapsed_ms"], 0)
		require.Equal(t, "40001", found[0]["sqlstate"])
	})
	t.Run("it logs no refusal as a failure, and no request data", func(t *testing.T) {
		t.Parallel()
		s := log(t, authorization.ErrInsufficientUnits)
		require.Empty(t, s.events(t, "request_failed"))
		require.NotContains(t, s.log.String(), "Miller")
	})
	t.Run("it logs a denial by a module", func(t *testing.T) {
		t.Parallel()
		found := log(t, identity.Caller{}.Require("thing:adjust")).events(t, "denied")
		require.Len(t, found, 1)
		require.Equal(t, "thing:adjust", found[0]["permission"])
	})
}

// TestEveryKindOfDenialIsOnRecord checks that refusals with any code of status 403 are
// recorded.
func TestEveryKindOfDenialIsOnRecord(t *testing.T) {
	t.Parallel()
	met := 0
	for _, f := range fault.All() {
		if StatusOf(f) != http.StatusForbidden {
			continue
		}
		met++
		s := newTestServer(t, route(http.MethodPost, "/read", "thing:read",
			func(context.Context, httpx.None) (httpx.None, error) { return httpx.None{}, f }))
		require.Equal(t, http.StatusForbidden,
			s.do(t, http.MethodPost, "/api/v1/read", "", "Authorization", "Bearer "+tokenReader).Code)
		kept := s.trail.Events()
		require.Len(t, kept, 1, f.Code())
		require.Equal(t, trail.Denied, kept[0].Outcome, f.Code())
		require.Equal(t, someOrganization, kept[0].OrganizationID, f.Code())
		require.NotEqual(t, uuid.Nil, kept[0].ActorID, f.Code())
		require.NotEmpty(t, kept[0].RequestID, f.Code())
		said, err := json.Marshal(kept[0].After)
		require.NoError(t, err)
		require.Contains(t, string(said), `"code":"`+f.Code()+`"`)
	}
	require.Greater(t, met, 5)
}
