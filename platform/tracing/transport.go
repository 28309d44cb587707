package tracing

import (
	"context"
	"errors"
	"net/http"
	"os"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Transport returns a transport that sends the trace of each request's context in the headers traceparent and
// tracestate, and records a span for the call. Its attributes have the kind of the peer, never its address.
func Transport(base http.RoundTripper, peer string) http.RoundTripper { return transport{base, peer} }

type transport struct {
	base http.RoundTripper
	peer string
}

// RoundTrip implements http.RoundTripper.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	parent := Current(r.Context())
	if parent.span == nil || !parent.span.SpanContext().IsValid() {
		return t.base.RoundTrip(r)
	}
	ctx, span := parent.tracer().Start(r.Context(), r.Method+" "+t.peer, trace.WithSpanKind(trace.SpanKindClient))
	defer span.End()
	sent := r.Clone(ctx)
	w3c.Inject(ctx, propagation.HeaderCarrier(sent.Header))
	s := Span{span}
	s.Set(HTTPMethod, r.Method)
	s.Set(Peer, t.peer)
	response, err := t.base.RoundTrip(sent)
	if err != nil {
		s.Fail(codeOf(err))
		return nil, err
	}
	s.SetNumber(HTTPStatus, response.StatusCode)
	if response.StatusCode >= http.StatusBadRequest {
		s.Fail("status")
	}
	return response, nil
}

// CloseIdleConnections closes the connections of the base. [http.Client.CloseIdleConnections] calls it.
func (t transport) CloseIdleConnections() {
	if base, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		base.CloseIdleConnections()
	}
}

// codeOf returns the code of a failed call.
func codeOf(err error) string {
	switch {
	case errors.Is(err, context.Canceled):
		return "cancelled"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return "timeout"
	}
	return "connection"
}
