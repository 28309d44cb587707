// Package delivery has the schedule by which the program repeats messages to other systems: events to
// webhooks, and mail.
package delivery

import "time"

// RetryDelays are the delays after the first attempt, the second, and so on, each varied by up to a
// fifth: eight attempts in about 23 hours.
var RetryDelays = []time.Duration{
	15 * time.Second, time.Minute, 4 * time.Minute, 16 * time.Minute, time.Hour, 4 * time.Hour, 17 * time.Hour,
}

// RetryDelay returns the delay after the given number of failed attempts, and whether there is another
// one. Random returns numbers in [0, 1).
func RetryDelay(attempts int, random func() float64) (delay time.Duration, retry bool) {
	if attempts > len(RetryDelays) {
		return 0, false
	}
	const jitter = 0.2
	return time.Duration(float64(RetryDelays[attempts-1]) * (1 + jitter*(2*random()-1))), true
}
