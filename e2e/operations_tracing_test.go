package e2e

import (
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	spanpb "go.opentelemetry.io/proto/otlp/trace/v1"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/platform/tracing"
)

// traced starts the program with a collector.
func traced(t *testing.T, settings ...string) (*harness.Clinic, *harness.Instance, *harness.Collector) {
	t.Helper()
	collector := harness.Collect(t)
	c := harness.Open(t)
	settings = slices.Concat(harness.SharedTransactions, []string{"OMNI_LOG_LEVEL=info"}, collector.SendTo(), settings)
	return c, c.Launch(t, c.Database.AppURL, settings...), collector
}

// The trace of a client (W3C Trace Context, section 3.2).
const (
	clientTrace  = "4bf92f3577b34da6a3ce929d0e0e4736"
	clientSpan   = "00f067aa0ba902b7"
	clientParent = "00-" + clientTrace + "-" + clientSpan + "-01"
)

// TestTraceOfABookingShowsItsParts follows a booking from the client's span to its statements and its webhook.
func TestTraceOfABookingShowsItsParts(t *testing.T) {
	t.Parallel()
	c, serving, collector := traced(t)
	booking := c.Booking(c.Authorize(t, 20), c.AddPractitioner(t), c.At(t, 10, "10:00"), time.Hour)
	receiver := harness.ReceiveWebhooks(t)
	c.AddWebhook(t, receiver.URL)
	admin := serving.Clinic.Admin().WithHeader("traceparent", clientParent).WithHeader("tracestate", "vendor=x")
	admin.Post(t, "/appointments", booking).Created(t)

	request := collector.Await(t, "the request", func(s harness.TracedSpan) bool { return s.Parent == clientSpan })
	require.Equal(t, "POST /api/v1/appointments", request.Name)
	require.Equal(t, clientTrace, request.Trace)
	require.Equal(t, "vendor=x", request.State)
	require.Equal(t, spanpb.Span_SPAN_KIND_SERVER, request.Kind)
	require.Equal(t, map[string]any{
		string(tracing.HTTPMethod): "POST", string(tracing.HTTPRoute): "/api/v1/appointments",
		string(tracing.HTTPStatus): http.StatusCreated,
	}, request.Attributes)

	batch := collector.Await(t, "the batch", func(s harness.TracedSpan) bool { return slices.Contains(s.Links, request.ID) })
	require.Equal(t, "batch appointments", batch.Name)
	require.Equal(t, []string{batch.ID}, request.Links)
	require.Empty(t, batch.Parent, "a batch is a trace of its own")
	require.NotEqual(t, request.Trace, batch.Trace)
	require.Equal(t, 1, batch.Attributes[string(tracing.Requests)])
	children := collector.ChildrenOf(request)
	require.Subset(t, children, []string{"permission check", "wait in queue"})

	attempt := collector.Await(t, "the transaction", func(s harness.TracedSpan) bool { return s.Parent == batch.ID })
	require.Equal(t, "transaction appointments.batch", attempt.Name)
	require.Equal(t, map[string]any{
		string(tracing.System): "postgresql", string(tracing.Operation): "appointments.batch",
		string(tracing.Attempt): 1, string(tracing.Result): "committed",
	}, attempt.Attributes)
	if c.SharesTransactions {
		require.Contains(t, collector.ChildrenOf(attempt), "LOCK write_lock")
	}
	require.Subset(t, collector.ChildrenOf(attempt), []string{
		"BEGIN", "SELECT authorizations", "INSERT appointments", "INSERT commands", "INSERT outbox", "COMMIT",
	})

	sent := collector.Await(t, "the delivery", func(s harness.TracedSpan) bool { return s.Name == "POST webhook" })
	require.Equal(t, batch.Trace, sent.Trace, "the trace of the change")
	header := receiver.Await(t, 1)[0].Header
	require.Equal(t, "00-"+sent.Trace+"-"+sent.ID+"-01", header.Get("traceparent"))

	lines := regexp.MustCompile(`.*trace_id="?`+clientTrace+`.*`).FindAllString(awaitLine(t, serving, clientTrace), -1)
	require.Len(t, lines, 1)
	require.Regexp(t, `request_id"?[:=]"?[0-9a-f-]{36}`, lines[0], "both ids are in the same line")
	require.Equal(t, "clinic", collector.Resource()["service.name"])
}

// awaitLine returns the output once it has a text: lines of requests are buffered.
func awaitLine(t *testing.T, p *harness.Instance, text string) string {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Contains(p.Output.String(), text) }, harness.Soon, time.Millisecond)
	return p.Output.String()
}

// reserveOne reserves a unit.
func reserveOne(t *testing.T, p *harness.Instance, authorization string) {
	t.Helper()
	answer := p.Clinic.Admin().Post(t, authorization+"/reserve", harness.Body{"units": 1})
	assert.Equal(t, http.StatusCreated, answer.Status, "%s", answer.Raw)
}

// TestTraceOfABatchLinksItsRequests makes requests wait, so that they share a batch.
func TestTraceOfABatchLinksItsRequests(t *testing.T) {
	t.Parallel()
	c, serving, collector := traced(t)
	path := c.Authorize(t, 100)
	const many = 20
	harness.Concurrently(many, func(int) {
		reserveOne(t, serving, path)
	})
	isRequest := func(s harness.TracedSpan) bool {
		return s.Attributes[string(tracing.HTTPRoute)] == "/api/v1/authorizations/:id/reserve"
	}
	batches := func() (found []harness.TracedSpan, links []string) {
		for _, s := range collector.Spans() {
			if s.Name == "batch units" {
				found, links = append(found, s), append(links, s.Links...)
			}
		}
		return found, links
	}
	require.Eventually(t, func() bool { _, links := batches(); return len(links) == many }, harness.Soon, time.Millisecond)
	found, links := batches()
	require.Less(t, len(found), many, "requests shared a batch")
	slices.Sort(links)
	require.Len(t, slices.Compact(links), many)
	for _, s := range collector.Spans() {
		if !isRequest(s) {
			continue
		}
		require.Contains(t, links, s.ID)
		require.Len(t, s.Links, 1)
		require.True(t, slices.ContainsFunc(found, func(b harness.TracedSpan) bool { return b.ID == s.Links[0] }))
	}
	for _, b := range found {
		require.Len(t, b.Links, b.Attributes[string(tracing.Requests)].(int))
	}
}

// TestSpansOfRefusalsHaveCodes checks that failures are recorded by code, and that requests that the sampler drops
// have no spans.
func TestSpansOfRefusalsHaveCodes(t *testing.T) {
	t.Parallel()
	_, serving, collector := traced(t)
	serving.Clinic.As("no-token").Get(t, "/patients").Refused(t, http.StatusUnauthorized, "unauthenticated")
	request := collector.Await(t, "the request", func(s harness.TracedSpan) bool { return s.Name == "GET /api/v1/patients" })
	require.Equal(t, "unauthenticated", request.Attributes[string(tracing.ErrorType)])
	require.False(t, request.Failed, "the server has not failed")
	check := collector.Await(t, "the check", func(s harness.TracedSpan) bool { return s.Parent == request.ID })
	require.Equal(t, map[string]any{
		string(tracing.Permission): "patient:read", string(tracing.ErrorType): "unauthenticated",
	}, check.Attributes)
	require.True(t, check.Failed)

	unsampled := strings.Replace(clientParent, "-01", "-00", 1)
	serving.Clinic.Admin().WithHeader("traceparent", unsampled).Get(t, "/patients").OK(t)
	serving.Clinic.Admin().Get(t, "/payers").OK(t)
	collector.Await(t, "a later request", func(s harness.TracedSpan) bool { return s.Name == "GET /api/v1/payers" })
	require.False(t, slices.ContainsFunc(collector.Spans(), func(s harness.TracedSpan) bool { return s.Trace == clientTrace }))
}

func TestSpansAreSentOverGRPC(t *testing.T) {
	t.Parallel()
	collector := harness.Collect(t)
	c := harness.Open(t)
	serving := c.Launch(t, c.Database.AppURL, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="+collector.GRPC,
		"OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "OTEL_BSP_SCHEDULE_DELAY=50")
	serving.Clinic.Admin().Get(t, "/patients").OK(t)
	collector.Await(t, "the request", func(s harness.TracedSpan) bool { return s.Name == "GET /api/v1/patients" })
}

// TestMetricsAreSentByOTLP checks that the metrics of Prometheus are sent under their names.
func TestMetricsAreSentByOTLP(t *testing.T) {
	t.Parallel()
	_, serving, collector := traced(t, "OTEL_TRACES_EXPORTER=none")
	serving.Clinic.Admin().Get(t, "/patients").OK(t)
	require.Eventually(t, func() bool {
		return slices.Contains(collector.Metrics(), "omnirapeutic_http_requests_total")
	}, harness.Soon, 10*time.Millisecond)
	require.Subset(t, collector.Metrics(), []string{"omnirapeutic_build_info", "omnirapeutic_batch_seconds", "go_goroutines"})
	require.Empty(t, collector.Spans())
}

// TestWaitingSpansAreSentWhenTheProgramStops stops the program before its next export is due.
func TestWaitingSpansAreSentWhenTheProgramStops(t *testing.T) {
	t.Parallel()
	_, serving, collector := traced(t, "OTEL_BSP_SCHEDULE_DELAY=600000", "OTEL_METRIC_EXPORT_INTERVAL=600000")
	serving.Clinic.Admin().Get(t, "/patients").OK(t)
	require.NoError(t, serving.Process.Process.Signal(syscall.SIGTERM))
	require.NoError(t, serving.Process.Wait())
	require.True(t, slices.ContainsFunc(collector.Spans(), func(s harness.TracedSpan) bool {
		return s.Name == "GET /api/v1/patients"
	}))
	require.Contains(t, collector.Metrics(), "omnirapeutic_http_requests_total")
}

// TestRequestsSucceedWithoutACollector runs the program with collectors that refuse, or accept and never answer. No
// request fails, and the program stops within a bound.
func TestRequestsSucceedWithoutACollector(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // connections wait in its backlog
	require.NoError(t, err)
	t.Cleanup(func() { _ = silent.Close() })
	refusing := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(refusing.Close)
	for name, url := range map[string]string{"a silent one": "http://" + silent.Addr().String(), "a refusing one": refusing.URL} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := harness.Open(t)
			path := c.Authorize(t, 1000)
			// The queue of 20 spans is full after a few requests.
			serving := c.Launch(t, c.Database.AppURL, append(harness.SharedTransactions, "OTEL_EXPORTER_OTLP_ENDPOINT="+url,
				"OTEL_BSP_SCHEDULE_DELAY=10", "OTEL_BSP_MAX_QUEUE_SIZE=20", "OTEL_METRIC_EXPORT_INTERVAL=50")...)
			const many = 200
			for range many {
				reserveOne(t, serving, path)
			}
			c.RequireBalance(t, path, 1000, 0, many)
			began := time.Now()
			require.NoError(t, serving.Process.Process.Signal(syscall.SIGTERM))
			require.NoError(t, serving.Process.Wait())
			require.Less(t, time.Since(began), 15*time.Second, "the flush has a limit of three seconds")
			if url == refusing.URL {
				require.Contains(t, serving.Output.String(), "telemetry_not_sent")
			}
		})
	}
}
