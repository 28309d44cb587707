package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/tracing"
)

// lead runs the member's batch, and then starts the next one.
func (q *Queue[Request, Answer]) lead(m *member[Request, Answer]) {
	batch := []*member[Request, Answer]{m}
	defer func() { // also where a panic or runtime.Goexit ends this goroutine
		q.startNext()
		for _, each := range batch {
			if each.exclusive == nil {
				close(each.wake)
			}
			q.admitted.Done()
		}
	}()
	if m.exclusive != nil {
		m.wait.End()
		if m.err = m.ctx.Err(); m.err == nil {
			m.err = errBatchEnded // replaced by the outcome
			m.exclusive()
		}
		return
	}
	members := stillWaiting(batch)
	// join takes the waiting members and returns those whose callers still wait.
	join := func() []*member[Request, Answer] {
		taken := q.take(batch)
		batch = append(batch, taken...)
		joined := stillWaiting(taken)
		members = append(members, joined...)
		linkTo(m.batch, joined)
		return joined
	}
	if join(); len(members) == 0 {
		return
	}
	ctx, cancel := q.contextOf(members)
	defer cancel()
	ctx, m.batch = q.startSpan(ctx, members)
	began := time.Now()
	q.answer(ctx, slices.Clone(members), join)
	m.batch.SetNumber(tracing.Requests, len(members))
	m.batch.End()
	q.report(members, began)
}

// stillWaiting returns the members whose callers still wait. The others are not executed.
func stillWaiting[Request, Answer any](taken []*member[Request, Answer]) []*member[Request, Answer] {
	members := make([]*member[Request, Answer], 0, len(taken))
	for _, m := range taken {
		m.wait.End()
		if m.err = m.ctx.Err(); m.err == nil {
			m.err = errBatchEnded // replaced by the outcome
			members = append(members, m)
		}
	}
	return members
}

// errBatchEnded is returned to members whose batch was ended by runtime.Goexit.
var errBatchEnded = errors.New("command: the goroutine that ran the batch has ended")

// take removes and returns as many waiting members of the batch's group as fit into it.
func (q *Queue[Request, Answer]) take(batch []*member[Request, Answer]) []*member[Request, Answer] {
	group, weight := batch[0].group, 0
	for _, m := range batch {
		weight += q.options.Weight(m.request)
	}
	var taken []*member[Request, Answer]
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		next, ok := q.waiting.peekOf(group)
		if !ok {
			return taken
		}
		if next.abandoned {
			q.waiting.popOf(group)
			continue
		}
		if weight += q.options.Weight(next.request); weight > q.options.Limit {
			return taken
		}
		next.taken = true
		taken = append(taken, q.waiting.popOf(group))
	}
}

// startNext lets the next waiting member lead a batch.
func (q *Queue[Request, Answer]) startNext() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.waiting.size > 0 {
		if next := q.waiting.pop(); !next.abandoned {
			q.start(next)
			return
		}
	}
	q.running--
}

// answering is the maximum time that a batch reserves before its latest deadline, so that its
// members with that deadline get its outcome.
const answering = 500 * time.Millisecond

// contextOf returns the context of a batch. It does not depend on any single member and has no caller.
// It ends shortly before the latest deadline of the members.
func (q *Queue[Request, Answer]) contextOf(batch []*member[Request, Answer]) (context.Context, context.CancelFunc) {
	now := time.Now()
	end := now.Add(q.options.Timeout)
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

// answer executes the batch and stores each member's answer. Members that join when the batch is
// closed are included.
func (q *Queue[Request, Answer]) answer(
	ctx context.Context, batch []*member[Request, Answer], join func() []*member[Request, Answer],
) {
	answers, err := q.attempt(ctx, Batch[Request]{requestsOf(batch), func() []Request {
		if join != nil {
			batch = append(batch, join()...)
			join = nil
			slices.SortFunc(batch, func(a, b *member[Request, Answer]) int { return cmp.Compare(a.order, b.order) })
		}
		return requestsOf(batch)
	}})
	if err == nil && len(answers) != len(batch) {
		err = fmt.Errorf("command: %d answers for %d requests", len(answers), len(batch))
	}
	switch {
	case err == nil:
		for i, m := range batch {
			m.answer, m.err = answers[i], nil
		}
	case len(batch) == 1 || concernsAll(err):
		for _, m := range batch {
			m.err = err
		}
	default:
		half := len(batch) / 2
		q.answer(ctx, batch[:half], nil)
		q.answer(ctx, batch[half:], nil)
	}
}

func requestsOf[Request, Answer any](batch []*member[Request, Answer]) []Request {
	requests := make([]Request, len(batch))
	for i, m := range batch {
		requests[i] = m.request
	}
	return requests
}

func (q *Queue[Request, Answer]) attempt(ctx context.Context, batch Batch[Request]) (answers []Answer, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &PanicError{Value: p, Stack: debug.Stack()}
		}
	}()
	return q.run(ctx, batch)
}

// concernsAll reports whether an error does not depend on the requests: a part of the batch would
// fail too, or must not run again.
func concernsAll(err error) bool {
	_, contention := errors.AsType[*db.ContentionError](err)
	_, unavailable := errors.AsType[*db.UnavailableError](err)
	_, ambiguous := errors.AsType[*db.AmbiguousCommitError](err)
	return contention || unavailable || ambiguous ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// report records the metrics of a batch that began at the given time.
func (q *Queue[Request, Answer]) report(batch []*member[Request, Answer], began time.Time) {
	if q.options.Metrics == nil {
		return
	}
	waits := make([]time.Duration, len(batch))
	for i, m := range batch {
		waits[i] = max(0, began.Sub(m.since)) // a member that joined later has not waited
	}
	q.options.Metrics.batch(q.options.Name(batch[0].request), waits, time.Since(began))
}
