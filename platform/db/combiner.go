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
// There is no timer and no goroutine of its own. A request that finds its lane
// empty runs at once, where it is, and so pays nothing for being combined with
// nobody. Whoever runs a batch hands the lane to the first of those who wait, who
// takes the others along.
//
// A request whose context ends before its batch begins is dropped from it. Once
// it has begun, the context counts no more: the caller gets the truth of what
// happened. The batch's own time is bounded by [CombinerOptions.Timeout] and by
// the latest deadline of those with whom it began: who joins while it waits may have
// less time than alone.
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
	wake  chan struct{} // closed when it is to lead, or when there is a verdict
	leads bool

	verdict Verdict
	err     error
}

// Do has the request decided, together with others of its lane, and returns its
// verdict. Errors: what the function returned, *[QueueFullError],
// [ErrCombinerClosed], *[PanicError], or the context's, where that ended first.
func (c *Combiner[Request, Verdict]) Do(ctx context.Context, at Place, request Request) (Verdict, error) {
	if attemptIn(ctx) != nil {
		verdicts, err := c.run(ctx, BatchOf(request))
		if err != nil {
			var none Verdict
			return none, err
		}
		return verdicts[0], nil
	}
	m := &member[Request, Verdict]{ctx: ctx, request: request}
	c.queue(at, m)
	return m.verdict, m.err
}

// Alone waits like a request, and then calls fn while nothing else is under way
// in the lane: for work that is not one of the combiner's requests but would
// get into their way. Errors are those of Do, and fn's own.
func (c *Combiner[Request, Verdict]) Alone(ctx context.Context, at Place, fn func(ctx context.Context) error) error {
	if attemptIn(ctx) != nil {
		return fn(ctx)
	}
	m := &member[Request, Verdict]{ctx: ctx}
	m.alone = func() { m.err = fn(ctx) }
	c.queue(at, m)
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

// queue brings the member through its lane.
func (c *Combiner[Request, Verdict]) queue(at Place, m *member[Request, Verdict]) {
	if m.err = m.ctx.Err(); m.err != nil {
		return
	}
	if !c.enter() {
		m.err = ErrCombinerClosed
		return
	}
	defer c.under.Done()

	lane := &c.lanes[at.Lane]
	m.since = time.Now()
	lane.mu.Lock()
	lane.arrived++
	m.order = lane.arrived
	switch {
	case !lane.busy:
		lane.busy, m.taken = true, true
		lane.mu.Unlock()
		c.lead(lane, m)
		return
	case lane.waiting.size >= c.options.Queue:
		m.err = &QueueFullError{Combiner: c.options.Name, Waiting: lane.waiting.size}
		lane.mu.Unlock()
		return
	}
	m.wake = make(chan struct{})
	lane.waiting.push(at.Organization, at.Subject, m)
	lane.mu.Unlock()

	select {
	case <-m.wake:
	case <-m.ctx.Done():
		if lane.abandon(m) {
			m.err = m.ctx.Err()
			return
		}
		<-m.wake // its batch has begun, or is about to
	}
	if m.leads {
		c.lead(lane, m)
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
