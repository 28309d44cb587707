package access_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/rbactest"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/identity"
)

type object = map[string]any

// serve returns a function that calls the routes with a token. Package app tests its middleware.
func (d practice) serve(t testing.TB) func(token, method, path, body string) (int, object) {
	e := echo.New()
	for _, route := range d.Routes() {
		e.Add(route.Method, route.Path, func(c echo.Context) error {
			if route.Permission == httpx.SignedIn {
				token := strings.TrimPrefix(c.Request().Header.Get("Authorization"), "Bearer ")
				caller, err := d.Authenticate(c.Request().Context(), token)
				if err != nil {
					return err
				}
				c.SetRequest(c.Request().WithContext(identity.With(c.Request().Context(), caller)))
			}
			return route.Endpoint.Serve(c)
		})
	}
	statuses := map[fault.Kind]int{fault.Invalid: 422, fault.Unauthenticated: 401, fault.Malformed: 400}
	e.HTTPErrorHandler = func(err error, c echo.Context) {
		f, ok := errors.AsType[*fault.Error](err)
		if !ok {
			t.Errorf("%s %s: %v", c.Request().Method, c.Path(), err)
			_ = c.NoContent(http.StatusInternalServerError)
			return
		}
		_ = c.JSON(statuses[f.Kind()], object{"code": f.Code()})
	}
	return func(token, method, path, body string) (int, object) {
		t.Helper()
		request := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Authorization", "Bearer "+token)
		recorder := httptest.NewRecorder()
		e.ServeHTTP(recorder, request)
		var answer object
		require.NoError(t, json.Unmarshal(recorder.Body.Bytes(), &answer), "%s", recorder.Body)
		return recorder.Code, answer
	}
}

func TestSigningInThroughHTTP(t *testing.T) {
	t.Parallel()
	d := open(t)
	call := d.serve(t)
	u := d.AddUser(t, "ada@example.test", rbac.Technician)

	status, answer := call("", "POST", "/auth/login", `{"email":"ada@example.test","password":"`+rbactest.Password+`"}`)
	require.Equal(t, http.StatusOK, status, "%v", answer)
	require.Equal(t, "Bearer", answer["tokenType"])
	require.EqualValues(t, 900, answer["expiresIn"])
	user := object{
		"id": u.ID.String(), "email": "ada@example.test", "name": "Test User", "organizationId": d.Organization.String(),
		"roles": []any{"TECHNICIAN"}, "enrolOnly": false,
		"permissions": []any{
			"organization:read", "patient:read", "practitioner:read", "service-code:read", "location:read",
			"cancellation-reason:read", "authorization:read",
			"appointment:read", "appointment:start", "appointment:complete", "appointment:no-show", "appointment:read-notes",
			"availability:read", "calendar:manage", "session:read", "session:change", "session:read-narrative",
			"session:correct", "session:void",
			"emergency:take", "emergency:read", "emergency:revoke",
		},
	}
	scopes := object{}
	for _, p := range rbac.Technician.Permissions() {
		scopes[string(p)] = []any{rbac.Technician.Scope(p).String()}
	}
	user["scopes"] = scopes
	require.Equal(t, user, answer["user"])

	status, me := call(answer["accessToken"].(string), "GET", "/auth/me", "")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, user, me)
	status, _ = call("", "GET", "/auth/me", "")
	require.Equal(t, http.StatusUnauthorized, status)

	for body, want := range map[string]struct {
		status int
		code   string
	}{
		`{}`:                           {422, "validation-failed"},
		`{"email":"ada@example.test"}`: {422, "validation-failed"},
		`{"email":"ada@example.test","password":7}`:                                             {422, "validation-failed"},
		`{"email":"ada@example.test","password":"` + strings.Repeat("x", 129) + `"}`:            {422, "validation-failed"},
		`{"email":"ada@example.test","password":"` + rbactest.Password + `","roles":["ADMIN"]}`: {422, "validation-failed"},
		`{"email":"ada@example.test","password":"not the password"}`:                            {401, "wrong-credentials"},
		`{"email":"nobody@example.test","password":"not the password"}`:                         {401, "wrong-credentials"},
	} {
		status, answer := call("", "POST", "/auth/login", body)
		require.Equal(t, want.status, status, body)
		require.Equal(t, want.code, answer["code"], body)
	}
}
