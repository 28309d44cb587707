package db

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
)

// Combiner combines many requests into one transaction. Requests that arrive while their lane's
// last transaction runs form the next batch. One function decides the batch in order of arrival,
// and each request gets its own verdict.
//
// The batch is open until the function asks for it. A function that has to wait, as for another
// instance of the program, asks after the wait and so includes later requests.
//
// There is no timer. A request that finds its lane empty starts a batch immediately. A batch that
// ends starts the next one with the waiting requests. Each batch has its own goroutine, so no
// caller waits for the others beyond its own deadline.
//
// A request whose context ends before its batch begins is dropped. After that the caller waits for
// the actual outcome, but not beyond its deadline; then it gets an *[AmbiguousCommitError]. The
// batch's own time is limited by [CombinerOptions.Timeout]. It ends shortly before the latest
// deadline of its first members, so that these get its outcome. Members that join while it waits
// may have less time than alone.
//
// If a batch fails for a reason that may concern one member, such as a constraint or a panic, it
// is halved and run again until the failing member is alone. The other members succeed. Failures
// that concern all members (an unreachable database, exhausted attempts, a COMMIT without a reply)
// are returned to all of them.
//
// Inside a transaction, the request joins that transaction and runs immediately and alone. Safe
// for concurrent use.
type Combiner[Request, Verdict any] struct {
	options CombinerOptions[Request]
	run     func(ctx context.Context, batch Batch[Request]) ([]Verdict, error)
	lanes   []combinerLane[Request, Verdict]
	under   sync.WaitGroup // admitted requests
	mu      sync.Mutex     // guards closed, and under against it
	closed  bool
}

// Batch is the requests of one transaction.
type Batch[Request any] struct {
	begun []Request
	all   func() []Request
}

// BatchOf returns a closed batch of the requests.
func BatchOf[Request any](requests ...Request) Batch[Request] {
	return Batch[Request]{requests, func() []Request { return requests }}
}

// Begun returns the current members of the batch: at least one. They remain members.
func (b Batch[Request]) Begun() []Request { return b.begun }

// All closes the batch and returns its members in order of arrival. For the largest
// batch, call it after all waits.
func (b Batch[Request]) All() []Request { return b.all() }

// CombinerOptions configure a [Combiner].
type CombinerOptions[Request any] struct {
	Name    string        // in metrics and errors
	Lanes   int           // maximum number of concurrent batches; at least 1
	Limit   int           // maximum total Size of a batch; at least 1
	Queue   int           // maximum number of waiting requests per lane
	Timeout time.Duration // for one batch, including all its attempts

	Size    func(Request) int // a request's share of Limit; nil: each counts 1
	Metrics *Metrics          // records every batch; may be nil
}

// Place is the queue position of a request. If more requests wait than fit into a
// batch, organizations take turns, and subjects take turns within each organization.
// Requests on one subject keep their order.
type Place struct {
	Lane         int
	Organization uuid.UUID
	Subject      uuid.UUID
}

// QueueFullError is returned if too many requests are waiting. Nothing has been
// changed. A retry may succeed later.
type QueueFullError struct {
	Combiner string
	Waiting  int
}

func (e *QueueFullError) Error() string {
	return fmt.Sprintf("db: %d requests are already waiting for %s", e.Waiting, e.Combiner)
}

// ErrCombinerClosed is returned after [Combiner.Close].
var ErrCombinerClosed = errors.New("db: the combiner is closed")

// PanicError is returned to the request whose decision panicked in a batch.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string {
	return fmt.Sprintf("db: panic in a combined transaction: %v", e.Value)
}

// NewCombiner returns a combiner. The function decides all requests of the batch in one
// transaction and returns their verdicts in the same order. If it fails, it may be
// called again with parts of the batch.
func NewCombiner[Request, Verdict any](
	o CombinerOptions[Request], run func(ctx context.Context, batch Batch[Request]) ([]Verdict, error),
) *Combiner[Request, Verdict] {
	if o.Size == nil {
		o.Size = func(Request) int { return 1 }
	}
	return &Combiner[Request, Verdict]{options: o, run: run, lanes: make([]combinerLane[Request, Verdict], max(1, o.Lanes))}
}

// combinerLane is a queue in which one batch runs at a time.
type combinerLane[Request, Verdict any] struct {
	mu      sync.Mutex
	busy    bool // a batch is running
	arrived int64
	waiting turns[*member[Request, Verdict]]
}

// member is a queued request. Its lane's mutex guards it until a batch takes it. Then
// the batch owns it until it closes wake.
type member[Request, Verdict any] struct {
	ctx     context.Context // the waiting caller's
	request Request
	alone   func() // runs exclusively, instead of the request
	order   int64  // of arrival in the lane
	since   time.Time

	taken bool          // taken into a batch, or to lead one
	gone  bool          // the caller has stopped waiting
	wake  chan struct{} // closed when the verdict is ready, or when alone runs next

	verdict Verdict
	err     error
}

// Do decides the request together with others of its lane, and returns its verdict. Errors: the
// function's error, *[QueueFullError], [ErrCombinerClosed], *[PanicError], *[AmbiguousCommitError]
// if the deadline passes while its batch runs, or the context's error if it ended before.
func (c *Combiner[Request, Verdict]) Do(ctx context.Context, at Place, request Request) (Verdict, error) {
	if attemptIn(ctx) != nil {
		verdicts, err := c.run(ctx, BatchOf(request))
		if err != nil {
			var none Verdict
			return none, err
		}
		return verdicts[0], nil
	}
	m := &member[Request, Verdict]{ctx: ctx, request: request, wake: make(chan struct{})}
	if err := c.queue(at, m); err != nil { // the batch may still use the member
		var none Verdict
		return none, err
	}
	return m.verdict, m.err
}

// Alone queues like a request and then calls fn while nothing else runs in the lane. It
// is for work that would conflict with the combiner's requests. It returns the errors of
// Do and fn.
func (c *Combiner[Request, Verdict]) Alone(ctx context.Context, at Place, fn func(ctx context.Context) error) error {
	if attemptIn(ctx) != nil {
		return fn(ctx)
	}
	m := &member[Request, Verdict]{ctx: ctx, wake: make(chan struct{})}
	m.alone = func() { m.err = fn(ctx) }
	if err := c.queue(at, m); err != nil {
		return err
	}
	return m.err
}

// Waiting returns the number of queued requests, including abandoned ones whose turn
// has not come.
func (c *Combiner[Request, Verdict]) Waiting() int {
	waiting := 0
	for i := range c.lanes {
		lane := &c.lanes[i]
		lane.mu.Lock()
		waiting += lane.waiting.size
		lane.mu.Unlock()
	}
	return waiting
}

// Close rejects new requests and waits for the admitted ones.
func (c *Combiner[Request, Verdict]) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.under.Wait()
}

func (c *Combiner[Request, Verdict]) enter() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.under.Add(1)
	return true
}

// queue takes the member through its lane. It returns nil once the member has its verdict,
// otherwise the reason for not waiting.
func (c *Combiner[Request, Verdict]) queue(at Place, m *member[Request, Verdict]) error {
	if err := m.ctx.Err(); err != nil {
		return err
	}
	if !c.enter() {
		return ErrCombinerClosed
	}
	lane := &c.lanes[at.Lane]
	if err := c.line(lane, at, m); err != nil {
		c.under.Done()
		return err
	}
	select {
	case <-m.wake:
	case <-m.ctx.Done():
		if lane.abandon(m) {
			c.under.Done()
			return m.ctx.Err()
		}
		if err := c.awaitBatch(m); err != nil {
			return err
		}
	}
	if m.alone != nil {
		defer c.under.Done()
		c.lead(lane, m)
	}
	return nil
}

// line starts the member's batch if the lane is empty, otherwise it enqueues the member.
func (c *Combiner[Request, Verdict]) line(lane *combinerLane[Request, Verdict], at Place, m *member[Request, Verdict]) error {
	m.since = time.Now()
	lane.mu.Lock()
	defer lane.mu.Unlock()
	lane.arrived++
	m.order = lane.arrived
	switch {
	case !lane.busy:
		lane.busy, m.taken = true, true
		c.start(lane, m)
	case lane.waiting.size >= c.options.Queue:
		return &QueueFullError{Combiner: c.options.Name, Waiting: lane.waiting.size}
	default:
		lane.waiting.push(at.Organization, at.Subject, m)
	}
	return nil
}

// start makes the member the leader of a batch. A member that runs alone runs in its caller's
// goroutine, with its caller's context; a batch that others may join runs in a new goroutine.
func (c *Combiner[Request, Verdict]) start(lane *combinerLane[Request, Verdict], m *member[Request, Verdict]) {
	if m.alone != nil {
		close(m.wake)
		return
	}
	go c.lead(lane, m)
}

// awaitBatch waits for a running batch, but not beyond the member's deadline.
func (c *Combiner[Request, Verdict]) awaitBatch(m *member[Request, Verdict]) error {
	if m.alone != nil || !errors.Is(m.ctx.Err(), context.DeadlineExceeded) {
		<-m.wake
		return nil
	}
	select {
	case <-m.wake:
		return nil
	default:
		return &AmbiguousCommitError{Operation: c.options.Name, cause: m.ctx.Err()}
	}
}

// abandon marks the member as abandoned unless a batch has taken it. It remains in the
// queue until its turn, so the queue's limit bounds memory.
func (l *combinerLane[Request, Verdict]) abandon(m *member[Request, Verdict]) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if m.taken {
		return false
	}
	m.gone = true
	return true
}
