package tracing_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"omnirapeutic/platform/tracing"
)

func record(t *testing.T, o ...sdktrace.TracerProviderOption) (*tracing.Tracer, *tracetest.SpanRecorder) {
	t.Helper()
	recorder := tracetest.NewSpanRecorder()
	return tracing.New(sdktrace.NewTracerProvider(append(o, sdktrace.WithSpanProcessor(recorder))...)), recorder
}

// useEverything calls each function as a request without a trace does.
func useEverything(ctx context.Context, headers http.Header) {
	var none *tracing.Tracer
	ctx, request := none.StartRequest(ctx, headers, "GET /")
	ctx, root := none.StartRoot(ctx, "job")
	ctx, caused := none.StartCaused(ctx, tracing.CauseIn(ctx), "deliver")
	ctx, span := tracing.Start(ctx, "transaction")
	ctx, linked := tracing.StartLinked(ctx, "batch", nil)
	for _, s := range []tracing.Span{request, root, caused, span, linked, tracing.StartAt(ctx, "x", time.Time{})} {
		s.Set(tracing.Operation, "units.batch")
		s.SetNumber(tracing.Attempt, 1)
		s.Fail("retry")
		s.Link(span)
		s.End()
	}
	_ = tracing.With(ctx, span)
	_ = tracing.TraceID(ctx)
}

func TestNothingIsAllocatedWithoutATrace(t *testing.T) {
	headers := http.Header{"Traceparent": {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}}
	require.Zero(t, testing.AllocsPerRun(100, func() { useEverything(t.Context(), headers) }))
	record(t) // other requests of the process are traced
	require.Zero(t, testing.AllocsPerRun(100, func() { useEverything(t.Context(), headers) }))
}

func TestSpansFormATrace(t *testing.T) {
	t.Parallel()
	tracer, recorder := record(t)
	headers := http.Header{}
	headers.Set("Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	ctx, request := tracer.StartRequest(t.Context(), headers, "GET /")
	require.Equal(t, "4bf92f3577b34da6a3ce929d0e0e4736", tracing.TraceID(ctx))
	inner, child := tracing.Start(ctx, "transaction")
	child.Fail("40001")
	child.End()
	cause := tracing.CauseIn(inner)
	_, later := tracer.StartCaused(t.Context(), cause, "deliver")
	later.End()
	_, job := tracer.StartRoot(ctx, "job")
	job.End()
	request.End()

	ended := recorder.Ended()
	require.Len(t, ended, 4)
	require.Equal(t, codes.Error, ended[0].Status().Code)
	require.Empty(t, ended[0].Status().Description)
	require.Equal(t, ended[3].SpanContext().SpanID(), ended[0].Parent().SpanID())
	require.Equal(t, ended[0].SpanContext().SpanID(), ended[1].Parent().SpanID(), "also if the cause has ended")
	require.False(t, ended[2].Parent().IsValid())
}

func TestLinksGoBothWays(t *testing.T) {
	t.Parallel()
	tracer, recorder := record(t)
	_, first := tracer.StartRoot(t.Context(), "first")
	_, second := tracer.StartRoot(t.Context(), "second")
	_, late := tracer.StartRoot(t.Context(), "late")
	_, batch := tracing.StartLinked(t.Context(), "batch", []tracing.Span{{}, first, second})
	batch.Link(late)
	for _, s := range []tracing.Span{first, second, late, batch} {
		s.End()
	}
	ended := recorder.Ended()
	require.Len(t, ended[3].Links(), 3)
	for i, one := range ended[:3] {
		require.Len(t, one.Links(), 1)
		require.Equal(t, ended[3].SpanContext().SpanID(), one.Links()[0].SpanContext.SpanID())
		require.Equal(t, one.SpanContext().SpanID(), ended[3].Links()[i].SpanContext.SpanID())
	}
}

func TestChildrenOfAnUnsampledSpanAreNotRecorded(t *testing.T) {
	t.Parallel()
	tracer, recorder := record(t, sdktrace.WithSampler(sdktrace.NeverSample()))
	ctx, request := tracer.StartRequest(t.Context(), http.Header{}, "GET /")
	require.NotEmpty(t, tracing.TraceID(ctx), "the log line has the id that other programs may use")
	_, child := tracing.Start(ctx, "transaction")
	require.False(t, child.IsRecorded())
	_, batch := tracing.StartLinked(ctx, "batch", []tracing.Span{request})
	require.False(t, batch.IsRecorded())
	require.False(t, tracing.CauseIn(ctx).IsKnown())
	child.End()
	request.End()
	require.Empty(t, recorder.Ended())
}

func TestTransportSendsTheTrace(t *testing.T) {
	t.Parallel()
	received := make(chan http.Header, 4)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		received <- r.Header
		w.WriteHeader(http.StatusTeapot)
	}))
	t.Cleanup(server.Close)
	client := &http.Client{Transport: tracing.Transport(http.DefaultTransport, tracing.PeerSIEM)}
	call := func(ctx context.Context, url string) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		require.NoError(t, err)
		response, err := client.Do(request)
		if err == nil {
			require.NoError(t, response.Body.Close())
		}
		require.Empty(t, request.Header, "the caller's request is unchanged")
		return err
	}
	require.NoError(t, call(t.Context(), server.URL))
	require.Empty(t, (<-received).Get("Traceparent"))

	tracer, recorder := record(t)
	ctx, job := tracer.StartRoot(t.Context(), "job")
	defer job.End()
	require.NoError(t, call(ctx, server.URL))
	sent := recorder.Ended()[0]
	require.Equal(t, "GET siem", sent.Name())
	require.Equal(t, codes.Error, sent.Status().Code)
	require.Equal(t, "00-"+sent.SpanContext().TraceID().String()+"-"+sent.SpanContext().SpanID().String()+"-01",
		(<-received).Get("Traceparent"))

	require.Error(t, call(ctx, "http://127.0.0.1:1"))
	ended, cancel := context.WithCancel(ctx)
	cancel()
	require.Error(t, call(ended, server.URL))
	for i, code := range []string{"connection", "cancelled"} {
		attributes := recorder.Ended()[i+1].Attributes()
		require.Equal(t, code, attributes[len(attributes)-1].Value.AsString())
	}
}

// BenchmarkNothingIsTraced measures the calls of a request without tracing.
func BenchmarkNothingIsTraced(b *testing.B) {
	b.ReportAllocs()
	headers := http.Header{}
	for b.Loop() {
		useEverything(b.Context(), headers)
	}
}
