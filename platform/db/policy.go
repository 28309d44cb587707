package db

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Policy sets the number of attempts of an operation and the delays between them.
type Policy struct {
	MaxAttempts int           // at least 1, including the first
	BaseDelay   time.Duration // before the first retry
	MaxDelay    time.Duration // upper bound of all delays, including jitter
	Jitter      float64       // 0 to 1: maximum deviation, as a fraction of the delay
}

// presets are the named policies for the configuration.
var presets = map[string]Policy{
	"default":      {5, 10 * time.Millisecond, 1000 * time.Millisecond, 0.1},
	"conservative": {3, 20 * time.Millisecond, 500 * time.Millisecond, 0.1},
	"aggressive":   {7, 5 * time.Millisecond, 2000 * time.Millisecond, 0.1},
}

// Preset returns the policy with that name: default, conservative or aggressive.
func Preset(name string) (Policy, bool) {
	p, ok := presets[name]
	return p, ok
}

// Delay returns the delay before retry n, counted from 0: min(BaseDelay·2ⁿ ± Jitter,
// MaxDelay). Random returns numbers in [0, 1).
func (p Policy) Delay(n int, random func() float64) time.Duration {
	delay := math.Ldexp(float64(p.BaseDelay), min(n, 62)) // 2⁶² ns is 146 years: above any limit, below overflow
	delay *= 1 + p.Jitter*(2*random()-1)
	if delay >= float64(p.MaxDelay) {
		return p.MaxDelay // conversion from float would round and could overflow
	}
	return time.Duration(delay)
}

// Validate returns an error that lists every field out of range.
func (p Policy) Validate() error {
	var problems []error
	if p.MaxAttempts < 1 || p.MaxAttempts > 100 {
		problems = append(problems, fmt.Errorf("the number of attempts must be between 1 and 100, not %d", p.MaxAttempts))
	}
	if p.BaseDelay < 0 {
		problems = append(problems, fmt.Errorf("the base delay must not be negative, as %s is", p.BaseDelay))
	}
	if p.MaxDelay < p.BaseDelay {
		problems = append(problems, fmt.Errorf("the longest delay, %s, must not be below the base delay, %s", p.MaxDelay,
			p.BaseDelay))
	}
	if !(p.Jitter >= 0 && p.Jitter <= 1) {
		problems = append(problems, fmt.Errorf("the jitter must be between 0 and 1, not %v", p.Jitter))
	}
	return errors.Join(problems...)
}
