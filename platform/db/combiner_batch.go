package db

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"
)

// lead runs the member's batch, and then hands the lane over.
func (c *Combiner[Request, Verdict]) lead(lane *combinerLane[Request, Verdict], m *member[Request, Verdict]) {
	batch := []*member[Request, Verdict]{m}
	defer func() { // also where a panic or runtime.Goexit ends this goroutine
		c.handOver(lane)
		if m.alone != nil {
			return
		}
		for _, each := range batch {
			close(each.wake)
			c.under.Done()
		}
	}()
	if m.alone != nil {
		if m.err = m.ctx.Err(); m.err == nil {
			m.err = errLeaderGone // replaced by the outcome
			m.alone()
		}
		return
	}
	members := stillThere(batch)
	// join takes the waiting members and returns those whose callers still wait.
	join := func() []*member[Request, Verdict] {
		taken := c.take(lane, batch)
		batch = append(batch, taken...)
		joined := stillThere(taken)
		members = append(members, joined...)
		return joined
	}
	if join(); len(members) == 0 {
		return
	}
	ctx, cancel := c.bound(members)
	defer cancel()
	began := time.Now()
	c.carryOut(ctx, slices.Clone(members), join)
	c.report(members, began)
}

// stillThere returns the members whose contexts have not ended. The others are not
// executed.
func stillThere[Request, Verdict any](taken []*member[Request, Verdict]) []*member[Request, Verdict] {
	members := make([]*member[Request, Verdict], 0, len(taken))
	for _, each := range taken {
		if each.err = each.ctx.Err(); each.err == nil {
			each.err = errLeaderGone // replaced by the outcome
			members = append(members, each)
		}
	}
	return members
}

// errLeaderGone is returned to members whose batch was ended by runtime.Goexit.
var errLeaderGone = errors.New("db: the goroutine that ran the batch has ended")

// take removes and returns as many waiting members as fit into the batch.
func (c *Combiner[Request, Verdict]) take(
	lane *combinerLane[Request, Verdict], batch []*member[Request, Verdict],
) []*member[Request, Verdict] {
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

// handOver lets the next member in the queue lead, or marks the lane as empty.
func (c *Combiner[Request, Verdict]) handOver(l *combinerLane[Request, Verdict]) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.waiting.size > 0 {
		if next := l.waiting.pop(); !next.gone {
			next.taken = true
			c.start(l, next)
			return
		}
	}
	l.busy = false
}

// answering is the maximum time that a batch reserves before its latest deadline, so that its
// members with that deadline get its outcome.
const answering = 500 * time.Millisecond

// bound returns the context of a batch. It does not depend on any single member and has no caller.
// It ends shortly before the latest deadline of the members.
func (c *Combiner[Request, Verdict]) bound(batch []*member[Request, Verdict]) (context.Context, context.CancelFunc) {
	now := time.Now()
	end := now.Add(c.options.Timeout)
	var last time.Time
	for _, m := range batch {
		deadline, ok := m.ctx.Deadline()
		if !ok {
			last = end
			break
		}
		deadline = deadline.Add(-min(answering, deadline.Sub(now)/10))
		if deadline.After(last) {
			last = deadline
		}
	}
	if last.Before(end) {
		end = last
	}
	return context.WithDeadline(context.Background(), end)
}

// carryOut executes the batch and stores each member's verdict. Members that join when
// the batch is closed are included. Verdicts are in order of arrival.
func (c *Combiner[Request, Verdict]) carryOut(
	ctx context.Context, batch []*member[Request, Verdict], join func() []*member[Request, Verdict],
) {
	verdicts, err := c.attempt(ctx, Batch[Request]{requestsOf(batch), func() []Request {
		if join != nil {
			batch = append(batch, join()...)
			join = nil
			slices.SortFunc(batch, func(a, b *member[Request, Verdict]) int { return cmp.Compare(a.order, b.order) })
		}
		return requestsOf(batch)
	}})
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

func requestsOf[Request, Verdict any](batch []*member[Request, Verdict]) []Request {
	requests := make([]Request, len(batch))
	for i, m := range batch {
		requests[i] = m.request
	}
	return requests
}

func (c *Combiner[Request, Verdict]) attempt(ctx context.Context, batch Batch[Request]) (verdicts []Verdict, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &PanicError{Value: p, Stack: debug.Stack()}
		}
	}()
	return c.run(ctx, batch)
}

// concernsAll reports whether an error does not depend on the requests: a part of the
// batch would fail too, or must not run again.
func concernsAll(err error) bool {
	_, contention := errors.AsType[*ContentionError](err)
	_, unavailable := errors.AsType[*UnavailableError](err)
	_, ambiguous := errors.AsType[*AmbiguousCommitError](err)
	return contention || unavailable || ambiguous ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// report records the metrics of a batch that began at the given time.
func (c *Combiner[Request, Verdict]) report(batch []*member[Request, Verdict], began time.Time) {
	if c.options.Metrics == nil {
		return
	}
	waits := make([]time.Duration, len(batch))
	for i, m := range batch {
		waits[i] = max(0, began.Sub(m.since)) // a member that joined later has not waited
	}
	c.options.Metrics.combined(c.options.Name, waits, time.Since(began))
}
