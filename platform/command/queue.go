package command

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/tracing"
)

// Queue runs requests in batches. Requests that arrive while a batch runs form the next one. One
// function answers a batch in order of arrival, and each request gets its own answer.
//
// The batch is open until the function asks for its members. A function that has to wait, as for
// another instance of the program, asks after the wait. The batch then includes later requests.
//
// There is no timer. A request that finds the queue idle starts a batch immediately. A batch that
// ends starts the next one with the waiting requests. Each batch has its own goroutine, so no
// caller waits for the others beyond its own deadline.
//
// A request whose context ends before its batch begins is dropped. After that the caller waits for
// the actual outcome, but not beyond its deadline; then it gets a *[db.AmbiguousCommitError]. The
// batch's own time is limited by [QueueOptions.Timeout]. It ends shortly before the latest deadline
// of its first members, so that these get its outcome. Members that join while it waits may have
// less time than alone.
//
// A batch may fail because of one member, for example on a constraint or by a panic. It is then
// halved and run again until the failing member is alone. The other members succeed. Failures that
// concern all members (an unreachable database, exhausted attempts, a COMMIT without a reply) are
// returned to all of them.
//
// Inside a transaction, the request joins that transaction and runs immediately and alone. A Queue
// is safe for concurrent use.
type Queue[Request, Answer any] struct {
	options  QueueOptions[Request]
	run      func(ctx context.Context, batch Batch[Request]) ([]Answer, error)
	admitted sync.WaitGroup // requests

	mu      sync.Mutex // guards the rest, and the members until a batch takes them
	closed  bool
	running int // batches
	arrived int64
	waiting fairQueue[*member[Request, Answer]]
}

// Batch has the requests of one transaction.
type Batch[Request any] struct {
	first []Request
	all   func() []Request
}

// BatchOf returns a closed batch of the requests.
func BatchOf[Request any](requests ...Request) Batch[Request] {
	return Batch[Request]{requests, func() []Request { return requests }}
}

// First returns the members so far: at least one. They remain members.
func (b Batch[Request]) First() []Request { return b.first }

// All closes the batch and returns its members in order of arrival. For the largest batch, call it
// after all waits.
func (b Batch[Request]) All() []Request { return b.all() }

// QueueOptions configure a [Queue].
type QueueOptions[Request any] struct {
	AtOnce  int           // maximum number of concurrent batches; at least 1
	Limit   int           // maximum total weight of a batch; at least 1
	Waiting int           // maximum number of waiting requests
	Timeout time.Duration // for one batch, including all its attempts
	Metrics *Metrics      // records every batch; may be nil

	Name   func(Request) string // the batch's name in metrics and errors
	Weight func(Request) int    // a request's share of Limit; nil: each weighs 1
	Group  func(Request) any    // a batch has requests of one group, and groups take turns; nil: one group
}

// QueueKey decides the order of waiting requests. If more wait than fit into a batch,
// organizations take turns, and subjects take turns within each organization. Requests on one
// subject keep their order.
type QueueKey struct {
	Organization uuid.UUID
	Subject      uuid.UUID
}

// QueueFullError is returned if too many requests are waiting. Nothing has been changed. A retry
// may succeed later.
type QueueFullError struct{ Waiting int }

func (e *QueueFullError) Error() string {
	return fmt.Sprintf("command: %d requests are already waiting", e.Waiting)
}

// ErrQueueClosed is returned after [Queue.Close].
var ErrQueueClosed = errors.New("command: the queue is closed")

// PanicError is returned to the request that caused a panic in its batch.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("command: panic in a batch: %v", e.Value) }

// NewQueue returns a queue. The function answers all requests of the batch in one transaction and
// returns the answers in the same order. If it fails, it may be called again with parts of the
// batch.
func NewQueue[Request, Answer any](
	o QueueOptions[Request], run func(ctx context.Context, batch Batch[Request]) ([]Answer, error),
) *Queue[Request, Answer] {
	if o.Weight == nil {
		o.Weight = func(Request) int { return 1 }
	}
	if o.Group == nil {
		o.Group = func(Request) any { return nil }
	}
	o.AtOnce = max(1, o.AtOnce)
	return &Queue[Request, Answer]{options: o, run: run}
}

// member is a queued request. The queue's mutex guards it until a batch takes it. Then the batch
// owns it until it closes wake.
type member[Request, Answer any] struct {
	ctx       context.Context // the waiting caller's
	request   Request
	group     any
	exclusive func() // replaces the request
	order     int64  // of arrival
	since     time.Time
	wait      tracing.Span // ends when a batch takes the member
	batch     tracing.Span // of the batch that the member leads

	taken     bool          // into a batch, or to lead one
	abandoned bool          // the caller has stopped waiting
	wake      chan struct{} // closed when the answer is ready, or when exclusive may run

	answer Answer
	err    error
}

// Do answers the request together with others. Errors: the function's error, *[QueueFullError],
// [ErrQueueClosed], *[PanicError], *[db.AmbiguousCommitError] if the deadline passes while its
// batch runs, or the context's error if it ended before.
func (q *Queue[Request, Answer]) Do(ctx context.Context, key QueueKey, request Request) (answer Answer, err error) {
	if db.InTransaction(ctx) {
		answers, err := q.run(ctx, BatchOf(request))
		if err != nil {
			return answer, err
		}
		return answers[0], nil
	}
	m := &member[Request, Answer]{ctx: ctx, request: request, group: q.options.Group(request), wake: make(chan struct{})}
	if err := q.await(key, m); err != nil { // the batch may still use the member
		return answer, err
	}
	return m.answer, m.err
}

// Exclusive calls fn in its turn, as a batch of its own. With one batch at a time nothing else
// runs meanwhile. It is for work that would conflict with the queue's requests. Errors: as for
// [Queue.Do], and the errors of fn.
func (q *Queue[Request, Answer]) Exclusive(
	ctx context.Context, key QueueKey, fn func(ctx context.Context) error,
) error {
	if db.InTransaction(ctx) {
		return fn(ctx)
	}
	m := &member[Request, Answer]{ctx: ctx, group: exclusiveWork{}, wake: make(chan struct{})}
	m.exclusive = func() { m.err = fn(ctx) }
	if err := q.await(key, m); err != nil {
		return err
	}
	return m.err
}

// exclusiveWork is the group of [Queue.Exclusive].
type exclusiveWork struct{}

// Waiting returns the number of queued requests, including abandoned ones whose turn has not come.
func (q *Queue[Request, Answer]) Waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.waiting.size
}

// Close rejects new requests and waits for the admitted ones.
func (q *Queue[Request, Answer]) Close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.admitted.Wait()
}

// await enqueues the member and waits for its answer. An error means that the caller stopped
// waiting, or that the queue did not accept the member.
func (q *Queue[Request, Answer]) await(key QueueKey, m *member[Request, Answer]) error {
	if err := m.ctx.Err(); err != nil {
		return err
	}
	_, m.wait = tracing.Start(m.ctx, "wait in queue")
	if err := q.enter(key, m); err != nil {
		m.wait.Fail(refusalCode(err))
		m.wait.End()
		return err
	}
	select {
	case <-m.wake:
	case <-m.ctx.Done():
		if q.abandon(m) {
			q.admitted.Done()
			m.wait.Fail("cancelled")
			m.wait.End()
			return m.ctx.Err()
		}
		if err := awaitBatch(m); err != nil {
			return err
		}
	}
	if m.exclusive != nil {
		q.lead(m)
	}
	return nil
}

// enter starts the member's batch if one more may run, otherwise it enqueues the member.
func (q *Queue[Request, Answer]) enter(key QueueKey, m *member[Request, Answer]) error {
	m.since = time.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return ErrQueueClosed
	}
	busy := q.running == q.options.AtOnce
	if busy && q.waiting.size >= q.options.Waiting {
		return &QueueFullError{Waiting: q.waiting.size}
	}
	q.admitted.Add(1)
	q.arrived++
	m.order = q.arrived
	if busy {
		q.waiting.push(m.group, key, m)
		return nil
	}
	q.running++
	q.start(m)
	return nil
}

// start makes the member the leader of a batch. Exclusive work runs in its caller's goroutine, with
// its caller's context. A batch that others may join runs in a new goroutine.
func (q *Queue[Request, Answer]) start(m *member[Request, Answer]) {
	m.taken = true
	if m.exclusive != nil {
		close(m.wake)
		return
	}
	go q.lead(m)
}

// awaitBatch waits for a running batch, but not beyond the member's deadline.
func awaitBatch[Request, Answer any](m *member[Request, Answer]) error {
	if m.exclusive != nil || !errors.Is(m.ctx.Err(), context.DeadlineExceeded) {
		<-m.wake
		return nil
	}
	select {
	case <-m.wake:
		return nil
	default:
		return db.NewAmbiguousCommitError("a batch of commands", m.ctx.Err())
	}
}

// abandon marks the member as abandoned unless a batch has taken it. It remains in the queue until
// its turn, so the queue's limit bounds memory.
func (q *Queue[Request, Answer]) abandon(m *member[Request, Answer]) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if m.taken {
		return false
	}
	m.abandoned = true
	return true
}
