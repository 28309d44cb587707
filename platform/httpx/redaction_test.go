package httpx_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/patch"
)

type maskedNote struct {
	Text *string `json:"text" needs:"note:read"`
	By   string  `json:"by"`
}

type maskedThing struct {
	maskedNote
	Name  string       `json:"name"`
	Notes []maskedNote `json:"notes"`
	Last  *maskedNote  `json:"last"`
}

type maskedRow struct {
	Name string  `json:"name"`
	Text *string `json:"text" needs:"note:read"`
}

type maskedChange struct {
	Name patch.Field[string]     `json:"name"`
	Text patch.Clearable[string] `json:"text" needs:"note:read"`
}

// served sends a request of the caller.
func served(t *testing.T, e httpx.Endpoint, who identity.Caller, method, target, content string) (string, error) {
	t.Helper()
	request := httptest.NewRequest(method, target, strings.NewReader(content))
	request.Header.Set(echo.HeaderContentType, "application/merge-patch+json")
	if content == "" {
		request = httptest.NewRequest(method, target, nil)
	}
	answer := httptest.NewRecorder()
	c := echo.New().NewContext(request.WithContext(identity.With(request.Context(), who)), answer)
	err := e.Serve(c)
	return answer.Body.String(), err
}

func acting(held map[identity.Permission]identity.Scope) identity.Caller {
	c := identity.System(identity.SystemUser).ActingUnder("thing:read")
	c.Permissions = held
	return c
}

func TestFieldsThatNeedAPermission(t *testing.T) {
	t.Parallel()
	one := httpx.Handle(http.StatusOK, func(context.Context, httpx.None) (maskedThing, error) {
		note := maskedNote{new("secret"), "Ada"}
		return maskedThing{note, "n", []maskedNote{note, note}, &note}, nil
	})
	require.Equal(t, []identity.Permission{"note:read"}, one.Needs, "each once")
	const all = `{"text":"secret","by":"Ada","name":"n",` +
		`"notes":[{"text":"secret","by":"Ada"},{"text":"secret","by":"Ada"}],"last":{"text":"secret","by":"Ada"}}`
	for _, test := range []struct {
		it    string
		held  map[identity.Permission]identity.Scope
		shows bool
	}{
		{
			"without the permission they are null",
			map[identity.Permission]identity.Scope{"thing:read": identity.Organization},
			false,
		},
		{
			"with it they are shown",
			map[identity.Permission]identity.Scope{"thing:read": identity.Organization, "note:read": identity.Organization},
			true,
		},
		{
			"it is held for as many records as the answer may concern",
			map[identity.Permission]identity.Scope{
				"thing:read": identity.Self | identity.Caseload,
				"note:read":  identity.Self | identity.Caseload,
			},
			true,
		},
		{
			"fewer records are not enough",
			map[identity.Permission]identity.Scope{"thing:read": identity.Organization, "note:read": identity.Caseload},
			false,
		},
		{
			"nor for others",
			map[identity.Permission]identity.Scope{"thing:read": identity.Self | identity.Child, "note:read": identity.Self},
			false,
		},
		{"alone it shows nothing", map[identity.Permission]identity.Scope{"note:read": identity.Organization}, false},
	} {
		t.Run(test.it, func(t *testing.T) {
			t.Parallel()
			got, err := served(t, one, acting(test.held), http.MethodGet, "/", "")
			require.NoError(t, err)
			want := all
			if !test.shows {
				want = strings.ReplaceAll(all, `"secret"`, "null")
			}
			require.JSONEq(t, want, got)
		})
	}
}

func TestTablesAndDownloadsAreRedactedToo(t *testing.T) {
	t.Parallel()
	blind := acting(map[identity.Permission]identity.Scope{"thing:read": identity.Organization})
	rows := []maskedRow{{"a", new("secret")}, {"b", nil}}
	table := httpx.HandleTable(func(context.Context, struct{ httpx.TableQuery }) (httpx.Page[maskedRow], error) {
		return httpx.Page[maskedRow]{Data: append([]maskedRow{}, rows...)}, nil
	})
	download := httpx.Download(time.Second, func(_ context.Context, _ struct{ httpx.DownloadQuery }, out *httpx.Rows[maskedRow]) error {
		return out.Send(append([]maskedRow{}, rows...)...)
	})
	require.Equal(t, []identity.Permission{"note:read"}, download.Needs)
	for _, each := range []struct {
		endpoint httpx.Endpoint
		target   string
	}{{table, "/"}, {table, "/?format=csv"}, {download, "/"}, {download, "/?format=csv"}} {
		got, err := served(t, each.endpoint, blind, http.MethodGet, each.target, "")
		require.NoError(t, err)
		require.Contains(t, got, "a")
		require.NotContains(t, got, "secret")
	}
	got, err := served(t, table, blind, http.MethodGet, "/?format=csv", "")
	require.NoError(t, err)
	require.Equal(t, "name,text\r\na,\r\nb,\r\n", got)
}

func TestHiddenFieldsCannotBeOverwritten(t *testing.T) {
	t.Parallel()
	changed := false
	e := httpx.Handle(http.StatusOK, func(context.Context, maskedChange) (httpx.None, error) {
		changed = true
		return httpx.None{}, nil
	})
	require.Equal(t, []identity.Permission{"note:read"}, e.Needs)
	blind := acting(map[identity.Permission]identity.Scope{"thing:read": identity.Organization})
	for _, content := range []string{`{"text": null}`, `{"text": "mine"}`, `{"name": "n", "text": null}`} {
		_, err := served(t, e, blind, http.MethodPatch, "/", content)
		require.ErrorIs(t, err, identity.ErrForbidden)
		require.Contains(t, err.Error(), "note:read")
		require.False(t, changed)
	}
	_, err := served(t, e, blind, http.MethodPatch, "/", `{"name": "n"}`)
	require.NoError(t, err, "an absent field stays unchanged")
	require.True(t, changed)
}

func TestAFieldThatCannotBeNullNeedsNoPermission(t *testing.T) {
	t.Parallel()
	type wrong struct {
		Text string `json:"text" needs:"note:read"`
	}
	require.Panics(t, func() {
		httpx.Handle(http.StatusOK, func(context.Context, httpx.None) (wrong, error) { return wrong{}, nil })
	})
	require.Panics(t, func() {
		httpx.Handle(http.StatusOK, func(context.Context, httpx.None) (map[string]maskedNote, error) { return nil, nil })
	})
}
