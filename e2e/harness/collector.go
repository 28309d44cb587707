package harness

import (
	"compress/gzip"
	"context"
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	metricspb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	tracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	spanpb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"omnirapeutic/platform/telemetry/logtest"
)

// Collector is a collector that receives spans and metrics by OTLP over HTTP, and spans also over gRPC.
type Collector struct {
	*httptest.Server
	GRPC     string // URL
	mu       sync.Mutex
	spans    []TracedSpan
	metrics  map[string]bool
	resource map[string]string
}

// TracedSpan is a received span. Its ids are hexadecimal.
type TracedSpan struct {
	Trace, ID, Parent string
	Name              string
	Kind              spanpb.Span_SpanKind
	Failed            bool
	Attributes        map[string]any // texts and numbers
	Links             []string       // ids of spans
	State             string         // tracestate
}

// Collect starts a collector.
func Collect(t testing.TB) *Collector {
	t.Helper()
	c := &Collector{metrics: map[string]bool{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/traces", func(w http.ResponseWriter, r *http.Request) {
		var request tracepb.ExportTraceServiceRequest
		receive(w, r, &request, &tracepb.ExportTraceServiceResponse{}, func() { c.addSpans(&request) })
	})
	mux.HandleFunc("POST /v1/metrics", func(w http.ResponseWriter, r *http.Request) {
		var request metricspb.ExportMetricsServiceRequest
		receive(w, r, &request, &metricspb.ExportMetricsServiceResponse{}, func() { c.addMetrics(&request) })
	})
	c.Server = httptest.NewServer(mux)
	t.Cleanup(c.Close)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := grpc.NewServer()
	tracepb.RegisterTraceServiceServer(server, overGRPC{collector: c})
	go func() { _ = server.Serve(listener) }() // ends with Stop
	t.Cleanup(server.Stop)
	c.GRPC = "http://" + listener.Addr().String()
	return c
}

// overGRPC receives spans over gRPC.
type overGRPC struct {
	tracepb.UnimplementedTraceServiceServer
	collector *Collector
}

// Export implements tracepb.TraceServiceServer.
func (o overGRPC) Export(
	_ context.Context, request *tracepb.ExportTraceServiceRequest,
) (*tracepb.ExportTraceServiceResponse, error) {
	o.collector.addSpans(request)
	return &tracepb.ExportTraceServiceResponse{}, nil
}

// receive decodes a request, checks its content for personal data, and answers.
func receive(w http.ResponseWriter, r *http.Request, request, answer proto.Message, add func()) {
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		unzipped, err := gzip.NewReader(body)
		if err != nil {
			http.Error(w, "gzip", http.StatusBadRequest)
			return
		}
		body = unzipped
	}
	data, err := io.ReadAll(body)
	if err == nil {
		err = proto.Unmarshal(data, request)
	}
	if err != nil {
		http.Error(w, "protobuf", http.StatusBadRequest)
		return
	}
	logtest.Look("OTLP", []byte(protojson.Format(request)))
	add()
	w.Header().Set("Content-Type", "application/x-protobuf")
	encoded, _ := proto.Marshal(answer) // an empty message
	_, _ = w.Write(encoded)             // the client repeats the request
}

func (c *Collector) addSpans(request *tracepb.ExportTraceServiceRequest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, of := range request.ResourceSpans {
		c.resource = map[string]string{}
		for _, a := range of.Resource.Attributes {
			c.resource[a.Key] = a.Value.GetStringValue()
		}
		for _, scope := range of.ScopeSpans {
			for _, s := range scope.Spans {
				c.spans = append(c.spans, spanOf(s))
			}
		}
	}
}

func spanOf(s *spanpb.Span) TracedSpan {
	found := TracedSpan{
		Trace: hex.EncodeToString(s.TraceId), ID: hex.EncodeToString(s.SpanId), Parent: hex.EncodeToString(s.ParentSpanId),
		Name: s.Name, Kind: s.Kind, Failed: s.Status.GetCode() == spanpb.Status_STATUS_CODE_ERROR,
		Attributes: map[string]any{}, State: s.TraceState,
	}
	for _, a := range s.Attributes {
		switch v := a.Value.Value.(type) {
		case *commonpb.AnyValue_StringValue:
			found.Attributes[a.Key] = v.StringValue
		case *commonpb.AnyValue_IntValue:
			found.Attributes[a.Key] = int(v.IntValue)
		}
	}
	for _, l := range s.Links {
		found.Links = append(found.Links, hex.EncodeToString(l.SpanId))
	}
	return found
}

func (c *Collector) addMetrics(request *metricspb.ExportMetricsServiceRequest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, of := range request.ResourceMetrics {
		for _, scope := range of.ScopeMetrics {
			for _, m := range scope.Metrics {
				c.metrics[m.Name] = true
			}
		}
	}
}

// Metrics returns the names of the received metrics.
func (c *Collector) Metrics() (names []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name := range c.metrics {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Resource returns the attributes of the process that has sent the last spans.
func (c *Collector) Resource() map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.resource
}

// Spans returns the received spans.
func (c *Collector) Spans() []TracedSpan {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.spans)
}

// Await waits for a span that matches, and returns it.
func (c *Collector) Await(t testing.TB, what string, matches func(TracedSpan) bool) (found TracedSpan) {
	t.Helper()
	require.Eventually(t, func() bool {
		all := c.Spans()
		i := slices.IndexFunc(all, matches)
		if i >= 0 {
			found = all[i]
		}
		return i >= 0
	}, Soon, Soon/2000, "no span: %s", what)
	return found
}

// ChildrenOf returns the names of the received children of a span, sorted.
func (c *Collector) ChildrenOf(parent TracedSpan) (names []string) {
	for _, s := range c.Spans() {
		if s.Parent == parent.ID && s.Trace == parent.Trace {
			names = append(names, s.Name)
		}
	}
	slices.Sort(names)
	return names
}

// SendTo returns the environment variables with which a program sends to the collector at once.
func (c *Collector) SendTo() []string {
	return []string{
		"OTEL_EXPORTER_OTLP_ENDPOINT=" + c.URL, "OTEL_BSP_SCHEDULE_DELAY=50", "OTEL_METRIC_EXPORT_INTERVAL=200",
		"OTEL_SERVICE_NAME=clinic",
	}
}
