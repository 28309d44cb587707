package mailing

import (
	"errors"
	"time"

	"omnirapeutic/platform/delivery"
	"omnirapeutic/platform/smtp"
)

// attemptResult is the result of an attempt to send a mail.
type attemptResult struct {
	state State
	next  time.Time // the next attempt, if the state is [Queued]
	reply string    // codes of the server's reply; may be empty
}

// resultBefore returns the result for a mail that must not be sent at all, and whether there is one.
func resultBefore(m queuedMail, now time.Time) (attemptResult, bool) {
	switch {
	case m.IsRefused:
		return attemptResult{state: Withheld}, true
	case !now.Before(m.ExpiresAt):
		return attemptResult{state: Expired}, true
	}
	return attemptResult{}, false
}

// resultOf returns the result of an attempt that has ended with the error; nil: the server has accepted
// the mail. Random returns numbers in [0, 1).
func resultOf(m queuedMail, err error, now time.Time, random func() float64) attemptResult {
	if err == nil {
		return attemptResult{state: Sent}
	}
	refusal, ok := errors.AsType[*smtp.Error](err)
	if !ok {
		return attemptResult{state: Failed}
	}
	switch refusal.Reason {
	case smtp.NoSuchRecipient:
		return attemptResult{state: Refused, reply: refusal.Reply}
	case smtp.Rejected:
		return attemptResult{state: Failed, reply: refusal.Reply}
	case smtp.NotConnected, smtp.Postponed:
	}
	delay, retry := delivery.RetryDelay(m.Attempts, random)
	if !retry {
		return attemptResult{state: Failed, reply: refusal.Reply}
	}
	return attemptResult{state: Queued, next: now.Add(delay), reply: refusal.Reply}
}
