package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/authorization"
	"omnirapeutic/modules/directory"
	"omnirapeutic/modules/events"
	"omnirapeutic/modules/rbac/access"
	"omnirapeutic/modules/rbac/revocation"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/identity"
)

// routesWithoutDatabase are the operations of all modules, for decoding requests
// without executing them. The app's own operations decode nothing.
func routesWithoutDatabase() []httpx.Route {
	return slices.Concat(
		directory.New(nil, nil, nil, time.Now, uuid.New).Routes(),
		access.New(access.Dependencies{
			Clock:       time.Now,
			NewID:       uuid.New,
			Secret:      []byte("a secret of exactly 32 bytes, ok"),
			Lifetime:    time.Minute,
			Quick:       true,
			Revocations: revocation.New(nil, time.Now, nil),
		}).Routes(),
		authorization.New(authorization.Dependencies{Clock: time.Now, NewID: uuid.New}).Routes(),
		events.New(events.Dependencies{Clock: time.Now, NewID: uuid.New, Types: authorization.EventTypes()}).Routes(),
	)
}

// FuzzRequests decodes requests as every operation does. Each is decoded, or refused as
// a client error. A decoded request has the same meaning with its members in another
// order and with other white space.
func FuzzRequests(f *testing.F) {
	routes := routesWithoutDatabase()
	const id = "0198f0de-0000-7000-8000-00000000000a"
	for i := range routes {
		f.Add(uint8(i), id, "limit=5&cursor=e30&status=ACTIVE&open=true", "k",
			[]byte(`{"units":4,"serviceDate":"2026-03-01","reference":null}`))
	}
	for _, body := range []string{
		`{"firstName":"A","lastName":"B","dateOfBirth":"0001-01-01","medicalRecordNumber":null}`,
		`{"name":"A","timeZone":"UTC"}`,
		`{"credentials":["RBT",{"code":"BCBA","expiresOn":"2026-01-31"}],"npi":"1234567893"}`,
		`{"caps":[{"period":"WEEK","units":12}],"totalUnits":1}`,
		`{"atomic":true,"operations":[{"operation":"reserve","authorizationId":"` + id + `","units":4}]}`,
		`{"url":"https://a.test","types":["authorization.balance"]}`,
		`{"email":"a@b.test","password":"x"}`, `{"a\u0000":1}`, `{"units":1e400}`, "{\"name\":\"\xff\"}", `[]`, "\ufeff{}",
		`{"caps":null,"x":[[[[]]]]}`,
	} {
		for i := range routes {
			f.Add(uint8(i), "%00", "lastEventId=-1&types=a&types=b", "9223372036854775808", []byte(body))
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, param, query, header string, body []byte) {
		r := routes[int(which)%len(routes)]
		first, err := readAs(r, param, query, header, body)
		if err != nil {
			requireClientsMistake(t, err)
			return
		}
		var members map[string]json.RawMessage
		if json.Unmarshal(body, &members) != nil {
			return // no such route
		}
		again, err := json.MarshalIndent(members, "\n\t", " ")
		require.NoError(t, err)
		second, err := readAs(r, param, query, header, again)
		require.NoError(t, err, "%s accepts one order and not another:\n%s\n%s", r.Name, body, again)
		require.Equal(t, asJSON(t, first), asJSON(t, second), r.Name)
	})
}

func asJSON(t *testing.T, request any) string {
	t.Helper()
	text, err := json.Marshal(request)
	require.NoError(t, err, "it has a fingerprint")
	return string(text)
}

// readAs decodes a request as the route does. A stream is requested without a caller
// and sends nothing.
func readAs(r httpx.Route, param, query, header string, body []byte) (any, error) {
	request := &http.Request{
		Method: r.Method, URL: &url.URL{Path: r.Path, RawQuery: query}, Body: io.NopCloser(bytes.NewReader(body)),
		Header: http.Header{
			"Content-Type":    {"application/json"},
			"If-Match":        {header},
			"Idempotency-Key": {header},
			"Last-Event-Id":   {header},
		},
	}
	c := echo.New().NewContext(request.WithContext(context.Background()), httptest.NewRecorder())
	c.SetParamNames(r.Endpoint.Params...)
	params := make([]string, len(r.Endpoint.Params))
	for i := range params {
		params[i] = param
	}
	c.SetParamValues(params...)
	if r.Endpoint.Streams {
		if err := r.Endpoint.Serve(c); !errors.Is(err, identity.ErrUnauthenticated) {
			return nil, err
		}
		return nil, nil
	}
	call, err := r.Endpoint.Prepare(c)
	return call.Request, err
}

func requireClientsMistake(t *testing.T, err error) {
	t.Helper()
	refusal, ok := fault.From(err)
	require.True(t, ok, "%v", err)
	require.Contains(t, []fault.Kind{fault.Malformed, fault.Invalid, fault.TooLarge, fault.Unsupported}, refusal.Kind(),
		"%v", err)
	text, err := json.Marshal(refusal.Details())
	require.NoError(t, err)
	require.True(t, json.Valid(text))
	if details, ok := refusal.Details().(fault.Fields); ok {
		require.NotEmpty(t, details.Errors)
		for _, invalid := range details.Errors {
			require.NotEmpty(t, invalid.Code)
			require.NotEmpty(t, invalid.Message)
			require.LessOrEqual(t, len(invalid.Field), 400, "client texts are truncated in errors")
		}
	}
}
