package db

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"omnirapeutic/platform/tracing"
)

// tracer records statement errors on the attempt in the context, and spans of the statements.
type tracer struct{}

// startAttempt begins the span of one attempt at a transaction.
func startAttempt(ctx context.Context, u unit, number int) (context.Context, tracing.Span) {
	if !tracing.Current(ctx).IsRecorded() {
		return ctx, tracing.Span{}
	}
	ctx, span := tracing.Start(ctx, "transaction "+u.operation)
	span.Set(tracing.System, "postgresql")
	span.Set(tracing.Operation, u.operation)
	span.SetNumber(tracing.Attempt, number)
	return ctx, span
}

// resultNames are the results of attempts in spans.
var resultNames = map[outcomeKind]string{
	committed: "committed", failed: "refused", unavailable: "unavailable", retry: "retry",
	connectionLost: "connection-lost", ambiguous: "ambiguous",
}

// endAttempt ends the span of an attempt. An attempt that the caller's own function refused has not failed.
func endAttempt(span tracing.Span, v classification) {
	if !span.IsRecorded() {
		return
	}
	result := resultNames[v.kind]
	span.Set(tracing.Result, result)
	if v.kind != committed && (v.kind != failed || v.sqlState != "") {
		span.Set(tracing.SQLState, v.sqlState)
		span.Set(tracing.Phase, string(v.phase))
		span.Fail(result)
	}
	span.End()
}

// startStatement begins the span of a statement.
func startStatement(ctx context.Context, sql string, began time.Time) tracing.Span {
	if !tracing.Current(ctx).IsRecorded() {
		return tracing.Span{}
	}
	operation, table := describe(sql)
	name := operation
	if table != "" {
		name += " " + table
	}
	span := tracing.StartAt(ctx, name, began)
	span.Set(tracing.System, "postgresql")
	span.Set(tracing.Statement, operation)
	span.Set(tracing.Table, table)
	return span
}

// endStatement ends the span of a statement.
func endStatement(span tracing.Span, err error) {
	if err != nil && !errors.Is(err, pgx.ErrNoRows) && span.IsRecorded() {
		state := SQLState(err)
		span.Set(tracing.SQLState, state)
		if state == "" {
			state = "connection"
		}
		span.Fail(state)
	}
	span.End()
}

// TraceQueryStart implements pgx.QueryTracer.
func (tracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if span := startStatement(ctx, data.SQL, time.Time{}); span.IsRecorded() {
		return context.WithValue(ctx, statementKey{}, span)
	}
	return ctx
}

type statementKey struct{}

// TraceQueryEnd implements pgx.QueryTracer.
func (tracer) TraceQueryEnd(ctx context.Context, c *pgx.Conn, data pgx.TraceQueryEndData) {
	note(ctx, c, data.Err)
	if tracing.Current(ctx).IsRecorded() {
		if span, ok := ctx.Value(statementKey{}).(tracing.Span); ok {
			endStatement(span, data.Err)
		}
	}
}

// tracedBatch is a batch of statements, which are sent together. The answer to one is read after that to the
// previous one.
type tracedBatch struct{ answered time.Time }

type batchKey struct{}

// TraceBatchStart implements pgx.BatchTracer.
func (tracer) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	if !tracing.Current(ctx).IsRecorded() {
		return ctx
	}
	return context.WithValue(ctx, batchKey{}, &tracedBatch{time.Now()})
}

// TraceBatchQuery implements pgx.BatchTracer.
func (tracer) TraceBatchQuery(ctx context.Context, c *pgx.Conn, data pgx.TraceBatchQueryData) {
	note(ctx, c, data.Err)
	if !tracing.Current(ctx).IsRecorded() {
		return
	}
	if b, ok := ctx.Value(batchKey{}).(*tracedBatch); ok {
		endStatement(startStatement(ctx, data.SQL, b.answered), data.Err)
		b.answered = time.Now()
	}
}

// TraceBatchEnd implements pgx.BatchTracer.
func (tracer) TraceBatchEnd(ctx context.Context, c *pgx.Conn, data pgx.TraceBatchEndData) {
	note(ctx, c, data.Err)
}

func note(ctx context.Context, c *pgx.Conn, err error) {
	if err == nil || errors.Is(err, pgx.ErrNoRows) {
		return
	}
	if a := attemptIn(ctx); a != nil {
		a.observe(err, c.IsClosed())
	}
}
