package rbac

import "time"

// How often somebody may try. NIST SP 800-63B-4, section 3.2.2, wants no more than 100
// failed attempts in a row to be taken for one account, and names growing delays as a
// way to get there.
const (
	freeAttempts = 10               // without any delay: fingers slip, and several devices sign in at once
	maxAttempts  = 100              // then nothing is looked at before a day is over
	longestDelay = 15 * time.Minute // before that
	forgetAfter  = 24 * time.Hour   // of no attempt
)

// attempts are what is known of attempts to sign in that have not led to a sign-in.
// The zero value is none.
type attempts struct {
	failures int
	lastAt   time.Time
	openAt   time.Time // before, no password is looked at
}

// try decides whether one more attempt may be made. It is counted as a failure before
// anything is looked at, so that many at once are not more than many after each other.
// One that comes too early is not counted, and waits for as long as is told.
func (a attempts) try(now time.Time) (after attempts, wait time.Duration) {
	if !a.lastAt.IsZero() && now.Sub(a.lastAt) >= forgetAfter {
		a = attempts{}
	}
	if wait := a.openAt.Sub(now); wait > 0 {
		return a, wait
	}
	a.failures++
	a.lastAt, a.openAt = now, now.Add(delayAfter(a.failures))
	return a, 0
}

// delayAfter is how long nothing is looked at after so many failures: a second after
// the tenth, and twice as long after each further one.
func delayAfter(failures int) time.Duration {
	switch {
	case failures < freeAttempts:
		return 0
	case failures >= maxAttempts:
		return forgetAfter
	}
	delay := time.Second
	for range failures - freeAttempts {
		if delay *= 2; delay >= longestDelay {
			return longestDelay
		}
	}
	return delay
}
