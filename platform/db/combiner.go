package db

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
)

// Combiner lets many requests share one transaction. Those that arrive while
// their lane's last transaction is under way are taken together and handed, in
// the order in which they came, to one function; each gets its own verdict.
//
// Requests that arrive until the function asks for its batch are in it: a function
// that has to wait, as for another instance of the program, asks when it has waited.
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
// A batch that fails for a reason that may be one member's own, such as a
// constraint or a panic, is halved and run again until that member stands
// alone; the others are carried out. What concerns everybody (a database that is
// away, attempts that are used up, a COMMIT without an answer) is told to everybody.
//
// Inside a transaction there is nothing to wait for: the request joins that
// transaction, and is run by itself. Safe for concurrent use.
type Combiner[Request, Verdict any] struct {
	options CombinerOptions[Request]
	run     func(ctx context.Context, batch Batch[Request]) ([]Verdict, error)
	lanes   []combinerLane[Request, Verdict]
	under   sync.WaitGroup // requests that were let in
	mu      sync.Mutex     // of closed, against under
	closed  bool
}

// Batch is what one transaction is for.
type Batch[Request any] struct {
	begun []Request
	all   func() []Request
}

// BatchOf returns the batch of the requests, whom nobody joins.
func BatchOf[Request any](requests ...Request) Batch[Request] {
	return Batch[Request]{requests, func() []Request { return requests }}
}

// Begun returns those who are in it already: there is at least one, and all of them stay.
func (b Batch[Request]) Begun() []Request { return b.begun }

// All settles who is in it, in the order of their arrival; nobody joins after the first
// call. Best called once there is nothing more to wait for.
func (b Batch[Request]) All() []Request { return b.all() }

// CombinerOptions say how requests are combined.
type CombinerOptions[Request any] struct {
	Name    string        // in metrics and errors
	Lanes   int           // how many batches may be under way at once; at least 1
	Limit   int           // the most that one batch holds, by Size; at least 1
	Queue   int           // the most requests that wait in one lane
	Timeout time.Duration // for one batch, all its attempts included

	Size    func(Request) int // what a request counts towards Limit; nil: each counts 1
	Metrics *Metrics          // told of every batch; nil: nobody is
}

// Place says where a request queues, and beside whom. When more wait than fit
// into a batch, organizations take turns, and within each its subjects do;
// requests on one subject keep their order.
type Place struct {
	Lane         int
	Organization uuid.UUID
	Subject      uuid.UUID
}

// QueueFullError says that too many requests were waiting already. Nothing has
// been changed; asking again a little later may succeed.
type QueueFullError struct {
	Combiner string
	Waiting  int
}

func (e *QueueFullError) Error() string {
	return fmt.Sprintf("db: %d requests wait for %s already", e.Waiting, e.Combiner)
}

// ErrCombinerClosed says that the combiner takes no more requests.
var ErrCombinerClosed = errors.New("db: the combiner is closed")

// PanicError is what a request gets whose own decision panicked in a batch.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string {
	return fmt.Sprintf("db: panic in a combined transaction: %v", e.Value)
}

// NewCombiner returns a combiner. The function runs one transaction for all of
// the batch's requests and returns as many verdicts, in their order. It may be called
// again with parts of it if it fails.
func NewCombiner[Request, Verdict any](
	o CombinerOptions[Request], run func(ctx context.Context, batch Batch[Request]) ([]Verdict, error),
) *Combiner[Request, Verdict] {
	if o.Size == nil {
		o.Size = func(Request) int { return 1 }
	}
	return &Combiner[Request, Verdict]{options: o, run: run, lanes: make([]combinerLane[Request, Verdict], max(1, o.Lanes))}
}

// combinerLane is one queue, of which one batch is under way at a time.
type combinerLane[Request, Verdict any] struct {
	mu      sync.Mutex
	busy    bool // somebody leads
	arrived int64
	waiting turns[*member[Request, Verdict]]
}

// member is one request that queues. Its lane's mutex guards what happens to it
// until somebody has taken it; then it is theirs until it is woken.
type member[Request, Verdict any] struct {
	ctx     context.Context // of the caller, who waits
	request Request
	alone   func() // instead of the request: what nobody may be combined with
	order   int64  // of arrival in the lane
	since   time.Time

	taken bool          // into a batch; or to lead one
	gone  bool          // the caller did not wait
	wake  chan struct{} // closed when there is a verdict, or when alone runs next

	verdict Verdict
	err     error
}

// Do decides the request together with others of its lane, and returns its verdict. Errors: the
// function's error, *[QueueFullError], [ErrCombinerClosed], *[PanicError], *[AmbiguousCommitError]
// if the deadline passes while its batch runs, or the context's error if that ended before.
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

// Alone waits like a request, and then calls fn while nothing else is under way
// in the lane: for work that is not one of the combiner's requests but would
// get into their way. Errors are those of Do, and fn's own.
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

// Waiting returns how many requests wait for their batch, those included that
// were given up and whose turn has not come.
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

// Close refuses new requests and waits for those that are in.
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

// abandon takes the member out of the queue, unless somebody has taken it. Its
// place stays until its turn comes, so that the queue's bound bounds memory.
func (l *combinerLane[Request, Verdict]) abandon(m *member[Request, Verdict]) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if m.taken {
		return false
	}
	m.gone = true
	return true
}
