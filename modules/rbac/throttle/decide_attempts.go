package throttle

import "time"

// Limits of failed attempts. NIST SP 800-63B-4, section 3.2.2, allows at most 100 consecutive
// failed attempts for one account and recommends growing delays.
const (
	freeAttempts = 10               // without delay: people mistype, and several devices sign in at once
	maxAttempts  = 100              // then no attempt is checked for a day
	longestDelay = 15 * time.Minute // before maxAttempts
	// ForgetAfter is the time after the last attempt at which a count starts again.
	ForgetAfter = 24 * time.Hour
)

// attempts counts consecutive failed attempts. The zero value has none.
type attempts struct {
	failures int
	lastAt   time.Time
	openAt   time.Time // attempts before this time are refused without a check
}

// try decides whether another attempt may be made. An accepted attempt counts as a failure before
// it is checked, so that concurrent attempts cannot exceed the limit. A refused attempt is not
// counted; wait is the time until the next one is accepted.
func (a attempts) try(now time.Time) (after attempts, wait time.Duration) {
	if !a.lastAt.IsZero() && now.Sub(a.lastAt) >= ForgetAfter {
		a = attempts{}
	}
	if wait := a.openAt.Sub(now); wait > 0 {
		return a, wait
	}
	a.failures++
	a.lastAt, a.openAt = now, now.Add(delayAfter(a.failures))
	return a, 0
}

// delayAfter returns the delay after a number of failures: one second after the tenth, doubled
// with each further one.
func delayAfter(failures int) time.Duration {
	switch {
	case failures < freeAttempts:
		return 0
	case failures >= maxAttempts:
		return ForgetAfter
	}
	delay := time.Second
	for range failures - freeAttempts {
		if delay *= 2; delay >= longestDelay {
			return longestDelay
		}
	}
	return delay
}
