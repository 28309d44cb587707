package app

import (
	"cmp"
	"context"
	"crypto/sha256"
	"sync"
	"time"

	"omnirapeutic/config"
	"omnirapeutic/platform/fault"
)

// Limits of delayed refusals.
const (
	holdTime = 3 * time.Second
	maxHeld  = 1000 // at once; a held request costs a goroutine and its connection
)

// failureLimit limits how often one source may fail to authenticate or to prove something else, in
// the memory of this instance; see throttle.FailureLimit. Beyond the limit, attempts are refused before
// any work is done, and the refusals are delayed. Otherwise a client that retries immediately would
// keep the processors busy with refusals. Safe for concurrent use.
type failureLimit struct {
	clock func() time.Time
	hold  time.Duration
	held  chan struct{}

	mu       sync.Mutex
	failures policy
}

func newFailureLimit(clock func() time.Time, r config.Rate, hold time.Duration) *failureLimit {
	return &failureLimit{
		clock:    clock,
		hold:     cmp.Or(hold, holdTime),
		held:     make(chan struct{}, maxHeld),
		failures: newPolicy("failures", r),
	}
}

// set replaces the limit. All counts start again.
func (l *failureLimit) set(r config.Rate) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failures = newPolicy("failures", r)
}

// Take claims one failure. The error is errRateLimited with the time to wait.
func (l *failureLimit) Take(ctx context.Context, kind, source string) error {
	wait, ok := l.claim(kind, source)
	if ok {
		return nil
	}
	l.holdBack(ctx)
	return errTooManyFailures(wait)
}

// claim returns how long the source must wait, or 0 if it is below the limit.
func (l *failureLimit) claim(kind, source string) (wait time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failures.rate == 0 {
		return 0, true
	}
	now := l.clock()
	b := l.failures.bucketOf(failureKey(kind, source), now)
	if b.AllowN(now, 1) {
		return 0, true
	}
	return l.failures.after(1 - b.TokensAt(now)), false
}

// holdBack delays the refusal, unless too many are delayed already or the client has
// disconnected.
func (l *failureLimit) holdBack(ctx context.Context) {
	select {
	case l.held <- struct{}{}:
		defer func() { <-l.held }()
	default:
		return
	}
	timer := time.NewTimer(l.hold)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// GiveBack returns a failure claimed by Take.
func (l *failureLimit) GiveBack(kind, source string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failures.rate == 0 {
		return
	}
	now := l.clock()
	l.failures.bucketOf(failureKey(kind, source), now).AllowN(now, -1)
}

func failureKey(kind, source string) bucketKey {
	sum := sha256.Sum256([]byte(kind + "\n" + source))
	return bucketKey(sum[:len(bucketKey{})])
}

func errTooManyFailures(wait time.Duration) *fault.Error {
	return errRateLimited.With(tooFast{"failures", wait},
		"Too many attempts from your network have failed. Try again in %d s.", wholeSeconds(wait))
}
