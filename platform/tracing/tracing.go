// Package tracing records spans: how long the parts of a request, of a batch of commands, or of a background
// job took, and how they depend on each other. It uses the spans of OpenTelemetry.
//
// A span begins as the child of the span in its context. Only a [Tracer] begins traces. Without one, no span
// exists, and the functions of this package return without allocating memory.
//
// A span has a name, attributes with keys of this package, and a code if it failed. Names, codes and the values
// of attributes come from closed sets, which the code or the schema of the database defines: routes, operations,
// tables, permissions, SQLSTATEs. They never have ids, values of records, or texts of errors. A test of the whole
// program checks them.
package tracing

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// scope distinguishes the program's spans from the spans of libraries.
const scope = "omnirapeutic"

// exists reports whether the process has created a tracer. Without one no context has a span, so looking for
// one is unnecessary.
var exists atomic.Bool

// w3c reads and writes the headers traceparent and tracestate (https://www.w3.org/TR/trace-context/).
var w3c propagation.TraceContext

// Tracer begins traces. A nil Tracer begins none. Safe for concurrent use.
type Tracer struct{ tracer trace.Tracer }

// New returns a tracer whose spans the provider samples, processes and exports.
func New(p trace.TracerProvider) *Tracer {
	exists.Store(true)
	return &Tracer{p.Tracer(scope)}
}

// StartRequest begins the span of a request to this program. It belongs to the trace of the client, if the
// request's headers name one.
func (t *Tracer) StartRequest(ctx context.Context, headers http.Header, name string) (context.Context, Span) {
	if t == nil {
		return ctx, Span{}
	}
	ctx = w3c.Extract(ctx, propagation.HeaderCarrier(headers))
	return t.start(ctx, name, trace.WithSpanKind(trace.SpanKindServer))
}

// StartRoot begins a trace, even if the context has a span.
func (t *Tracer) StartRoot(ctx context.Context, name string) (context.Context, Span) {
	if t == nil {
		return ctx, Span{}
	}
	return t.start(ctx, name, trace.WithNewRoot())
}

// StartCaused begins a span in the trace of its cause. If the cause is unknown, it begins a trace.
func (t *Tracer) StartCaused(ctx context.Context, c Cause, name string) (context.Context, Span) {
	if t == nil || !c.IsKnown() {
		return t.StartRoot(ctx, name)
	}
	return t.start(trace.ContextWithSpanContext(ctx, c.context), name)
}

func (t *Tracer) start(ctx context.Context, name string, o ...trace.SpanStartOption) (context.Context, Span) {
	ctx, s := t.tracer.Start(ctx, name, o...)
	return ctx, Span{s}
}

// Start begins a child of the span in the context.
func Start(ctx context.Context, name string) (context.Context, Span) {
	parent := Current(ctx)
	if !parent.IsRecorded() {
		return ctx, Span{}
	}
	ctx, s := parent.tracer().Start(ctx, name)
	return ctx, Span{s}
}

// StartAt is [Start] for a part that began at the given time.
func StartAt(ctx context.Context, name string, began time.Time) Span {
	parent := Current(ctx)
	if !parent.IsRecorded() {
		return Span{}
	}
	_, s := parent.tracer().Start(ctx, name, trace.WithTimestamp(began))
	return Span{s}
}

// StartLinked begins a trace of work that several spans have caused, with links from it to them and back. It is
// sampled if one of them is.
func StartLinked(ctx context.Context, name string, causes []Span) (context.Context, Span) {
	for _, first := range causes {
		if !first.IsRecorded() {
			continue
		}
		var links []trace.Link
		for _, c := range causes {
			if c.IsRecorded() {
				links = append(links, trace.Link{SpanContext: c.span.SpanContext()})
			}
		}
		ctx, s := first.tracer().Start(ctx, name, trace.WithNewRoot(), trace.WithLinks(links...))
		for _, c := range causes {
			c.link(Span{s})
		}
		return ctx, Span{s}
	}
	return ctx, Span{}
}

// Current returns the span in the context.
func Current(ctx context.Context) Span {
	if !exists.Load() {
		return Span{}
	}
	return Span{trace.SpanFromContext(ctx)}
}

// With returns a context with the span.
func With(ctx context.Context, s Span) context.Context {
	if s.span == nil {
		return ctx
	}
	return trace.ContextWithSpan(ctx, s.span)
}

// TraceID returns the id of the trace in the context, as 32 hexadecimal digits, or "".
func TraceID(ctx context.Context) string {
	if s := Current(ctx); s.span != nil && s.span.SpanContext().HasTraceID() {
		return s.span.SpanContext().TraceID().String()
	}
	return ""
}

// Span is a part of a trace. The zero value records nothing. Safe for concurrent use.
type Span struct{ span trace.Span }

// IsRecorded reports whether the span is exported. Its children are too.
func (s Span) IsRecorded() bool { return s.span != nil && s.span.SpanContext().IsSampled() }

func (s Span) tracer() trace.Tracer { return s.span.TracerProvider().Tracer(scope) }

// Set sets an attribute to a text of a closed set.
func (s Span) Set(key Key, value string) {
	if s.IsRecorded() && value != "" {
		s.span.SetAttributes(attribute.String(string(key), value))
	}
}

// SetNumber sets an attribute to a number.
func (s Span) SetNumber(key Key, value int) {
	if s.IsRecorded() {
		s.span.SetAttributes(attribute.Int(string(key), value))
	}
}

// Fail marks the span as failed, with a code of a closed set. It has no text, since texts of errors may have
// values.
func (s Span) Fail(code string) {
	if s.IsRecorded() {
		s.Set(ErrorType, code)
		s.span.SetStatus(codes.Error, "")
	}
}

// Link adds links between the two spans, in both directions.
func (s Span) Link(other Span) {
	s.link(other)
	other.link(s)
}

func (s Span) link(to Span) {
	if s.IsRecorded() && to.IsRecorded() {
		s.span.AddLink(trace.Link{SpanContext: to.span.SpanContext()})
	}
}

// End ends the span.
func (s Span) End() {
	if s.span != nil {
		s.span.End()
	}
}

// Cause is the span that caused later work. The zero value is unknown.
type Cause struct{ context trace.SpanContext }

// CauseIn returns the span in the context as a cause. It is unknown if the span is not recorded.
func CauseIn(ctx context.Context) Cause {
	if s := Current(ctx); s.IsRecorded() {
		return Cause{s.span.SpanContext()}
	}
	return Cause{}
}

// IsKnown reports whether the cause is known.
func (c Cause) IsKnown() bool { return c.context.IsValid() }
