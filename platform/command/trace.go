package command

import (
	"context"
	"errors"

	"omnirapeutic/platform/tracing"
)

// startSpan begins the trace of a batch. A batch belongs to no single request, so it has a trace of its own, with
// links to the spans of its requests and back.
func (q *Queue[Request, Answer]) startSpan(
	ctx context.Context, members []*member[Request, Answer],
) (context.Context, tracing.Span) {
	causes := spansOf(members)
	if causes == nil {
		return ctx, tracing.Span{}
	}
	name := q.options.Name(members[0].request)
	ctx, span := tracing.StartLinked(ctx, "batch "+name, causes)
	span.Set(tracing.Queue, name)
	return ctx, span
}

// linkTo links the spans of members that join a batch later.
func linkTo[Request, Answer any](batch tracing.Span, joined []*member[Request, Answer]) {
	if !batch.IsRecorded() {
		return
	}
	for _, cause := range spansOf(joined) {
		batch.Link(cause)
	}
}

// spansOf returns the recorded spans of the callers that wait.
func spansOf[Request, Answer any](members []*member[Request, Answer]) (spans []tracing.Span) {
	for _, m := range members {
		if m.wait.IsRecorded() {
			spans = append(spans, tracing.Current(m.ctx))
		}
	}
	return spans
}

// refusalCode returns the code of a request that the queue did not accept.
func refusalCode(err error) string {
	if errors.Is(err, ErrQueueClosed) {
		return "queue-closed"
	}
	return "queue-full"
}
