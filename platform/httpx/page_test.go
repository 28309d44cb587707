package httpx_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
)

func TestPages(t *testing.T) {
	t.Parallel()
	type position struct {
		Day int
		ID  uuid.UUID
	}
	body, at := func(n int) string { return strings.Repeat("x", n) }, func(n int) any { return position{Day: n} }
	t.Run("it has a cursor only where there is more", func(t *testing.T) {
		t.Parallel()
		p := httpx.PageOf([]int{1, 2, 3}, 2, body, at)
		require.Equal(t, []string{"x", "xx"}, p.Data)
		var got position
		require.NoError(t, httpx.PageQuery{Cursor: *p.NextCursor}.DecodeCursor(&got))
		require.Equal(t, position{Day: 2}, got, "the last that was shown")
		require.Nil(t, httpx.PageOf([]int{1, 2}, 2, body, at).NextCursor)
	})
	t.Run("it writes an empty list and no cursor", func(t *testing.T) {
		t.Parallel()
		b, err := json.Marshal(httpx.Page[int]{})
		require.NoError(t, err)
		require.JSONEq(t, `{"data": [], "nextCursor": null}`, string(b))
	})
	t.Run("it leaves the position alone on the first page", func(t *testing.T) {
		t.Parallel()
		got := position{Day: 7}
		require.NoError(t, httpx.PageQuery{}.DecodeCursor(&got))
		require.Equal(t, 7, got.Day)
	})
	for name, cursor := range map[string]string{
		"it refuses what is not base64":        "%%%",
		"it refuses what is not JSON":          "eA",
		"it refuses another list's cursor":     httpx.EncodeCursor(map[string]int{"Sequence": 1}),
		"it refuses a cursor of another type":  httpx.EncodeCursor(7),
		"it refuses a cursor of nothing":       httpx.EncodeCursor(nil),
		"it refuses something after the value": "e30ge30", // {} {}
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := httpx.PageQuery{Cursor: cursor}.DecodeCursor(new(position))
			require.ErrorIs(t, err, fault.ErrInvalid)
			require.Equal(t, "cursor", fieldsOf(t, err)[0].Field)
		})
	}
}
