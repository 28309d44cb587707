package otlp

import (
	"bytes"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"omnirapeutic/platform/telemetry"
	"omnirapeutic/platform/tracing"
)

const endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT"

func TestParse(t *testing.T) {
	t.Parallel()
	both := Settings{Traces: HTTP, Metrics: HTTP}
	for name, c := range map[string]struct {
		variables map[string]string
		want      Settings
		invalid   string // a variable
	}{
		"nothing is sent by default": {nil, Settings{}, ""},
		"an endpoint turns both on":  {map[string]string{endpoint: "http://localhost:4318"}, both, ""},
		"traces have an endpoint of their own": {
			map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://c.test/v1/traces"}, Settings{Traces: HTTP}, "",
		},
		"an exporter can be none": {
			map[string]string{endpoint: "http://c:4318", "OTEL_TRACES_EXPORTER": "none"}, Settings{Metrics: HTTP}, "",
		},
		"everything can be turned off": {
			map[string]string{endpoint: "http://c:4318", "OTEL_SDK_DISABLED": "true", "OTEL_TRACES_SAMPLER": "x"},
			Settings{},
			"",
		},
		"a signal has a protocol of its own": {
			map[string]string{
				endpoint: "http://c:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": GRPC, "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": HTTP,
			}, Settings{Traces: GRPC, Metrics: HTTP}, "",
		},
		"a sampler has a ratio": {
			map[string]string{
				endpoint: "http://c:4318", "OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.25",
			}, Settings{Traces: HTTP, Metrics: HTTP, Sampler: "traceidratio", Ratio: "0.25"}, "",
		},
		"a sampler of metrics alone is ignored": {
			map[string]string{
				endpoint: "http://c:4318", "OTEL_TRACES_EXPORTER": "none", "OTEL_TRACES_SAMPLER": "x",
			}, Settings{Metrics: HTTP}, "",
		},
		"an address is not a URL": {map[string]string{endpoint: "localhost:4318"}, Settings{}, endpoint},
		"JSON is not supported": {
			map[string]string{endpoint: "http://c:4318", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"},
			Settings{},
			"OTEL_EXPORTER_OTLP_PROTOCOL",
		},
		"other exporters are not supported": {
			map[string]string{endpoint: "http://c:4318", "OTEL_METRICS_EXPORTER": "prometheus"},
			Settings{Traces: HTTP},
			"OTEL_METRICS_EXPORTER",
		},
		"an unknown sampler is refused": {
			map[string]string{endpoint: "http://c:4318", "OTEL_TRACES_SAMPLER": "some"},
			Settings{Traces: HTTP, Metrics: HTTP, Sampler: "some"},
			"OTEL_TRACES_SAMPLER",
		},
		"a ratio above 1 is refused": {
			map[string]string{
				endpoint: "http://c:4318", "OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "25",
			},
			Settings{Traces: HTTP, Metrics: HTTP, Sampler: "parentbased_traceidratio", Ratio: "25"},
			"OTEL_TRACES_SAMPLER_ARG",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, problems := Parse(c.variables)
			require.Equal(t, c.want, got)
			if c.invalid == "" {
				require.Empty(t, problems)
				return
			}
			require.NotEmpty(t, problems)
			for _, p := range problems {
				require.Equal(t, c.invalid, p.Variable)
			}
		})
	}
	t.Run("a password in an endpoint is not repeated", func(t *testing.T) {
		t.Parallel()
		_, problems := Parse(map[string]string{endpoint: "ftp://u:secret@c"})
		require.Len(t, problems, 2, "for traces and metrics")
		require.Empty(t, problems[0].Value)
	})
}

// TestABatchIsSampledWithItsRequests checks that a ratio does not cut batches off from the traces of their requests.
func TestABatchIsSampledWithItsRequests(t *testing.T) {
	t.Parallel()
	chosen, err := Settings{Sampler: "traceidratio", Ratio: "0.1"}.sampler()
	require.NoError(t, err)
	recorder := tracetest.NewSpanRecorder()
	tracer := tracing.New(trace.NewTracerProvider(trace.WithSampler(chosen), trace.WithSpanProcessor(recorder)))
	sampled := 0
	for range 500 {
		_, request := tracer.StartRoot(t.Context(), "request")
		_, batch := tracing.StartLinked(t.Context(), "batch", []tracing.Span{request})
		require.Equal(t, request.IsRecorded(), batch.IsRecorded())
		if request.IsRecorded() {
			sampled++
		}
	}
	require.InDelta(t, 50, sampled, 45)
}

func TestAnExporterThatSendsNothingDoesNothing(t *testing.T) {
	t.Parallel()
	e, err := Open(t.Context(), Settings{}, nil)
	require.NoError(t, err)
	require.Nil(t, e)
	require.Nil(t, e.Tracer())
	require.NoError(t, e.SendMetrics(t.Context(), prometheus.NewRegistry()))
	e.Close()
}

func TestErrorsAreLoggedOnceAMinute(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	logger := telemetry.NewLogger(&out, "info", "json")
	l := newErrorLog(logger)
	for range 100 {
		l.Handle(errTest)
	}
	telemetry.Flush(logger)
	require.Equal(t, 1, bytes.Count(out.Bytes(), []byte("telemetry_not_sent")))
}

type testError string

func (e testError) Error() string { return string(e) }

const errTest = testError("the collector does not answer")
