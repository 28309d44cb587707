package loadtest

import (
	"context"
	"sync/atomic"
	"time"
)

// pace says when requests are due. Safe for concurrent use.
type pace interface {
	// next waits until the next request is due. It is not ok when there is
	// none any more, or the context ended.
	next(ctx context.Context) (due time.Time, ok bool)
	// dueBy is how many requests are due up to a moment, sent or not, or 0
	// where that depends on the answers.
	dueBy(now time.Time) int64
	// planned is how many requests there will be, or 0 where that depends on
	// the answers.
	planned() int64
}

// closedLoop lets every client go on as soon as it is ready.
type closedLoop struct {
	until time.Time
}

func (p *closedLoop) next(ctx context.Context) (time.Time, bool) {
	now := time.Now()
	return now, now.Before(p.until) && ctx.Err() == nil
}

func (*closedLoop) dueBy(time.Time) int64 { return 0 }
func (*closedLoop) planned() int64        { return 0 }

// fixedNumber is a closed loop that ends after a number of requests.
type fixedNumber struct {
	total int64
	taken atomic.Int64
}

func (p *fixedNumber) next(ctx context.Context) (time.Time, bool) {
	return time.Now(), ctx.Err() == nil && p.taken.Add(1) <= p.total
}

func (*fixedNumber) dueBy(time.Time) int64 { return 0 }
func (p *fixedNumber) planned() int64      { return p.total }

// openLoop keeps a schedule. A client that becomes free takes the oldest
// request that nobody sent yet, so requests that the server is too slow for
// wait in line, and their latency grows; none is left out.
type openLoop struct {
	begin time.Time
	rate  float64 // per second
	total int64
	taken atomic.Int64
}

func (p *openLoop) next(ctx context.Context) (time.Time, bool) {
	n := p.taken.Add(1) - 1
	if n >= p.total {
		return time.Time{}, false
	}
	due := p.begin.Add(time.Duration(float64(n) / p.rate * float64(time.Second)))
	if wait := time.Until(due); wait > 0 {
		return due, sleep(ctx, wait)
	}
	return due, ctx.Err() == nil
}

func (p *openLoop) dueBy(now time.Time) int64 {
	return min(p.total, int64(now.Sub(p.begin).Seconds()*p.rate)+1)
}

func (p *openLoop) planned() int64 { return p.total }
