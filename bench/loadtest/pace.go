package loadtest

import (
	"context"
	"sync/atomic"
	"time"
)

// pace determines when requests are due. Safe for concurrent use.
type pace interface {
	// next waits until the next request is due. It returns false if there is none left
	// or the context ended.
	next(ctx context.Context) (due time.Time, ok bool)
	// dueBy returns the number of requests due until a time, sent or not, or 0 if it
	// depends on the answers.
	dueBy(now time.Time) int64
	// planned returns the total number of requests, or 0 if it depends on the answers.
	planned() int64
}

// closedLoop lets every client continue as soon as it is ready.
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

// openLoop keeps a fixed schedule. A free client takes the oldest unsent request.
// Requests for which the server is too slow wait, and their latency grows; none is
// skipped.
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
