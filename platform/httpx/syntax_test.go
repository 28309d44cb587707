package httpx_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/httpx"
)

// TestSyntaxErrorsNameTheirPosition checks that the error names the position, for bodies typed by
// hand, and does not repeat the text there, which may be health data.
func TestSyntaxErrorsNameTheirPosition(t *testing.T) {
	t.Parallel()
	endpoint := httpx.Handle(http.StatusNoContent,
		func(context.Context, line) (httpx.None, error) { return httpx.None{}, nil })
	for body, want := range map[string]string{
		`{"units": }`:                        "The body is not valid JSON: see line 1, character 11.",
		`{"units": 1,}`:                      "The body is not valid JSON: see line 1, character 12.",
		`{'units': 1}`:                       "The body is not valid JSON: see line 1, character 2.",
		"{\n  \"note\": \"é\" \"units\": 1}": "The body is not valid JSON: see line 2, character 15.",
		`{"units": 1} x`:                     "The body is not valid JSON: see line 1, character 14.",
		"{\"note\": \"\n\", \"units\": 1}":   "The body is not valid JSON: see line 1, character 11.",
		`x`:                                  "The body is not valid JSON: see line 1, character 1.",
		`{"units": 1`:                        "The body is not valid JSON: it ends too early.",
		"{\"note\": \"abc\n":                 "The body is not valid JSON: see line 1, character 14.",
		`{"note": "abc`:                      "The body is not valid JSON: it ends too early.",
	} {
		_, err := serve(t, endpoint, request(http.MethodPost, "/things/"+someID, body))
		require.ErrorIs(t, err, httpx.ErrMalformed)
		require.EqualError(t, err, want, body)
	}
}
