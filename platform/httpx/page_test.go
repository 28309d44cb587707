package httpx_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/identity"
)

type numbersQuery struct {
	httpx.PageQuery
	From int `query:"from"`
}

// numbers lists the numbers from 1 to 5 that follow from.
func numbers(_ context.Context, in numbersQuery) (httpx.Page[int], error) {
	last := in.From
	if err := in.DecodeCursor(&last); err != nil {
		return httpx.Page[int]{}, err
	}
	var found []int
	for n := last + 1; n <= 5 && len(found) <= in.Size(); n++ {
		found = append(found, n)
	}
	same := func(n int) int { return n }
	return httpx.PageOf(in.PageQuery, found, same, func(n int) any { return n }), nil
}

// page requests one page.
func page(t *testing.T, key, path, query string, caller identity.Caller) (httpx.Page[int], error) {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, path+"?"+query, nil)
	ctx := httpx.WithCursorKey(r.Context(), httpx.NewCursorKey([]byte(key)))
	ctx = identity.With(ctx, caller)
	w := httptest.NewRecorder()
	c := echo.New().NewContext(r.WithContext(ctx), w)
	c.SetPath(path)
	if err := httpx.Handle(http.StatusOK, numbers).Serve(c); err != nil {
		return httpx.Page[int]{}, err
	}
	var p httpx.Page[int]
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &p))
	return p, nil
}

func TestPages(t *testing.T) {
	t.Parallel()
	var anonymous identity.Caller
	first, err := page(t, "secret", "/numbers", "limit=2", anonymous)
	require.NoError(t, err)
	require.Equal(t, []int{1, 2}, first.Data)
	cursor := *first.NextCursor

	t.Run("it continues after the previous page, and ends", func(t *testing.T) {
		t.Parallel()
		second, err := page(t, "secret", "/numbers", "limit=2&cursor="+cursor, anonymous)
		require.NoError(t, err)
		require.Equal(t, []int{3, 4}, second.Data)
		last, err := page(t, "secret", "/numbers", "limit=3&cursor="+*second.NextCursor, anonymous)
		require.NoError(t, err)
		require.Equal(t, []int{5}, last.Data)
		require.Nil(t, last.NextCursor)
	})
	t.Run("it writes an empty list and no cursor", func(t *testing.T) {
		t.Parallel()
		w := httptest.NewRecorder()
		c := echo.New().NewContext(httptest.NewRequest(http.MethodGet, "/none", nil), w)
		none := func(context.Context, httpx.None) (httpx.Page[int], error) { return httpx.Page[int]{}, nil }
		require.NoError(t, httpx.Handle(http.StatusOK, none).Serve(c))
		require.JSONEq(t, `{"data": [], "nextCursor": null}`, w.Body.String())
	})
	t.Run("its cursors cannot be read, and are never the same", func(t *testing.T) {
		t.Parallel()
		again, err := page(t, "secret", "/numbers", "limit=2", anonymous)
		require.NoError(t, err)
		require.NotEqual(t, cursor, *again.NextCursor)
	})
	stranger := identity.Caller{UserID: identity.SystemUser, OrganizationID: identity.SystemUser}
	for name, test := range map[string]struct {
		key, path, query string
		caller           identity.Caller
	}{
		"it refuses text that is not base64":      {"secret", "/numbers", "cursor=%25%25", anonymous},
		"it refuses a short text":                 {"secret", "/numbers", "cursor=eA", anonymous},
		"it refuses a cursor that was changed":    {"secret", "/numbers", "cursor=" + flipped(cursor), anonymous},
		"it refuses a cursor with a line break":   {"secret", "/numbers", "cursor=" + cursor + "%0A", anonymous},
		"it refuses another program's cursor":     {"other", "/numbers", "cursor=" + cursor, anonymous},
		"it refuses another list's cursor":        {"secret", "/digits", "cursor=" + cursor, anonymous},
		"it refuses a cursor with another filter": {"secret", "/numbers", "from=1&cursor=" + cursor, anonymous},
		"it refuses a cursor of another caller":   {"secret", "/numbers", "cursor=" + cursor, stranger},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := page(t, test.key, test.path, test.query, test.caller)
			require.ErrorIs(t, err, fault.ErrInvalid)
			require.Equal(t, "cursor", fieldsOf(t, err)[0].Field)
		})
	}
}

func flipped(cursor string) string {
	other := "A"
	if strings.HasPrefix(cursor[20:], "A") {
		other = "B"
	}
	return cursor[:20] + other + cursor[21:]
}
