package httpx_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/patch"
)

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{"units": 1}`, `{"units": 1.5, "name": "a\u0000\ud800"}`, `{"lines": [{"units": 1}, {}, null]}`,
		`{"labels": {"a": 1, "a": 2}}`,
		`{"sum": null, "memo": null, "day": "2026-02-30"}`, `{"a\`, `{"":""}`, "\xff", `[]`, `{"units":-0,"weight":1e400}`,
		`{"x":"\ud83d\ude00"}`,
	} {
		f.Add(seed)
	}
	calls := 0
	endpoint := httpx.Handle(http.StatusNoContent, func(context.Context, order) (httpx.None, error) {
		calls++
		return httpx.None{}, nil
	})
	f.Fuzz(func(t *testing.T, body string) {
		before := calls
		_, err := serve(t, endpoint, request(http.MethodPost, "/things/"+someID, body))
		require.Equal(t, err == nil, calls > before)
		if err == nil {
			require.True(t, json.Valid([]byte(body)))
			return
		}
		_, ok := fault.From(err)
		require.True(t, ok, "%v", err)
	})
}

// FuzzCursor decodes cursors for all kinds of positions. A forged cursor is the
// client's error, and a genuine one returns its position.
func FuzzCursor(f *testing.F) {
	for _, seed := range []string{"", "e30", "bnVsbA", "MQ", "IiI", "W10", "e30ge30", "eA", "%%%", "=", strings.Repeat("A",
		2000), "eyJEYXkiOjF9", "-_-_", "\xff", "MQ==", "M\nQ"} {
		f.Add(seed, 0)
	}
	type position struct {
		Day calendar.Date
		ID  uuid.UUID
		At  time.Time
	}
	f.Fuzz(func(t *testing.T, cursor string, sequence int) {
		for _, into := range []any{new(position), new(uuid.UUID), new(int64), new(string)} {
			if err := (httpx.PageQuery{Cursor: cursor}).DecodeCursor(into); err != nil {
				require.ErrorIs(t, err, fault.ErrInvalid)
				require.Equal(t, "cursor", fieldsOf(t, err)[0].Field)
			}
		}
		given := httpx.PageOf(httpx.PageQuery{Limit: 1}, []int{sequence, 0}, func(n int) int { return n },
			func(n int) any { return n })
		require.NotNil(t, given.NextCursor)
		var got int
		require.NoError(t, httpx.PageQuery{Cursor: *given.NextCursor}.DecodeCursor(&got))
		require.Equal(t, sequence, got)
	})
}

// FuzzMergePatch applies merge patches as endpoints do, and the same texts to plain
// maps by RFC 7396. Both must have the same result, applied once or twice.
func FuzzMergePatch(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"units":0}`, `{"notes":null}`, `{"notes":"","units":7}`, `{"labels":[],"open":false}`, `{"labels":null}`,
		`{"until":null}`, `{"until":"2026-03-01"}`,
		`{"units":null}`, `{"\u0075nits":1}`, `{"units":1,"units":2}`, `{"notes":"\ud83d\ude00"}`, `{"notes":{"a":null}}`,
		`null`, `{"Units":1}`,
	} {
		f.Add(seed)
	}
	type change struct {
		Units  patch.Field[int]               `json:"units"`
		Notes  patch.Clearable[string]        `json:"notes"`
		Open   patch.Field[bool]              `json:"open"`
		Labels patch.Field[[]string]          `json:"labels"`
		Until  patch.Clearable[calendar.Date] `json:"until"`
	}
	type thing struct {
		Units  int            `json:"units"`
		Notes  *string        `json:"notes,omitempty"`
		Open   bool           `json:"open"`
		Labels []string       `json:"labels"`
		Until  *calendar.Date `json:"until,omitempty"`
	}
	var got change
	endpoint := httpx.Handle(http.StatusNoContent, func(_ context.Context, in change) (httpx.None, error) {
		got = in
		return httpx.None{}, nil
	})
	plain := func(t *testing.T, text []byte) map[string]any {
		t.Helper()
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber()
		var members map[string]any
		require.NoError(t, d.Decode(&members), "%s", text)
		return members
	}
	written := func(t *testing.T, x thing) map[string]any {
		t.Helper()
		text, err := json.Marshal(x)
		require.NoError(t, err)
		return plain(t, text)
	}
	f.Fuzz(func(t *testing.T, body string) {
		_, err := serve(t, endpoint, request(http.MethodPatch, "/things/"+someID, body))
		if err != nil || strings.TrimSpace(body) == "" {
			return
		}
		until := calendar.NewDate(2026, time.March, 1)
		before := thing{Units: 5, Notes: new("old"), Open: true, Labels: []string{"a"}, Until: &until}
		apply := func(x thing) thing {
			got.Units.Apply(&x.Units)
			got.Notes.Apply(&x.Notes)
			got.Open.Apply(&x.Open)
			got.Labels.Apply(&x.Labels)
			got.Until.Apply(&x.Until)
			return x
		}
		want := written(t, before)
		for name, value := range plain(t, []byte(body)) { // MergePatch of RFC 7396, without nested objects
			if value == nil {
				delete(want, name)
			} else {
				want[name] = value
			}
		}
		if want["units"] == json.Number("-0") {
			want["units"] = json.Number("0")
		}
		once := apply(before)
		require.Equal(t, want, written(t, once))
		require.Equal(t, once, apply(once))
	})
}

func BenchmarkReserve(b *testing.B) {
	type reserve struct {
		byID
		keyed
		Units     int           `json:"units" validate:"required,min=1,max=10000000"`
		Reference *string       `json:"reference" validate:"omitempty,min=1,max=200,text"`
		Seconds   *int          `json:"expiresInSeconds" validate:"omitempty,min=1,max=2592000"`
		Date      calendar.Date `json:"serviceDate"`
	}
	endpoint := httpx.Handle(http.StatusNoContent,
		func(context.Context, reserve) (httpx.None, error) { return httpx.None{}, nil })
	e := echo.New()
	r := request(http.MethodPost, "/", "x")
	w := httptest.NewRecorder()
	c := e.NewContext(r, w)
	c.SetParamNames("id")
	c.SetParamValues(someID)
	body := strings.NewReader("")
	b.ReportAllocs()
	for b.Loop() {
		body.Reset(`{"units": 4, "reference": "visit 12", "serviceDate": "2026-03-01"}`)
		r.Body = readCloser{body}
		c.Reset(r, w)
		c.SetParamNames("id")
		c.SetParamValues(someID)
		if err := endpoint.Serve(c); err != nil {
			b.Fatal(err)
		}
	}
}

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }
