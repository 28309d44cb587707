package db

import (
	"context"
	"sync"
	"time"
)

// Reads of a request that accepts the state of a short while ago. The first failed read moves the request
// to the primary, so that its later reads see nothing older. Safe for concurrent use.
type Reads struct {
	mu      sync.Mutex
	standby int           // reads that the standby has answered
	lag     time.Duration // the largest lag of them
	reason  FallbackReason
}

// FallbackReason is why the primary has answered a read that could have been answered by a standby.
type FallbackReason string

// The reasons for which the primary answers.
const (
	NotConfigured FallbackReason = "not-configured" // there is no standby for reads
	Lagging       FallbackReason = "lag"            // the standby is too far behind, or this is unknown
	Down          FallbackReason = "down"           // the standby does not answer, or not in time
	Promoted      FallbackReason = "promoted"       // the server accepts writes, so it is no standby
	OtherHistory  FallbackReason = "history"        // the server does not follow the primary
	OtherRole     FallbackReason = "role"           // the standby's URL names another role than the primary's
	Conflict      FallbackReason = "conflict"       // the standby cancelled the read, because it conflicts with replay
	Failed        FallbackReason = "failed"         // the read failed for another reason, as for a missing record
)

// Source says which server has answered the reads so far. Reason is empty if it was the standby alone, or if
// nothing was read.
type Source struct {
	Standby bool          // the standby has answered at least one of them
	Lag     time.Duration // the state that it has shown is at most this old
	Reason  FallbackReason
}

type readsKey struct{}

// WithEventualReads returns a context in which each [Snapshot] may be answered by a standby, and the record of
// who has answered. It is for work whose caller accepts the state of a short while ago.
func WithEventualReads(ctx context.Context) (context.Context, *Reads) {
	r := new(Reads)
	return context.WithValue(ctx, readsKey{}, r), r
}

// FromPrimary returns a context whose reads the primary answers, for example to fill a cache.
func FromPrimary(ctx context.Context) context.Context {
	if readsIn(ctx) == nil {
		return ctx
	}
	return context.WithValue(ctx, readsKey{}, (*Reads)(nil))
}

// OnStandby reports whether a standby answers the transaction in the context. What it reads must not be cached for
// other requests: they may have seen a newer state, and have removed the old one from the cache.
func OnStandby(ctx context.Context) bool {
	a := attemptIn(ctx)
	return a != nil && a.standby
}

func readsIn(ctx context.Context) *Reads {
	r, _ := ctx.Value(readsKey{}).(*Reads)
	return r
}

// Source returns who has answered so far.
func (r *Reads) Source() Source {
	r.mu.Lock()
	defer r.mu.Unlock()
	return Source{Standby: r.standby > 0, Lag: r.lag, Reason: r.reason}
}

// fellBack reports whether the primary answers all further reads.
func (r *Reads) fellBack() (FallbackReason, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reason, r.reason != ""
}

func (r *Reads) fallBack(reason FallbackReason) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reason = reason
}

func (r *Reads) answered(lag time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.standby++
	r.lag = max(r.lag, lag)
}
