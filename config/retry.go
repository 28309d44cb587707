package config

import (
	"errors"
	"time"

	"omnirapeutic/platform/db"
)

// Retry configures transaction retries: a preset, of which each field can be
// overridden.
type Retry struct {
	Preset      string
	MaxAttempts int
	BaseDelay   time.Duration
	MaxDelay    time.Duration
	Jitter      float64 // 0.1 is ±10 %
}

// Policy returns the policy for the transaction runner.
func (r Retry) Policy() db.Policy {
	return db.Policy{MaxAttempts: r.MaxAttempts, BaseDelay: r.BaseDelay, MaxDelay: r.MaxDelay, Jitter: r.Jitter}
}

// setPreset also sets the other fields. Their keys come later and override them.
func setPreset(c *Config, name string) error {
	p, ok := db.Preset(name)
	if !ok {
		return errors.New("must be one of default, conservative, aggressive")
	}
	c.Retry = Retry{
		Preset:      name,
		MaxAttempts: p.MaxAttempts,
		BaseDelay:   p.BaseDelay,
		MaxDelay:    p.MaxDelay,
		Jitter:      p.Jitter,
	}
	return nil
}
