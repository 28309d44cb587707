package db

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
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
// the latest deadline of its members.
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
	run     func(ctx context.Context, batch func() []Request) ([]Verdict, error)
	lanes   []combinerLane[Request, Verdict]
	under   sync.WaitGroup // requests that were let in
	mu      sync.Mutex     // of closed, against under
	closed  bool
}

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
// the batch's requests and returns as many verdicts, in their order. What the batch
// holds is settled when it first asks for it, best within the transaction; asked
// again, as by a retry, it is the same. The function may be called again with parts
// of it if it fails.
func NewCombiner[Request, Verdict any](
	o CombinerOptions[Request], run func(ctx context.Context, batch func() []Request) ([]Verdict, error),
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
		verdicts, err := c.run(ctx, func() []Request { return []Request{request} })
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

// lead runs the member and those whom it takes along, and hands on the lane.
func (c *Combiner[Request, Verdict]) lead(lane *combinerLane[Request, Verdict], m *member[Request, Verdict]) {
	batch := []*member[Request, Verdict]{m}
	defer func() { // also where a panic or runtime.Goexit ends this goroutine
		lane.handOver()
		for _, each := range batch {
			if each != m {
				close(each.wake)
			}
		}
	}()
	if m.alone != nil {
		if m.err = m.ctx.Err(); m.err == nil {
			m.err = errLeaderGone // until it is known better
			m.alone()
		}
		return
	}
	begun := stillThere(batch)
	// join takes along those who wait now, and returns who of them still does.
	join := func() []*member[Request, Verdict] {
		taken := c.take(lane, batch)
		batch = append(batch, taken...)
		joined := stillThere(taken)
		begun = append(begun, joined...)
		return joined
	}
	if join(); len(begun) == 0 {
		return
	}
	ctx, cancel := c.bound(begun)
	defer cancel()
	began := time.Now()
	c.carryOut(ctx, slices.Clone(begun), join)
	c.report(begun, began)
}

// stillThere returns those of the members whose contexts have not ended; the others are
// not carried out.
func stillThere[Request, Verdict any](taken []*member[Request, Verdict]) []*member[Request, Verdict] {
	begun := make([]*member[Request, Verdict], 0, len(taken))
	for _, each := range taken {
		if each.err = each.ctx.Err(); each.err == nil {
			each.err = errLeaderGone // until it is known better
			begun = append(begun, each)
		}
	}
	return begun
}

// errLeaderGone is what members get whose batch was ended by runtime.Goexit.
var errLeaderGone = errors.New("db: the goroutine that ran the batch has ended")

// take returns as many of those who wait as fit into the batch.
func (c *Combiner[Request, Verdict]) take(lane *combinerLane[Request, Verdict], batch []*member[Request, Verdict]) []*member[Request, Verdict] {
	size := 0
	for _, each := range batch {
		size += c.options.Size(each.request)
	}
	var taken []*member[Request, Verdict]
	lane.mu.Lock()
	defer lane.mu.Unlock()
	for {
		next, ok := lane.waiting.peek()
		if !ok {
			break
		}
		if next.gone {
			lane.waiting.pop()
			continue
		}
		if next.alone != nil {
			break
		}
		if size += c.options.Size(next.request); size > c.options.Limit {
			break
		}
		next.taken = true
		taken = append(taken, lane.waiting.pop())
	}
	return taken
}

// handOver has the next in the queue lead, or leaves the lane empty.
func (l *combinerLane[Request, Verdict]) handOver() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.waiting.size > 0 {
		if next := l.waiting.pop(); !next.gone {
			next.taken, next.leads = true, true
			close(next.wake)
			return
		}
	}
	l.busy = false
}

// bound returns the context of a batch: none of its members can end it, but it
// ends with the last of their deadlines. It carries nobody's identity.
func (c *Combiner[Request, Verdict]) bound(batch []*member[Request, Verdict]) (context.Context, context.CancelFunc) {
	end := time.Now().Add(c.options.Timeout)
	var last time.Time
	for _, m := range batch {
		deadline, ok := m.ctx.Deadline()
		if !ok {
			last = end
			break
		}
		if deadline.After(last) {
			last = deadline
		}
	}
	if last.Before(end) {
		end = last
	}
	return context.WithDeadline(context.Background(), end)
}

// carryOut gives each member its verdict, and those who join when the batch is asked
// for: all of them, in the order of their arrival.
func (c *Combiner[Request, Verdict]) carryOut(
	ctx context.Context, batch []*member[Request, Verdict], join func() []*member[Request, Verdict],
) {
	verdicts, err := c.attempt(ctx, func() []Request {
		if join != nil {
			batch = append(batch, join()...)
			join = nil
			slices.SortFunc(batch, func(a, b *member[Request, Verdict]) int { return cmp.Compare(a.order, b.order) })
		}
		requests := make([]Request, len(batch))
		for i, m := range batch {
			requests[i] = m.request
		}
		return requests
	})
	if err == nil && len(verdicts) != len(batch) {
		err = fmt.Errorf("db: %s returned %d verdicts for %d requests", c.options.Name, len(verdicts), len(batch))
	}
	switch {
	case err == nil:
		for i, m := range batch {
			m.verdict, m.err = verdicts[i], nil
		}
	case len(batch) == 1 || concernsAll(err):
		for _, m := range batch {
			m.err = err
		}
	default:
		half := len(batch) / 2
		c.carryOut(ctx, batch[:half], nil)
		c.carryOut(ctx, batch[half:], nil)
	}
}

func (c *Combiner[Request, Verdict]) attempt(ctx context.Context, batch func() []Request) (verdicts []Verdict, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &PanicError{Value: p, Stack: debug.Stack()}
		}
	}()
	return c.run(ctx, batch)
}

// concernsAll reports whether an error has nothing to do with what was asked for:
// a part of the batch would meet it too, or must not be run again.
func concernsAll(err error) bool {
	_, contention := errors.AsType[*ContentionError](err)
	_, unavailable := errors.AsType[*UnavailableError](err)
	_, ambiguous := errors.AsType[*AmbiguousCommitError](err)
	return contention || unavailable || ambiguous ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// report tells the metrics of a batch that began at the time.
func (c *Combiner[Request, Verdict]) report(batch []*member[Request, Verdict], began time.Time) {
	if c.options.Metrics == nil {
		return
	}
	waits := make([]time.Duration, len(batch))
	for i, m := range batch {
		waits[i] = max(0, began.Sub(m.since)) // who joined later has not waited
	}
	c.options.Metrics.combined(c.options.Name, waits, time.Since(began))
}
