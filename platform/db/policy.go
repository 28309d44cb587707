package db

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Policy says how often, and after which delays, an operation is tried.
type Policy struct {
	MaxAttempts int           // at least 1, the first one included
	BaseDelay   time.Duration // before the first retry
	MaxDelay    time.Duration // no delay is longer, jitter included
	Jitter      float64       // 0 to 1: how far a delay may be off, as a part of it
}

// presets are the policies that configuration can name.
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

// Delay returns how long to wait before retry n, counted from 0:
// min(BaseDelay·2ⁿ ± Jitter, MaxDelay). Random returns numbers from 0 up to,
// and without, 1.
func (p Policy) Delay(n int, random func() float64) time.Duration {
	delay := math.Ldexp(float64(p.BaseDelay), min(n, 62)) // 2⁶² ns is 146 years: past any cap, short of overflow
	delay *= 1 + p.Jitter*(2*random()-1)
	if delay >= float64(p.MaxDelay) {
		return p.MaxDelay // not by way of a float, which rounds, and could overflow
	}
	return time.Duration(delay)
}

// Validate tells every field that is out of its range.
func (p Policy) Validate() error {
	var wrong []error
	if p.MaxAttempts < 1 || p.MaxAttempts > 100 {
		wrong = append(wrong, fmt.Errorf("the number of attempts must be between 1 and 100, not %d", p.MaxAttempts))
	}
	if p.BaseDelay < 0 {
		wrong = append(wrong, fmt.Errorf("the base delay must not be negative, as %s is", p.BaseDelay))
	}
	if p.MaxDelay < p.BaseDelay {
		wrong = append(wrong, fmt.Errorf("the longest delay, %s, must not be below the base delay, %s", p.MaxDelay, p.BaseDelay))
	}
	if !(p.Jitter >= 0 && p.Jitter <= 1) {
		wrong = append(wrong, fmt.Errorf("the jitter must be between 0 and 1, not %v", p.Jitter))
	}
	return errors.Join(wrong...)
}
