package app

import (
	"crypto/sha256"
	"sync"
	"time"

	"omnirapeutic/config"
	"omnirapeutic/platform/fault"
)

// failureLimit bounds how often one source may fail to sign in or to prove anything else,
// in the memory of this instance: see rbac.FailureLimit. A source under its limit costs
// nothing else; beyond it, attempts are refused before any work is done. Safe for
// concurrent use.
type failureLimit struct {
	clock func() time.Time

	mu       sync.Mutex
	failures policy
}

func newFailureLimit(clock func() time.Time, r config.Rate) *failureLimit {
	return &failureLimit{clock: clock, failures: newPolicy("failures", r)}
}

// Take claims one failure. The error is errRateLimited, with the time to wait.
func (l *failureLimit) Take(kind, source string) error {
	if l.failures.rate == 0 {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clock()
	b := l.failures.bucketOf(failureKey(kind, source), now)
	if b.AllowN(now, 1) {
		return nil
	}
	wait := l.failures.after(1 - b.TokensAt(now))
	return errTooManyFailures(wait)
}

// GiveBack returns what Take claimed.
func (l *failureLimit) GiveBack(kind, source string) {
	if l.failures.rate == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clock()
	l.failures.bucketOf(failureKey(kind, source), now).AllowN(now, -1)
}

func failureKey(kind, source string) bucketKey {
	sum := sha256.Sum256([]byte(kind + "\n" + source))
	return bucketKey(sum[:len(bucketKey{})])
}

func errTooManyFailures(wait time.Duration) *fault.Error {
	return errRateLimited.With(tooFast{"failures", wait},
		"Too many attempts from your network were refused. This one was not looked at; try again in %d s.", wholeSeconds(wait))
}
