package httpx_test

import (
	"context"
	"encoding/json"
	"errors"
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

const someID = "0198f0de-0000-7000-8000-00000000000a"

// serve sends one request to an endpoint mounted at /things/:id.
func serve(t testing.TB, endpoint httpx.Endpoint, r *http.Request) (*httptest.ResponseRecorder, error) {
	t.Helper()
	e := echo.New()
	var failed error
	e.HTTPErrorHandler = func(err error, _ echo.Context) { failed = err }
	e.Any("/things/:id", endpoint.Serve)
	w := httptest.NewRecorder()
	e.ServeHTTP(w, r)
	return w, failed
}

func request(method, target, body string) *http.Request {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	return r
}

// read decodes a body into an In and returns it, with the invalid fields as "field
// code".
func read[In any](t testing.TB, body string) (In, []string) {
	t.Helper()
	return bind[In](t, request(http.MethodPost, "/things/"+someID, body))
}

func bind[In any](t testing.TB, r *http.Request) (got In, wrong []string) {
	t.Helper()
	_, err := serve(t, httpx.Handle(http.StatusNoContent, func(_ context.Context, in In) (httpx.None, error) {
		got = in
		return httpx.None{}, nil
	}), r)
	for _, f := range fieldsOf(t, err) {
		wrong = append(wrong, f.Field+" "+f.Code)
	}
	return got, wrong
}

func fieldsOf(t testing.TB, err error) []fault.Field {
	t.Helper()
	if err == nil {
		return nil
	}
	f, ok := fault.From(err)
	require.True(t, ok, "%v", err)
	written, err := json.Marshal(f.Details())
	require.NoError(t, err)
	var details fault.Fields
	require.NoError(t, json.Unmarshal(written, &details))
	require.NotEmpty(t, details.Errors, "%v", f)
	return details.Errors
}

type byID struct {
	ID uuid.UUID `param:"id"`
}

type keyed struct {
	Key string `header:"Idempotency-Key" validate:"omitempty,max=8,printascii"`
}

type color string

type line struct {
	Units int    `json:"units" validate:"required,min=1,max=100"`
	Note  string `json:"note" validate:"max=5"`
}

type order struct {
	byID
	keyed
	Units   int                        `json:"units" validate:"required,min=1,max=1000"`
	Small   int8                       `json:"small"`
	Count   uint                       `json:"count"`
	Weight  float64                    `json:"weight"`
	Open    bool                       `json:"open"`
	Name    string                     `json:"name" validate:"omitempty,text,max=10"`
	Color   color                      `json:"color" validate:"omitempty,oneof=red green"`
	Patient *uuid.UUID                 `json:"patientId"`
	From    calendar.Date              `json:"from"`
	Until   calendar.Date              `json:"until" validate:"omitempty,gtefield=From"`
	At      *time.Time                 `json:"at"`
	Lines   []line                     `json:"lines" validate:"max=3,dive"`
	Sum     patch.Field[int]           `json:"sum" validate:"omitempty,min=1"`
	Memo    patch.Clearable[string]    `json:"memo" validate:"omitempty,max=5"`
	Day     patch.Field[calendar.Date] `json:"day"`
	Labels  map[string]int             `json:"labels"`
}

func TestDecode(t *testing.T) {
	t.Parallel()
	t.Run("it reads every type", func(t *testing.T) {
		t.Parallel()
		got, wrong := read[order](t, ` {"units": 5, "small": -128, "count": 7, "weight": 1.5e1, "open": true, "name": "Ann\u00e9 \ud83d\ude00",
			"color": "red", "patientId": "`+someID+`", "from": "2026-01-01", "until": "2026-01-01", "at": "2026-01-31T14:00:00Z",
			"lines": [{"units": 1}, {"units": 2, "note": "a,]}"} ], "sum": 3, "memo": null, "day": "2026-02-28", "labels": {"a": 1}} `)
		require.Empty(t, wrong)
		require.Equal(t, uuid.MustParse(someID), got.ID)
		require.Equal(t, 5, got.Units)
		require.Equal(t, int8(-128), got.Small)
		require.Equal(t, uint(7), got.Count)
		require.InDelta(t, 15, got.Weight, 0)
		require.True(t, got.Open)
		require.Equal(t, "Anné 😀", got.Name)
		require.Equal(t, color("red"), got.Color)
		require.Equal(t, someID, got.Patient.String())
		require.Equal(t, "2026-01-01", got.From.String())
		require.Equal(t, time.Date(2026, 1, 31, 14, 0, 0, 0, time.UTC), *got.At)
		require.Equal(t, []line{{Units: 1}, {Units: 2, Note: "a,]}"}}, got.Lines)
		require.Equal(t, patch.Set(3), got.Sum)
		require.Equal(t, patch.Clear[string](), got.Memo)
		require.Equal(t, "2026-02-28", got.Day.Value.String())
		require.Equal(t, map[string]int{"a": 1}, got.Labels)
	})

	for name, c := range map[string]struct {
		body  string
		wrong []string
	}{
		"it refuses a fraction by name":                      {`{"units": 1.5}`, []string{"units type"}},
		"it accepts an integer written with a zero fraction": {`{"units": 1.0}`, nil},
		"it accepts an integer written with an exponent":     {`{"units": 1.5e1, "small": -1.20E+2, "count": 700e-2}`, nil},
		"it refuses a fraction with an exponent":             {`{"units": 15e-1}`, []string{"units type"}},
		"it refuses an integer with a huge exponent":         {`{"units": 1e999999999999999999999}`, []string{"units range"}},
		"it refuses a fraction with a tiny exponent":         {`{"units": 1e-99999999999999999999}`, []string{"units type"}},
		"it refuses a text for a number":                     {`{"units": "5"}`, []string{"units type"}},
		"it refuses a number beyond int":                     {`{"units": 9223372036854775808}`, []string{"units range"}},
		"it refuses a number beyond a small int":             {`{"units": 1, "small": 128}`, []string{"small range"}},
		"it refuses a negative count":                        {`{"units": 1, "count": -1}`, []string{"count range"}},
		"it refuses a number beyond float":                   {`{"units": 1, "weight": 1e999}`, []string{"weight range"}},
		"it refuses null for a required value":               {`{"units": null}`, []string{"units null"}},
		"it accepts null for an optional value": {
			`{"units": 1, "patientId": null, "from": null, "at": null}`, nil,
		},
		"it refuses null in a field that cannot clear":   {`{"units": 1, "sum": null}`, []string{"sum null"}},
		"it refuses an unknown field":                    {`{"units": 1, "unit": 1}`, []string{"unit unknown"}},
		"it compares names case-sensitively":             {`{"Units": 1, "units": 1}`, []string{"Units unknown"}},
		"it accepts a name written with escapes":         {`{"un\u0069ts": 1}`, nil},
		"it refuses a field given twice":                 {`{"units": 1, "un\u0069ts": 2}`, []string{"units duplicate"}},
		"it refuses a parameter of the path in the body": {`{"units": 1, "id": "x"}`, []string{"id unknown"}},
		"it names fields in lists": {
			`{"units": 1, "lines": [{"units": 1}, {"units": "x", "u": 1}]}`,
			[]string{"lines[1].units type", "lines[1].u unknown"},
		},
		"it checks rules in lists": {
			`{"units": 1, "lines": [{"units": 1}, {"units": 0, "note": "123456"}, {}]}`,
			[]string{"lines[1].units min", "lines[1].note max", "lines[2].units required"},
		},
		"it refuses a value that is not a list": {`{"units": 1, "lines": {}}`, []string{"lines type"}},
		"it refuses a value that is not an object": {
			`{"units": 1, "lines": [1, null]}`, []string{"lines[0] type", "lines[1] null"},
		},
		"it refuses a date that does not exist": {`{"units": 1, "from": "2026-02-30"}`, []string{"from format"}},
		"it refuses a date in a patch":          {`{"units": 1, "day": 5}`, []string{"day type"}},
		"it refuses a date before the range": {
			`{"units": 1, "from": "1899-12-31", "day": "0001-01-01"}`,
			[]string{"from range", "day range"},
		},
		"it refuses a date after the range":      {`{"units": 1, "from": "2200-01-01"}`, []string{"from range"}},
		"it accepts the first and the last date": {`{"units": 1, "from": "1900-01-01", "until": "2199-12-31"}`, nil},
		"it refuses an instant before the range": {
			`{"units": 1, "at": "1900-01-01T00:00:00+00:01"}`, []string{"at range"},
		},
		"it refuses an instant after the range": {
			`{"units": 1, "at": "2199-12-31T23:59:59-00:01"}`, []string{"at range"},
		},
		"it accepts the first instant": {`{"units": 1, "at": "1900-01-01T00:00:00Z"}`, nil},
		"it refuses a wrong type in a patch": {
			`{"units": 1, "sum": "5", "memo": 5}`, []string{"sum type", "memo type"},
		},
		"it checks a zero in a patch":                   {`{"units": 1, "sum": 0}`, []string{"sum min"}},
		"it checks rules in a patch":                    {`{"units": 1, "memo": "123456"}`, []string{"memo max"}},
		"it refuses a zero by its rule, not as missing": {`{"units": 0}`, []string{"units min"}},
		"it checks an empty text that was given": {
			`{"units": 1, "color": "", "name": ""}`, []string{"color oneof", "name text"},
		},
		"it refuses a UUID in another form": {
			`{"units": 1, "patientId": "0198f0de000070008000000000000000"}`, []string{"patientId format"},
		},
		"it refuses the UUID of zeros": {
			`{"units": 1, "patientId": "00000000-0000-0000-0000-000000000000"}`, []string{"patientId format"},
		},
		"it refuses an instant without zone":     {`{"units": 1, "at": "2026-01-31T14:00:00"}`, []string{"at format"}},
		"it refuses an offset of a day":          {`{"units": 1, "at": "2026-01-31T14:00:00+24:00"}`, []string{"at format"}},
		"it refuses an instant after all years":  {`{"units": 1, "at": "9999-12-31T23:59:59-01:00"}`, []string{"at range"}},
		"it refuses an instant before all years": {`{"units": 1, "at": "0000-01-01T00:00:00+01:00"}`, []string{"at range"}},
		"it refuses a NUL character":             {`{"units": 1, "memo": "a\u0000"}`, []string{"memo characters"}},
		"it refuses half of a surrogate pair": {
			`{"units": 1, "memo": "\ud800x", "name": "\udc00"}`, []string{"memo characters", "name characters"},
		},
		"it refuses control characters in a line of text": {`{"units": 1, "name": "a\nb"}`, []string{"name text"}},
		"it refuses blank text":                           {`{"units": 1, "name": "  "}`, []string{"name text"}},
		"it compares fields": {
			`{"units": 1, "from": "2026-02-01", "until": "2026-01-31"}`, []string{"until gtefield"},
		},
		"it compares nothing with an invalid field": {
			`{"units": 1, "from": "x", "until": "2026-01-31"}`, []string{"from format"},
		},
		"it refuses a duplicate and a wrong value in maps": {
			`{"units": 1, "labels": {"a": 1, "a": 2, "b": "x"}}`, []string{"labels[a] duplicate", "labels[b] type"},
		},
		"it reports parse errors and rules together": {
			`{"color": "blue", "units": "x", "small": true, "x": 1}`,
			[]string{"units type", "small type", "x unknown", "color oneof"},
		},
		"it reports missing fields": {`{}`, []string{"units required"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, wrong := read[order](t, c.body)
			require.ElementsMatch(t, c.wrong, wrong)
		})
	}

	t.Run("it limits the reported errors and the repeated names", func(t *testing.T) {
		t.Parallel()
		var b strings.Builder
		b.WriteString(`{"units": 1`)
		for i := range 500 {
			b.WriteString(`, "` + strings.Repeat("é", 50+i) + `": 1`)
		}
		_, wrong := read[order](t, b.String()+"}")
		require.Len(t, wrong, 100)
		require.Less(t, len(wrong[0]), 100)
	})
	t.Run("it limits the length of lists", func(t *testing.T) {
		t.Parallel()
		type numbers struct {
			List []int `json:"list"`
		}
		_, wrong := read[numbers](t, `{"list": [`+strings.Repeat("1,", 10_000)+`1]}`)
		require.Equal(t, []string{"list max"}, wrong)
	})
	t.Run("it reads types that contain themselves", func(t *testing.T) {
		t.Parallel()
		got, wrong := read[tree](t, `{"name": "a", "children": [{"name": "b", "children": [{"name": "c"}]}]}`)
		require.Empty(t, wrong)
		require.Equal(t, "c", got.Children[0].Children[0].Name)
	})
}

type tree struct {
	Name     string `json:"name" validate:"required"`
	Children []tree `json:"children" validate:"dive"`
}

func TestBody(t *testing.T) {
	t.Parallel()
	type optional struct {
		Note string `json:"note"`
	}
	nothing := httpx.Handle(http.StatusNoContent,
		func(context.Context, httpx.None) (httpx.None, error) { return httpx.None{}, nil })
	mayHave := httpx.Handle(http.StatusNoContent,
		func(context.Context, optional) (httpx.None, error) { return httpx.None{}, nil })
	needs := httpx.Handle(http.StatusNoContent,
		func(context.Context, line) (httpx.None, error) { return httpx.None{}, nil })
	const json, deep = "application/json", 33
	for name, c := range map[string]struct {
		endpoint   httpx.Endpoint
		media, set string
		body       string
		want       error
	}{
		"it requires a body if a field is required":        {needs, json, "", " \n", httpx.ErrMalformed},
		"it requires none if no field is required":         {mayHave, "", "", "", nil},
		"it accepts an empty object without fields":        {nothing, json, "", "{}", nil},
		"it refuses fields if there are none":              {nothing, json, "", `{"a": 1}`, httpx.ErrMalformed},
		"it takes an empty object with spaces":             {nothing, json, "", " { \n} ", nil},
		"it refuses a list if there are no fields":         {nothing, json, "", `[]`, httpx.ErrMalformed},
		"it accepts any media type if there are no fields": {nothing, "text/plain", "", `x`, httpx.ErrMalformed},
		"it accepts a charset of UTF-8": {
			needs, "Application/JSON; Charset=UTF-8", "", `{"units": 1}`, nil,
		},
		"it accepts a merge patch": {needs, "application/merge-patch+json", "", `{"units": 1}`, nil},
		"it refuses another charset": {
			needs, "application/json; charset=latin1", "", `{"units": 1}`, httpx.ErrUnsupported,
		},
		"it refuses another media type": {needs, "text/plain", "", `{"units": 1}`, httpx.ErrUnsupported},
		"it refuses a form": {
			needs, "application/x-www-form-urlencoded", "", `units=1`, httpx.ErrUnsupported,
		},
		"it refuses a body without a media type": {needs, "", "", `{"units": 1}`, httpx.ErrUnsupported},
		"it refuses a compressed body":           {needs, json, "gzip", `{"units": 1}`, httpx.ErrUnsupported},
		"it refuses a list":                      {needs, json, "", `[{"units": 1}]`, httpx.ErrMalformed},
		"it refuses null":                        {needs, json, "", `null`, httpx.ErrMalformed},
		"it refuses half an object":              {needs, json, "", `{"units": 1`, httpx.ErrMalformed},
		"it refuses text after the object":       {needs, json, "", `{"units": 1} {}`, httpx.ErrMalformed},
		"it refuses invalid UTF-8": {
			needs, json, "", "{\"note\": \"\xff\", \"units\": 1}", httpx.ErrMalformed,
		},
		"it refuses a control character in a string": {
			needs, json, "", "{\"note\": \"\n\", \"units\": 1}", httpx.ErrMalformed,
		},
		"it refuses deep nesting": {
			needs, json, "", `{"a":` + strings.Repeat("[", deep) + strings.Repeat("]", deep) + `}`, httpx.ErrMalformed,
		},
		"it counts no brackets in strings": {needs, json, "", `{"units": 1, "note": "[[[\""}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(http.MethodPost, "/things/1", strings.NewReader(c.body))
			r.Header.Set("Content-Type", c.media)
			r.Header.Set("Content-Encoding", c.set)
			_, err := serve(t, c.endpoint, r)
			if c.want == nil {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, c.want)
		})
	}
	t.Run("it refuses a body over the limit", func(t *testing.T) {
		t.Parallel()
		r := request(http.MethodPost, "/things/1", `{"units": 1}`)
		r.Body = http.MaxBytesReader(httptest.NewRecorder(), r.Body, 5)
		_, err := serve(t, needs, r)
		require.ErrorIs(t, err, httpx.ErrBodyTooLarge)
		require.ErrorContains(t, err, "5 bytes")
	})
}

type search struct {
	byID
	keyed
	httpx.PageQuery
	Text    string        `query:"text"`
	Patient uuid.UUID     `query:"patientId"`
	On      calendar.Date `query:"on"`
	Open    *bool         `query:"open"`
	Min     float64       `query:"min"`
	Colors  []color       `query:"color" validate:"dive,oneof=red green"`
	IDs     []uuid.UUID   `query:"ids"`
	Since   *time.Time    `query:"since"`
}

func TestParameters(t *testing.T) {
	t.Parallel()
	get := func(t *testing.T, target string) (search, []string) {
		t.Helper()
		return bind[search](t, request(http.MethodGet, target, ""))
	}
	t.Run("it reads every type", func(t *testing.T) {
		t.Parallel()
		r := request(http.MethodGet, "/things/"+someID+"?limit=7&text=a%20b&patientId="+someID+
			"&on=2026-01-02&open=false&min=1.5&color=red&color=green&ids="+someID+"&since=2026-01-31T14:00:00Z", "")
		r.Header.Set("idempotency-key", "k-1")
		got, wrong := bind[search](t, r)
		require.Empty(t, wrong)
		require.Equal(t, someID, got.ID.String())
		require.Equal(t, "k-1", got.Key)
		require.Equal(t, 7, got.Size())
		require.Equal(t, "a b", got.Text)
		require.Equal(t, someID, got.Patient.String())
		require.Equal(t, "2026-01-02", got.On.String())
		require.False(t, *got.Open)
		require.InDelta(t, 1.5, got.Min, 0)
		require.Equal(t, []color{"red", "green"}, got.Colors)
		require.Len(t, got.IDs, 1)
		require.Equal(t, 2026, got.Since.Year())
	})
	t.Run("it leaves out absent parameters", func(t *testing.T) {
		t.Parallel()
		got, wrong := get(t, "/things/"+someID)
		require.Empty(t, wrong)
		require.Nil(t, got.Open)
		require.Equal(t, 20, got.Size())
	})
	for name, c := range map[string]struct {
		target string
		wrong  []string
	}{
		"it refuses a path without a UUID": {"/things/7", []string{"id format"}},
		"it refuses a wrong type": {
			"/things/" + someID + "?limit=x&open=1&min=0x1p-2&on=1.1.2026",
			[]string{"limit type", "open type", "min type", "on format"},
		},
		"it refuses a limit out of bounds": {"/things/" + someID + "?limit=201", []string{"limit max"}},
		"it refuses a limit of zero":       {"/things/" + someID + "?limit=0", []string{"limit min"}},
		"it refuses a negative limit":      {"/things/" + someID + "?limit=-1", []string{"limit min"}},
		"it refuses an empty filter": {
			"/things/" + someID + "?patientId=&limit=", []string{"patientId format", "limit type"},
		},
		"it refuses a filter by the zero UUID": {
			"/things/" + someID + "?patientId=" + uuid.Nil.String(), []string{"patientId format"},
		},
		"it refuses a parameter given twice": {"/things/" + someID + "?text=a&text=b", []string{"text duplicate"}},
		"it refuses NUL and invalid characters": {
			"/things/" + someID + "?text=%00&cursor=%ff", []string{"text characters", "cursor characters"},
		},
		"it names the invalid one of several": {"/things/" + someID + "?color=red&color=blue", []string{"color[1] oneof"}},
		"it refuses an unknown parameter": {
			"/things/" + someID + "?limits=1&limit=x&Text=1", []string{"Text unknown", "limits unknown", "limit type"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, wrong := get(t, c.target)
			require.ElementsMatch(t, c.wrong, wrong)
		})
	}
	t.Run("it calls an unknown parameter malformed and names it", func(t *testing.T) {
		t.Parallel()
		endpoint := httpx.Handle(http.StatusOK,
			func(context.Context, httpx.None) (httpx.None, error) { return httpx.None{}, nil })
		_, err := serve(t, endpoint, request(http.MethodGet, "/things/1?patientid=1", ""))
		require.ErrorIs(t, err, httpx.ErrMalformed)
		require.ErrorContains(t, err, "patientid")
		_, err = serve(t, endpoint, request(http.MethodGet, "/things/1?a=%zz", ""))
		require.ErrorIs(t, err, httpx.ErrMalformed)
	})
	t.Run("it refuses an empty header", func(t *testing.T) {
		t.Parallel()
		r := request(http.MethodGet, "/things/"+someID, "")
		r.Header.Set("Idempotency-Key", "")
		_, wrong := bind[search](t, r)
		require.Equal(t, []string{"Idempotency-Key required"}, wrong)
	})
	t.Run("it refuses a date or a time out of range", func(t *testing.T) {
		t.Parallel()
		_, wrong := get(t, "/things/"+someID+"?on=0001-01-01&since=9999-12-31T00:00:00Z")
		require.ElementsMatch(t, []string{"on range", "since range"}, wrong)
	})
	t.Run("it accepts an integer with a zero fraction, as in a body", func(t *testing.T) {
		t.Parallel()
		got, wrong := get(t, "/things/"+someID+"?limit=7.0")
		require.Empty(t, wrong)
		require.Equal(t, 7, got.Size())
	})
	t.Run("it refuses a header given twice or too long", func(t *testing.T) {
		t.Parallel()
		r := request(http.MethodGet, "/things/"+someID, "")
		r.Header["Idempotency-Key"] = []string{"a", "b"}
		_, wrong := bind[search](t, r)
		require.Equal(t, []string{"Idempotency-Key duplicate"}, wrong)
		r.Header.Set("Idempotency-Key", "123456789")
		_, wrong = bind[search](t, r)
		require.Equal(t, []string{"Idempotency-Key max"}, wrong)
	})
}

func TestMessages(t *testing.T) {
	t.Parallel()
	type form struct {
		From     calendar.Date `json:"from"`
		Until    calendar.Date `json:"until" validate:"omitempty,gtefield=From"`
		Mail     string        `json:"mail" validate:"omitempty,email"`
		Zone     string        `json:"zone" validate:"omitempty,timezone"`
		Role     string        `json:"role" validate:"omitempty,oneof=A B"`
		Name     string        `json:"name" validate:"omitempty,min=2"`
		One      string        `json:"one" validate:"max=1"`
		Tags     []string      `json:"tags" validate:"max=1"`
		Units    int           `json:"units" validate:"omitempty,max=5"`
		Left     *int          `json:"left" validate:"required_without=Right"`
		Right    *int          `json:"right"`
		Odd      string        `json:"odd" validate:"omitempty,isbn"`
		Required *string       `json:"required" validate:"required"`
		Small    int8          `json:"small"`
	}
	endpoint := httpx.Handle(http.StatusOK, func(context.Context, form) (httpx.None, error) { return httpx.None{}, nil })
	_, err := serve(t, endpoint, request(http.MethodPost, "/things/1", `{"from": "2026-01-02", "until": "2026-01-01", "mail": "x",
		"zone": "Mars", "role": "C", "name": "a", "one": "ab", "tags": ["a", "b"], "units": 6, "odd": "x", "small": 1000}`))
	messages := map[string]string{}
	for _, f := range fieldsOf(t, err) {
		messages[f.Field] = f.Message
	}
	require.Equal(t, map[string]string{
		"until":    "must not be before from",
		"mail":     "must be an e-mail address",
		"zone":     "must be a time zone's name, such as America/New_York",
		"role":     "must be one of A, B",
		"name":     "must have at least 2 characters",
		"one":      "must have at most 1 character",
		"tags":     "must have at most 1 entry",
		"units":    "must be at most 5",
		"left":     "must be given when right is not",
		"odd":      "is not valid",
		"required": "must be given",
		"small":    "must be a whole number from -128 to 127",
	}, messages)
	require.ErrorContains(t, err, "12 fields")
}

type created struct {
	headed
	Name string `json:"name"`
}

type headed bool

func (h headed) Header(header http.Header) {
	if h {
		header.Set("Idempotency-Replayed", "true")
	}
}

func (c created) Location() string { return "/api/v1/things/" + c.Name }

// started is work that continues for the given time.
type started struct {
	created
	again time.Duration
}

func (s started) Running() (time.Duration, bool) { return s.again, s.again > 0 }

func TestAnswer(t *testing.T) {
	t.Parallel()
	answer := func(status int, out any, err error) httpx.Endpoint {
		return httpx.Handle(status, func(context.Context, httpx.None) (any, error) { return out, err })
	}
	get := request(http.MethodGet, "/things/1", "")
	t.Run("it writes JSON that is not cached, and the URL of the created record", func(t *testing.T) {
		t.Parallel()
		w, err := serve(t, answer(http.StatusCreated, created{Name: "a"}, nil), get)
		require.NoError(t, err)
		require.Equal(t, http.StatusCreated, w.Code)
		require.JSONEq(t, `{"name": "a"}`, w.Body.String())
		require.Equal(t, "application/json", w.Header().Get("Content-Type"))
		require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
		require.Equal(t, "/api/v1/things/a", w.Header().Get("Location"))
		require.Empty(t, w.Header().Get("Idempotency-Replayed"))
	})
	t.Run("it answers 202 while started work continues", func(t *testing.T) {
		t.Parallel()
		for again, want := range map[time.Duration]struct {
			status           int
			location, header string
		}{
			0:                       {http.StatusOK, "", ""},
			1500 * time.Millisecond: {http.StatusAccepted, "/api/v1/things/a", "2"},
		} {
			w, err := serve(t, httpx.HandleStart(func(context.Context, httpx.None) (started, error) {
				return started{created{Name: "a"}, again}, nil
			}), get)
			require.NoError(t, err)
			require.Equal(t, want.status, w.Code)
			require.JSONEq(t, `{"name": "a"}`, w.Body.String())
			require.Equal(t, want.location, w.Header().Get("Location"))
			require.Equal(t, want.header, w.Header().Get("Retry-After"))
		}
	})
	t.Run("it writes nothing with 204", func(t *testing.T) {
		t.Parallel()
		w, err := serve(t, answer(http.StatusNoContent, httpx.None{}, nil), get)
		require.NoError(t, err)
		require.Equal(t, http.StatusNoContent, w.Code)
		require.Empty(t, w.Body.String())
	})
	t.Run("it adds headers to an error and writes nothing else", func(t *testing.T) {
		t.Parallel()
		boom := errors.New("boom")
		w, err := serve(t, answer(http.StatusOK, created{headed: true}, boom), get)
		require.ErrorIs(t, err, boom)
		require.Equal(t, "true", w.Header().Get("Idempotency-Replayed"))
		require.Empty(t, w.Body.String())
	})
	t.Run("it fails completely if the answer cannot be encoded", func(t *testing.T) {
		t.Parallel()
		w, err := serve(t, answer(http.StatusOK, map[string]any{"a": 1, "b": func() {}}, nil), get)
		require.Error(t, err)
		require.Empty(t, w.Body.String())
	})
}

func TestHandleRefusesAtStart(t *testing.T) {
	t.Parallel()
	for name, make := range map[string]func(){
		"it refuses a field without a source": func() { handle[struct{ Name string }]() },
		"it refuses a field with two sources": func() {
			handle[struct {
				Name string `json:"name" query:"name"`
			}]()
		},
		"it refuses a duplicate name": func() {
			handle[struct {
				byID
				Again uuid.UUID `param:"id"`
			}]()
		},
		"it refuses a source without a name": func() {
			handle[struct {
				Name string `json:",omitempty"`
			}]()
		},
		"it refuses an unknown rule": func() {
			handle[struct {
				Name string `json:"name" validate:"maximum=5"`
			}]()
		},
		"it refuses a nested unknown rule": func() {
			handle[struct {
				Lines []*struct {
					Name string `json:"name" validate:"maximum=5"`
				} `json:"lines"`
			}]()
		},
		"it refuses an object in the query": func() {
			handle[struct {
				Line line `query:"line"`
			}]()
		},
		"it refuses a list in a header": func() {
			handle[struct {
				Tags []string `header:"Tags"`
			}]()
		},
		"it refuses rules of a patch that do not begin with omitempty": func() {
			handle[struct {
				Name patch.Field[string] `json:"name" validate:"min=1"`
			}]()
		},
		"it refuses a type that is not a struct": func() { handle[int]() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Panics(t, make)
		})
	}
	t.Run("it ignores fields that are not its own", func(t *testing.T) {
		t.Parallel()
		type quiet struct {
			hidden string
			Own    string `json:"-"`
			Name   string `json:"name,omitempty"`
		}
		got, wrong := read[quiet](t, `{"name": "a", "hidden": 1, "-": 2}`)
		require.Equal(t, []string{"hidden unknown", "- unknown"}, wrong)
		require.Empty(t, got.hidden+got.Own)
	})
}

func handle[In any]() {
	httpx.Handle(http.StatusOK, func(context.Context, In) (httpx.None, error) { return httpx.None{}, nil })
}

func TestNullIsRefusedForARequiredDate(t *testing.T) {
	t.Parallel()
	type in struct {
		From  calendar.Date `json:"from" validate:"required"`
		Until calendar.Date `json:"until" validate:"required,gtefield=From"`
	}
	_, wrong := read[in](t, `{"from": null, "until": "2026-01-01"}`)
	require.Equal(t, []string{"from required"}, wrong)
}

// ownDate unmarshals itself and contains a date.
type ownDate struct{ On calendar.Date }

func (d *ownDate) UnmarshalJSON(b []byte) error { return json.Unmarshal(b, &d.On) }

func TestDatesInTypesThatUnmarshalThemselvesAreChecked(t *testing.T) {
	t.Parallel()
	type in struct {
		Own  ownDate   `json:"own"`
		List []ownDate `json:"list"`
	}
	_, wrong := read[in](t, `{"own": "0001-01-01", "list": ["2026-01-01", "9999-12-31"]}`)
	require.Equal(t, []string{"own.on range", "list[1].on range"}, wrong)
}

func TestABooleanFilterHasThreeStates(t *testing.T) {
	t.Parallel()
	type two struct {
		Open bool `query:"open"`
	}
	require.Panics(t, func() {
		httpx.Handle(http.StatusOK, func(context.Context, two) (httpx.None, error) { return httpx.None{}, nil })
	})
}
