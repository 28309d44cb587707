package audit

import (
	"context"
	"time"

	"omnirapeutic/platform/httpx"
)

// attemptsBody is the number of refused attempts, without an organization, from one network within
// one minute, with the same action and reason.
type attemptsBody struct {
	Minute time.Time `json:"minute"` // The start of the minute.
	// The network of the callers, /64 for IPv6. The value `other` is all networks beyond the
	// limit of a minute.
	Source string `json:"source"`
	Action string `json:"action"` // The action that was attempted, as in the audit trail.
	// The reason of the refusal. `limited` means refused unchecked, after too many others.
	Reason   string    `json:"reason"`
	Attempts int64     `json:"attempts"` // The number of attempts.
	LastAt   time.Time `json:"lastAt"`   // The time of the last attempt.
}

type attemptsRequest struct {
	From   time.Time `query:"from"`                                  // The earliest time.
	To     time.Time `query:"to" validate:"omitempty,gtefield=From"` // The end of the period. It is excluded.
	Source string    `query:"source" validate:"max=64"`              // The network, as in the response.
	httpx.PageQuery
}

func (s *Service) handleAttempts(ctx context.Context, in attemptsRequest) (httpx.Page[attemptsBody], error) {
	var after *attemptsBody
	if err := in.DecodeCursor(&after); err != nil {
		return httpx.Page[attemptsBody]{}, err
	}
	found, err := s.Attempts(ctx, AttemptFilter{in.From, in.To, in.Source}, (*Attempts)(after), in.Size()+1)
	bodyOf := func(a Attempts) attemptsBody { return attemptsBody(a) }
	return httpx.PageOf(in.PageQuery, found, bodyOf, func(a Attempts) any { return attemptsBody(a) }), err
}
