package otlp

import (
	"context"
	"os"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"
	bridge "go.opentelemetry.io/contrib/bridges/prometheus"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"

	"omnirapeutic/platform/tracing"
	"omnirapeutic/platform/version"
)

// Exporter sends spans and metrics. A nil Exporter sends nothing. Safe for concurrent use.
//
// It never delays the program: spans wait in a bounded queue and are dropped when it is full, and metrics are
// read in the background.
type Exporter struct {
	settings Settings
	resource *resource.Resource
	tracer   *tracing.Tracer

	mu       sync.Mutex
	shutdown []func(ctx context.Context) error
}

// Open returns an exporter of the process, or nil if the settings send nothing. It connects later, in the
// background. A collector that cannot be reached is logged.
func Open(ctx context.Context, s Settings, logger logrus.FieldLogger) (*Exporter, error) {
	if !s.Enabled() {
		return nil, nil //nolint:nilnil // a nil exporter is valid
	}
	otel.SetErrorHandler(newErrorLog(logger))
	described, err := describeProcess(ctx)
	if err != nil {
		return nil, err
	}
	e := &Exporter{settings: s, resource: described}
	if s.Traces == "" {
		return e, nil
	}
	chosen, err := s.sampler()
	if err != nil {
		return nil, err
	}
	client := otlptracehttp.NewClient()
	if s.Traces == GRPC {
		client = otlptracegrpc.NewClient()
	}
	spans, err := otlptrace.New(ctx, client)
	if err != nil {
		return nil, err
	}
	provider := trace.NewTracerProvider(
		trace.WithBatcher(spans), trace.WithResource(described), trace.WithSampler(chosen), trace.WithRawSpanLimits(limits()),
	)
	e.tracer, e.shutdown = tracing.New(provider), []func(context.Context) error{provider.Shutdown}
	return e, nil
}

// maxLinks is the maximum number of links of a span. The largest batch has a link for each request.
const maxLinks = 1024

// limits returns the limits of a span.
func limits() trace.SpanLimits {
	l := trace.NewSpanLimits() // reads the variables of the standard
	if os.Getenv("OTEL_SPAN_LINK_COUNT_LIMIT") == "" {
		l.LinkCountLimit = maxLinks
	}
	return l
}

// describeProcess returns the attributes of this process. OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES override them.
func describeProcess(ctx context.Context) (*resource.Resource, error) {
	return resource.New(ctx,
		resource.WithTelemetrySDK(),
		resource.WithAttributes(
			attribute.String("service.name", "omnirapeutic"),
			attribute.String("service.version", version.Version()),
			attribute.String("service.instance.id", uuid.NewString()),
		),
		resource.WithFromEnv(),
	)
}

// Tracer returns the tracer, or nil if traces are not sent.
func (e *Exporter) Tracer() *tracing.Tracer {
	if e == nil {
		return nil
	}
	return e.tracer
}

// SendMetrics starts to send the registry's metrics periodically, until [Exporter.Close].
func (e *Exporter) SendMetrics(ctx context.Context, registry prometheus.Gatherer) error {
	if e == nil || e.settings.Metrics == "" {
		return nil
	}
	var metrics metric.Exporter
	var err error
	if e.settings.Metrics == GRPC {
		metrics, err = otlpmetricgrpc.New(ctx)
	} else {
		metrics, err = otlpmetrichttp.New(ctx)
	}
	if err != nil {
		return err
	}
	reader := metric.NewPeriodicReader(metrics,
		metric.WithProducer(bridge.NewMetricProducer(bridge.WithGatherer(registry))))
	provider := metric.NewMeterProvider(metric.WithReader(reader), metric.WithResource(e.resource))
	e.mu.Lock()
	defer e.mu.Unlock()
	e.shutdown = append(e.shutdown, provider.Shutdown)
	return nil
}

// flushTime limits how long the program waits at its end for a collector that does not answer.
const flushTime = 3 * time.Second

// Close sends the waiting spans and the last metrics, for a few seconds at most, and ends the sending.
func (e *Exporter) Close() {
	if e == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), flushTime)
	defer cancel()
	e.mu.Lock()
	all := e.shutdown
	e.shutdown = nil
	e.mu.Unlock()
	var ending sync.WaitGroup
	for _, end := range all {
		ending.Go(func() {
			if err := end(ctx); err != nil {
				otel.Handle(err)
			}
		})
	}
	ending.Wait()
}

// errorLog logs errors of the exporters, at most one each minute: they repeat while a collector cannot be reached.
type errorLog struct {
	logger logrus.FieldLogger
	mu     sync.Mutex
	last   time.Time
}

func newErrorLog(l logrus.FieldLogger) *errorLog { return &errorLog{logger: l} }

// Handle implements otel.ErrorHandler. Errors have the address of the collector and its answer. The exporters
// remove a user and a password from the address.
func (l *errorLog) Handle(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); now.Sub(l.last) >= time.Minute {
		l.last = now
		l.logger.WithFields(logrus.Fields{"event": "telemetry_not_sent", "error": err}).
			Warn("spans or metrics could not be sent to the collector; requests are not affected")
	}
}
