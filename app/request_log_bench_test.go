package app

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/telemetry"
)

// BenchmarkRequestLog answers requests with and without their lines in the log.
func BenchmarkRequestLog(b *testing.B) {
	for _, level := range []string{"info", "warn"} {
		for _, format := range []string{"json", "text"} {
			b.Run(level+"/"+format, func(b *testing.B) {
				options := testOptions(&testServer{log: &safeBuffer{}}, route(http.MethodGet, "/things/:id", "thing:read",
					func(context.Context, byID) (thing, error) { return thing{"x"}, nil }))
				options.Logger = telemetry.NewLogger(io.Discard, level, format)
				s, err := NewServer(options)
				require.NoError(b, err)
				b.ReportAllocs()
				r := httptest.NewRequest(http.MethodGet, "/api/v1/things/1", nil)
				r.Header.Set("Authorization", "Bearer "+tokenReader)
				for b.Loop() {
					s.Handler().ServeHTTP(httptest.NewRecorder(), r)
				}
			})
		}
	}
}
