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

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
)

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{"units": 1}`, `{"units": 1.5, "name": "a\u0000\ud800"}`, `{"lines": [{"units": 1}, {}, null]}`, `{"labels": {"a": 1, "a": 2}}`,
		`{"sum": null, "memo": null, "day": "2026-02-30"}`, `{"a\`, `{"":""}`, "\xff", `[]`, `{"units":-0,"weight":1e400}`, `{"x":"\ud83d\ude00"}`,
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

func BenchmarkReserve(b *testing.B) {
	type reserve struct {
		byID
		keyed
		Units     int           `json:"units" validate:"required,min=1,max=10000000"`
		Reference *string       `json:"reference" validate:"omitempty,min=1,max=200,text"`
		Seconds   *int          `json:"expiresInSeconds" validate:"omitempty,min=1,max=2592000"`
		Date      calendar.Date `json:"serviceDate"`
	}
	endpoint := httpx.Handle(http.StatusNoContent, func(context.Context, reserve) (httpx.None, error) { return httpx.None{}, nil })
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
