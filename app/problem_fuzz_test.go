package app

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/telemetry"
)

// FuzzProblem writes problem documents with arbitrary text and details. Each must be
// valid JSON with the seven members, which details cannot change.
func FuzzProblem(f *testing.F) {
	for _, seed := range []string{
		"", "%", "%s%n%!d(MISSING)", "a\x00b", "\xff\xfe", "</script>", "\u2028", `"}`, "{{x}}",
		"😀\ud7ff",
	} {
		f.Add(seed, "/api/v1/patients/"+seed, seed, seed, uint8(len(seed)))
	}
	f.Add("text", "/x", "status", `{"status":200}`, uint8(0))
	all := fault.All()
	f.Fuzz(func(t *testing.T, text, path, name, value string, which uint8) {
		defined := all[int(which)%len(all)]
		for _, details := range []any{
			nil,
			map[string]string{name: value},
			fault.Fields{Errors: []fault.Field{{Field: name, Code: value, Message: text}}},
			map[string]any{"status": 200, "code": value, "detail": nil, "x": name},
			json.RawMessage(value),
			[]string{value},
			value,
			shortage{Status: value},
		} {
			r := &http.Request{URL: &url.URL{Path: path, RawPath: value}}
			r = r.WithContext(telemetry.WithRequestID(t.Context(), "r-1"))
			status := StatusOf(defined)
			document, err := documentOf(r, defined.With(details, "%s", text), status)
			var members map[string]any
			require.NoError(t, json.Unmarshal(document, &members), "%s (%v)", document, err)
			for _, member := range problemMembers {
				require.Contains(t, members, member)
			}
			require.EqualValues(t, status, members["status"])
			require.Equal(t, defined.Code(), members["code"])
			require.Equal(t, pathErrors+"/"+defined.Code(), members["type"])
			require.Equal(t, defined.Title(), members["title"])
			require.Equal(t, "r-1", members["requestId"])
			require.IsType(t, "", members["detail"])
		}
	})
}
